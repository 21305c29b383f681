//! The rules in the kernel's maps. Others may take their place at any time, all at once.
//!
//! A rule is a bit. Those in force have one half of the bits of a word, and those that are to take their place get the other one:
//! they are written beside the old ones, then one word of the configuration has them in force, then the old ones go, as soon as no
//! program is at work that may have seen them in force.
//!
//! Maps that were pinned have rules of another process in force: these are treated as any that are to be replaced.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    net::Ipv6Addr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use aya::{
    Ebpf,
    maps::{Array, HashMap, LpmTrie, MapData, MapError, lpm_trie::Key},
};
use interceptor_common::{STEER_RULES_MAX, SteerCgroup, SteerConfig, SteerOutcome};

use super::{SteerRule, counts::Counts, words::Words};
use crate::kernel::{maps::take, quiescence::wait_for_programs};

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
    /// What is in force.
    now: Words,
    /// Names of the rules that each half of the bits has: those in force, and those before them.
    halves: [Vec<Arc<str>>; 2],
    /// Which half is in force.
    upper: bool,
    /// What is in force is ours, unless another process has put its rules in the place of ours.
    ours: bool,
}

impl Rules {
    /// None of ours yet. What is in the cgroups `exempt` is never steered.
    pub(super) fn new(
        ebpf: &mut Ebpf,
        exempt: Vec<u64>,
        timeout: Option<Duration>,
        base: SteerConfig,
    ) -> anyhow::Result<Self> {
        let nanos = |timeout: Duration| u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX).max(1);
        let owner = RandomState::new().build_hasher().finish() as u32 | 1;
        let config: Array<MapData, SteerConfig> = take(ebpf, "STEERING")?;
        let before = config.get(&0, 0).context("cannot read what is steered")?;
        let mut inner = Inner {
            config,
            ports: take(ebpf, "STEER_PORTS")?,
            networks: take(ebpf, "STEER_NETWORKS")?,
            cgroups: take(ebpf, "STEER_CGROUPS")?,
            counts: Counts::new(ebpf)?,
            base: SteerConfig { timeout_ns: timeout.map_or(0, nanos), owner, ..base },
            exempt,
            written: Words::default(),
            now: Words::default(),
            halves: [Vec::new(), Vec::new()],
            upper: before.active & lower() == 0,
            ours: false,
        };
        inner.written = inner.read(&before).context("cannot read what is steered")?;
        inner.now = inner.written.clone().only(before.active);
        Ok(Self(Mutex::new(inner)))
    }

    /// Are there rules in force, whoever wrote them?
    pub(super) fn are_there(&self) -> bool {
        self.inner().now.active != 0
    }

    /// Has another process put its rules in the place of ours?
    pub(super) fn are_replaced(&self) -> anyhow::Result<bool> {
        self.inner().are_replaced()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts these in force, in the place of those before. If that fails, those before are in force as they were.
    pub(super) fn set(&self, rules: &[SteerRule]) -> anyhow::Result<()> {
        self.inner().set(rules)
    }

    /// Nothing is steered, nor refused, from now on, if that is ours to say.
    pub(super) fn clear(&self) -> anyhow::Result<()> {
        let mut inner = self.inner();
        if inner.are_replaced()? {
            return Ok(());
        }
        let base = inner.base;
        inner.config.set(0, base, 0).context("cannot end to steer")
    }

    /// What the rule with this bit is called: one of those in force, or of those before them.
    pub(super) fn name(&self, bit: u32) -> Option<Arc<str>> {
        self.inner().named().find(|(of, _)| *of == bit).map(|(_, name)| Arc::clone(name))
    }

    /// Is the rule with this bit closed?
    pub(super) fn is_closed(&self, bit: u32) -> bool {
        self.inner().now.closed >> (bit % u32::BITS) & 1 != 0
    }

    /// Is the first rule closed that is about this port and this address?
    pub(super) fn closed_about(&self, port: u16, address: Ipv6Addr) -> bool {
        self.inner().now.is_closed(port, address)
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
        if self.are_replaced()? {
            bail!("another interceptor steers by now");
        }
        // The half is used again: what its rules counted is kept by their names.
        let left: Vec<&Arc<str>> = rules.iter().map(|rule| &rule.name).chain(&self.halves[now]).collect();
        let first = first(next);
        self.counts.keep(first..first + STEER_RULES_MAX as u32, bits(next, &self.halves[next]), &left)?;
        self.halves[next] = rules.iter().map(|rule| Arc::clone(&rule.name)).collect();
        let new = Words::of(&bits(next, rules).collect::<Vec<_>>(), &self.exempt);
        let both = self.now.join(&new);
        self.write(&both)?;
        // A program reads words one after the other, and may see some of before and some of after: only one of them changes what
        // the others mean.
        self.configure(&Words { active: self.now.active, ..both.clone() })?;
        self.configure(&Words { active: new.active, ..both })?;
        (self.upper, self.ours, self.now) = (!self.upper, true, new.clone());
        wait_for_programs();
        self.configure(&new)?;
        self.write(&new)
    }

    fn configure(&mut self, words: &Words) -> anyhow::Result<()> {
        let Words { any_port, any_cgroup, closed, active, .. } = *words;
        let config = SteerConfig { any_port, any_cgroup, closed, active, ..self.base };
        self.config.set(0, config, 0).context("cannot write what is steered")
    }

    fn are_replaced(&self) -> anyhow::Result<bool> {
        let config = self.config.get(&0, 0).context("cannot read what is steered")?;
        Ok(self.ours && config.owner != self.base.owner)
    }

    /// What the maps have.
    fn read(&self, config: &SteerConfig) -> Result<Words, MapError> {
        let networks = self
            .networks
            .iter()
            .map(|entry| entry.map(|(key, rules)| ((Ipv6Addr::from(key.data()), key.prefix_len()), rules)));
        Ok(Words {
            ports: self.ports.iter().collect::<Result<_, _>>()?,
            networks: networks.collect::<Result<_, _>>()?,
            cgroups: self.cgroups.iter().collect::<Result<_, _>>()?,
            any_port: config.any_port,
            any_cgroup: config.any_cgroup,
            closed: config.closed,
            active: config.active,
        })
    }

    /// All bits that mean something, with the names of their rules.
    fn named(&self) -> impl Iterator<Item = (u32, &Arc<str>)> {
        (0..).zip(&self.halves).flat_map(|(half, names)| bits(half, names))
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

/// Each with its bit.
fn bits<T>(half: usize, rules: &[T]) -> impl Iterator<Item = (u32, &T)> {
    (first(half)..).zip(rules)
}

/// The first bit of a half.
const fn first(half: usize) -> u32 {
    if half == 0 { 0 } else { STEER_RULES_MAX as u32 }
}

/// All bits of the lower half.
const fn lower() -> u32 {
    (1 << STEER_RULES_MAX) - 1
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
