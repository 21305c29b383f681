//! What spans and log records are told of: the process and the pod at one end of a flow.

use opentelemetry_proto::tonic::{common::v1::KeyValue, resource::v1::Resource};

use super::{Settings, attributes};
use crate::model::{Container, Peer, Pod, Process};

/// What all resources have in common.
#[derive(Clone, Debug, Default)]
pub(super) struct Common {
    /// `service.name` of what has no better one.
    service_name: Option<String>,
    /// The configuration's, over all others.
    attributes: Vec<(String, String)>,
    host: Option<String>,
}

/// One end of a flow, as it is told of. Those that are equal are one resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Entity<'a> {
    pod: Option<&'a str>,
    container: Option<&'a str>,
    process: Option<(u32, &'a str)>,
    /// Is it one of this machine?
    local: bool,
}

impl Common {
    /// By the configuration, on this machine.
    pub(super) fn new(settings: &Settings) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
        Self {
            service_name: settings.service_name.clone(),
            attributes: settings.resource.clone(),
            host: host.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()),
        }
    }

    /// The resource that this end is.
    pub(super) fn resource(&self, entity: &Entity<'_>) -> Resource {
        let mut attributes = vec![attributes::text("service.name", self.service_name(entity))];
        if entity.local {
            attributes.extend(self.host.as_deref().map(|host| attributes::text("host.name", host)));
        }
        if let Some((pid, command)) = entity.process {
            attributes.push(attributes::number("process.pid", pid.into()));
            attributes.push(attributes::text("process.executable.name", command));
        }
        attributes.extend(entity.container.map(|id| attributes::text("container.id", id)));
        attributes.extend(entity.pod.map(|uid| attributes::text("k8s.pod.uid", uid)));
        for (name, value) in &self.attributes {
            attributes.retain(|attribute: &KeyValue| attribute.key != *name);
            attributes.push(attributes::text(name, value));
        }
        Resource { attributes, ..Resource::default() }
    }

    fn service_name(&self, entity: &Entity<'_>) -> String {
        let process = entity.process.map(|(_, command)| command).filter(|command| !command.is_empty());
        let container = entity.container.map(|id| id.get(..12).unwrap_or(id));
        // What the specification of resources has for those who have none.
        self.service_name.as_deref().or(process).or(container).unwrap_or("unknown_service").to_owned()
    }
}

impl<'a> Entity<'a> {
    /// This process itself.
    pub(super) fn ours() -> Self {
        Self { pod: None, container: None, process: Some((std::process::id(), "interceptor")), local: true }
    }

    pub(super) fn of(peer: &'a Peer) -> Self {
        let container: Option<&Container> = peer.container.as_deref();
        let process = |process: &'a Process| (process.pid, &*process.command);
        Self {
            pod: container.and_then(|container| container.pod.as_ref()).map(|pod: &Pod| &*pod.uid),
            container: container.map(|container| &*container.id),
            process: peer.process.as_ref().map(process),
            local: peer.cookie.is_some() || peer.cgroup.is_some(),
        }
    }
}
