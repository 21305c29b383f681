//! Configuration to captures.

use crate::{
    config::{Capture, Direction, Pods, SockOps},
    kernel::{CaptureOptions, Filters},
};

/// One capture.
pub(super) struct Plan {
    /// What people call it.
    pub(super) name: &'static str,
    pub(super) options: CaptureOptions,
}

/// What to capture: interfaces in whatever namespaces, or cgroups. Where both are asked for they are one capture, unless
/// the namespaces are others than ours: then the same packets may be seen at two places, and are two connections.
pub(super) fn plans(capture: &Capture) -> Vec<Plan> {
    let base = CaptureOptions {
        interfaces: capture.interfaces.iter().map(|interface| interface.0.clone()).collect(),
        sock_ops_cgroup: match &capture.sock_ops {
            SockOps::Root => None,
            SockOps::Cgroup(cgroup) => Some(cgroup.0.clone()),
        },
        filters: filters(capture),
        sample: capture.sample.0,
        payload_limit: u32::try_from(capture.payload_limit.0).unwrap_or(u32::MAX),
        ring_bytes: capture.ring_size.0,
        kernel_log: tracing::enabled!(target: "interceptor_ebpf", tracing::Level::DEBUG),
        ..CaptureOptions::default()
    };
    let cgroups: Vec<_> = capture.cgroups.iter().map(|cgroup| cgroup.0.clone()).collect();
    let pods = capture.pods == Pods::All;
    if capture.netns.is_empty() && !pods {
        return vec![Plan { name: "host", options: CaptureOptions { cgroups, ..base } }];
    }
    let netns = capture.netns.iter().map(|netns| netns.0.clone()).collect();
    let mut plans = vec![Plan {
        name: if pods { "node" } else { "namespaces" },
        options: CaptureOptions { netns, pods, ..base.clone() },
    }];
    if !cgroups.is_empty() {
        let options = CaptureOptions { interfaces: Vec::new(), cgroups, ..base };
        plans.push(Plan { name: "cgroups", options });
    }
    plans
}

/// Ports that are asked for, in order; none: all.
pub(super) fn ports(capture: &Capture) -> Vec<u16> {
    let mut ports: Vec<u16> = capture.ports.iter().flat_map(|ports| ports.first..=ports.last).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

fn filters(capture: &Capture) -> Filters {
    Filters {
        ports: ports(capture),
        cidrs: capture.cidrs.clone(),
        cgroups: Vec::new(),
        no_egress: capture.direction == Direction::Ingress,
        no_ingress: capture.direction == Direction::Egress,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::config::Config;

    fn plans_of(yaml: &str) -> Vec<Plan> {
        plans(&Config::parse("test", yaml).expect("is valid").capture)
    }

    #[test]
    fn by_default_our_own_namespace_is_captured_whole() {
        let plans = plans_of("");
        assert_eq!(plans.len(), 1);
        let CaptureOptions { interfaces, cgroups, netns, pods, sample, payload_limit, .. } = &plans[0].options;
        assert!(interfaces.is_empty() && cgroups.is_empty() && netns.is_empty() && !pods);
        assert_eq!((*sample, *payload_limit), (1.0, 0));
    }

    #[test]
    fn namespaces_are_one_capture_and_cgroups_another() {
        let plans = plans_of("capture:\n  netns: [a, /proc/7/ns/net]\n  interfaces: [eth0]\n  cgroups: [pods]\n");
        let names: Vec<_> = plans.iter().map(|plan| plan.name).collect();
        assert_eq!(names, ["namespaces", "cgroups"]);
        assert_eq!(plans[0].options.netns, [PathBuf::from("/run/netns/a"), PathBuf::from("/proc/7/ns/net")]);
        assert_eq!(plans[0].options.interfaces, ["eth0"]);
        assert!(plans[0].options.cgroups.is_empty());
        assert!(plans[1].options.interfaces.is_empty() && plans[1].options.netns.is_empty());
        assert_eq!(plans[1].options.cgroups, [PathBuf::from("pods")]);
    }

    #[test]
    fn pods_are_followed_from_our_own_namespace() {
        let plans = plans_of("capture:\n  pods: all\n  interfaces: ['veth*']\n");
        assert_eq!(plans.len(), 1);
        let CaptureOptions { interfaces, netns, pods, .. } = &plans[0].options;
        assert!(*pods && netns.is_empty());
        assert_eq!(*interfaces, ["veth*"]);
    }

    #[test]
    fn filters_are_taken_over() {
        let yaml = "capture:\n  ports: [80, 9000-9002, 80]\n  cidrs: [10.0.0.0/8]\n  direction: egress\n  sample: 0.25\n  \
                    payload_limit: 1KiB\n  ring_size: 1MiB\n  sock_ops: pods\n";
        let options = plans_of(yaml).remove(0).options;
        assert_eq!(options.filters.ports, [80, 9000, 9001, 9002]);
        assert_eq!(options.filters.cidrs, ["10.0.0.0/8".parse().expect("a network")]);
        assert!(options.filters.no_ingress && !options.filters.no_egress);
        assert_eq!((options.sample, options.payload_limit, options.ring_bytes), (0.25, 1024, 1 << 20));
        assert_eq!(options.sock_ops_cgroup, Some(PathBuf::from("pods")));
    }
}
