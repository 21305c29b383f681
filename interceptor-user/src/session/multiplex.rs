use std::sync::Arc;

use super::{Limits, roles::Roles, talk::Talk};
use crate::{
    exchange::{self, At, Seen, Streams},
    model::{
        Anomaly, Chunk, Exchange, Expects, FlowEnd, FlowInfo, FlowRecord, Protocol, Record, Role, Side, Timestamp,
    },
    protocol::{
        Context, Finish,
        http2::{Connection, Content, Event, Section},
    },
};

/// Bytes of a joined flow that are searched for frames. Looking costs more than skipping content does.
const SEARCH_MAX: u64 = 16 << 20;

/// A flow that is decoded as HTTP/2: the connection, and its streams.
#[derive(Debug)]
pub(super) struct Multiplex {
    connection: Connection,
    pub(super) streams: Streams,
    pub(super) roles: Roles,
    /// Nobody told who asks, and no head did so yet.
    guessed: bool,
    /// What was counted before the connection was HTTP/2, of each side.
    before: [(u64, u64); 2],
}

impl Multiplex {
    /// From the first byte on.
    pub(super) fn new(requester: Side) -> Self {
        Self {
            connection: Connection::new(requester),
            streams: Streams::default(),
            roles: Roles::new(requester),
            guessed: false,
            before: [(0, 0); 2],
        }
    }

    /// Of a flow that may turn out to be HTTP/2, joined in the middle.
    pub(super) fn joined() -> Self {
        Self { connection: Connection::joined(), streams: Streams::joined(), guessed: true, ..Self::new(Side::Client) }
    }

    /// Goes on where an HTTP/1 exchange has led to it.
    pub(super) fn upgraded(talk: &mut Talk) -> Self {
        let mut new = Self { roles: talk.roles.again(), ..Self::new(talk.requester()) };
        let request = talk.pairing.first().and_then(|exchange| exchange.request.as_ref());
        let settings = request.and_then(|request| request.head.fields.get("http2-settings"));
        new.connection.upgraded(talk.requester(), settings);
        new.streams.upgraded(&mut talk.pairing);
        new.before = Side::BOTH.map(|side| talk.counted(side));
        new
    }

    /// Is it HTTP/2? Where it was joined, frames have to be found first.
    pub(super) fn is_recognised(&self) -> bool {
        self.connection.is_found()
    }

    /// Has it looked for frames in so much that there are none?
    pub(super) fn is_hopeless(&self) -> bool {
        let skipped = |side| self.connection.counted(side).1;
        Side::BOTH.into_iter().map(skipped).sum::<u64>() > SEARCH_MAX
    }

    /// Bytes kept, beside this itself.
    #[inline]
    pub(super) fn held(&self) -> usize {
        self.connection.memory() + self.streams.held()
    }

