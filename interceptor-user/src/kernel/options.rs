use std::path::PathBuf;

use anyhow::{bail, ensure};
use interceptor_common::{
    CaptureConfig, FILTER_CGROUPS, FILTER_CIDRS, FILTER_INLINE, FILTER_NO_EGRESS, FILTER_NO_INGRESS, FILTER_PORTS,
    RINGS_MAX,
};

use crate::model::{Cidr, Reach};

/// Fill of a ring above which the reader is woken. It shares CPUs with those that it watches: while it works through a long
/// batch, the end of a conversation whose CPU it took answers nothing, and soon the other end has nothing to do either.
const WAKE_BYTES: u32 = 64 << 10;

/// What to capture, and how.
#[derive(Clone, Debug)]
pub struct CaptureOptions {
    /// Interfaces to attach TC programs to, by name or by a pattern with `*` and `?`. None, and no `cgroups` either: all
    /// that are up, `lo` included.
    pub interfaces: Vec<String>,
    /// Network namespaces of the interfaces (files such as `/run/netns/NAME` or `/proc/PID/ns/net`, or `/run/netns/*`);
    /// none: our own.
    pub netns: Vec<PathBuf>,
    /// All other namespaces too, as they come and go: of each what cannot be seen at our own interfaces.
    pub pods: bool,
    /// Cgroup directories whose sockets are captured by cgroup_skb programs, or patterns for them.
    pub cgroups: Vec<PathBuf>,
    /// Cgroup directory below which connections are reported (sock_ops, connect); none: the root of the v2 mount.
    pub sock_ops_cgroup: Option<PathBuf>,
    /// Which packets.
    pub filters: Filters,
    /// Of these, what policies are about. It may change later: [`Capture::set_reach`](super::Capture::set_reach).
    pub reach: Reach,
    /// Share of flows to capture, 0 to 1; a flow is taken whole or not at all.
    pub sample: f64,
    /// Payload bytes to take of each packet at the most; 0 is no limit.
    pub payload_limit: u32,
    /// Size of the rings together; rounded up to a power of two, and to the least that a ring can have.
    pub ring_bytes: u32,
    /// Fill of a ring above which the reader is woken; 0: 64 KiB, or a quarter of a smaller ring.
    pub wake_bytes: u32,
    /// Attach by clsact even where the kernel has TCX.
    pub clsact: bool,
    /// There is an inline path that tells itself of what it carries: what goes to its listeners, at these ports of loopback
    /// addresses (IPv4, IPv6; 0: none), is left out, and so is what its own sockets open ([`Capture::own`](super::Capture::own)).
    pub inline: Option<[u16; 2]>,
    /// Let the programs log what they cannot parse (to `tracing`, at level debug).
    pub kernel_log: bool,
}

impl Default for CaptureOptions {
    fn default() -> Self {
        Self {
            interfaces: Vec::new(),
            netns: Vec::new(),
            pods: false,
            cgroups: Vec::new(),
            sock_ops_cgroup: None,
            filters: Filters::default(),
            reach: Reach::all(),
            sample: 1.0,
            payload_limit: 0,
            ring_bytes: 8 << 20,
            wake_bytes: 0,
            clsact: false,
            inline: None,
            kernel_log: false,
        }
    }
}

/// Which packets to capture. Each list that is not empty must match; within a list, one match is enough.
#[derive(Clone, Debug, Default)]
pub struct Filters {
    /// Either end has one of these ports.
    pub ports: Vec<u16>,
    /// Either end is in one of these networks.
    pub cidrs: Vec<Cidr>,
    /// The sender's socket is in one of these cgroups (ids), or below. TC knows the cgroup of local senders only:
    /// to capture all of a pod use [`CaptureOptions::cgroups`].
    pub cgroups: Vec<u64>,
    /// Leave out what goes out of the host or namespace.
    pub no_egress: bool,
    /// Leave out what comes in.
    pub no_ingress: bool,
}

impl CaptureOptions {
    /// Refuses what makes no sense, and makes the kernel's configuration of the rest.
    pub(super) fn config(&self) -> anyhow::Result<CaptureConfig> {
        let Self { filters, sample, .. } = self;
        if !(*sample > 0.0 && *sample <= 1.0) {
            bail!("sample {sample} is not above 0 and at most 1");
        }
        ensure!(!(filters.no_egress && filters.no_ingress), "with neither egress nor ingress nothing is left");
        // 0 means "all": a sample too small to be told from none is rounded up to one in 2^32.
        #[expect(clippy::cast_sign_loss, reason = "checked above")]
        let sample_below = if *sample < 1.0 { ((sample * 4_294_967_296.0) as u32).max(1) } else { 0 };
        let bits = [
            (!filters.ports.is_empty(), FILTER_PORTS),
            (!filters.cidrs.is_empty(), FILTER_CIDRS),
            (!filters.cgroups.is_empty(), FILTER_CGROUPS),
            (filters.no_egress, FILTER_NO_EGRESS),
            (filters.no_ingress, FILTER_NO_INGRESS),
            (self.inline.is_some(), FILTER_INLINE),
        ];
        Ok(CaptureConfig {
            payload_limit: self.payload_limit,
            sample_below,
            wake_bytes: if self.wake_bytes == 0 { WAKE_BYTES.min(self.ring_size() / 4) } else { self.wake_bytes },
            ring_mask: Self::rings() - 1,
            inline_ports: self.inline.unwrap_or_default(),
            filters: bits.iter().filter(|(set, _)| *set).fold(0, |all, (_, bit)| all | bit),
        })
    }

    /// How many rings: one a CPU, as far as that goes.
    pub(super) fn rings() -> u32 {
        let cpus = aya::util::online_cpus().map_or(1, |cpus| cpus.len());
        cpus.next_power_of_two().min(RINGS_MAX) as u32
    }

    /// The size of each ring as the kernel wants it: a power of two, of at least one (64 KiB) page.
    pub(super) fn ring_size(&self) -> u32 {
        (self.ring_bytes.clamp(64 << 10, 1 << 30).next_power_of_two() / Self::rings()).max(64 << 10)
    }

    /// What the rings hold together, in bytes: more than was asked for where that is too little for so many.
    pub(super) fn rings_size(&self) -> u64 {
        u64::from(self.ring_size()) * u64::from(Self::rings())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_never_rounded_to_everything() {
        let config = |sample| CaptureOptions { sample, ..CaptureOptions::default() }.config();
        assert_eq!(config(1.0).unwrap().sample_below, 0);
        assert_eq!(config(0.5).unwrap().sample_below, 1 << 31);
        assert_eq!(config(1e-30).unwrap().sample_below, 1);
        for bad in [0.0, -1.0, 1.1, f64::NAN] {
            assert!(config(bad).is_err());
        }
    }

    #[test]
    fn rings_are_as_large_as_was_asked_for_or_as_they_must_be() {
        let together = |ring_bytes| CaptureOptions { ring_bytes, ..CaptureOptions::default() }.rings_size();
        assert_eq!([together(8 << 20), together(512 << 20)], [8 << 20, 512 << 20]);
        let least = u64::from(CaptureOptions::rings()) << 16;
        assert_eq!([together(0), together(64 << 10)], [least, least]);
    }

    #[test]
    fn nothing_left_to_capture_is_refused() {
        let filters = Filters { no_egress: true, no_ingress: true, ..Filters::default() };
        assert!(CaptureOptions { filters, ..CaptureOptions::default() }.config().is_err());
    }
}
