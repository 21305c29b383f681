//! Messages to exchanges: pairing requests with responses.
//!
//! Requests wait in a queue in the order they were sent, and responses answer them in that order (RFC 9112 section
//! 9.3). The flow table delivers in causal order, so a response finds its request in the queue, unless we did not see
//! it. An exchange leaves the queue when both its messages are over, or the flow is.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod content;
mod keep;
mod live;
mod open;
mod streams;
mod tail;

use std::sync::Arc;

use content::Data;
use keep::Keep;
use open::{Open, Progress};
use smallvec::SmallVec;
pub use streams::{At, Streams};

use crate::model::{
    Anomalies, Anomaly, Decide, Delays, Exchange, Expects, Fields, FlowEnd, FlowInfo, Head, Message, Record, Role,
    Timestamp,
};

/// What is kept of the exchanges of one flow.
#[derive(Clone, Copy, Debug)]
pub struct Limits<'a> {
    /// Bytes of a message's content; 0 keeps, and copies, nothing.
    pub body: usize,
    /// Decides on the heads whether more of it is kept.
    pub decide: Option<Decide<'a>>,
    /// Requests that wait for their response, on a connection that answers them in order.
    pub pipeline: usize,
    /// Streams that are open at once.
    pub streams: usize,
    /// Bytes of heads and content of all open exchanges together.
    pub memory: usize,
    /// Messages of contents are told as they come, too.
    pub messages: bool,
    /// What [`Pairing::held`] may come to: there is no room for more in the whole program.
    pub total: usize,
}

/// When the bytes behind a message were captured.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// First byte of the latest head of that side.
    pub first: Timestamp,
    /// Last byte so far.
    pub last: Timestamp,
    /// What has held up that side in all, until this.
    pub delays: Delays,
}

/// The open exchanges of one flow.
#[derive(Debug, Default)]
pub struct Pairing {
    /// At the front the one whose response comes or is next, at the back the one whose request comes or came last.
    queue: SmallVec<[Open; 1]>,
    /// The last one's request is being received.
    request_open: bool,
    /// The first one's response is being received.
    response_open: bool,
    /// The response being received is given up: it is no open exchange's.
    passing_over: bool,
    /// Requests beyond the limits, of which only the number is kept.
    untracked: u64,
    /// How many exchanges there were.
    count: u64,
    keep: Keep,
    /// What was odd between messages, for the next one of that side.
    before_request: Anomalies,
    before_response: Anomalies,
    /// What was odd about requests that were lost, until a response or the next request comes.
    lost_request: Anomalies,
    /// What concerns no exchange that we know.
    unattached: Anomalies,
}

impl Pairing {
    /// About as much as [`Pairing::memory`], without a look at each open exchange.
    #[inline]
    pub fn held(&self) -> usize {
        self.keep.held(self.queue.len())
    }

    /// Parts of messages given up since this was asked last.
    #[inline]
    pub const fn take_given_up(&mut self) -> u64 {
        self.keep.take_given_up()
    }

    /// Another part was given up.
    pub const fn note_given_up(&mut self) {
        self.keep.note_given_up();
    }

    /// There is no room for more in the whole program.
    #[inline]
    fn is_full(&self, limits: &Limits<'_>) -> bool {
        self.held() >= limits.total
    }

    /// How many exchanges are open.
    pub fn open(&self) -> u32 {
        self.queue.len() as u32
    }

    /// The open exchanges, each with what is known of the flow by now.
    pub fn open_exchanges(&mut self, flow: Arc<FlowInfo>) -> impl Iterator<Item = &Exchange> {
        self.queue.iter_mut().map(move |open| {
            open.know(&flow);
            &*open.exchange
        })
    }

    /// The open exchange with this number, with what is kept of its request if that is over.
    pub fn open_exchange(&mut self, number: u64) -> Option<&mut Exchange> {
        self.queue.iter_mut().find(|open| open.exchange.number == number).map(Open::show_request)
    }

    /// Bytes of memory held beside the pairing itself.
    pub fn memory(&self) -> usize {
        let spilled = if self.queue.spilled() { self.queue.capacity() * size_of::<Open>() } else { 0 };
        spilled + self.queue.iter().map(Open::memory).sum::<usize>()
    }

