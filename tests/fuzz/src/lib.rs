//! What the targets share. One flow under fuzzing: every byte is counted once, memory and what is open stay bounded, and it ends with one record.

pub mod exchange;

use std::sync::Arc;

use interceptor::{
    model::{
        Chunk, Endpoint, Exchange, FlowEnd, FlowEvent, FlowInfo, FlowKey, FlowRecord, Ledger, LossReason, Peer, Record,
        Side, Timestamp,
    },
    session::{Limits, Session},
};

/// What a flow may hold.
#[derive(Clone, Copy)]
pub struct Bounds {
    /// What its session is told.
    pub limits: Limits<'static>,
    /// Bytes of memory, asserted after each event.
    pub memory: usize,
    /// Open exchanges, asserted after each event.
    pub open: usize,
}

/// A flow, the bytes of which are cut into pieces.
pub struct Flow<L> {
    bounds: Bounds,
    info: Arc<FlowInfo>,
    session: Session,
    ledger: Ledger,
    exchanges: Vec<Exchange>,
    records: Vec<FlowRecord>,
    finished: [bool; 2],
    lengths: L,
}

/// When everything happens.
const TIME: Timestamp = Timestamp::from_nanos(1);

/// Pieces of these lengths, and one more; whole where there are none.
pub fn lengths(splits: &[u8]) -> impl Iterator<Item = usize> {
    splits.iter().map(|length| usize::from(*length) + 1).cycle()
}

/// Which side a step is of.
pub const fn side(server: bool) -> Side {
    if server { Side::Server } else { Side::Client }
}

/// A flow that has just been opened, or `joined`.
fn flow_info(joined: bool) -> FlowInfo {
    let client = Endpoint::new([192, 0, 2, 1].into(), 40_000);
    let server = Endpoint::new([192, 0, 2, 2].into(), 80);
    FlowInfo {
        id: 1,
        key: FlowKey::new(0, client, server),
        client: Peer::new(client),
        server: Peer::new(server),
        start: TIME,
        joined,
        round_trip: None,
        interface: 0,
    }
}

impl<L: Iterator<Item = usize>> Flow<L> {
    /// It has just been opened, or `joined`.
    pub fn open(bounds: Bounds, joined: bool, lengths: L) -> Self {
        let mut flow = Self {
            bounds,
            info: Arc::new(flow_info(joined)),
            session: Session::default(),
            ledger: Ledger::default(),
            exchanges: Vec::new(),
            records: Vec::new(),
            finished: [false; 2],
            lengths,
        };
        flow.event(FlowEvent::Opened { late: joined });
        flow
    }

    /// Did this side send its FIN? Nothing comes from it then.
    pub fn is_finished(&self, side: Side) -> bool {
        self.finished[side as usize]
    }

    /// Bytes, in pieces.
    pub fn send(&mut self, side: Side, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at(self.lengths.next().unwrap_or(usize::MAX).min(bytes.len()));
            bytes = rest;
            let ledger = self.ledger.side_mut(side);
            ledger.carried += piece.len() as u64;
            ledger.captured += piece.len() as u64;
            self.event(FlowEvent::Chunk { side, time: TIME, next: 0, chunk: Chunk::Data(piece) });
        }
    }

    /// That many bytes, less one, are missing.
    pub fn gap(&mut self, side: Side, len: u16) {
        let (len, reason) = (u64::from(len) + 1, LossReason::NotSeen);
        let ledger = self.ledger.side_mut(side);
        ledger.carried += len;
        ledger.lose(reason, len);
        self.event(FlowEvent::Chunk { side, time: TIME, next: 0, chunk: Chunk::Gap { len, reason } });
    }

    /// FIN.
    pub fn finish(&mut self, side: Side) {
        self.finished[side as usize] = true;
        self.event(FlowEvent::Finished { side, time: TIME });
    }

    /// A retransmission differs.
    pub fn retransmission(&mut self, side: Side) {
        self.event(FlowEvent::RetransmissionDiffers { side });
    }

    /// It is over, in one of four ways.
    pub fn end(mut self, how: u8) -> (Vec<Exchange>, Vec<FlowRecord>) {
        let ends = [FlowEnd::Closed, FlowEnd::Reset, FlowEnd::Idle, FlowEnd::CaptureEnded];
        let end = ends[usize::from(how) % ends.len()];
        self.event(FlowEvent::Ended { end, time: TIME, ledger: self.ledger });
        assert_eq!(self.records.len(), 1);
        assert!(self.records[0].ledger.balances(), "{:?}", self.records[0].ledger);
        assert_eq!(self.records[0].exchanges, self.exchanges.len() as u64);
        assert_eq!(self.session.open(), 0);
        (self.exchanges, self.records)
    }

    fn event(&mut self, event: FlowEvent<'_>) {
        let Self { info, session, exchanges, records, bounds, .. } = self;
        session.event(info, event, &bounds.limits, &mut |record| match record {
            Record::Exchange(exchange) => exchanges.push(*exchange),
            Record::Message(_) | Record::Drift(_) | Record::Edge(_) => {}
            Record::Flow(record) => records.push(*record),
        });
        assert!(session.memory() <= bounds.memory, "{} bytes", session.memory());
        assert!(session.open() as usize <= bounds.open);
    }
}
