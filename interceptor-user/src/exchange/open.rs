use std::sync::Arc;

use bytes::Bytes;

use super::Seen;
use crate::model::{Anomaly, Exchange, Expects, Fields, FlowInfo, Head, Part, Protocol, Role, Timestamp};

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
    request_body: Vec<u8>,
    response_body: Vec<u8>,
}

impl Open {
    pub(super) fn new(number: u64, flow: &Arc<FlowInfo>) -> Self {
        let exchange = Exchange::new(Arc::clone(flow), number, Protocol::Http1);
        Self {
            exchange: Box::new(exchange),
            request: Progress::Absent,
            response: Progress::Absent,
            response_lost: false,
            expects: Expects::Content,
            kept: 0,
            request_body: Vec::new(),
            response_body: Vec::new(),
        }
    }

    /// How far the message of this role is.
    pub(super) const fn progress(&self, role: Role) -> Progress {
        match role {
            Role::Request => self.request,
            Role::Response => self.response,
        }
    }

    pub(super) fn start_request(&mut self, head: Head, seen: Seen) {
        self.kept += head.fields.memory();
        self.exchange.request = Some(Part::new(head, seen.first, seen.last));
        self.request = Progress::Receiving;
    }

    pub(super) fn with_request(head: Head, seen: Seen, number: u64, flow: &Arc<FlowInfo>) -> Self {
        let mut open = Self::new(number, flow);
        open.expects = match head.method() {
            Some("HEAD") => Expects::NoContent,
            Some("CONNECT") => Expects::Tunnel,
            _ => Expects::Content,
        };
        open.start_request(head, seen);
        open
    }

    #[inline]
    pub(super) fn start_response(&mut self, head: Head, seen: Seen) {
        self.kept += head.fields.memory();
        self.exchange.response = Some(Part::new(head, seen.first, seen.last));
        self.response = Progress::Receiving;
    }

    pub(super) const fn part(&mut self, role: Role) -> Option<&mut Part> {
        match role {
            Role::Request => self.exchange.request.as_mut(),
            Role::Response => self.exchange.response.as_mut(),
        }
    }

    /// Bytes of memory that it holds.
    pub(super) fn memory(&self) -> usize {
        let parts = [&self.exchange.request, &self.exchange.response];
        let fields = |part: &Part| part.head.fields.memory() + part.trailers.memory();
        let heads = parts.into_iter().flatten().map(fields).sum::<usize>();
        size_of::<Exchange>() + heads + self.request_body.capacity() + self.response_body.capacity()
    }

    /// Keeps what `limit` allows for one body, and `room` for all. Says whether that is all that was wanted.
    pub(super) fn body(&mut self, role: Role, piece: &[u8], time: Timestamp, limit: usize, room: usize) -> bool {
        let Some(part) = self.part(role) else { return true };
        part.body_size += piece.len() as u64;
        part.last_byte = time;
        let body = match role {
            Role::Request => &mut self.request_body,
            Role::Response => &mut self.response_body,
        };
        let wanted = piece.len().min(limit.saturating_sub(body.len()));
        if wanted > room {
            self.exchange.anomalies.insert(Anomaly::MemoryLimit);
        }
        let kept = piece.get(..wanted.min(room)).unwrap_or_default();
        body.extend_from_slice(kept);
        self.kept += kept.len();
        wanted <= room
    }

    pub(super) fn body_gap(&mut self, role: Role, missing: u64) {
        self.exchange.anomalies.insert(Anomaly::Gap);
        if let Some(part) = self.part(role) {
            part.body_missing = part.body_missing.saturating_add(missing);
        }
    }

    pub(super) fn trailers(&mut self, role: Role, trailers: Fields, time: Timestamp) {
        self.kept += trailers.memory();
        if let Some(part) = self.part(role) {
            part.trailers = trailers;
            part.last_byte = time;
        }
    }

    pub(super) fn end(&mut self, role: Role, ended: bool, time: Timestamp) {
        if let Some(part) = self.part(role) {
            part.ended = ended;
            part.last_byte = part.last_byte.max(time);
        }
        match role {
            Role::Request => self.request = Progress::Done,
            Role::Response => self.response = Progress::Done,
        }
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

    /// What is known by now is all.
    pub(super) fn close(mut self, flow: &Arc<FlowInfo>) -> Box<Exchange> {
        if self.response == Progress::Absent {
            self.exchange.anomalies.insert(Anomaly::NoResponse);
        }
        self.know(flow);
        for (part, body) in
            [(&mut self.exchange.request, self.request_body), (&mut self.exchange.response, self.response_body)]
        {
            if let Some(part) = part
                && !body.is_empty()
            {
                part.body = Bytes::from(body);
            }
        }
        self.exchange
    }
}