    /// How many exchanges there were, open ones included.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// What was odd and concerned no exchange.
    pub fn unattached(&self) -> Anomalies {
        let mut all = self.unattached;
        for more in [self.before_request, self.before_response, self.lost_request] {
            all.merge(more);
        }
        all
    }

    /// What the next response answers.
    #[inline]
    pub fn expects(&self) -> Expects {
        self.queue.get(self.lost_before()).map_or(Expects::Content, |open| open.expects)
    }

    /// Is a request being received that waits for `100 Continue` and got its final response instead?
    pub fn content_may_not_come(&self) -> bool {
        self.request_open
            && self.response_open
            && self.queue.len() == 1
            && self.queue.first().is_some_and(Open::waits_to_continue)
    }

    /// Takes the next message of one side.
    #[inline]
    pub fn message(
        &mut self,
        role: Role,
        message: Message<'_>,
        seen: Seen,
        flow: &Arc<FlowInfo>,
        limits: &Limits<'_>,
        emit: &mut impl FnMut(Record),
    ) {
        match message {
            Message::Head(head) if role == Role::Request => self.request(head, seen, flow, limits),
            Message::Head(head) => self.response(head, seen, flow, limits, emit),
            Message::Body(bytes) => {
                self.body(Data { role, bytes, time: seen.last, delays: seen.delays }, flow, limits, emit);
            }
            Message::BodyGap(missing) => self.body_gap(role, missing, emit),
            Message::BodySkipped(skipped) => self.body_skipped(role, skipped),
            Message::Trailers(fields) => self.trailers(role, fields, seen, limits),
            Message::End => self.end(role, true, seen, flow, emit),
            Message::Aborted => self.aborted(role, seen, flow, limits, emit),
            Message::Anomaly(anomaly) => self.anomaly(role, anomaly),
            Message::Opaque(_) => {}
        }
    }

    /// Something is odd about what this side sends now.
    pub fn anomaly(&mut self, role: Role, anomaly: Anomaly) {
        let front_waits = self.queue.first().is_some_and(|open| open.response != Progress::Done);
        match role {
            Role::Request if self.request_open => {
                if let Some(open) = self.queue.last_mut() {
                    open.exchange.anomalies.insert(anomaly);
                }
            }
            Role::Request => self.before_request.insert(anomaly),
            Role::Response if self.passing_over => self.unattached.insert(anomaly),
            Role::Response if front_waits => {
                if let Some(open) = self.queue.first_mut() {
                    open.exchange.anomalies.insert(anomaly);
                }
            }
            Role::Response => self.before_response.insert(anomaly),
        }
    }

    /// The client sends no more.
    pub fn client_gone(&mut self, time: Timestamp) {
        self.queue.iter_mut().for_each(|open| open.client_gone(time));
    }

    /// The one whose response comes or is next.
    pub fn first(&self) -> Option<&Exchange> {
        self.queue.first().map(|open| &*open.exchange)
    }

    /// The first exchange, whose connection goes on with another protocol; it is not here any longer.
    fn take_first(&mut self) -> Option<Open> {
        self.response_open = false;
        self.request_open &= self.queue.len() > 1;
        let open = if self.queue.is_empty() { None } else { Some(self.queue.remove(0)) };
        open.inspect(|open| self.keep.over(open))
    }

    /// What the exchange's connection carries from now on is a WebSocket, both ways. A client that asked for more before it
    /// knew that has nothing to say there.
    pub fn websocket(&mut self) {
        if let [open] = self.queue.as_mut_slice() {
            self.keep.websocket(open);
            open.request = Progress::Receiving;
            self.request_open = true;
        }
    }

    /// The flow is over: so are all exchanges.
    pub fn close(&mut self, end: FlowEnd, flow: &Arc<FlowInfo>, emit: &mut impl FnMut(Record)) {
        let why = cut_short(end);
        while !self.queue.is_empty() {
            if let (Some(open), Some(why)) = (self.queue.first_mut(), why) {
                open.exchange.anomalies.insert(why);
            }
            self.emit_at(0, flow, emit);
        }
    }

