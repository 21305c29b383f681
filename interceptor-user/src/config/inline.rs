mod upstream;

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cgroup, Count, MaybePath, Period, Size, SockOps, Switch};
pub use upstream::{
    Budget, Connections, Ejection, ErrorCode, HealthCheck, HealthChecks, Percent, RequestLimits, Retry, Timeouts,
    Upstream, Wait,
};

/// The inline path: connections that policies steer (`spec.steer`) are carried by this process to where they were going.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Inline {
    /// Whether there is one. Without it nothing is steered, whatever policies say.
    pub enabled: Switch,
    /// Processes in this cgroup and below are steered: `root`, or a cgroup's directory.
    pub cgroup: SockOps,
    /// Cgroups in which nothing is steered: directories below the cgroup v2 mount, or absolute.
    pub exempt: Vec<Cgroup>,
    /// How connections that come in are steered.
    pub inbound: InboundHook,
    /// How long after its last sign of life the inline path counts as gone; new connections then go straight, or are refused, as
    /// their policy says.
    pub timeout: Period,
    /// How long connecting to where a connection was going may take.
    pub connect_timeout: Period,
    /// Connections that are carried at a time; more of them wait until some are over.
    pub connections: Count,
    /// At the end, how long connections that are open may go on.
    pub grace: Period,
    /// A directory of a BPF file system, such as `/sys/fs/bpf/interceptor`: what steers is pinned there, stays in force when this
    /// process ends, however that happens, and is taken over by the next one. Removing the directory ends it.
    pub pins: MaybePath,
    /// A client's connection that policies are enforced on is closed after so long without a request.
    pub idle_timeout: Period,
    /// Bytes of requests that are held back until they are whole, because a rule asks for their content: all together. Of each,
    /// `keep.request` of the rule is the most.
    pub held_memory: Size,
    /// Servers that requests go to.
    pub upstream: Upstream,
}

/// How connections that come in are steered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(extend("enum" = ["auto", "sk_lookup", "tc"]))]
pub enum InboundHook {
    /// By sk_lookup, or by TC if the kernel refuses that and nothing is pinned.
    #[default]
    Auto,
    /// By sk_lookup on the network namespace.
    SkLookup,
    /// By TC programs on all its interfaces but loopback. They cannot be pinned, and what is refused is dropped: who connects hears
    /// nothing.
    Tc,
}

impl Default for Inline {
    fn default() -> Self {
        Self {
            enabled: Switch(false),
            cgroup: SockOps::Root,
            exempt: Vec::new(),
            inbound: InboundHook::Auto,
            timeout: Period(Duration::from_secs(1)),
            connect_timeout: Period(Duration::from_secs(5)),
            connections: Count(10_000),
            grace: Period(Duration::from_secs(10)),
            pins: MaybePath::default(),
            idle_timeout: Period(Duration::from_hours(1)),
            held_memory: Size(64 << 20),
            upstream: Upstream::default(),
        }
    }
}
