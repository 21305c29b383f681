use schemars::JsonSchema;
use serde::Serialize;

use crate::model::{FlowInfo, Peer, Pod, Qos, Side};

/// The processes, containers and sockets at both ends.
#[derive(Default, Serialize, JsonSchema)]
pub(in crate::sink::json) struct Identity<'a> {
    /// Which end `process.*`, `container.*` and `k8s.pod.*` tell of: the client, if anything is known of it.
    #[serde(rename = "interceptor.process.side", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["client", "server"]))]
    side: Option<&'static str>,
    /// Process at that end.
    #[serde(rename = "process.pid", skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    /// Its command name (at most 15 bytes).
    #[serde(rename = "process.command", skip_serializing_if = "Option::is_none")]
    command: Option<&'a str>,
    /// Container at that end.
    #[serde(rename = "container.id", skip_serializing_if = "Option::is_none")]
    container: Option<&'a str>,
    /// Its runtime's namespace (containerd's, not Kubernetes'), where its cgroup tells.
    #[serde(rename = "interceptor.container.namespace", skip_serializing_if = "Option::is_none")]
    namespace: Option<&'static str>,
    /// UID of its pod; of a static pod, the hash in its mirror's annotation `kubernetes.io/config.hash`.
    #[serde(rename = "k8s.pod.uid", skip_serializing_if = "Option::is_none")]
    pod: Option<&'a str>,
    /// Quality of service class of its pod.
    #[serde(rename = "interceptor.k8s.pod.qos_class", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["Guaranteed", "Burstable", "BestEffort"]))]
    qos: Option<&'static str>,
    /// Process at the other end.
    #[serde(rename = "interceptor.peer.process.pid", skip_serializing_if = "Option::is_none")]
    peer_pid: Option<u32>,
    /// Its command name.
    #[serde(rename = "interceptor.peer.process.command", skip_serializing_if = "Option::is_none")]
    peer_command: Option<&'a str>,
    /// Container at the other end.
    #[serde(rename = "interceptor.peer.container.id", skip_serializing_if = "Option::is_none")]
    peer_container: Option<&'a str>,
    /// Its runtime's namespace.
    #[serde(rename = "interceptor.peer.container.namespace", skip_serializing_if = "Option::is_none")]
    peer_namespace: Option<&'static str>,
    /// UID of its pod.
    #[serde(rename = "interceptor.peer.k8s.pod.uid", skip_serializing_if = "Option::is_none")]
    peer_pod: Option<&'a str>,
    /// Quality of service class of its pod.
    #[serde(rename = "interceptor.peer.k8s.pod.qos_class", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["Guaranteed", "Burstable", "BestEffort"]))]
    peer_qos: Option<&'static str>,
    /// Cookie of the client's socket, as in `ss -e`.
    #[serde(rename = "interceptor.client.socket.cookie", skip_serializing_if = "Option::is_none")]
    client_cookie: Option<u64>,
    /// Cookie of the server's socket.
    #[serde(rename = "interceptor.server.socket.cookie", skip_serializing_if = "Option::is_none")]
    server_cookie: Option<u64>,
    /// Cgroup id (inode of its directory) of the client's socket.
    #[serde(rename = "interceptor.client.cgroup.id", skip_serializing_if = "Option::is_none")]
    client_cgroup: Option<u64>,
    /// Cgroup id of the server's socket.
    #[serde(rename = "interceptor.server.cgroup.id", skip_serializing_if = "Option::is_none")]
    server_cgroup: Option<u64>,
}

/// What is known of one end.
#[derive(Clone, Copy, Default)]
struct End<'a> {
    pid: Option<u32>,
    command: Option<&'a str>,
    container: Option<&'a str>,
    namespace: Option<&'static str>,
    pod: Option<&'a str>,
    qos: Option<&'static str>,
}

impl<'a> Identity<'a> {
    pub(in crate::sink::json) fn of(flow: &'a FlowInfo) -> Self {
        let (side, this, other) = match Side::BOTH.map(|side| End::of(flow.peer(side))) {
            [Some(client), server] => (Some("client"), client, server.unwrap_or_default()),
            [None, Some(server)] => (Some("server"), server, End::default()),
            [None, None] => (None, End::default(), End::default()),
        };
        Self {
            side,
            pid: this.pid,
            command: this.command,
            container: this.container,
            namespace: this.namespace,
            pod: this.pod,
            qos: this.qos,
            peer_pid: other.pid,
            peer_command: other.command,
            peer_container: other.container,
            peer_namespace: other.namespace,
            peer_pod: other.pod,
            peer_qos: other.qos,
            client_cookie: flow.client.cookie,
            server_cookie: flow.server.cookie,
            client_cgroup: flow.client.cgroup,
            server_cgroup: flow.server.cgroup,
        }
    }
}

impl<'a> End<'a> {
    /// If anything is.
    fn of(peer: &'a Peer) -> Option<Self> {
        let (process, container) = (peer.process.as_ref(), peer.container.as_deref());
        if process.is_none() && container.is_none() {
            return None;
        }
        let pod: Option<&Pod> = container.and_then(|container| container.pod.as_ref());
        Some(Self {
            pid: process.map(|process| process.pid),
            command: process.map(|process| &*process.command),
            container: container.map(|container| &*container.id),
            namespace: container.and_then(|container| container.namespace),
            pod: pod.map(|pod| &*pod.uid),
            qos: pod.and_then(|pod| pod.qos).map(Qos::name),
        })
    }
}