    /// Bytes of memory held, itself included.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + self.connection.memory() + self.streams.memory()
    }

    /// The open exchanges, each with what is known of the flow by now.
    pub(super) fn open_exchanges(&mut self, flow: &Arc<FlowInfo>) -> impl Iterator<Item = &Exchange> + use<'_> {
        let flow = self.roles.described(flow);
        self.streams.open_exchanges(flow)
    }

    /// Something is odd about what this side sends now; of which stream is not known.
    pub(super) const fn odd(&mut self, anomaly: Anomaly) {
        self.streams.odd_connection(anomaly);
    }

    /// Decodes all of a chunk.
    pub(super) fn chunk(
        &mut self,
        side: Side,
        time: Timestamp,
        mut chunk: Chunk<'_>,
        flow: &Arc<FlowInfo>,
        limits: &Limits<'_>,
        emit: &mut impl FnMut(Record),
    ) {
        self.waited(time, flow, emit);
        let before = self.connection.memory();
        let context = Context { time, head_limit: limits.head, expects: Expects::Content };
        while let Some(event) = self.connection.next(side, &mut chunk, &context) {
            self.take(side, event, time, flow, limits, emit);
        }
        let grown = self.connection.memory().saturating_sub(before);
        if grown > 0 && grown > limits.room {
            self.connection.give_up(side);
            self.streams.note_given_up();
            let flow = self.roles.described(flow);
            self.streams.missing(self.roles.of(side), &flow, emit);
        }
    }

    /// It is this late.
    #[inline]
    pub(super) fn waited(&mut self, now: Timestamp, flow: &Arc<FlowInfo>, emit: &mut impl FnMut(Record)) {
        if self.streams.has_late() {
            self.streams.waited(now, &self.roles.described(flow), emit);
        }
    }

    /// This side sends no more.
    pub(super) fn gone(&mut self, side: Side, time: Timestamp) {
        if self.roles.of(side) == Role::Request {
            self.streams.client_gone(time);
        }
    }

    /// No more bytes of this side will come.
    pub(super) fn finish(
        &mut self,
        side: Side,
        how: Finish,
        flow: &Arc<FlowInfo>,
        limits: &Limits<'_>,
        emit: &mut impl FnMut(Record),
    ) {
        while let Some(event) = self.connection.finish(side, how) {
            self.take(side, event, Timestamp::default(), flow, limits, emit);
        }
    }

    pub(super) fn close(
        &mut self,
        end: FlowEnd,
        flow: &Arc<FlowInfo>,
        limits: &Limits<'_>,
        emit: &mut impl FnMut(Record),
    ) {
        let how = if end == FlowEnd::Reset { Finish::Reset } else { Finish::Cut };
        for side in Side::BOTH {
            self.finish(side, how, flow, limits, emit);
        }
        let flow = self.roles.described(flow);
        self.streams.close(end, &flow, emit);
    }

    /// Completes what is said of the flow.
    pub(super) fn describe(&mut self, record: &mut FlowRecord) {
        for (side, (parsed, reported)) in Side::BOTH.into_iter().zip(self.before) {
            let (framed, skipped) = self.connection.counted(side);
            let ledger = record.ledger.side_mut(side);
            ledger.parsed += parsed + framed;
            ledger.reported += reported + skipped;
        }
        if self.roles.requester() == Side::Server {
            record.flow = self.roles.described(&record.flow);
            std::mem::swap(&mut record.ledger.client, &mut record.ledger.server);
        }
        record.protocol = Protocol::Http2;
        record.exchanges = self.streams.count();
        record.anomalies = self.streams.unattached();
    }

    fn take(
        &mut self,
        side: Side,
        event: Event<'_>,
        time: Timestamp,
        flow: &Arc<FlowInfo>,
        limits: &Limits<'_>,
        emit: &mut impl FnMut(Record),
    ) {
        if let Event::Found { bytes, time } = event {
            // What the other side said before comes first.
            if let Some((bytes, time)) = self.connection.found_too(side.peer()) {
                self.chunk(side.peer(), time, Chunk::Data(&bytes), flow, limits, emit);
            }
            return self.chunk(side, time, Chunk::Data(&bytes), flow, limits, emit);
        }
        if self.guessed
            && let Event::Section { promised: None, section: Section { content: Content::Head(head), .. }, .. } = &event
        {
            self.guessed = false;
            if head.is_request() != (self.roles.of(side) == Role::Request) {
                // What was seen until now went under the wrong roles.
                let flow = self.roles.described(flow);
                self.streams.close(FlowEnd::CaptureEnded, &flow, emit);
                self.roles.turn();
            }
        }
        // Nothing is counted where nothing is changed: this is each frame's way.
        if self.roles.requester() == Side::Client {
            self.event(side, event, time, flow, limits, emit);
        } else {
            let flow = self.roles.described(flow);
            self.event(side, event, time, &flow, limits, emit);
        }
    }

    #[inline]
    fn event(
        &mut self,
        side: Side,
        event: Event<'_>,
        time: Timestamp,
        flow: &Arc<FlowInfo>,
        limits: &Limits<'_>,
        emit: &mut impl FnMut(Record),
    ) {
        let role = self.roles.of(side);
        let limits = exchange::Limits {
            body: limits.body,
            decide: limits.decide,
            pipeline: limits.pipeline,
            streams: limits.streams,
            memory: limits.memory,
            messages: limits.messages,
            total: self.streams.held().saturating_add(limits.room),
        };
        let seen = Seen { first: self.connection.started(side), last: time, delays: self.roles.delays(role) };
        let at = |stream| At { stream, role, seen, flow, limits: &limits };
        match event {
            Event::Section { stream, promised, section, end } => {
                // A server that promises an answer says what the request would have been.
                let at = match promised {
                    Some(promised) => At { stream: promised, role: role.peer(), ..at(stream) },
                    None => at(stream),
                };
                match section.content {
                    Content::Head(head) => self.streams.head(at, head, section.anomalies),
                    Content::Fields(fields) => self.streams.fields(at, fields, section.anomalies),
                }
                if end || promised.is_some() {
                    self.streams.end(at, emit);
                }
            }
            Event::Data { stream, bytes, end } => {
                if !bytes.is_empty() {
                    self.streams.body(at(stream), bytes, emit);
                }
                if end {
                    self.streams.end(at(stream), emit);
                }
            }
            Event::DataGap { stream, len, end } => {
                self.streams.body_gap(at(stream), len, emit);
                if end {
                    self.streams.end(at(stream), emit);
                }
            }
            Event::Lost { stream, why, end } => {
                self.streams.lost_section(at(stream), why);
                if end {
                    self.streams.end(at(stream), emit);
                }
            }
            Event::Reset { stream, code } => self.streams.reset(at(stream), code, emit),
            Event::GoAway { last, code } => self.streams.go_away(at(last), code, emit),
            Event::Odd { stream, anomaly } => self.streams.odd(stream, anomaly),
            Event::OddConnection(anomaly) => self.streams.odd_connection(anomaly),
            Event::Missing => self.streams.missing(role, flow, emit),
            Event::Found { .. } => {}
        }
    }
}
