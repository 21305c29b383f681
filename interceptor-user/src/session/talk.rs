use std::sync::Arc;

use super::{
    Limits,
    rival::{Claim, Decoders},
};

use crate::{
    exchange::{self, Pairing, Seen},
    model::{
        Chunk, Exchange, Expects, FlowEnd, FlowInfo, FlowRecord, Message, Protocol, Record, Role, Side, Timestamp,
    },
    protocol::{Context, Finish},
};

/// A flow that is decoded: two decoders and the pairing of what they give.
#[derive(Debug)]
pub(super) struct Talk {
    decoders: Decoders,
    pub(super) pairing: Pairing,
    /// Who sends the requests.
    requester: Side,
    /// The flow with its ends the other way round, where the flow table guessed them wrong.
    swapped: Option<(Arc<FlowInfo>, Arc<FlowInfo>)>,
    /// A head was found, so it is what we took it for.
    recognised: bool,
    /// The roles may be the other way round.
    rival: Option<Box<Decoders>>,
    tunnel: bool,
}

impl Talk {
    pub(super) fn new(requester: Side, late: bool) -> Self {
        Self {
            decoders: Decoders::new(late),
            pairing: Pairing::default(),
            requester,
            swapped: None,
            recognised: false,
            rival: None,
            tunnel: false,
        }
    }

    /// Of a flow of which nobody told who its client is, and whose first bytes did not either.
    pub(super) fn guessed() -> Self {
        Self { rival: Some(Box::new(Decoders::new(true))), ..Self::new(Side::Client, true) }
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

    pub(super) fn role(&self, side: Side) -> Role {
        if side == self.requester { Role::Request } else { Role::Response }
    }

    /// The flow with the requester as its client, which it is but for where the flow table joined and guessed wrong.
    fn described(&mut self, flow: &Arc<FlowInfo>) -> Arc<FlowInfo> {
        match &self.swapped {
            _ if self.requester == Side::Client => Arc::clone(flow),
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

    /// The open exchanges, each with what is known of the flow by now.
    pub(super) fn open_exchanges(&mut self, flow: &Arc<FlowInfo>) -> impl Iterator<Item = &Exchange> + use<'_> {
        let flow = self.described(flow);
        self.pairing.open_exchanges(flow)
    }

    #[inline]
    pub(super) fn chunk(
        &mut self,
        side: Side,
        time: Timestamp,
        chunk: Chunk<'_>,
        flow: &Arc<FlowInfo>,
        limits: &Limits,
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
        limits: &Limits,
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
                let flow = self.described(flow);
                let limits = self.pairing_limits(limits);
                self.take(other, head, time, &flow, &limits, emit);
            }
        }
        self.believed(side, time, chunk, flow, limits, emit);
    }

    /// The rival is believed from now on.
    fn turn(&mut self, claim: Claim, flow: &Arc<FlowInfo>, limits: &Limits, emit: &mut impl FnMut(Record)) {
        let Some(mut rival) = self.rival.take() else { return };
        if claim == Claim::Proven {
            // What was made of content that looked like heads ends here.
            self.close(FlowEnd::CaptureEnded, flow, limits, emit);
        }
        std::mem::swap(&mut self.decoders, &mut *rival);
        self.requester = self.requester.peer();
        self.rival = Some(rival).filter(|_| claim == Claim::Likely);
    }

    fn believed(
        &mut self,
        side: Side,
        time: Timestamp,
        mut chunk: Chunk<'_>,
        flow: &Arc<FlowInfo>,
        limits: &Limits,
        emit: &mut impl FnMut(Record),
    ) {
        let role = self.role(side);
        // As `described`, but nothing is counted where nothing is changed: this is each chunk's way.
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
        let buffered = self.decoders.buffered();
        let pairing_limits = self.pairing_limits(limits);
        let mut context = Context { time, head_limit: limits.head, expects: Expects::Content };
        loop {
            if role == Role::Response {
                context.expects = self.pairing.expects();
            }
            let decoder = self.decoders.decoder(role);
            let Some(message) = decoder.next(chunk, &context) else {
                // Seldom is a head not whole in a chunk.
                if decoder.memory() == 0 || !self.give_up(role, buffered, pairing_limits.total) {
                    return;
                }
                continue;
            };
            if self.rival.is_some() && matches!(message, Message::Head(_)) {
                self.decoders.heads.count(role);
                self.rival.take_if(|_| self.decoders.heads.settled());
            }
            self.take(role, message, time, flow, &pairing_limits, emit);
        }
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
    fn pairing_limits(&self, limits: &Limits) -> exchange::Limits {
        exchange::Limits {
            body: limits.body,
            pipeline: limits.pipeline,
            memory: limits.memory,
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
        limits: &exchange::Limits,
        emit: &mut impl FnMut(Record),
    ) {
        let seen = Seen { first: self.decoders.decoder(role).started(), last: time };
        let is_head = matches!(message, Message::Head(_));
        if let Message::Opaque(_) = message {
            self.tunnel = true;
            self.decoders.requests.tunnel();
            self.decoders.responses.tunnel();
        }
        self.pairing.message(role, message, seen, flow, limits, emit);
        if is_head {
            self.recognised = true;
            if role == Role::Response && self.pairing.content_may_not_come() {
                self.decoders.requests.content_may_not_come();
            }
        }
    }

    pub(super) fn finish(
        &mut self,
        side: Side,
        how: Finish,
        flow: &Arc<FlowInfo>,
        limits: &Limits,
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

    pub(super) fn close(&mut self, end: FlowEnd, flow: &Arc<FlowInfo>, limits: &Limits, emit: &mut impl FnMut(Record)) {
        let how = match end {
            FlowEnd::Reset => Finish::Reset,
            // A side whose FIN came is finished already. Of another, a socket said that it is closed, which does not
            // say that what we have is all.
            FlowEnd::Closed | FlowEnd::Idle | FlowEnd::Reused | FlowEnd::Evicted | FlowEnd::CaptureEnded => Finish::Cut,
        };
        for side in Side::BOTH {
            self.finish(side, how, flow, limits, emit);
        }
        let flow = self.described(flow);
        self.pairing.close(end, &flow, emit);
    }

    /// Completes what is said of the flow.
    pub(super) fn describe(&mut self, record: &mut FlowRecord) {
        for side in Side::BOTH {
            let decoder = self.decoders.decoder(self.role(side));
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
