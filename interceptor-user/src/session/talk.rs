use std::sync::Arc;

use super::Limits;

use crate::{
    exchange::{self, Pairing, Seen},
    model::{Chunk, Expects, FlowEnd, FlowInfo, FlowRecord, Message, Protocol, Record, Role, Side, Timestamp},
    protocol::{Context, Decoder, Finish, http1},
};

/// A flow that is decoded: two decoders and the pairing of what they give.
#[derive(Debug)]
pub(super) struct Talk {
    pub(super) requests: Decoder,
    pub(super) responses: Decoder,
    pub(super) pairing: Pairing,
    /// Who sends the requests.
    requester: Side,
    /// The flow with its ends the other way round, where the flow table guessed them wrong.
    swapped: Option<(Arc<FlowInfo>, Arc<FlowInfo>)>,
    /// A head was found, so it is what we took it for.
    recognised: bool,
    tunnel: bool,
}

impl Talk {
    pub(super) fn new(requester: Side, late: bool) -> Self {
        let decoder = if late { http1::Decoder::joined } else { http1::Decoder::new };
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

    pub(super) fn role(&self, side: Side) -> Role {
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

    pub(super) fn chunk(
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

    pub(super) fn finish(
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
        if self.requester == Side::Client {
            self.pairing.close(end, flow, emit);
        } else {
            let flow = self.described(flow);
            self.pairing.close(end, &flow, emit);
        }
    }

    /// Completes what is said of the flow.
    pub(super) fn describe(&mut self, record: &mut FlowRecord) {
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
