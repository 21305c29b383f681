use schemars::JsonSchema;
use serde::Deserialize;

use super::At;
use crate::{config::Ports, model::Cidr};

/// Connections that go by the inline path, while there is one (`inline.enabled`). All that is given must fit; the first one
/// that fits a connection, of all policies, counts.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Steer {
    /// Its name, of which its policy has only one: letters, digits, `-` and `.`, 63 at the most.
    #[schemars(regex(pattern = r"^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$"))]
    pub name: At<String>,
    /// Connections that processes open, or those that come in. The default is `outbound`.
    #[serde(default)]
    pub direction: Direction,
    /// Ports that are connected to: `8000`, `9000-9010`. The default is all.
    #[serde(default)]
    pub ports: Vec<Ports>,
    /// Outbound: networks of the addresses that are connected to; the default is all but loopback addresses. Inbound: networks
    /// of who connects; the default is all. Link-local addresses of IPv6 are left alone.
    #[serde(default)]
    pub networks: Vec<Cidr>,
    /// Cgroups of the processes that connect, or above them: directories below the cgroup v2 mount, or absolute. Outbound only.
    /// The default is all.
    #[serde(default)]
    pub cgroups: Option<At<Vec<String>>>,
    /// Tenants of this policy (`spec.tenants`), by their names: their cgroups outbound, their networks inbound, beside those that are
    /// given here.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub tenants: Option<At<Vec<At<String>>>>,
    /// What becomes of them while the inline path does not answer. The default is `open`.
    #[serde(default)]
    pub on_failure: OnFailure,
}

/// A tenant, by what its workloads are known by before they say anything.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Workloads {
    /// Its name, of which its policy has only one: letters, digits, `-` and `.`, 63 at the most.
    #[schemars(regex(pattern = r"^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$"))]
    pub name: At<String>,
    /// Cgroups of its processes on this host, or above them, as in `steer`.
    #[serde(default)]
    pub cgroups: Vec<String>,
    /// Networks that it connects from.
    #[serde(default)]
    pub networks: Vec<Cidr>,
}

/// Which way connections are opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// By processes of this host.
    #[default]
    Outbound,
    /// To this network namespace, by others.
    Inbound,
}

/// What becomes of connections while the inline path does not answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// They go straight, as if there were no policy.
    #[default]
    Open,
    /// They are refused.
    Closed,
}
