use std::{collections::BTreeSet, fmt, sync::Arc};

use interceptor_common::{STEER_CGROUPS_MAX, STEER_NETWORKS_MAX, STEER_PORTS_MAX, STEER_RULES_MAX};

use super::document::{self, At, Direction, OnFailure, Workloads};
use crate::model::{Cidr, Ports};

/// Where, and what is wrong.
type Problem = ((u64, u64), String);

/// Connections that go by the inline path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steer {
    /// `policy/name`.
    pub name: Arc<str>,
    /// Which way they are opened.
    pub direction: Direction,
    /// Ports that are connected to; none: all.
    pub ports: Vec<u16>,
    /// Networks of the address that is connected to or, inbound, of who connects; none: all but loopback addresses.
    pub networks: Vec<Cidr>,
    /// Cgroups of who connects, as they are written; none: all.
    pub cgroups: Vec<String>,
    /// They are refused while the inline path does not answer.
    pub closed: bool,
}

impl Steer {
    pub(super) fn new(policy: &str, steer: &document::Steer, tenants: &[Workloads]) -> Result<Self, Problem> {
        let ports: BTreeSet<u16> = steer.ports.iter().flat_map(|ports| ports.first..=ports.last).collect();
        let mut all = Self {
            name: format!("{policy}/{}", *steer.name).into(),
            direction: steer.direction,
            ports: ports.into_iter().collect(),
            networks: steer.networks.clone(),
            cgroups: steer.cgroups.as_ref().map(|cgroups| cgroups.value.clone()).unwrap_or_default(),
            closed: steer.on_failure == OnFailure::Closed,
        };
        let Some(names) = &steer.tenants else { return Ok(all) };
        if names.is_empty() {
            return Err((names.place, "nobody's connections; leave `tenants` out, or name one".to_owned()));
        }
        names.iter().try_for_each(|name| all.add(name, tenants))?;
        Ok(all)
    }

    /// Another tenant's, too.
    fn add(&mut self, name: &At<String>, tenants: &[Workloads]) -> Result<(), Problem> {
        let Some(tenant) = tenants.iter().find(|tenant| *tenant.name == **name) else {
            let known: Vec<&str> = tenants.iter().map(|tenant| &**tenant.name).collect();
            let known = if known.is_empty() { "there are none".to_owned() } else { known.join(", ") };
            return Err((name.place, format!("`{}` is none of the policy's tenants: {known}", **name)));
        };
        let (lacks, what) = match self.direction {
            Direction::Outbound => (tenant.cgroups.is_empty(), "cgroups, by which it is known as it connects"),
            Direction::Inbound => (tenant.networks.is_empty(), "networks, by which it is known as it comes"),
        };
        if lacks {
            return Err((name.place, format!("the tenant `{}` has no {what}", **name)));
        }
        match self.direction {
            Direction::Outbound => self.cgroups.extend_from_slice(&tenant.cgroups),
            Direction::Inbound => self.networks.extend_from_slice(&tenant.networks),
        }
        Ok(())
    }
}

/// `outbound to ports 80, 8000-8010 of 10.0.0.0/8, by cgroup pods; straight while the inline path does not answer`
impl fmt::Display for Steer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let networks = || self.networks.iter().map(Cidr::to_string).collect::<Vec<_>>().join(", ");
        let (direction, of) = match self.direction {
            Direction::Outbound => ("outbound", "of"),
            Direction::Inbound => ("inbound", "from"),
        };
        if self.ports.is_empty() {
            write!(f, "{direction} to all ports")?;
        } else {
            write!(f, "{direction} to ports {}", self.ports.iter().copied().collect::<Ports>())?;
        }
        if !self.networks.is_empty() {
            write!(f, " {of} {}", networks())?;
        }
        if !self.cgroups.is_empty() {
            write!(f, ", by cgroup {}", self.cgroups.join(", "))?;
        }
        f.write_str(if self.closed { "; refused" } else { "; straight" })?;
        f.write_str(" while the inline path does not answer")
    }
}

/// What cannot be, though it can be read: where, and why.
pub(super) fn problem(steer: &document::Steer) -> Option<((u64, u64), &'static str)> {
    let cgroups = steer.cgroups.as_ref()?;
    (steer.direction == Direction::Inbound).then_some((
        cgroups.place,
        "who connects from elsewhere is in no cgroup of this host; `networks` are its addresses",
    ))
}

/// Why these are more than the kernel takes. While one set of them takes another's place, both are in its maps.
pub(super) fn too_many(all: &[Steer]) -> Option<String> {
    let most = |max: u32| max as usize / 2 - 16;
    [Direction::Outbound, Direction::Inbound].into_iter().find_map(|direction| {
        let of = || all.iter().filter(|steer| steer.direction == direction);
        let ports: BTreeSet<_> = of().flat_map(|steer| &steer.ports).collect();
        let networks: BTreeSet<_> = of().flat_map(|steer| &steer.networks).collect();
        let cgroups: BTreeSet<_> = of().flat_map(|steer| &steer.cgroups).collect();
        let limits = [
            ("entries", of().count(), STEER_RULES_MAX),
            ("ports", ports.len(), most(STEER_PORTS_MAX)),
            ("networks", networks.len(), most(STEER_NETWORKS_MAX)),
            ("cgroups", cgroups.len(), most(STEER_CGROUPS_MAX)),
        ];
        let (what, count, max) = limits.into_iter().find(|(_, count, max)| count > max)?;
        let direction = if direction == Direction::Outbound { "outbound" } else { "inbound" };
        Some(format!("`steer`, {direction}: {count} {what}, {max} at the most, of all policies together"))
    })
}
