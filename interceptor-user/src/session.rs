//! One flow: two decoders and the pairing of their messages.
//!
//! ```text
//! Detecting ─► Talking (two decoders, a pairing) ─► the flow's end
//!     └────────────┴──────► Opaque
//! ```
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

use std::sync::Arc;

use crate::{
    exchange::{self, Pairing, Seen},
    model::{
        Anomalies, Anomaly, Chunk, FlowEnd, FlowEvent, FlowInfo, FlowRecord, Ledger, Message, Protocol, Record, Side,
        Timestamp,
    },
    protocol::{
        Context, Decoder, Expects, Finish, Role,
        detect::{self, Guess},
        http1,
    },
};

/// Bounds of what one flow may keep.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a head, or of a trailer section.
    pub head: usize,
    /// Bytes of a message's content that an exchange keeps; 0 keeps nothing.
    pub body: usize,
    /// Requests that wait for their response.
    pub pipeline: usize,
    /// Bytes of heads and content that all open exchanges of a flow keep.
    pub memory: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head: 64 * 1024, body: 0, pipeline: 128, memory: 1024 * 1024 }
    }
}

/// What is kept of one flow. Small while nothing is open.
#[derive(Debug, Default)]
pub struct Session {
    state: State,
    /// Bytes that no decoder saw.
    undecoded: Undecoded,
}

#[derive(Debug, Default)]
struct Undecoded {
    client: u64,
    server: u64,
}

#[derive(Debug, Default)]
enum State {
    /// Nothing was seen yet.
    #[default]
    New,
    /// Too little was seen to say what is spoken.
    Detecting(Box<Detecting>),
    Talking(Box<Talk>),
    /// Nothing that we decode, or over.
    Opaque,
}

/// The first bytes of each side.
#[derive(Debug, Default)]
struct Detecting {
    client: First,
    server: First,
}

#[derive(Debug, Default)]
struct First {
    bytes: Vec<u8>,
    time: Timestamp,
}

#[derive(Debug)]
struct Talk {
    requests: Decoder,
    responses: Decoder,
    pairing: Pairing,
    /// Who sends the requests.
    requester: Side,
    /// The flow with its ends the other way round, where the flow table guessed them wrong.
    swapped: Option<(Arc<FlowInfo>, Arc<FlowInfo>)>,
    /// A head was found, so it is what we took it for.
    recognised: bool,
    tunnel: bool,
}

impl Session {
    /// Takes the next event of the flow.
    pub fn event(
        &mut self,
        flow: &Arc<FlowInfo>,
        event: FlowEvent<'_>,
        limits: &Limits,
        emit: &mut impl FnMut(Record),
    ) {
        match event {
            FlowEvent::Opened => {}
            FlowEvent::Chunk { side, time, chunk } => {
                if let State::Talking(talk) = &mut self.state {
                    talk.chunk(side, time, chunk, flow, limits, emit);
                } else {
                    self.first_chunks(side, time, chunk, flow, limits, emit);
                }
            }
            FlowEvent::RetransmissionDiffers { side } => {
                if let State::Talking(talk) = &mut self.state {
                    talk.pairing.anomaly(talk.role(side), Anomaly::RetransmissionDiffers);
                }
            }
            FlowEvent::Finished { side, .. } => {
                if let State::Talking(talk) = &mut self.state {
                    talk.finish(side, Finish::Fin, flow, limits, emit);
                }
            }
            FlowEvent::Ended { end, time, ledger } => self.end(end, time, ledger, flow, limits, emit),
        }
    }

    /// How many exchanges are open.
    pub fn open_exchanges(&self) -> u32 {
        match &self.state {
            State::Talking(talk) => talk.pairing.open(),
            State::New | State::Detecting(_) | State::Opaque => 0,
        }
    }

    /// Bytes of memory held for the flow, beside the session itself.
    pub fn memory(&self) -> usize {
        match &self.state {
            State::New | State::Opaque => 0,
            State::Detecting(held) => {
                size_of::<Detecting>() + held.client.bytes.capacity() + held.server.bytes.capacity()
            }
            State::Talking(talk) => {
                size_of::<Talk>() + talk.requests.memory() + talk.responses.memory() + talk.pairing.memory()
            }
        }
    }

