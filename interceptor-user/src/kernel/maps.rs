//! The maps: configuration and feedback to the kernel, counters and sweeps from it.

use std::{
    collections::HashMap as Seen,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context as _;
use aya::{
    Ebpf,
    maps::{Array, HashMap, LpmTrie, Map, MapData, PerCpuArray, lpm_trie::Key},
};
use aya_log::EbpfLogger;
use interceptor_common::{
    CaptureConfig, DropCount, DropReason, FILTER_CUT_OFFS, FILTER_HOLD, LOST_MAX, LostKey, MISSED_SOCKETS_MAX,
    MissedKey, SocketEvent,
};

use super::options::Filters;

/// Writes filters and configuration. Called before anything is attached; [`Feedback::release`] is called after.
pub(super) fn configure(ebpf: &mut Ebpf, mut config: CaptureConfig, filters: &Filters) -> anyhow::Result<()> {
    let mut ports: HashMap<_, u16, u8> = HashMap::try_from(map(ebpf, "PORTS")?)?;
    for port in &filters.ports {
        ports.insert(port, 1, 0).with_context(|| format!("cannot filter by port {port}"))?;
    }
    let mut cidrs: LpmTrie<_, [u8; 16], u8> = LpmTrie::try_from(map(ebpf, "CIDRS")?)?;
    for cidr in &filters.cidrs {
        let (address, prefix) = cidr.mapped();
        cidrs
            .insert(&Key::new(prefix, address.octets()), 1, 0)
            .with_context(|| format!("cannot filter by network {cidr}"))?;
    }
    let mut cgroups: HashMap<_, u64, u8> = HashMap::try_from(map(ebpf, "CGROUPS")?)?;
    for id in &filters.cgroups {
        cgroups.insert(id, 1, 0).with_context(|| format!("cannot filter by cgroup {id}"))?;
    }
    let mut value: Array<_, CaptureConfig> = Array::try_from(map(ebpf, "CONFIG")?)?;
    config.filters |= FILTER_HOLD;
    value.set(0, config, 0).context("cannot write the capture configuration")
}

/// Has the reader woken before a ring of that many bytes is full: at a quarter, if that was not wanted sooner.
pub(super) fn wake_within(ebpf: &mut Ebpf, ring_bytes: u32) -> anyhow::Result<()> {
    let mut value: Array<_, CaptureConfig> = Array::try_from(map(ebpf, "CONFIG")?)?;
    let mut config = value.get(&0, 0)?;
    config.wake_bytes = config.wake_bytes.min(ring_bytes / 4);
    value.set(0, config, 0).context("cannot write the capture configuration")
}

pub(super) fn map<'a>(ebpf: &'a mut Ebpf, name: &str) -> anyhow::Result<&'a mut Map> {
    ebpf.map_mut(name).with_context(|| format!("the kernel object has no map {name}"))
}

pub(super) fn take<T: TryFrom<Map, Error = aya::maps::MapError>>(ebpf: &mut Ebpf, name: &str) -> anyhow::Result<T> {
    let map = ebpf.take_map(name).with_context(|| format!("the kernel object has no map {name}, or it is taken"))?;
    T::try_from(map).with_context(|| format!("map {name}"))
}

/// What the kernel did not hand over, by reason and CPU, and what it did.
#[derive(Clone, Debug, Default)]
pub struct Drops {
    /// In the order of [`DropReason::ALL`], one count a CPU.
    pub by_reason: Vec<(DropReason, Vec<DropCount>)>,
    /// Handed over: skbs with their payload bytes, one count a CPU.
    pub taken: Vec<DropCount>,
}

impl Drops {
    /// Sum over CPUs of one reason.
    pub fn total(&self, reason: DropReason) -> DropCount {
        self.by_reason.iter().filter(|(found, _)| *found == reason).map(|(_, cpus)| sum(cpus)).fold(
            DropCount::default(),
            |all, one| DropCount { packets: all.packets + one.packets, bytes: all.bytes + one.bytes },
        )
    }

    /// Sum over CPUs of what was handed over.
    pub fn taken_total(&self) -> DropCount {
        sum(&self.taken)
    }
}

fn sum(cpus: &[DropCount]) -> DropCount {
    cpus.iter().fold(DropCount::default(), |all, one| DropCount {
        packets: all.packets + one.packets,
        bytes: all.bytes + one.bytes,
    })
}

/// The maps that stay with a capture: counters and configuration.
pub(super) struct Feedback {
    drops: Arc<PerCpuArray<MapData, DropCount>>,
    taken: PerCpuArray<MapData, DropCount>,
    config: Mutex<Array<MapData, CaptureConfig>>,
}

impl Feedback {
    pub(super) fn new(ebpf: &mut Ebpf) -> anyhow::Result<Self> {
        let (drops, taken) = (Arc::new(take(ebpf, "DROPS")?), take(ebpf, "TAKEN")?);
        Ok(Self { drops, taken, config: Mutex::new(take(ebpf, "CONFIG")?) })
    }

    pub(super) fn drops(&self) -> anyhow::Result<Drops> {
        let by_reason = DropReason::ALL
            .into_iter()
            .map(|reason| Ok((reason, per_cpu(&self.drops, reason as u32)?)))
            .collect::<anyhow::Result<_>>()?;
        Ok(Drops { by_reason, taken: per_cpu(&self.taken, 0)? })
    }

