use std::sync::Arc;

use super::{
    Limits, Unwanted,
    rival::{Claim, Decoders},
    roles::Roles,
    turns::{Turn, Turns},
};

use crate::{
    exchange::{self, Pairing, Seen},
    model::{
        Chunk, Exchange, Expects, FlowEnd, FlowInfo, FlowRecord, Head, LossReason, Message, Needs, Protocol, Record,
        Role, Side, Timestamp,
    },
    protocol::{Context, Finish},
};

/// A flow that is decoded: two decoders and the pairing of what they give.
#[derive(Debug)]
pub(super) struct Talk {
    decoders: Decoders,
    pub(super) pairing: Pairing,
    pub(super) roles: Roles,
    /// A head was found, so it is what we took it for.
    recognised: bool,
    /// The roles may be the other way round.
    rival: Option<Box<Decoders>>,
    /// What the connection carries instead, since an exchange that said so.
    became: Option<Became>,
    turns: Turns,
    /// Bytes of content that nobody wanted and that were left out, since this was asked last.
    skipped: u64,
}

/// Bytes of content from which on the kernel is told of each, although it cuts turns: it need not tell the lengths of their segments
/// then.
const TOLD_ANYWAY: u64 = 1 << 20;

/// What an HTTP/1 connection is turned into.
#[derive(Debug)]
enum Became {
    Tunnel,
    WebSocket,
    /// With the bytes of the server that came with the answer that says so.
    Http2(Vec<u8>),
}

impl Talk {
    pub(super) fn new(requester: Side, late: bool) -> Self {
        Self {
            decoders: Decoders::new(late),
            pairing: Pairing::default(),
            roles: Roles::new(requester),
            recognised: false,
            rival: None,
            became: None,
            turns: Turns::default(),
            skipped: 0,
        }
    }

    /// Of a flow of which nobody told who its client is, and whose first bytes did not either.
    pub(super) fn guessed() -> Self {
        Self { rival: Some(Box::new(Decoders::new(true))), ..Self::new(Side::Client, true) }
    }

    /// Was a head found?
    pub(super) const fn is_recognised(&self) -> bool {
        self.recognised
    }

    /// Bytes kept, beside the talk itself.
    #[inline]
    pub(super) fn held(&self) -> usize {
        let rival = self.rival.as_ref().map_or(0, |rival| size_of::<Decoders>() + rival.buffered());
        self.decoders.buffered() + rival + self.pairing.held()
    }

