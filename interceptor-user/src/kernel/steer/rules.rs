//! The rules in the kernel's maps. Others may take their place at any time, all at once.
//!
//! A rule is a bit. Those in force have one half of the bits of a word, and those that are to take their place get the other one:
//! they are written beside the old ones, then one write of the configuration has them in force, then the old ones go.

use std::{
    collections::BTreeMap,
    net::Ipv6Addr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use aya::{
    Ebpf,
    maps::{Array, HashMap, LpmTrie, MapData, lpm_trie::Key},
};
use interceptor_common::{STEER_RULES_MAX, SteerCgroup, SteerConfig, SteerOutcome};

use super::{SteerRule, counts::Counts, words::Words};
use crate::kernel::maps::take;

/// The rules, for whoever asks or changes them.
pub(super) struct Rules(Mutex<Inner>);

/// The maps, and what is in them.
struct Inner {
    config: Array<MapData, SteerConfig>,
    ports: HashMap<MapData, u16, u32>,
    networks: LpmTrie<MapData, [u8; 16], u32>,
    cgroups: HashMap<MapData, u64, SteerCgroup>,
    counts: Counts,
    /// What does not depend on the rules.
    base: SteerConfig,
    exempt: Vec<u64>,
    written: Words,
    /// The rules that each half of the bits has: those in force, and those before them.
    halves: [Vec<SteerRule>; 2],
    /// Which half is in force.
    upper: bool,
}

impl Rules {
    /// None yet. What is in the cgroups `exempt` is never steered.
    pub(super) fn new(
        ebpf: &mut Ebpf,
        exempt: Vec<u64>,
        timeout: Option<Duration>,
        base: SteerConfig,
    ) -> anyhow::Result<Self> {
        let nanos = |timeout: Duration| u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX).max(1);
        Ok(Self(Mutex::new(Inner {
            config: take(ebpf, "STEERING")?,
            ports: take(ebpf, "STEER_PORTS")?,
            networks: take(ebpf, "STEER_NETWORKS")?,
            cgroups: take(ebpf, "STEER_CGROUPS")?,
            counts: Counts::new(ebpf)?,
            base: SteerConfig { timeout_ns: timeout.map_or(0, nanos), ..base },
            exempt,
            written: Words::default(),
            halves: [Vec::new(), Vec::new()],
            upper: true,
        })))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts these in force, in the place of those before. If that fails, those before are in force as they were.
    pub(super) fn set(&self, rules: &[SteerRule]) -> anyhow::Result<()> {
        self.inner().set(rules)
    }

    /// Nothing is steered, nor refused, from now on.
    pub(super) fn clear(&self) -> anyhow::Result<()> {
        let mut inner = self.inner();
        let base = inner.base;
        inner.config.set(0, base, 0).context("cannot end to steer")
    }

    /// What the rule with this bit is called: one of those in force, or of those before them.
    pub(super) fn name(&self, bit: u32) -> Option<Arc<str>> {
        self.inner().named().find(|(of, _)| *of == bit).map(|(_, name)| Arc::clone(name))
    }

    /// What became of connections, by name of the rule.
    pub(super) fn counts(&self) -> anyhow::Result<BTreeMap<(Arc<str>, SteerOutcome), u64>> {
        let inner = self.inner();
        inner.counts.read(inner.named())
    }
}

impl Inner {
    fn set(&mut self, rules: &[SteerRule]) -> anyhow::Result<()> {
        ensure!(rules.len() <= STEER_RULES_MAX, "{} rules to steer by: {STEER_RULES_MAX} at the most", rules.len());
        let [now, next] = [self.upper, !self.upper].map(usize::from);
        // The half is used again: what its rules counted is kept by their names.
        let gone: Vec<(u32, &SteerRule)> = bits(next, &self.halves[next]).collect();
        self.counts.keep(&gone, &[rules, &self.halves[now]])?;
        self.halves[next] = rules.to_vec();
        let new: Vec<(u32, &SteerRule)> = bits(next, rules).collect();
        let old = self.halves[now].clone();
        let both: Vec<(u32, &SteerRule)> = bits(now, &old).chain(new.iter().copied()).collect();
        self.write(&Words::of(&both, &self.exempt))?;
        let words = Words::of(&new, &self.exempt);
        self.config.set(0, self.configuration(&words), 0).context("cannot write what is steered")?;
        self.upper = !self.upper;
        self.write(&words)
    }

    /// All bits that mean something, with the names of their rules.
    fn named(&self) -> impl Iterator<Item = (u32, &Arc<str>)> {
        (0..).zip(&self.halves).flat_map(|(half, rules)| bits(half, rules)).map(|(bit, rule)| (bit, &rule.name))
    }

    fn configuration(&self, words: &Words) -> SteerConfig {
        let Words { any_port, any_cgroup, closed, active, .. } = *words;
        SteerConfig { any_port, any_cgroup, closed, active, ..self.base }
    }

    /// What is new or changed is written first: a network that goes leaves its addresses to one around it. What is known to be
    /// written is true at each step, so that after an error the next ones do what is left to do.
    fn write(&mut self, words: &Words) -> anyhow::Result<()> {
        let Self { ports, networks, cgroups, written, .. } = self;
        replace(&mut written.ports, &words.ports, |port, rules| {
            match rules {
                Some(rules) => ports.insert(port, rules, 0),
                None => ports.remove(port),
            }
            .with_context(|| format!("cannot steer by port {port}"))
        })?;
        replace(&mut written.networks, &words.networks, |(address, prefix), rules| {
            let key = Key::new(*prefix, Ipv6Addr::octets(address));
            match rules {
                Some(rules) => networks.insert(&key, rules, 0),
                None => networks.remove(&key),
            }
            .with_context(|| format!("cannot steer by network {address}/{prefix}"))
        })?;
        replace(&mut written.cgroups, &words.cgroups, |id, said| {
            match said {
                Some(said) => cgroups.insert(id, said, 0),
                None => cgroups.remove(id),
            }
            .with_context(|| format!("cannot steer by cgroup {id}"))
        })
    }
}

/// Each rule with its bit.
fn bits(half: usize, rules: &[SteerRule]) -> impl Iterator<Item = (u32, &SteerRule)> {
    let first = if half == 0 { 0 } else { STEER_RULES_MAX as u32 };
    (first..).zip(rules)
}

/// Makes `written` what is `wanted`; `write` gets None for what is to go.
fn replace<K: Ord + Clone, V: PartialEq + Clone>(
    written: &mut BTreeMap<K, V>,
    wanted: &BTreeMap<K, V>,
    mut write: impl FnMut(&K, Option<&V>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    for (key, value) in wanted {
        if written.get(key) != Some(value) {
            write(key, Some(value))?;
            written.insert(key.clone(), value.clone());
        }
    }
    let gone: Vec<K> = written.keys().filter(|key| !wanted.contains_key(key)).cloned().collect();
    for key in gone {
        write(&key, None)?;
        written.remove(&key);
    }
    Ok(())
}