    fn request(&mut self, head: Head, seen: Seen, flow: &Arc<FlowInfo>, limits: &Limits<'_>) {
        let lost = std::mem::take(&mut self.lost_request);
        self.unattached.merge(lost);
        let too_deep = self.queue.len() >= limits.pipeline.max(1);
        let full = self.is_full(limits);
        if self.untracked > 0 || too_deep || full || self.keep.is_over(limits) {
            self.untracked += 1;
            if full {
                self.keep.note_given_up();
            }
            let why = if too_deep || self.untracked > 1 { Anomaly::PipelineTooDeep } else { Anomaly::MemoryLimit };
            self.unattached.insert(why);
            return;
        }
        let mut open = Open::new(self.number(), flow);
        open.start_request(head, seen, limits);
        open.exchange.anomalies = std::mem::take(&mut self.before_request);
        self.keep.begun(&open);
        self.queue.push(open);
        self.request_open = true;
    }

    fn response(
        &mut self,
        head: Head,
        seen: Seen,
        flow: &Arc<FlowInfo>,
        limits: &Limits<'_>,
        emit: &mut impl FnMut(Record),
    ) {
        for _ in 0..self.lost_before() {
            self.emit_at(0, flow, emit);
        }
        self.passing_over = false;
        let interim = head.status().is_some_and(|status| (100..200).contains(&status) && status != 101);
        let unasked = self.queue.first().is_none_or(|open| open.response != Progress::Absent);
        if unasked && interim {
            return;
        }
        let held = self.held();
        if unasked && held >= limits.total {
            self.pass_over();
            return;
        }
        if unasked {
            let open = self.without_request(flow);
            self.queue.insert(0, open);
        }
        let before = std::mem::take(&mut self.before_response);
        let Some(open) = self.queue.first_mut() else { return };
        open.exchange.anomalies.merge(before);
        if interim {
            open.exchange.interim = open.exchange.interim.saturating_add(1);
            return;
        }
        self.keep.response(open, head, seen, limits, held);
        self.response_open = true;
    }

    /// A response whose request was given up is given up too.
    fn pass_over(&mut self) {
        self.untracked = self.untracked.saturating_sub(1);
        self.keep.note_given_up();
        self.passing_over = true;
        let before = std::mem::take(&mut self.before_response);
        self.unattached.merge(before);
        self.unattached.insert(Anomaly::MemoryLimit);
    }

    /// An exchange for a response whose request we did not see.
    fn without_request(&mut self, flow: &Arc<FlowInfo>) -> Open {
        let mut open = Open::new(self.number(), flow);
        open.exchange.anomalies = std::mem::take(&mut self.lost_request);
        open.exchange.anomalies.insert(Anomaly::NoRequest);
        if self.untracked > 0 {
            self.untracked -= 1;
            open.exchange.anomalies.insert(Anomaly::PipelineTooDeep);
        } else if flow.joined && self.count == 1 {
            open.exchange.anomalies.insert(Anomaly::MidStream);
        }
        open
    }

    fn body(&mut self, data: Data<'_>, flow: &Arc<FlowInfo>, limits: &Limits<'_>, emit: &mut dyn FnMut(Record)) {
        let held = self.held();
        let (Some(open), keep) = self.current(data.role) else { return };
        if limits.messages {
            open.know(flow);
        }
        keep.body(open, data, limits, held, emit);
    }

    fn trailers(&mut self, role: Role, fields: Fields, seen: Seen, limits: &Limits<'_>) {
        let full = self.is_full(limits);
        let (Some(open), keep) = self.current(role) else { return };
        keep.trailers(open, role, fields, seen, full);
    }

    fn body_gap(&mut self, role: Role, missing: u64, emit: &mut dyn FnMut(Record)) {
        if let (Some(open), keep) = self.current(role) {
            keep.body_gap(open, role, missing, emit);
        }
    }

    fn body_skipped(&mut self, role: Role, skipped: u64) {
        if let (Some(open), _) = self.current(role) {
            open.body_skipped(role, skipped);
        }
    }

    /// Of the content that this side sends now, of which `left` bytes are to come, how many of the next ones nobody wants.
    /// What was told is not told again.
    pub fn take_unwanted(&mut self, role: Role, left: u64) -> Option<u64> {
        self.current(role).0?.take_unwanted(role, left)
    }

