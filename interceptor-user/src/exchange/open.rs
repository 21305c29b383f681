use std::sync::Arc;

use super::{
    Limits, Seen,
    content::{Content, Data, Room},
};
use crate::{
    content::{self, PermessageDeflate, Reader},
    model::{
        Anomaly, Decide, Delays, Exchange, Expects, Fields, FlowInfo, Gone, Head, KeptPiece, Needs, Part, Protocol,
        Record, Role, Timestamp,
    },
};

/// How far one message of an exchange is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Progress {
    /// Nothing of it was seen.
    #[default]
    Absent,
    Receiving,
    Done,
}

/// An exchange that is not over.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) exchange: Box<Exchange>,
    pub(super) request: Progress,
    pub(super) response: Progress,
    /// What came where the response should begin was lost.
    pub(super) response_lost: bool,
    pub(super) expects: Expects,
    /// Bytes of heads and content that it keeps.
    pub(super) kept: usize,
    /// Messages are told as they come.
    live: bool,
    request_content: Content,
    response_content: Content,
    /// Bytes of contents that are to be kept.
    needs: Needs,
    /// A server tells its descriptors: of no use in part, so a body may be this large where bodies are kept.
    reflection: bool,
    /// What had held up each side when its message began.
    request_delays: Delays,
    response_delays: Delays,
}

/// Bytes of descriptors that are kept: a large service has some hundred KB of them.
const REFLECTION: usize = 512 * 1024;

impl Open {
    pub(super) fn new(number: u64, flow: &Arc<FlowInfo>) -> Self {
        Self {
            exchange: Box::new(Exchange::new(Arc::clone(flow), number, Protocol::Http1)),
            request: Progress::Absent,
            response: Progress::Absent,
            response_lost: false,
            expects: Expects::Content,
            kept: 0,
            live: false,
            request_content: Content::default(),
            response_content: Content::default(),
            needs: Needs::default(),
            reflection: false,
            request_delays: Delays::default(),
            response_delays: Delays::default(),
        }
    }

    /// Bytes of this content that are to be kept.
    pub(super) const fn body_limit(&self, role: Role) -> usize {
        self.needs.of(role)
    }

    /// What is to be kept, by what the heads say that were seen.
    fn decide(&mut self, limits: &Limits<'_>) {
        let all = Needs::both(limits.body);
        self.needs = limits.decide.map_or(all, |Decide(decide)| decide(&self.exchange).max(all));
        if self.reflection {
            self.needs = self.needs.max(Needs::both(REFLECTION));
        }
    }

    /// How far the message of this role is.
    pub(super) const fn progress(&self, role: Role) -> Progress {
        match role {
            Role::Request => self.request,
            Role::Response => self.response,
        }
    }

    pub(super) fn start_request(&mut self, head: Head, seen: Seen, limits: &Limits<'_>) {
        self.expects = match head.method() {
            Some("HEAD") => Expects::NoContent,
            Some("CONNECT") => Expects::Tunnel,
            _ => Expects::Content,
        };
        self.reflection = limits.body > 0 && head.asks_reflection();
        self.kept += head.fields.memory();
        self.exchange.request = Some(Part::new(head, seen.first, seen.last));
        self.request_delays = seen.delays;
        self.live = limits.messages;
        self.decide(limits);
        let Some(part) = &mut self.exchange.request else { return };
        let reader = reader(&part.head, self.needs.request);
        self.request_content = Content::new(reader, part, self.live);
        self.request = Progress::Receiving;
    }

    #[inline]
    pub(super) fn start_response(&mut self, head: Head, seen: Seen, limits: &Limits<'_>) {
        let accepted = head.status().is_some_and(|status| (200..300).contains(&status));
        self.kept += head.fields.memory();
        self.exchange.response = Some(Part::new(head, seen.first, seen.last));
        self.response_delays = seen.delays;
        self.live = limits.messages;
        // A response's head takes away what was wanted only as long as the status might have been another.
        if self.needs.response > limits.body || self.exchange.request.is_none() {
            self.decide(limits);
        }
        let Some(part) = &mut self.exchange.response else { return };
        let reader = reader(&part.head, self.needs.response);
        self.response_content = Content::new(reader, part, self.live);
        self.response = Progress::Receiving;
        if self.expects == Expects::Tunnel && accepted {
            self.begin_websocket_in_stream();
        }
    }

