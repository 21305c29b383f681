//! Payload that nobody wants: the kernel is told, flow by flow, how much of it to leave out.

use anyhow::Context as _;
use aya::{
    Ebpf,
    maps::{HashMap, MapData},
};
use interceptor_common::{CUT_FOREVER, CUT_UNTIL, CutOff, SegmentEvent, TupleKey};

use super::maps::take;
use crate::model::Endpoint;

/// Bytes of a turn that are captured, where turns are cut: room for a head, and as many as fill a record of the ring's
/// 8 KiB class.
pub const TURN_FIRST: u32 = 8192 - size_of::<SegmentEvent>() as u32;

/// One direction of a flow.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// Number of the network namespace in which its packets are seen; 0 where only one is captured.
    pub zone: u32,
    /// Who sends.
    pub source: Endpoint,
    /// Whom to.
    pub destination: Endpoint,
}

impl Way {
    const fn key(self) -> TupleKey {
        let Self { zone, source, destination } = self;
        TupleKey {
            source: source.mapped(),
            destination: destination.mapped(),
            source_port: source.port(),
            destination_port: destination.port(),
            zone,
        }
    }
}

/// The map of cut-offs. When there are too many, the kernel forgets the least recently used one, and captures again what it
/// cut off.
pub struct CutOffs {
    map: HashMap<MapData, TupleKey, CutOff>,
}

impl CutOffs {
    pub(super) fn new(ebpf: &mut Ebpf) -> anyhow::Result<Self> {
        Ok(Self { map: take(ebpf, "CUT_OFFS")? })
    }

    /// Asks for nothing more of what goes this way until a segment that ends after the sequence number `until`, which is less
    /// than 2^31 bytes ahead.
    pub fn until(&mut self, way: Way, until: u32) -> anyhow::Result<()> {
        self.insert(way, CutOff { kind: CUT_UNTIL, until, ..CutOff::default() })
    }

    /// The same, and from then on for the first [`TURN_FIRST`] bytes of each turn only: of what is sent this way before the other
    /// end has said something again.
    pub fn turns(&mut self, way: Way, until: u32) -> anyhow::Result<()> {
        self.insert(way, CutOff { kind: CUT_UNTIL, until, turn_limit: TURN_FIRST, ..CutOff::default() })
    }

    /// Asks for nothing more of it at all.
    pub fn forever(&mut self, way: Way) -> anyhow::Result<()> {
        self.insert(way, CutOff { kind: CUT_FOREVER, ..CutOff::default() })
    }

    /// Asks for all of it again.
    pub fn lift(&mut self, way: Way) {
        // Not there: it was the least recently used, or was passed.
        drop(self.map.remove(&way.key()));
    }

    fn insert(&mut self, way: Way, cut_off: CutOff) -> anyhow::Result<()> {
        self.map.insert(way.key(), cut_off, 0).context("cannot cut off a flow")
    }
}
