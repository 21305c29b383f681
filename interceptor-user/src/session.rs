//! One flow: two decoders and the pairing of their messages.
//!
//! ```text
//! Detecting ─► Talking (two decoders, a pairing) ─► the flow's end
//!     └────────────┴──────► Opaque
//! ```
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod rival;
mod talk;

use std::sync::Arc;

use talk::Talk;

use crate::{
    model::{
        Anomalies, Anomaly, Chunk, Exchange, FlowEnd, FlowEvent, FlowInfo, FlowRecord, Ledger, Protocol, Record, Side,
        Timestamp,
    },
    protocol::{
        Finish,
        detect::{self, Guess},
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
    /// Bytes that may be kept beside what this flow keeps already, until the next event. What finds no room is given
    /// up, the least important first: requests are not followed, content is not kept, responses and trailers lose their
    /// fields, heads that are not whole are lost.
    pub room: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head: 64 * 1024, body: 0, pipeline: 128, memory: 1024 * 1024, room: usize::MAX }
    }
}

/// What is kept of one flow. Small while nothing is open.
#[derive(Debug, Default)]
pub struct Session {
    state: State,
    /// The first bytes may be from the middle of the flow.
    late: bool,
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
            FlowEvent::Opened { late } => self.late = late,
            FlowEvent::CgroupKnown => {}
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

    /// The open exchanges, each with what is known of the flow by now.
    pub fn open_exchanges(&mut self, flow: &Arc<FlowInfo>) -> impl Iterator<Item = &Exchange> {
        let talk = if let State::Talking(talk) = &mut self.state { Some(talk) } else { None };
        talk.into_iter().flat_map(|talk| talk.open_exchanges(flow))
    }

    /// How many exchanges are open.
    pub fn open(&self) -> u32 {
        match &self.state {
            State::Talking(talk) => talk.pairing.open(),
            State::New | State::Detecting(_) | State::Opaque => 0,
        }
    }

    /// Bytes kept for the flow, as [`Limits::room`] counts them: all that can grow, told at once.
    #[inline]
    pub fn held(&self) -> usize {
        match &self.state {
            State::New | State::Opaque => 0,
            State::Detecting(held) => held.client.bytes.capacity() + held.server.bytes.capacity(),
            State::Talking(talk) => talk.held(),
        }
    }

    /// Parts of messages given up for want of [`Limits::room`] since this was asked last; with the
    /// flow's end nothing is given up.
    #[inline]
    pub fn take_given_up(&mut self) -> u64 {
        match &mut self.state {
            State::Talking(talk) => talk.pairing.take_given_up(),
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
            State::Talking(talk) => talk.memory(),
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
        // Nobody told who the client is.
        let guessed = flow.joined && flow.client.endpoint != flow.server.endpoint;
        let requester = match (&self.state, chunk) {
            (State::Opaque, Chunk::Data(data)) => {
                *self.undecoded.side(side) += data.len() as u64;
                return;
            }
            (State::Opaque, Chunk::Gap { .. }) => return,
            (_, Chunk::Data(data)) => match self.guess(side, data) {
                Guess::Http1Request => Some(side),
                Guess::Http1Response => Some(side.peer()),
                Guess::Nothing if self.late => (!guessed).then_some(Side::Client),
                Guess::Nothing | Guess::Foreign => {
                    *self.undecoded.side(side) += data.len() as u64;
                    self.become_opaque();
                    return;
                }
                // The decoder does with too little room what there is to do.
                Guess::More if data.len() > limits.room => Some(Side::Client),
                Guess::More => {
                    self.hold(side, time, data);
                    return;
                }
            },
            (_, Chunk::Gap { .. }) => (!guessed).then_some(Side::Client),
        };
        let held = match std::mem::take(&mut self.state) {
            State::Detecting(held) => *held,
            State::New | State::Talking(_) | State::Opaque => Detecting::default(),
        };
        let mut talk = Box::new(requester.map_or_else(Talk::guessed, |requester| Talk::new(requester, self.late)));
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

#[cfg(test)]
mod tests;
