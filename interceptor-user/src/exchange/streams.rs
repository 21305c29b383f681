//! HTTP/2 streams to exchanges: each stream is one.

use std::{collections::HashMap, collections::VecDeque, sync::Arc, time::Duration};

use foldhash::fast::RandomState;

use super::{
    Limits, Pairing, Seen,
    content::Data,
    cut_short,
    keep::Keep,
    open::{Open, Progress},
};
use crate::model::{
    Abort, Anomalies, Anomaly, Exchange, Fields, FlowEnd, FlowInfo, Head, Protocol, Record, Role, Timestamp, Version,
};

/// For so long what a server still sends on a stream that its client has reset is counted: it stops when it hears of the reset,
/// which takes a round trip and what its socket has buffered.
const LATE: Duration = Duration::from_secs(1);
/// Streams of a connection of which that is counted; the oldest goes first.
const LATE_STREAMS: usize = 64;

/// The open exchanges of one connection.
#[derive(Debug, Default)]
pub struct Streams {
    open: HashMap<u32, Open, RandomState>,
    /// Not every frame of a side was seen: a stream that is not open may have been so all the time, and one that is open
    /// may be over.
    lossy: Lossy,
    /// The first request that was seen since frames were missed last: what is not open from there on is over.
    sure_from: Option<u32>,
    count: u64,
    keep: Keep,
    /// Streams that their client has reset while the answer came, and when; open until the server ends them too, or [`LATE`] is
    /// over.
    late: VecDeque<(u32, Timestamp)>,
    /// What concerns no exchange that we know.
    unattached: Anomalies,
}

#[derive(Clone, Copy, Debug, Default)]
struct Lossy {
    requests: bool,
    responses: bool,
}

impl Lossy {
    const fn of(&mut self, role: Role) -> &mut bool {
        match role {
            Role::Request => &mut self.requests,
            Role::Response => &mut self.responses,
        }
    }
}

/// Where and when something came.
#[derive(Clone, Copy, Debug)]
pub struct At<'a> {
    /// Stream.
    pub stream: u32,
    /// Who sent it.
    pub role: Role,
    /// When.
    pub seen: Seen,
    /// What is known of the flow.
    pub flow: &'a Arc<FlowInfo>,
    /// What may be kept.
    pub limits: &'a Limits<'a>,
}

impl Streams {
    /// Of a connection that was joined in the middle.
    pub fn joined() -> Self {
        Self { lossy: Lossy { requests: true, responses: true }, ..Self::default() }
    }

    /// Goes on with a request that was made before the connection was HTTP/2; it is stream 1 (RFC 7540 section 3.2).
    pub fn upgraded(&mut self, pairing: &mut Pairing) {
        self.count = pairing.count();
        self.unattached = pairing.unattached();
        self.keep = Keep::with_given_up(pairing.take_given_up());
        // Where the request was not seen, its answer has to show it.
        self.lossy.responses |= pairing.first().is_none();
        if let Some(mut open) = pairing.take_first() {
            open.exchange.stream = Some(1);
            self.keep.begun(&open);
            self.open.insert(1, open);
        }
    }

    /// How many exchanges are open.
    pub fn open(&self) -> u32 {
        self.open.len() as u32
    }

    /// How many there were, open ones included.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// What was odd and concerned no exchange.
    pub const fn unattached(&self) -> Anomalies {
        self.unattached
    }

    /// The open exchanges, each with what is known of the flow by now.
    pub fn open_exchanges(&mut self, flow: Arc<FlowInfo>) -> impl Iterator<Item = &Exchange> {
        self.open.values_mut().map(move |open| {
            open.know(&flow);
            &*open.exchange
        })
    }

    /// The open exchange on this stream, with what is kept of its request if that is over.
    pub fn open_exchange(&mut self, stream: u32) -> Option<&mut Exchange> {
        self.open.get_mut(&stream).map(Open::show_request)
    }

    /// About as much as [`Streams::memory`], without a look at each open exchange.
    #[inline]
    pub fn held(&self) -> usize {
        self.keep.held(self.open.len())
    }

