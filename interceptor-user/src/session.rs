//! One flow: the decoders of what it speaks, and the pairing of what they give.
//!
//! ```text
//!           ┌────► Talking (HTTP/1: two decoders, a pairing) ────┐
//!           │         ▲       │ Upgrade: h2c                     ▼
//! Detecting ┼──► Contested    │                                the flow's end
//!           │         ▼       ▼                                  ▲
//!           ├────► Multiplexed (HTTP/2: a connection, streams) ──┤
//!           └────► Opaque ───────────────────────────────────────┘
//! ```
//!
//! A flow that was joined in the middle, and whose first bytes tell nothing, is contested: it is searched for heads of
//! HTTP/1 and for frames of HTTP/2 until one of them is found.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod multiplex;
mod pace;
mod rival;
mod roles;
mod talk;
mod turns;

use std::sync::Arc;

use multiplex::Multiplex;
use pace::Pace;
use talk::Talk;

use crate::{
    model::{
        Anomalies, Anomaly, Chunk, Decide, Delays, Exchange, FlowEnd, FlowEvent, FlowInfo, FlowRecord, Ledger,
        LossReason, Needs, Protocol, Record, Role, Side, Timestamp,
    },
    protocol::{
        Finish,
        detect::{self, Guess},
        guess::Guesser,
    },
};

/// Bounds of what one flow may keep.
#[derive(Clone, Copy, Debug)]
pub struct Limits<'a> {
    /// Bytes of a head, or of a trailer section.
    pub head: usize,
    /// Bytes of a message's content that an exchange keeps; 0 keeps nothing.
    pub body: usize,
    /// Decides on an exchange's heads whether more of its contents is kept.
    pub decide: Option<Decide<'a>>,
    /// Requests that wait for their response, on a connection that answers them in order.
    pub pipeline: usize,
    /// Streams of an HTTP/2 connection that are open at once.
    pub streams: usize,
    /// Bytes of heads and content that all open exchanges of a flow keep.
    pub memory: usize,
    /// Messages of contents are told as they come, too. What is kept of each is as much as `body` says.
    pub messages: bool,
    /// Bytes that may be kept beside what this flow keeps already, until the next event. What finds no room is given
    /// up, the least important first: requests are not followed, content is not kept, responses and trailers lose their
    /// fields, heads that are not whole are lost.
    pub room: usize,
}

impl Default for Limits<'_> {
    fn default() -> Self {
        Self {
            head: 64 * 1024,
            body: 0,
            decide: None,
            pipeline: 128,
            streams: 8192,
            memory: 1024 * 1024,
            messages: false,
            room: usize::MAX,
        }
    }
}

/// What is kept of one flow. Small while nothing is open.
#[derive(Debug, Default)]
pub struct Session {
    state: State,
    /// The first bytes may be from the middle of the flow.
    late: bool,
    /// Bytes that no decoder saw.
    undecoded: Both<u64>,
    /// Bytes that the kernel left out and that were no content that nobody wants.
    cut_too_far: Both<u64>,
    /// The kernel cuts turns that are none any more, and is to be told.
    lift: Both<bool>,
    /// What it speaks, where that is nothing that we decode.
    guesser: Guesser,
    /// What holds up the client, and the server.
    pace: (Pace, Pace),
}

/// An exchange of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// On a connection that answers in order: its number, from 1.
    Number(u64),
    /// On HTTP/2: its stream.
    Stream(u32),
}

/// Of each side the same.
#[derive(Debug, Default)]
struct Both<T> {
    client: T,
    server: T,
}

/// What of the bytes that a side sends next nobody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwanted {
    /// So many of the next ones.
    Next(u64),
    /// So many of the next ones, and from then on what lies beyond the first bytes of each turn: of what the side sends before the
    /// other one says something again.
    Turns(u64),
    /// So many of the next ones, which the kernel leaves out already, as it does of each turn.
    Known(u64),
    /// All is wanted again.
    Nothing,
}