    /// From here on both contents are a WebSocket's.
    pub(super) fn begin_websocket(&mut self) {
        let Exchange { protocol, request: Some(request), response: Some(response), .. } = &mut *self.exchange else {
            return;
        };
        *protocol = Protocol::WebSocket;
        let reader = |role| Reader::websocket(PermessageDeflate::agreed(&response.head.fields, role));
        let readers = [Role::Request, Role::Response].map(reader);
        let [of_request, of_response] = readers;
        self.request_content = Content::new(of_request, request, self.live);
        self.response_content = Content::new(of_response, response, self.live);
    }

    /// If that is what CONNECT asked for (RFC 8441 section 5).
    fn begin_websocket_in_stream(&mut self) {
        let asked = self.exchange.request.as_ref().and_then(|part| part.head.fields.get(":protocol"));
        if asked == Some(b"websocket") {
            self.begin_websocket();
        }
    }

    pub(super) const fn part(&mut self, role: Role) -> Option<&mut Part> {
        match role {
            Role::Request => self.exchange.request.as_mut(),
            Role::Response => self.exchange.response.as_mut(),
        }
    }

    const fn delays_before(&self, role: Role) -> Delays {
        match role {
            Role::Request => self.request_delays,
            Role::Response => self.response_delays,
        }
    }

    /// Bytes of memory that it holds.
    pub(super) fn memory(&self) -> usize {
        let parts = [&self.exchange.request, &self.exchange.response];
        let pieces = |part: &Part| part.pieces.as_ref().map_or(0, |pieces| pieces.kept.capacity());
        let part = |part: &Part| {
            let fields = part.head.fields.memory() + part.trailers.memory();
            fields + part.body.len() + pieces(part) * size_of::<KeptPiece>()
        };
        let heads = parts.into_iter().flatten().map(part).sum::<usize>();
        size_of::<Exchange>() + heads + self.request_content.held() + self.response_content.held()
    }

    /// Bytes of memory that reading its contents takes, beside what is kept.
    #[inline]
    pub(super) fn reading(&self) -> usize {
        self.request_content.memory() + self.response_content.memory()
    }

    /// Content comes, of which there is room for so much. Says whether that is all that was wanted.
    pub(super) fn body(&mut self, data: Data<'_>, room: Room, emit: &mut dyn FnMut(Record)) -> bool {
        let before = self.delays_before(data.role);
        let Some(part) = self.part(data.role) else { return true };
        part.body_size += data.bytes.len() as u64;
        // What waited for bytes that had got lost is older than these.
        part.last_byte = part.last_byte.max(data.time);
        part.delays = data.delays.since(before);
        let (exchange, content) = self.content(data.role);
        let had = content.kept(exchange, data.role);
        let whole = content.data(exchange, data, room, emit);
        let more = content.kept(exchange, data.role).saturating_sub(had);
        self.kept += more;
        whole
    }

    pub(super) fn body_gap(&mut self, role: Role, missing: u64, emit: &mut dyn FnMut(Record)) {
        self.exchange.anomalies.insert(Anomaly::Gap);
        if let Some(part) = self.part(role) {
            part.body_missing = part.body_missing.saturating_add(missing);
        }
        let (exchange, content) = self.content(role);
        content.gap(exchange, role, missing, emit);
    }

    /// Content that nobody wanted captured.
    pub(super) fn body_skipped(&mut self, role: Role, skipped: u64) {
        if let Some(part) = self.part(role) {
            part.body_skipped = part.body_skipped.saturating_add(skipped);
        }
    }

    /// How many of the next bytes of this role's content, of which `left` are to come, nobody wants.
    pub(super) fn take_unwanted(&mut self, role: Role, left: u64) -> Option<u64> {
        // Content that is only announced may never come (RFC 9110 section 10.1.1), and an answer to we do not know what may be
        // one to HEAD.
        let may_not_come = match role {
            Role::Request => self.waits_to_continue(),
            Role::Response => self.exchange.request.is_none(),
        };
        if may_not_come {
            return None;
        }
        let most = self.needs.of(role);
        let (_, content) = self.content(role);
        content.take_unwanted(most, left)
    }

