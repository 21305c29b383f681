//! What steering outbound and inbound have in common: rules in maps, the heartbeat, the counters.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use aya::{
    Ebpf,
    maps::{Array, HashMap, LpmTrie, MapData, PerCpuArray, lpm_trie::Key},
};
use interceptor_common::{STEER_RULES_MAX, SteerCgroup, SteerConfig, SteerOutcome};
use nix::time::{ClockId, clock_gettime};

use super::{SteerRule, words::Words};
use crate::kernel::maps::{map, take};

/// Writes rules, and `config` with what they add to it.
pub(super) fn write(
    ebpf: &mut Ebpf,
    rules: &[SteerRule],
    exempt: &[u64],
    timeout: Option<Duration>,
    config: SteerConfig,
) -> anyhow::Result<()> {
    ensure!(rules.len() <= STEER_RULES_MAX, "{} rules to steer by: {STEER_RULES_MAX} at the most", rules.len());
    let words = Words::of(rules, exempt);
    let mut ports: HashMap<_, u16, u32> = HashMap::try_from(map(ebpf, "STEER_PORTS")?)?;
    for (port, rules) in &words.ports {
        ports.insert(port, rules, 0).with_context(|| format!("cannot steer port {port}"))?;
    }
    let mut networks: LpmTrie<_, [u8; 16], u32> = LpmTrie::try_from(map(ebpf, "STEER_NETWORKS")?)?;
    for ((address, prefix), rules) in &words.networks {
        networks
            .insert(&Key::new(*prefix, address.octets()), rules, 0)
            .with_context(|| format!("cannot steer the network {address}/{prefix}"))?;
    }
    let mut cgroups: HashMap<_, u64, SteerCgroup> = HashMap::try_from(map(ebpf, "STEER_CGROUPS")?)?;
    for (id, said) in &words.cgroups {
        cgroups.insert(id, said, 0).with_context(|| format!("cannot steer by cgroup {id}"))?;
    }
    let config = SteerConfig {
        timeout_ns: timeout.map_or(0, |timeout| u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX).max(1)),
        any_port: words.any_port,
        any_cgroup: words.any_cgroup,
        closed: words.closed,
        ..config
    };
    let mut value: Array<_, SteerConfig> = Array::try_from(map(ebpf, "STEERING")?)?;
    value.set(0, config, 0).context("cannot write what is steered")
}

/// When the inline path last said that it runs.
pub(super) struct Heartbeat(Mutex<Array<MapData, u64>>);

impl Heartbeat {
    pub(super) fn new(ebpf: &mut Ebpf) -> anyhow::Result<Self> {
        Ok(Self(Mutex::new(take(ebpf, "HEARTBEAT")?)))
    }

    /// It runs.
    pub(super) fn beat(&self) -> anyhow::Result<()> {
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).context("no monotonic clock")?;
        let nanos = u64::try_from(Duration::from(now).as_nanos()).unwrap_or(u64::MAX);
        let mut heartbeat = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heartbeat.set(0, nanos, 0).context("cannot write the heartbeat")
    }
}

/// What became of connections.
pub(super) struct Counts {
    map: PerCpuArray<MapData, u64>,
    rules: usize,
}

impl Counts {
    pub(super) fn new(ebpf: &mut Ebpf, rules: usize) -> anyhow::Result<Self> {
        Ok(Self { map: take(ebpf, "STEER_COUNTS")?, rules })
    }

    /// By index of the rule.
    pub(super) fn read(&self) -> anyhow::Result<Vec<(usize, SteerOutcome, u64)>> {
        let mut counts = Vec::new();
        for rule in 0..self.rules {
            for outcome in SteerOutcome::ALL {
                let index = rule * SteerOutcome::COUNT + outcome as usize;
                let cpus = self.map.get(&u32::try_from(index)?, 0).context("cannot read what was steered")?;
                counts.push((rule, outcome, cpus.iter().sum()));
            }
        }
        Ok(counts)
    }
}