#[derive(Debug, Default)]
enum State {
    /// Nothing was seen yet.
    #[default]
    New,
    /// Too little was seen to say what is spoken.
    Detecting(Box<Detecting>),
    Talking(Box<Talk>),
    Multiplexed(Box<Multiplex>),
    Contested(Box<(Talk, Multiplex)>),
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
        limits: &Limits<'_>,
        emit: &mut impl FnMut(Record),
    ) {
        match event {
            FlowEvent::Opened { late } => self.late = late,
            FlowEvent::CgroupKnown => {}
            FlowEvent::Window { side, full, time } => self.pace(side.peer()).window(full, time),
            FlowEvent::Chunk { side, time, chunk, .. } => {
                if let Some(delays) = self.pace(side).chunk(chunk, time) {
                    self.delayed(side, delays);
                }
                self.chunk(side, time, chunk, flow, limits, emit);
                if let Chunk::Gap { len, reason: LossReason::SkippedByPolicy } = chunk {
                    self.left_out(side, len);
                }
            }
            FlowEvent::RetransmissionDiffers { side } => match &mut self.state {
                State::Talking(talk) => talk.pairing.anomaly(talk.role(side), Anomaly::RetransmissionDiffers),
                State::Multiplexed(multiplex) => multiplex.odd(Anomaly::RetransmissionDiffers),
                State::New | State::Detecting(_) | State::Contested(_) | State::Opaque => {}
            },
            FlowEvent::Finished { side, time } => match &mut self.state {
                State::Talking(talk) => {
                    talk.finish(side, Finish::Fin, flow, limits, emit);
                    if talk.role(side) == Role::Request {
                        talk.pairing.client_gone(time);
                    }
                }
                State::Multiplexed(multiplex) => {
                    multiplex.finish(side, Finish::Fin, flow, limits, emit);
                    multiplex.gone(side, time);
                }
                State::Contested(both) => {
                    let (talk, multiplex) = &mut **both;
                    multiplex.finish(side, Finish::Fin, flow, limits, emit);
                    talk.finish(side, Finish::Fin, flow, limits, emit);
                    self.settle();
                }
                State::New | State::Detecting(_) | State::Opaque => {}
            },
            FlowEvent::Waited { time } => {
                if let State::Multiplexed(multiplex) = &mut self.state {
                    multiplex.waited(time, flow, emit);
                }
            }
            FlowEvent::Ended { end, time, ledger } => self.end(end, time, ledger, flow, limits, emit),
        }
    }

    /// Is there something that only waits for time to pass ([`FlowEvent::Waited`])?
    pub fn waits(&self) -> bool {
        matches!(&self.state, State::Multiplexed(multiplex) if multiplex.streams.has_late())
    }

    /// The open exchanges, each with what is known of the flow by now.
    pub fn open_exchanges(&mut self, flow: &Arc<FlowInfo>) -> impl Iterator<Item = &Exchange> {
        let (talk, multiplex) = match &mut self.state {
            State::Talking(talk) => (Some(talk), None),
            State::Multiplexed(multiplex) => (None, Some(multiplex)),
            State::New | State::Detecting(_) | State::Contested(_) | State::Opaque => (None, None),
        };
        let multiplexed = multiplex.into_iter().flat_map(|multiplex| multiplex.open_exchanges(flow));
        talk.into_iter().flat_map(|talk| talk.open_exchanges(flow)).chain(multiplexed)
    }

    /// An open exchange.
    pub fn open_exchange(&mut self, which: Which) -> Option<&mut Exchange> {
        match (&mut self.state, which) {
            (State::Talking(talk), Which::Number(number)) => talk.pairing.open_exchange(number),
            (State::Multiplexed(multiplex), Which::Stream(stream)) => multiplex.streams.open_exchange(stream),
            _ => None,
        }
    }

    /// Was there no room for some of what was said, or were there too many requests at a time?
    pub fn has_given_up(&self) -> bool {
        let unattached = match &self.state {
            State::Talking(talk) => talk.pairing.unattached(),
            State::Multiplexed(multiplex) => multiplex.streams.unattached(),
            State::New | State::Detecting(_) | State::Contested(_) | State::Opaque => return false,
        };
        [Anomaly::MemoryLimit, Anomaly::PipelineTooDeep].into_iter().any(|anomaly| unattached.contains(anomaly))
    }

    /// How many exchanges are open.
    pub fn open(&self) -> u32 {
        match &self.state {
            State::Talking(talk) => talk.pairing.open(),
            State::Multiplexed(multiplex) => multiplex.streams.open(),
            State::New | State::Detecting(_) | State::Contested(_) | State::Opaque => 0,
        }
    }

    /// Bytes kept for the flow, as [`Limits::room`] counts them: all that can grow, told at once.
    #[inline]
    pub fn held(&self) -> usize {
        let state = match &self.state {
            State::New | State::Opaque => 0,
            State::Detecting(held) => held.client.bytes.capacity() + held.server.bytes.capacity(),
            State::Talking(talk) => talk.held(),
            State::Multiplexed(multiplex) => multiplex.held(),
            State::Contested(both) => both.0.held() + both.1.held(),
        };
        state + self.guesser.held()
    }

    /// Parts of messages given up for want of [`Limits::room`] since this was asked last; with the
    /// flow's end nothing is given up.
    #[inline]
    pub fn take_given_up(&mut self) -> u64 {
        let state = match &mut self.state {
            State::Talking(talk) => talk.pairing.take_given_up(),
            State::Multiplexed(multiplex) => multiplex.streams.take_given_up(),
            State::Contested(both) => both.0.pairing.take_given_up() + both.1.streams.take_given_up(),
            State::New | State::Detecting(_) | State::Opaque => 0,
        };
        state + u64::from(self.guesser.take_given_up())
    }

    /// What of the bytes that `side` sends next nobody wants, where at least `least` of its content are to come. To be asked after
    /// each chunk, for what follows it; what was told is not told again. As much as `may_want` may be wanted of a message, whatever
    /// its head says.
    #[inline]
    pub fn take_unwanted(&mut self, side: Side, least: u64, may_want: Needs) -> Option<Unwanted> {
        match &mut self.state {
            State::Talking(talk) => talk.take_unwanted(side, least, may_want),
            // In HTTP/2 frames of many streams are mixed.
            State::Multiplexed(_) | State::New | State::Detecting(_) | State::Contested(_) | State::Opaque => {
                std::mem::take(self.lift.side(side)).then_some(Unwanted::Nothing)
            }
        }
    }

    /// So many bytes were left out by the kernel. Which of them nobody wanted is known now; of the others it ought not to have.
    #[cold]
    fn left_out(&mut self, side: Side, len: u64) {
        let unwanted = match &mut self.state {
            State::Talking(talk) => talk.take_skipped(),
            State::Multiplexed(_) | State::New | State::Detecting(_) | State::Contested(_) | State::Opaque => 0,
        };
        let too_far = len.saturating_sub(unwanted);
        *self.cut_too_far.side(side) += too_far;
        if let State::Talking(talk) = &mut self.state
            && too_far > 0
        {
            talk.cut_too_far(side);
        }
    }

    /// Bytes of memory held for the flow, beside the session itself.
    pub fn memory(&self) -> usize {
        let state = match &self.state {
            State::New | State::Opaque => 0,
            State::Detecting(held) => {
                size_of::<Detecting>() + held.client.bytes.capacity() + held.server.bytes.capacity()
            }
            State::Talking(talk) => talk.memory(),
            State::Multiplexed(multiplex) => multiplex.memory(),
            State::Contested(both) => both.0.memory() + both.1.memory(),
        };
        state + self.guesser.memory()
    }

    #[inline]
    fn chunk(
        &mut self,
        side: Side,
        time: Timestamp,
        chunk: Chunk<'_>,
        flow: &Arc<FlowInfo>,
        limits: &Limits<'_>,
        emit: &mut impl FnMut(Record),
    ) {
        match &mut self.state {
            State::Talking(talk) => {
                talk.chunk(side, time, chunk, flow, limits, emit);
                if let Some(rest) = talk.take_http2() {
                    let [client, server] = Side::BOTH.map(|side| talk.cuts_turns(side));
                    self.lift = Both { client, server };
                    let mut multiplex = Box::new(Multiplex::upgraded(talk));
                    multiplex.chunk(side, time, Chunk::Data(&rest), flow, limits, emit);
                    // Requests that were made before the client knew are not answered any more.
                    talk.pairing.close(FlowEnd::CaptureEnded, flow, emit);
                    self.state = State::Multiplexed(multiplex);
                }
            }
            State::Multiplexed(multiplex) => multiplex.chunk(side, time, chunk, flow, limits, emit),
            State::Contested(both) => {
                let (talk, multiplex) = &mut **both;
                multiplex.chunk(side, time, chunk, flow, limits, emit);
                if !multiplex.is_recognised() {
                    talk.chunk(side, time, chunk, flow, limits, emit);
                }
                self.guesser.chunk(side, chunk, limits.room);
                self.settle();
            }
            State::New | State::Detecting(_) | State::Opaque => {
                self.first_chunks(side, time, chunk, flow, limits, emit);
            }
        }
    }

    const fn pace(&mut self, side: Side) -> &mut Pace {
        match side {
            Side::Client => &mut self.pace.0,
            Side::Server => &mut self.pace.1,
        }
    }

    /// This side was held up before the chunk that comes now.
    #[cold]
    fn delayed(&mut self, side: Side, delays: Delays) {
        match &mut self.state {
            State::Talking(talk) => talk.roles.delayed(side, delays),
            State::Multiplexed(multiplex) => multiplex.roles.delayed(side, delays),
            State::Contested(both) => {
                both.0.roles.delayed(side, delays);
                both.1.roles.delayed(side, delays);
            }
            State::New | State::Detecting(_) | State::Opaque => {}
        }
    }

    /// Once one of both is found, the other was wrong.
    fn settle(&mut self) {
        self.state = match std::mem::take(&mut self.state) {
            State::Contested(both) if both.1.is_recognised() => State::Multiplexed(Box::new(both.1)),
            State::Contested(both) if both.0.is_recognised() || both.1.is_hopeless() => {
                State::Talking(Box::new(both.0))
            }
            state => state,
        };
    }

    /// A chunk of a flow of which we do not know what it speaks, or that we do not decode.
    fn first_chunks(
        &mut self,
        side: Side,
        time: Timestamp,
        chunk: Chunk<'_>,
        flow: &Arc<FlowInfo>,
        limits: &Limits<'_>,
        emit: &mut impl FnMut(Record),
    ) {
        // Nobody told who the client is.
        let late = self.late;
        let guessed = flow.joined && flow.client.endpoint != flow.server.endpoint;
        let talk = || if guessed { Talk::guessed() } else { Talk::new(Side::Client, late) };
        let contested = || State::Contested(Box::new((talk(), Multiplex::joined())));
        let http1 = |requester| State::Talking(Box::new(Talk::new(requester, late)));
        let http2 = |requester| State::Multiplexed(Box::new(Multiplex::new(requester)));
        let state = match (&self.state, chunk) {
            (State::Opaque, _) => return self.opaque(side, chunk, limits),
            (_, Chunk::Gap { .. }) => contested(),
            (_, Chunk::Data(data)) => match self.guess(side, data) {
                Guess::Http1Request => http1(side),
                Guess::Http1Response => http1(side.peer()),
                Guess::Http2Client => http2(side),
                Guess::Http2Server if !late => http2(side.peer()),
                Guess::Nothing | Guess::Http2Server if late => contested(),
                Guess::Nothing | Guess::Http2Server | Guess::Foreign => {
                    self.become_opaque(limits);
                    return self.opaque(side, chunk, limits);
                }
                // The decoder does with too little room what there is to do.
                Guess::More if data.len() > limits.room => http1(Side::Client),
                Guess::More => {
                    self.hold(side, time, data);
                    return;
                }
            },
        };
        let held = match std::mem::replace(&mut self.state, state) {
            State::Detecting(held) => *held,
            _ => Detecting::default(),
        };
        for (side, first) in [(Side::Client, held.client), (Side::Server, held.server)] {
            self.chunk(side, first.time, Chunk::Data(&first.bytes), flow, limits, emit);
        }
        self.chunk(side, time, chunk, flow, limits, emit);
    }

    /// What the first bytes of a side look like. Those that came before are looked at together with `data`.
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

    fn become_opaque(&mut self, limits: &Limits<'_>) {
        if let State::Detecting(held) = std::mem::replace(&mut self.state, State::Opaque) {
            self.opaque(Side::Client, Chunk::Data(&held.client.bytes), limits);
            self.opaque(Side::Server, Chunk::Data(&held.server.bytes), limits);
        }
    }

    /// A chunk that is not decoded: it is counted, and tells what is spoken.
    fn opaque(&mut self, side: Side, chunk: Chunk<'_>, limits: &Limits<'_>) {
        if let Chunk::Data(data) = chunk {
            *self.undecoded.side(side) += data.len() as u64;
        }
        self.guesser.chunk(side, chunk, limits.room);
    }

    fn end(
        &mut self,
        end: FlowEnd,
        time: Timestamp,
        mut ledger: Ledger,
        flow: &Arc<FlowInfo>,
        limits: &Limits<'_>,
        emit: &mut impl FnMut(Record),
    ) {
        if let State::New | State::Detecting(_) = self.state {
            self.become_opaque(limits);
        }
        for side in Side::BOTH {
            let ledger = ledger.side_mut(side);
            let too_far = ledger.unlose(LossReason::SkippedByPolicy, *self.cut_too_far.side(side));
            ledger.lose(LossReason::CutTooFar, too_far);
        }
        ledger.client.reported = self.undecoded.client;
        ledger.server.reported = self.undecoded.server;
        let (protocol, tls) = self.guesser.take();
        let mut record = FlowRecord {
            flow: Arc::clone(flow),
            end,
            time,
            protocol: Protocol::Unknown,
            tls,
            ledger,
            exchanges: 0,
            anomalies: Anomalies::NONE,
        };
        if let State::Contested(both) = &mut self.state {
            both.1.close(end, flow, limits, emit);
            self.settle();
        }
        match &mut self.state {
            State::Talking(talk) => {
                talk.close(end, flow, limits, emit);
                talk.describe(&mut record);
            }
            State::Multiplexed(multiplex) => {
                multiplex.close(end, flow, limits, emit);
                multiplex.describe(&mut record);
            }
            State::Contested(both) => {
                both.0.close(end, flow, limits, emit);
                both.0.describe(&mut record);
            }
            State::New | State::Detecting(_) | State::Opaque => {}
        }
        if record.protocol == Protocol::Unknown {
            record.protocol = protocol;
        }
        self.state = State::Opaque;
        emit(Record::Flow(Box::new(record)));
    }
}

impl<T> Both<T> {
    const fn side(&mut self, side: Side) -> &mut T {
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