    /// Does nobody want more of this role's content?
    pub(super) fn is_unwanted(&mut self, role: Role) -> bool {
        let most = self.needs.of(role);
        self.content(role).1.is_unwanted(most)
    }

    pub(super) fn trailers(&mut self, role: Role, trailers: Fields, seen: Seen) {
        let before = self.delays_before(role);
        let Some(part) = self.part(role) else {
            self.exchange.anomalies.insert(Anomaly::BadHead);
            return;
        };
        part.last_byte = part.last_byte.max(seen.last);
        part.delays = seen.delays.since(before);
        // There is one trailer section at the most (RFC 9113 section 8.1).
        if part.trailers.is_empty() {
            let more = trailers.memory();
            part.trailers = trailers;
            self.kept += more;
        } else {
            self.exchange.anomalies.insert(Anomaly::BadHead);
        }
    }

    pub(super) fn end(&mut self, role: Role, ended: bool, seen: Seen, emit: &mut dyn FnMut(Record)) {
        let before = self.delays_before(role);
        if let Some(part) = self.part(role) {
            part.ended = ended;
            part.last_byte = part.last_byte.max(seen.last);
            part.delays = seen.delays.since(before);
        }
        let (exchange, content) = self.content(role);
        content.end(exchange, role, emit);
        match role {
            Role::Request => self.request = Progress::Done,
            Role::Response => self.response = Progress::Done,
        }
    }

    /// The client sends no more; its response is not over.
    pub(super) fn client_gone(&mut self, time: Timestamp) {
        if self.response == Progress::Done || self.exchange.gone.is_some() {
            return;
        }
        let response = self.exchange.response.as_ref();
        let messages = response.and_then(|part| part.pieces.as_ref()).map_or(0, |pieces| pieces.count);
        let body_size = response.map_or(0, Part::content_size);
        self.exchange.gone = Some(Gone { time, body_size, messages });
    }

    /// Nothing of it will come any more.
    pub(super) fn is_over(&self) -> bool {
        self.request != Progress::Receiving && self.response == Progress::Done
    }

    /// The request said `Expect: 100-continue`, and no content of it was seen and no interim response.
    pub(super) fn waits_to_continue(&self) -> bool {
        self.exchange.interim == 0
            && self.exchange.request.as_ref().is_some_and(|part| {
                let expect = part.head.fields.get("expect");
                part.body_size == 0 && expect.is_some_and(|expect| expect.eq_ignore_ascii_case(b"100-continue"))
            })
    }

    /// More may be known of the flow's ends by now.
    pub(super) fn know(&mut self, flow: &Arc<FlowInfo>) {
        if !Arc::ptr_eq(&self.exchange.flow, flow) {
            self.exchange.flow = Arc::clone(flow);
        }
    }

    /// What is kept of a request that is over can be read in the exchange from now on.
    pub(super) fn show_request(&mut self) -> &mut Exchange {
        if self.request == Progress::Done {
            self.show(Role::Request);
        }
        &mut self.exchange
    }

    /// Nothing more is kept of this content.
    fn show(&mut self, role: Role) {
        let (_, content) = self.content(role);
        let body = std::mem::take(content).into_body();
        if let Some(part) = self.part(role)
            && !body.is_empty()
        {
            part.body = body;
        }
    }

    /// What is known by now is all.
    pub(super) fn close(mut self, flow: &Arc<FlowInfo>, emit: &mut dyn FnMut(Record)) -> Box<Exchange> {
        if self.response == Progress::Absent {
            self.exchange.anomalies.insert(Anomaly::NoResponse);
        }
        self.know(flow);
        for role in [Role::Request, Role::Response] {
            let (exchange, content) = self.content(role);
            if content.is_empty() {
                continue;
            }
            content.end(exchange, role, emit);
            self.show(role);
        }
        self.exchange
    }

    const fn content(&mut self, role: Role) -> (&mut Exchange, &mut Content) {
        let content = match role {
            Role::Request => &mut self.request_content,
            Role::Response => &mut self.response_content,
        };
        (&mut self.exchange, content)
    }
}

fn reader(head: &Head, kept: usize) -> Reader {
    Reader::of(head, &content::Limits { keep: kept > 0, ..content::Limits::default() })
}
