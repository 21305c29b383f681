//! What became of connections that rules are about.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use anyhow::Context as _;
use aya::{
    Ebpf,
    maps::{MapData, PerCpuArray, PerCpuValues},
    util::nr_cpus,
};
use interceptor_common::SteerOutcome;

use crate::kernel::maps::take;

type Totals = BTreeMap<(Arc<str>, SteerOutcome), u64>;

/// The kernel counts by bit, and bits are used again; told is by name.
pub(super) struct Counts {
    map: PerCpuArray<MapData, u64>,
    /// Of rules whose bits others have by now, as long as there is one of the same name.
    past: Totals,
}

impl Counts {
    pub(super) fn new(ebpf: &mut Ebpf) -> anyhow::Result<Self> {
        Ok(Self { map: take(ebpf, "STEER_COUNTS")?, past: Totals::new() })
    }

    /// Of all rules that have a bit.
    pub(super) fn read<'a>(&self, named: impl Iterator<Item = (u32, &'a Arc<str>)>) -> anyhow::Result<Totals> {
        let mut totals = self.past.clone();
        self.add(named, &mut totals)?;
        Ok(totals)
    }

    /// Others get these bits. What the rules counted that had them, `gone`, is remembered as long as one of the same name is `left`.
    pub(super) fn keep<'a>(
        &mut self,
        bits: Range<u32>,
        gone: impl Iterator<Item = (u32, &'a Arc<str>)>,
        left: &[&Arc<str>],
    ) -> anyhow::Result<()> {
        let mut past = self.past.clone();
        self.add(gone, &mut past)?;
        past.retain(|(name, _), _| left.contains(&name));
        self.past = past;
        for bit in bits {
            for outcome in SteerOutcome::ALL {
                let nothing = PerCpuValues::try_from(vec![0; nr_cpus().map_err(|(_, error)| error)?])?;
                self.map.set(index(bit, outcome), nothing, 0).context("cannot count anew what is steered")?;
            }
        }
        Ok(())
    }

    fn add<'a>(&self, named: impl Iterator<Item = (u32, &'a Arc<str>)>, totals: &mut Totals) -> anyhow::Result<()> {
        for (bit, name) in named {
            for outcome in SteerOutcome::ALL {
                let cpus = self.map.get(&index(bit, outcome), 0).context("cannot read what was steered")?;
                *totals.entry((Arc::clone(name), outcome)).or_default() += cpus.iter().sum::<u64>();
            }
        }
        Ok(())
    }
}

const fn index(bit: u32, outcome: SteerOutcome) -> u32 {
    bit * SteerOutcome::COUNT as u32 + outcome as u32
}