    /// Bytes of memory held, itself included.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + self.held() - self.pairing.held() + self.pairing.memory()
    }

    /// Who sends the requests.
    pub(super) const fn requester(&self) -> Side {
        self.roles.requester()
    }

    pub(super) fn role(&self, side: Side) -> Role {
        self.roles.of(side)
    }

    /// The open exchanges, each with what is known of the flow by now.
    pub(super) fn open_exchanges(&mut self, flow: &Arc<FlowInfo>) -> impl Iterator<Item = &Exchange> + use<'_> {
        let flow = self.roles.described(flow);
        self.pairing.open_exchanges(flow)
    }

    #[inline]
    pub(super) fn chunk(
        &mut self,
        side: Side,
        time: Timestamp,
        chunk: Chunk<'_>,
        flow: &Arc<FlowInfo>,
        limits: &Limits<'_>,
        emit: &mut impl FnMut(Record),
    ) {
        if self.rival.is_some() {
            self.contested(side, time, chunk, flow, limits, emit);
        } else {
            self.believed(side, time, chunk, flow, limits, emit);
        }
    }

    /// Decodes a chunk both ways, head by head, so that it does not matter how the bytes are split into chunks.
    #[cold]
    fn contested(
        &mut self,
        side: Side,
        time: Timestamp,
        mut chunk: Chunk<'_>,
        flow: &Arc<FlowInfo>,
        limits: &Limits<'_>,
        emit: &mut impl FnMut(Record),
    ) {
        // A rival may keep as much as who is believed; where room is scarce, one of them has to do.
        self.rival.take_if(|_| limits.room < 2 * limits.head);
        loop {
            let other = self.role(side.peer());
            let Some(rival) = &mut self.rival else { break };
            let mut rest = chunk;
            let head = rival.next_head(other, time, limits.head, &mut rest);
            let (Chunk::Data(data), Chunk::Data(after), Some(head)) = (chunk, rest, head) else { break };
            let front = data.get(..data.len() - after.len()).unwrap_or_default();
            self.believed(side, time, Chunk::Data(front), flow, limits, emit);
            chunk = rest;
            let claim = self.rival.as_ref().map_or(Claim::None, |rival| rival.claim(self.decoders.heads));
            if claim != Claim::None {
                self.turn(claim, flow, limits, emit);
                let flow = self.roles.described(flow);
                let limits = self.pairing_limits(limits);
                self.take(other, head, time, &flow, &limits, emit);
            }
        }
        self.believed(side, time, chunk, flow, limits, emit);
    }

    /// The rival is believed from now on.
    fn turn(&mut self, claim: Claim, flow: &Arc<FlowInfo>, limits: &Limits<'_>, emit: &mut impl FnMut(Record)) {
        let Some(mut rival) = self.rival.take() else { return };
        if claim == Claim::Proven {
            // What was made of content that looked like heads ends here.
            self.close(FlowEnd::CaptureEnded, flow, limits, emit);
        }
        std::mem::swap(&mut self.decoders, &mut *rival);
        self.roles.turn();
        self.rival = Some(rival).filter(|_| claim == Claim::Likely);
    }

    fn believed(
        &mut self,
        side: Side,
        time: Timestamp,
        mut chunk: Chunk<'_>,
        flow: &Arc<FlowInfo>,
        limits: &Limits<'_>,
        emit: &mut impl FnMut(Record),
    ) {
        let role = self.role(side);
        // As `described`, but nothing is counted where nothing is changed: this is each chunk's way.
        if self.roles.requester() == Side::Client {
            self.decode(role, time, &mut chunk, flow, limits, emit);
        } else {
            let flow = self.roles.described(flow);
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
        limits: &Limits<'_>,
        emit: &mut impl FnMut(Record),
    ) {
        let buffered = self.decoders.buffered();
        let pairing_limits = self.pairing_limits(limits);
        let mut context = Context { time, head_limit: limits.head, expects: Expects::Content };
        loop {
            if role == Role::Response {
                context.expects = self.pairing.expects();
            }
            let skipped = matches!(chunk, Chunk::Gap { reason: LossReason::SkippedByPolicy, .. });
            let decoder = self.decoders.decoder(role);
            let Some(message) = decoder.next(chunk, &context) else {
                // Seldom is a head not whole in a chunk.
                if decoder.memory() == 0 || !self.give_up(role, buffered, pairing_limits.total) {
                    return;
                }
                continue;
            };
            let message = match message {
                Message::BodyGap(len) if skipped && self.pairing.is_unwanted(role) == Some(true) => {
                    self.skipped += len;
                    Message::BodySkipped(len)
                }
                message => message,
            };
            if self.rival.is_some() && matches!(message, Message::Head(_)) {
                self.decoders.heads.count(role);
                self.rival.take_if(|_| self.decoders.heads.settled());
            }
            self.take(role, message, time, flow, &pairing_limits, emit);
            if self.became.is_some() && self.is_http2_from(chunk) {
                return;
            }
        }
    }

    /// What follows in this chunk is HTTP/2, and kept for who decodes that.
    #[cold]
    fn is_http2_from(&mut self, chunk: &mut Chunk<'_>) -> bool {
        let (Some(Became::Http2(rest)), Chunk::Data(data)) = (&mut self.became, chunk) else { return false };
        rest.extend_from_slice(std::mem::take(data));
        true
    }

    /// The bytes of the server that came after its answer, if that turned the connection into HTTP/2 (RFC 7540 section
    /// 3.2).
    pub(super) fn take_http2(&mut self) -> Option<Vec<u8>> {
        match self.became.take_if(|became| matches!(became, Became::Http2(_)))? {
            Became::Http2(rest) => Some(rest),
            Became::Tunnel | Became::WebSocket => None,
        }
    }

    /// What of the bytes that this side sends next nobody wants: see [`super::Session::take_unwanted`].
    pub(super) fn take_unwanted(&mut self, side: Side, least: u64, may_want: Needs) -> Option<Unwanted> {
        let role = self.role(side);
        let certain = may_want.of(role) == 0;
        let turn = self.turns.of(role);
        if !certain && *turn == Turn::Cut {
            *turn = Turn::Lift;
        }
        if turn.take_lift() {
            return Some(Unwanted::Nothing);
        }
        if self.rival.is_some() {
            return None;
        }
        let left = self.decoders.decoder(role).content_left().filter(|left| *left >= least)?;
        let count = self.pairing.take_unwanted(role, left)?;
        let turn = self.turns.of(role);
        let known = *turn == Turn::Cut && left < TOLD_ANYWAY;
        Some(match certain && turn.cut() {
            true if known => Unwanted::Known(count),
            true => Unwanted::Turns(count),
            false => Unwanted::Next(count),
        })
    }

    /// Bytes of content that nobody wanted and that were left out, since this was asked last.
    pub(super) const fn take_skipped(&mut self) -> u64 {
        std::mem::replace(&mut self.skipped, 0)
    }

    /// The kernel left out more of this side than nobody wants.
    pub(super) fn cut_too_far(&mut self, side: Side) {
        let role = self.role(side);
        self.turns.end(role);
        if role == Role::Response {
            self.pairing.responses_left_out();
        }
    }

    /// Has the kernel been told to cut this side's turns?
    pub(super) fn cuts_turns(&mut self, side: Side) -> bool {
        let role = self.role(side);
        matches!(self.turns.of(role), Turn::Cut | Turn::Lift)
    }

    /// Bytes of a side that were, and that were not, part of messages.
    pub(super) fn counted(&mut self, side: Side) -> (u64, u64) {
        let decoder = self.decoders.decoder(self.roles.of(side));
        (decoder.parsed(), decoder.reported())
    }

    /// Frees a part of a head if the buffers grew, from `before`, by more than the pairing leaves of the room there is for
    /// both. Says whether messages are due after that.
    #[cold]
    fn give_up(&mut self, role: Role, before: usize, total: usize) -> bool {
        let room = total.saturating_sub(self.pairing.held());
        if self.decoders.buffered() <= before.saturating_add(room) {
            return false;
        }
        let lost = self.decoders.decoder(role).give_up();
        if lost {
            self.pairing.note_given_up();
        }
        lost
    }

    #[inline]
    fn pairing_limits<'a>(&self, limits: &Limits<'a>) -> exchange::Limits<'a> {
        exchange::Limits {
            body: limits.body,
            decide: limits.decide,
            pipeline: limits.pipeline,
            streams: limits.streams,
            memory: limits.memory,
            messages: limits.messages,
            total: self.pairing.held().saturating_add(limits.room),
        }
    }

    /// Takes a message that `role`'s decoder gave.
    #[inline]
    fn take(
        &mut self,
        role: Role,
        message: Message<'_>,
        time: Timestamp,
        flow: &Arc<FlowInfo>,
        limits: &exchange::Limits<'_>,
        emit: &mut impl FnMut(Record),
    ) {
        let delays = self.roles.delays(role);
        let seen = Seen { first: self.decoders.decoder(role).started(), last: time, delays };
        let is_head = matches!(message, Message::Head(_));
        if let Message::Opaque(_) = message {
            self.become_other(Became::Tunnel);
            self.decoders.requests.tunnel();
            self.decoders.responses.tunnel();
        }
        if matches!(&message, Message::Head(head) if head.status() == Some(101)) {
            return self.switching(role, message, seen, flow, limits, emit);
        }
        self.pairing.message(role, message, seen, flow, limits, emit);
        if is_head {
            self.recognised = true;
            if let Some(unwanted) = self.pairing.is_unwanted(role) {
                let fit = unwanted && self.decoders.decoder(role).length_is_known();
                self.turns.head(role, fit);
            }
            if role == Role::Response && self.pairing.content_may_not_come() {
                self.decoders.requests.content_may_not_come();
            }
        }
    }

    /// It is no more messages that take turns.
    fn become_other(&mut self, what: Became) {
        self.became = Some(what);
        self.turns.end(Role::Request);
        self.turns.end(Role::Response);
    }

    /// 101: the connection becomes something else (RFC 9110 section 15.2.2).
    #[cold]
    fn switching(
        &mut self,
        role: Role,
        message: Message<'_>,
        seen: Seen,
        flow: &Arc<FlowInfo>,
        limits: &exchange::Limits<'_>,
        emit: &mut impl FnMut(Record),
    ) {
        self.recognised = true;
        let became = if let Message::Head(head) = &message { upgrade(head) } else { None };
        if let Some(Became::Http2(_)) = became {
            // The exchange goes on, as stream 1.
            self.become_other(Became::Http2(Vec::new()));
            return;
        }
        self.pairing.message(role, message, seen, flow, limits, emit);
        if let Some(Became::WebSocket) = became {
            self.become_other(Became::WebSocket);
            self.decoders.requests.go_on_until_close();
            self.decoders.responses.go_on_until_close();
            self.pairing.websocket();
        }
    }

    pub(super) fn finish(
        &mut self,
        side: Side,
        how: Finish,
        flow: &Arc<FlowInfo>,
        limits: &Limits<'_>,
        emit: &mut impl FnMut(Record),
    ) {
        let role = self.role(side);
        self.decoders.decoder(role).finish(how);
        let other = self.role(side.peer());
        if let Some(rival) = &mut self.rival {
            rival.decoder(other).finish(how);
        }
        self.chunk(side, Timestamp::default(), Chunk::Data(&[]), flow, limits, emit);
    }

    pub(super) fn close(
        &mut self,
        end: FlowEnd,
        flow: &Arc<FlowInfo>,
        limits: &Limits<'_>,
        emit: &mut impl FnMut(Record),
    ) {
        let how = match end {
            FlowEnd::Reset => Finish::Reset,
            // A side whose FIN came is finished already. Of another, a socket said that it is closed, which does not
            // say that what we have is all.
            FlowEnd::Closed | FlowEnd::Idle | FlowEnd::Reused | FlowEnd::Evicted | FlowEnd::CaptureEnded => Finish::Cut,
        };
        for side in Side::BOTH {
            self.finish(side, how, flow, limits, emit);
        }
        let flow = self.roles.described(flow);
        self.pairing.close(end, &flow, emit);
    }

    /// Completes what is said of the flow.
    pub(super) fn describe(&mut self, record: &mut FlowRecord) {
        for side in Side::BOTH {
            let (parsed, reported) = self.counted(side);
            let ledger = record.ledger.side_mut(side);
            ledger.parsed += parsed;
            ledger.reported += reported;
        }
        if self.roles.requester() == Side::Server {
            record.flow = self.roles.described(&record.flow);
            std::mem::swap(&mut record.ledger.client, &mut record.ledger.server);
        }
        record.protocol = match (&self.became, self.recognised) {
            (Some(Became::Tunnel), _) => Protocol::Tunnel,
            (Some(Became::WebSocket), _) => Protocol::WebSocket,
            (Some(Became::Http2(_)), _) => Protocol::Http2,
            (None, true) => Protocol::Http1,
            (None, false) => Protocol::Unknown,
        };
        record.exchanges = self.pairing.count();
        record.anomalies = self.pairing.unattached();
    }
}

/// What a 101 response turns the connection into, as far as we know it (RFC 9110 section 7.8).
fn upgrade(head: &Head) -> Option<Became> {
    let to = head.fields.get("upgrade")?;
    if to.eq_ignore_ascii_case(b"websocket") {
        Some(Became::WebSocket)
    } else if to.eq_ignore_ascii_case(b"h2c") {
        Some(Became::Http2(Vec::new()))
    } else {
        None
    }
}