    /// Bytes of memory held beside itself.
    pub fn memory(&self) -> usize {
        let late = self.late.capacity() * size_of::<(u32, Timestamp)>();
        let open = self.open.capacity() * (size_of::<(u32, Open)>() + 1);
        late + open + self.open.values().map(Open::memory).sum::<usize>()
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

    /// A head: of a request, of an interim response, of a response.
    pub fn head(&mut self, at: At<'_>, head: Head, anomalies: Anomalies) {
        self.start(at, head, anomalies);
        if at.role == Role::Request {
            let first = self.sure_from.map_or(at.stream, |first| first.min(at.stream));
            self.sure_from = Some(first);
        }
    }

    /// The same, for what may stand for a head that was missed.
    fn start(&mut self, at: At<'_>, head: Head, anomalies: Anomalies) {
        if self.is_late(at.stream) {
            return;
        }
        let held = self.held();
        if !self.open.contains_key(&at.stream) && !self.begin(at, held >= at.limits.total) {
            return;
        }
        let Some(open) = self.open.get_mut(&at.stream) else { return };
        open.exchange.anomalies.merge(anomalies);
        let interim = head.status().is_some_and(|status| (100..200).contains(&status));
        match (at.role, open.progress(at.role)) {
            (Role::Response, Progress::Absent) if interim => {
                open.exchange.interim = open.exchange.interim.saturating_add(1);
            }
            (Role::Response, Progress::Absent) => self.keep.response(open, head, at.seen, at.limits, held),
            (Role::Request, Progress::Absent) => self.keep.request(open, head, at.seen, at.limits),
            // A second head on a stream is none that RFC 9113 allows.
            _ => open.exchange.anomalies.insert(Anomaly::BadHead),
        }
    }

    /// Field lines without what makes them a head: trailers, or a head of which that is not known.
    pub fn fields(&mut self, at: At<'_>, fields: Fields, anomalies: Anomalies) {
        if self.is_late(at.stream) {
            return;
        }
        let progress = self.open.get(&at.stream).map(|open| open.progress(at.role));
        if progress != Some(Progress::Receiving) && !anomalies.is_empty() {
            return self.start(at, unknown_head(at.role, fields), anomalies);
        }
        let full = self.held() >= at.limits.total;
        self.headless(at);
        if let Some(open) = self.open.get_mut(&at.stream) {
            open.exchange.anomalies.merge(anomalies);
            self.keep.trailers(open, at.role, fields, at.seen, full);
        }
    }

    /// Content.
    #[inline]
    pub fn body(&mut self, at: At<'_>, bytes: &[u8], emit: &mut impl FnMut(Record)) {
        self.headless(at);
        let held = self.held();
        if let Some(open) = self.open.get_mut(&at.stream)
            && (at.role == Role::Response || !is_reset(open))
        {
            if at.limits.messages {
                open.know(at.flow);
            }
            let data = Data { role: at.role, bytes, time: at.seen.last, delays: at.seen.delays };
            self.keep.body(open, data, at.limits, held, emit);
        }
    }

    /// A field section that is lost: the stream's head, or its trailers.
    pub fn lost_section(&mut self, at: At<'_>, why: Anomaly) {
        let begun = self.open.get(&at.stream).is_some_and(|open| open.progress(at.role) != Progress::Absent);
        if self.is_late(at.stream) {
            // It is over for its client, with this or without it.
        } else if begun {
            self.odd(at.stream, why);
        } else {
            self.start(at, unknown_head(at.role, Fields::EMPTY), [why].into_iter().collect());
        }
    }

    /// Content that is missing.
    pub fn body_gap(&mut self, at: At<'_>, missing: u64, emit: &mut impl FnMut(Record)) {
        self.headless(at);
        if let Some(open) = self.open.get_mut(&at.stream)
            && (at.role == Role::Response || !is_reset(open))
        {
            self.keep.body_gap(open, at.role, missing, emit);
        }
    }

    /// This side has sent all that it will.
    #[inline]
    pub fn end(&mut self, at: At<'_>, emit: &mut impl FnMut(Record)) {
        let Some(open) = self.open.get_mut(&at.stream) else { return };
        if is_reset(open) {
            // To its client it had no end.
            if at.role == Role::Response {
                self.emit(at.stream, at.flow, emit);
            }
            return;
        }
        self.keep.end(open, at.role, true, at.seen, emit);
        // Of a request whose end may have been missed, none is waited for.
        if open.is_over() || (self.lossy.requests && open.response == Progress::Done) {
            self.emit(at.stream, at.flow, emit);
        }
    }

    /// This side wants no more of the stream. Of one that the client resets the exchange is told once the server has heard of it.
    pub fn reset(&mut self, at: At<'_>, code: u32, emit: &mut impl FnMut(Record)) {
        let full = self.held() >= at.limits.total || self.keep.is_over(at.limits);
        let Some(open) = self.open.get_mut(&at.stream) else { return };
        if is_reset(open) {
            if at.role == Role::Response {
                self.emit(at.stream, at.flow, emit);
            }
            return;
        }
        open.exchange.abort = Some(Abort { by: at.role, code });
        // A server may answer without having read all, and say so like this (RFC 9113 section 8.1).
        if code != 0 || open.response != Progress::Done {
            open.exchange.anomalies.insert(Anomaly::StreamReset);
        }
        if at.role == Role::Response || open.response != Progress::Receiving || full {
            return self.emit(at.stream, at.flow, emit);
        }
        open.client_gone(at.seen.last);
        open.request = Progress::Done;
        if self.late.len() >= LATE_STREAMS
            && let Some((oldest, _)) = self.late.pop_front()
        {
            self.emit(oldest, at.flow, emit);
        }
        self.late.push_back((at.stream, at.seen.last));
    }

    /// The client sends no more on any stream.
    pub fn client_gone(&mut self, time: Timestamp) {
        self.open.values_mut().for_each(|open| open.client_gone(time));
    }

    /// Are there streams that their client has reset, and that are still open?
    #[inline]
    pub fn has_late(&self) -> bool {
        !self.late.is_empty()
    }

    /// It is this late: of streams that were reset long ago no more is expected.
    pub fn waited(&mut self, now: Timestamp, flow: &Arc<FlowInfo>, emit: &mut impl FnMut(Record)) {
        while let Some((stream, since)) = self.late.front().copied()
            && now.since(since) >= LATE
        {
            self.late.pop_front();
            self.emit(stream, flow, emit);
        }
    }

    /// Has its client reset this stream, which is still open?
    fn is_late(&self, stream: u32) -> bool {
        self.has_late() && self.open.get(&stream).is_some_and(is_reset)
    }

    /// This side does not look at what the other opened beyond the stream of `at`.
    pub fn go_away(&mut self, at: At<'_>, code: u32, emit: &mut impl FnMut(Record)) {
        // Who sends requests opens the odd ones (RFC 9113 section 5.1.1).
        let parity = u32::from(at.role == Role::Response);
        for stream in self.ids(|stream, _| *stream > at.stream && *stream % 2 == parity) {
            if let Some(open) = self.open.get_mut(&stream)
                && !is_reset(open)
            {
                open.exchange.abort = Some(Abort { by: at.role, code });
                open.exchange.anomalies.insert(Anomaly::Refused);
            }
            self.emit(stream, at.flow, emit);
        }
    }

    /// Something is odd about a stream.
    pub fn odd(&mut self, stream: u32, anomaly: Anomaly) {
        match self.open.get_mut(&stream) {
            Some(open) => open.exchange.anomalies.insert(anomaly),
            None => self.unattached.insert(anomaly),
        }
    }

    /// Something is odd about the connection.
    pub const fn odd_connection(&mut self, anomaly: Anomaly) {
        self.unattached.insert(anomaly);
    }

    /// Frames of this side are missing: of any stream that it had not ended.
    pub fn missing(&mut self, role: Role, flow: &Arc<FlowInfo>, emit: &mut impl FnMut(Record)) {
        *self.lossy.of(role) = true;
        self.sure_from = None;
        for open in self.open.values_mut().filter(|open| open.progress(role) != Progress::Done) {
            open.exchange.anomalies.insert(Anomaly::Gap);
        }
        if role == Role::Request {
            for stream in self.ids(|_, open| open.response == Progress::Done) {
                self.emit(stream, flow, emit);
            }
        }
    }

    /// The flow is over: so are all exchanges.
    pub fn close(&mut self, end: FlowEnd, flow: &Arc<FlowInfo>, emit: &mut impl FnMut(Record)) {
        let why = cut_short(end);
        for stream in self.ids(|_, _| true) {
            if let (Some(open), Some(why)) = (self.open.get_mut(&stream).filter(|open| !is_reset(open)), why) {
                open.exchange.anomalies.insert(why);
            }
            self.emit(stream, flow, emit);
        }
    }

    /// Opens a stream, unless there are too many, or it is known to be over.
    fn begin(&mut self, at: At<'_>, full: bool) -> bool {
        let lossy = self.lossy.requests || self.lossy.responses;
        if at.role == Role::Response && (!lossy || self.is_over(at.stream)) {
            return false;
        }
        if full || self.open.len() >= at.limits.streams || self.keep.is_over(at.limits) {
            self.unattached.insert(Anomaly::MemoryLimit);
            self.keep.note_given_up();
            return false;
        }
        self.count += 1;
        let mut open = Open::new(self.count, at.flow);
        open.exchange.protocol = Protocol::Http2;
        open.exchange.stream = Some(at.stream);
        if at.role == Role::Response {
            open.exchange.anomalies.insert(Anomaly::NoRequest);
            open.exchange.anomalies.insert(missed(at.flow));
        }
        self.open.insert(at.stream, open);
        true
    }

    /// Is a stream that is not open over? Streams are opened in order, so it is if we have seen one open before it.
    fn is_over(&self, stream: u32) -> bool {
        !self.open.contains_key(&stream)
            && self.sure_from.is_some_and(|first| first % 2 == stream % 2 && first <= stream)
    }

    /// What is not a head comes. If its head may have been missed, there is one now, of which nothing is known.
    #[inline]
    fn headless(&mut self, at: At<'_>) {
        let progress = self.open.get(&at.stream).map_or(Progress::Absent, |open| open.progress(at.role));
        if progress == Progress::Absent && *self.lossy.of(at.role) && !self.is_over(at.stream) {
            self.start(at, unknown_head(at.role, Fields::EMPTY), [missed(at.flow)].into_iter().collect());
        }
    }

    /// Streams of which something holds, in order.
    fn ids(&self, holds: impl Fn(&u32, &Open) -> bool) -> Vec<u32> {
        let mut ids: Vec<u32> =
            self.open.iter().filter(|(stream, open)| holds(stream, open)).map(|(stream, _)| *stream).collect();
        ids.sort_unstable();
        ids
    }

    fn emit(&mut self, stream: u32, flow: &Arc<FlowInfo>, emit: &mut impl FnMut(Record)) {
        if let Some(open) = self.open.remove(&stream) {
            if is_reset(&open) {
                self.late.retain(|(late, _)| *late != stream);
            }
            self.keep.over(&open);
            let exchange = open.close(flow, emit);
            emit(Record::Exchange(exchange));
        }
    }
}

/// Has its client reset it?
fn is_reset(open: &Open) -> bool {
    open.exchange.abort.is_some_and(|abort| abort.by == Role::Request)
}

/// A head of which no more is known than these fields.
const fn unknown_head(role: Role, fields: Fields) -> Head {
    match role {
        Role::Request => Head::unknown_request(Version::Http2, fields),
        Role::Response => Head::response(0, Version::Http2, fields),
    }
}

/// Why the beginning of a stream was not seen.
fn missed(flow: &FlowInfo) -> Anomaly {
    if flow.joined { Anomaly::MidStream } else { Anomaly::Gap }
}