    /// Has the programs look at cut-offs from now on.
    pub(super) fn with_cut_offs(&self) -> anyhow::Result<()> {
        self.set_filters(FILTER_CUT_OFFS, true)
    }

    /// Everything is attached: capture from now on, both directions at once.
    pub(super) fn release(&self) -> anyhow::Result<()> {
        self.set_filters(FILTER_HOLD, false)
    }

    /// Puts filters in force, or out of it; programs see it with their next packet.
    pub(super) fn set_filters(&self, bits: u32, on: bool) -> anyhow::Result<()> {
        let mut map = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        let mut config = map.get(&0, 0)?;
        let filters = if on { config.filters | bits } else { config.filters & !bits };
        if std::mem::replace(&mut config.filters, filters) == filters {
            return Ok(());
        }
        map.set(0, config, 0).context("cannot change what is captured")
    }
}

fn per_cpu(counts: &PerCpuArray<MapData, DropCount>, index: u32) -> anyhow::Result<Vec<DropCount>> {
    Ok(counts.get(&index, 0).context("cannot read the drop counters")?.to_vec())
}

/// What found no room in the ring and waits in maps for the ring's reader.
pub struct Sweep {
    drops: Arc<PerCpuArray<MapData, DropCount>>,
    lost: HashMap<MapData, LostKey, u64>,
    missed: HashMap<MapData, MissedKey, SocketEvent>,
    changes: Changes,
    /// What was reported of each entry. Entries are never taken out of `lost` (older kernels cannot read and remove in
    /// one step, and bytes added between the two would be gone): the difference is what is new.
    reported: Seen<LostKey, u64>,
    /// Writes what the programs logged, where they were asked to.
    log: Option<Box<dyn FnMut() + Send>>,
}

impl Sweep {
    /// The reasons for which bytes or socket events wait in these maps.
    const REASONS: [DropReason; 3] = [DropReason::RingFull, DropReason::Oversized, DropReason::HelperFailed];

    pub(super) fn new(ebpf: &mut Ebpf, feedback: &Feedback, kernel_log: bool) -> anyhow::Result<Self> {
        Ok(Self {
            log: if kernel_log { Some(logger(ebpf)?) } else { None },
            drops: Arc::clone(&feedback.drops),
            lost: take(ebpf, "LOST")?,
            missed: take(ebpf, "MISSED_SOCKETS")?,
            changes: Changes::default(),
            reported: Seen::new(),
        })
    }

    /// Hands over what has come since the last sweep. Costs three system calls if nothing has.
    pub fn run(
        &mut self,
        mut lost: impl FnMut(&LostKey, u64),
        mut missed: impl FnMut(&SocketEvent),
    ) -> anyhow::Result<()> {
        if let Some(log) = &mut self.log {
            log();
        }
        let mut dropped = 0;
        for reason in Self::REASONS {
            dropped += sum(&per_cpu(&self.drops, reason as u32)?).packets;
        }
        if !self.changes.look(dropped) {
            return Ok(());
        }
        // The kernel may evict entries while we walk, which can make the walk start anew: hence the bounds.
        let mut seen = Seen::with_capacity(self.reported.len());
        for entry in self.lost.iter().take(2 * LOST_MAX as usize) {
            let Ok((key, total)) = entry else { continue };
            let before = seen.insert(key, total).or_else(|| self.reported.get(&key).copied()).unwrap_or(0);
            // Less than before: the entry was evicted and began anew.
            let new = if total >= before { total - before } else { total };
            if new != 0 {
                lost(&key, new);
            }
        }
        self.reported = seen;
        let keys: Vec<_> = self.missed.keys().take(2 * MISSED_SOCKETS_MAX as usize).filter_map(Result::ok).collect();
        for key in keys {
            if let Ok(event) = self.missed.get(&key, 0) {
                missed(&event);
                drop(self.missed.remove(&key));
            }
        }
        Ok(())
    }
}

/// Whether the maps of what found no room are to be walked, by the drops counted so far.
///
/// The programs write the map first and count afterwards, but other CPUs may see the two the other way round: after a
/// change the maps are walked once more.
#[derive(Debug, Default)]
struct Changes {
    dropped: u64,
    once_more: bool,
}

impl Changes {
    fn look(&mut self, dropped: u64) -> bool {
        let changed = std::mem::replace(&mut self.dropped, dropped) != dropped;
        std::mem::replace(&mut self.once_more, changed) || changed
    }
}

/// Passes the programs' log on to `tracing`, each time it is called.
fn logger(ebpf: &mut Ebpf) -> anyhow::Result<Box<dyn FnMut() + Send>> {
    let mut logger = EbpfLogger::init(ebpf).context("cannot read the programs' log")?;
    Ok(Box::new(move || logger.flush()))
}

#[cfg(test)]
mod tests {
    use super::Changes;

    #[test]
    fn after_a_change_the_maps_are_walked_once_more() {
        let mut changes = Changes::default();
        let looks: Vec<bool> = [0, 1, 1, 1, 3, 4, 4, 4].into_iter().map(|dropped| changes.look(dropped)).collect();
        assert_eq!(looks, [false, true, true, false, true, true, true, false]);
    }
}