    /// A chunk of a flow of which we do not know what it speaks, or that we do not decode.
    fn first_chunks(
        &mut self,
        side: Side,
        time: Timestamp,
        chunk: Chunk<'_>,
        flow: &Arc<FlowInfo>,
        limits: &Limits,
        emit: &mut impl FnMut(Record),
    ) {
        let requester = match (&self.state, chunk) {
            (State::Opaque, Chunk::Data(data)) => {
                *self.undecoded.side(side) += data.len() as u64;
                return;
            }
            (State::Opaque, Chunk::Gap { .. }) => return,
            (_, Chunk::Data(data)) => match self.guess(side, data) {
                Guess::Http1Request => side,
                Guess::Http1Response => side.peer(),
                Guess::Nothing if flow.joined => Side::Client,
                Guess::Nothing | Guess::Foreign => {
                    *self.undecoded.side(side) += data.len() as u64;
                    self.become_opaque();
                    return;
                }
                Guess::More => {
                    self.hold(side, time, data);
                    return;
                }
            },
            (_, Chunk::Gap { .. }) => Side::Client,
        };
        let held = match std::mem::take(&mut self.state) {
            State::Detecting(held) => *held,
            State::New | State::Talking(_) | State::Opaque => Detecting::default(),
        };
        let mut talk = Box::new(Talk::new(requester, flow.joined));
        for (side, first) in [(Side::Client, held.client), (Side::Server, held.server)] {
            talk.chunk(side, first.time, Chunk::Data(&first.bytes), flow, limits, emit);
        }
        talk.chunk(side, time, chunk, flow, limits, emit);
        self.state = State::Talking(talk);
    }

    fn guess(&mut self, side: Side, data: &[u8]) -> Guess {
        let State::Detecting(held) = &mut self.state else {
            return detect::guess(data);
        };
        let first = &mut held.side(side).bytes;
        let had = first.len();
        first.extend_from_slice(data.get(..detect::ENOUGH.min(data.len())).unwrap_or_default());
        let guess = detect::guess(first);
        first.truncate(had);
        guess
    }

    fn hold(&mut self, side: Side, time: Timestamp, data: &[u8]) {
        if let State::New = self.state {
            self.state = State::Detecting(Box::default());
        }
        if let State::Detecting(held) = &mut self.state {
            let first = held.side(side);
            if first.bytes.is_empty() {
                first.time = time;
            }
            first.bytes.extend_from_slice(data);
        }
    }

    fn become_opaque(&mut self) {
        if let State::Detecting(held) = &self.state {
            self.undecoded.client += held.client.bytes.len() as u64;
            self.undecoded.server += held.server.bytes.len() as u64;
        }
        self.state = State::Opaque;
    }

    fn end(
        &mut self,
        end: FlowEnd,
        time: Timestamp,
        mut ledger: Ledger,
        flow: &Arc<FlowInfo>,
        limits: &Limits,
        emit: &mut impl FnMut(Record),
    ) {
        if let State::New | State::Detecting(_) = self.state {
            self.become_opaque();
        }
        ledger.client.reported = self.undecoded.client;
        ledger.server.reported = self.undecoded.server;
        let mut record = FlowRecord {
            flow: Arc::clone(flow),
            end,
            time,
            protocol: Protocol::Unknown,
            ledger,
            exchanges: 0,
            anomalies: Anomalies::NONE,
        };
        if let State::Talking(talk) = &mut self.state {
            talk.close(end, flow, limits, emit);
            talk.describe(&mut record);
        }
        self.state = State::Opaque;
        emit(Record::Flow(Box::new(record)));
    }
}

impl Undecoded {
    const fn side(&mut self, side: Side) -> &mut u64 {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }
}

impl Detecting {
    const fn side(&mut self, side: Side) -> &mut First {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }
}

impl Talk {
    fn new(requester: Side, joined: bool) -> Self {
        let decoder = if joined { http1::Decoder::joined } else { http1::Decoder::new };
        Self {
            requests: Decoder::Http1(decoder(Role::Request)),
            responses: Decoder::Http1(decoder(Role::Response)),
            pairing: Pairing::default(),
            requester,
            swapped: None,
            recognised: false,
            tunnel: false,
        }
    }

    fn role(&self, side: Side) -> Role {
        if side == self.requester { Role::Request } else { Role::Response }
    }