    /// Does nobody want more of the content that this side sends now? None where it sends none.
    pub fn is_unwanted(&mut self, role: Role) -> Option<bool> {
        self.current(role).0.map(|open| open.is_unwanted(role))
    }

    fn end(&mut self, role: Role, ended: bool, seen: Seen, flow: &Arc<FlowInfo>, emit: &mut impl FnMut(Record)) {
        let index = match role {
            Role::Request => self.queue.len().saturating_sub(1),
            Role::Response => 0,
        };
        if role == Role::Response {
            self.passing_over = false;
        }
        let (Some(open), keep) = self.current(role) else { return };
        keep.end(open, role, ended, seen, emit);
        let over = open.is_over();
        *self.is_open(role) = false;
        if over {
            self.emit_at(index, flow, emit);
        }
    }

    /// A message ended otherwise than its framing says. Without a head, the message was lost altogether.
    fn aborted(
        &mut self,
        role: Role,
        seen: Seen,
        flow: &Arc<FlowInfo>,
        limits: &Limits<'_>,
        emit: &mut impl FnMut(Record),
    ) {
        if *self.is_open(role) {
            self.end(role, false, seen, flow, emit);
            return;
        }
        match role {
            Role::Request => {
                let lost = std::mem::take(&mut self.before_request);
                self.lost_request.merge(lost);
                // Others wait before it, so its response is not the next one: it needs a place in the queue.
                let wait = self.queue.iter().any(|open| open.response != Progress::Done);
                if wait && (self.untracked > 0 || self.is_full(limits)) {
                    self.untracked += 1;
                } else if wait && self.queue.last().is_some_and(|open| open.request != Progress::Absent) {
                    let open = self.without_request(flow);
                    self.queue.push(open);
                }
            }
            Role::Response if std::mem::take(&mut self.passing_over) => {}
            Role::Response => {
                if let Some(open) = self.queue.first_mut().filter(|open| open.response == Progress::Absent) {
                    open.response_lost = true;
                }
                let lost = std::mem::take(&mut self.before_response);
                self.unattached.merge(lost);
            }
        }
    }

    /// How many of the first ones' responses were lost, where there is another request that the next response may answer. With
    /// none, what was lost can only have been a part of what comes to the last one: an interim response.
    fn lost_before(&self) -> usize {
        let lost = self.queue.iter().take_while(|open| open.response_lost).count();
        lost.min(self.queue.len().saturating_sub(1))
    }

    /// So much was left out that, if one response was lost with it, those to all that was asked so far may have been.
    pub fn responses_left_out(&mut self) {
        if self.queue.first().is_some_and(|open| open.response_lost) {
            let unanswered = self.queue.iter_mut().filter(|open| open.response == Progress::Absent);
            unanswered.for_each(|open| open.response_lost = true);
        }
    }

    /// The exchange whose message of this role is being received.
    fn current(&mut self, role: Role) -> (Option<&mut Open>, &mut Keep) {
        let open = match role {
            Role::Request if self.request_open => self.queue.last_mut(),
            Role::Response if self.response_open => self.queue.first_mut(),
            _ => None,
        };
        (open, &mut self.keep)
    }

    const fn is_open(&mut self, role: Role) -> &mut bool {
        match role {
            Role::Request => &mut self.request_open,
            Role::Response => &mut self.response_open,
        }
    }

    const fn number(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    fn emit_at(&mut self, index: usize, flow: &Arc<FlowInfo>, emit: &mut impl FnMut(Record)) {
        if index >= self.queue.len() {
            return;
        }
        if index == 0 {
            self.response_open = false;
        }
        if index + 1 == self.queue.len() {
            self.request_open = false;
        }
        let open = self.queue.remove(index);
        self.keep.over(&open);
        let exchange = open.close(flow, emit);
        emit(Record::Exchange(exchange));
    }
}

/// What is odd about an exchange that was open when its flow ended.
const fn cut_short(end: FlowEnd) -> Option<Anomaly> {
    match end {
        FlowEnd::Closed => None,
        FlowEnd::Reset => Some(Anomaly::Reset),
        FlowEnd::Idle | FlowEnd::Reused | FlowEnd::Evicted | FlowEnd::CaptureEnded => Some(Anomaly::Truncated),
    }
}