    /// The flow with the requester as its client, which it is but for where the flow table joined and guessed wrong.
    fn described(&mut self, flow: &Arc<FlowInfo>) -> Arc<FlowInfo> {
        match &self.swapped {
            Some((from, to)) if Arc::ptr_eq(from, flow) => Arc::clone(to),
            _ => {
                let mut swapped = FlowInfo::clone(flow);
                std::mem::swap(&mut swapped.client, &mut swapped.server);
                let swapped = Arc::new(swapped);
                self.swapped = Some((Arc::clone(flow), Arc::clone(&swapped)));
                swapped
            }
        }
    }

    fn chunk(
        &mut self,
        side: Side,
        time: Timestamp,
        mut chunk: Chunk<'_>,
        flow: &Arc<FlowInfo>,
        limits: &Limits,
        emit: &mut impl FnMut(Record),
    ) {
        let role = self.role(side);
        if self.requester == Side::Client {
            self.decode(role, time, &mut chunk, flow, limits, emit);
        } else {
            let flow = self.described(flow);
            self.decode(role, time, &mut chunk, &flow, limits, emit);
        }
    }

    /// Decodes all of a chunk. `time` is when its bytes were captured; zero where there are none.
    fn decode(
        &mut self,
        role: Role,
        time: Timestamp,
        chunk: &mut Chunk<'_>,
        flow: &Arc<FlowInfo>,
        limits: &Limits,
        emit: &mut impl FnMut(Record),
    ) {
        let pairing_limits = exchange::Limits { body: limits.body, pipeline: limits.pipeline, memory: limits.memory };
        let mut context = Context { time, head_limit: limits.head, expects: Expects::Content };
        loop {
            let decoder = match role {
                Role::Request => &mut self.requests,
                Role::Response => {
                    context.expects = self.pairing.expects();
                    &mut self.responses
                }
            };
            let Some(message) = decoder.next(chunk, &context) else { return };
            let seen = Seen { first: decoder.started(), last: time };
            let is_head = matches!(message, Message::Head(_));
            if let Message::Opaque(_) = message {
                self.tunnel = true;
                self.requests.tunnel();
                self.responses.tunnel();
            }
            self.pairing.message(role, message, seen, flow, &pairing_limits, emit);
            if is_head {
                self.recognised = true;
                if role == Role::Response && self.pairing.content_may_not_come() {
                    self.requests.content_may_not_come();
                }
            }
        }
    }

    fn finish(
        &mut self,
        side: Side,
        how: Finish,
        flow: &Arc<FlowInfo>,
        limits: &Limits,
        emit: &mut impl FnMut(Record),
    ) {
        match self.role(side) {
            Role::Request => self.requests.finish(how),
            Role::Response => self.responses.finish(how),
        }
        self.chunk(side, Timestamp::default(), Chunk::Data(&[]), flow, limits, emit);
    }

    fn close(&mut self, end: FlowEnd, flow: &Arc<FlowInfo>, limits: &Limits, emit: &mut impl FnMut(Record)) {
        let how = match end {
            FlowEnd::Closed => Finish::Fin,
            FlowEnd::Reset => Finish::Reset,
            FlowEnd::Idle | FlowEnd::Reused | FlowEnd::Evicted | FlowEnd::CaptureEnded => Finish::Cut,
        };
        for side in Side::BOTH {
            self.finish(side, how, flow, limits, emit);
        }
        if self.requester == Side::Client {
            self.pairing.close(end, flow, emit);
        } else {
            let flow = self.described(flow);
            self.pairing.close(end, &flow, emit);
        }
    }

    /// Completes what is said of the flow.
    fn describe(&mut self, record: &mut FlowRecord) {
        for side in Side::BOTH {
            let decoder = match self.role(side) {
                Role::Request => &self.requests,
                Role::Response => &self.responses,
            };
            let ledger = record.ledger.side_mut(side);
            ledger.parsed += decoder.parsed();
            ledger.reported += decoder.reported();
        }
        if self.requester == Side::Server {
            record.flow = self.described(&record.flow);
            std::mem::swap(&mut record.ledger.client, &mut record.ledger.server);
        }
        record.protocol = match (self.tunnel, self.recognised) {
            (true, _) => Protocol::Tunnel,
            (false, true) => Protocol::Http1,
            (false, false) => Protocol::Unknown,
        };
        record.exchanges = self.pairing.count();
        record.anomalies = self.pairing.unattached();
    }
}

#[cfg(test)]
mod tests;
