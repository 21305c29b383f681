//! What follows a head: content and trailers.

use super::{
    Decoder, State, Then,
    chunked::{Chunked, Step},
    head, line,
    line::Fit,
    take,
};
use crate::{
    model::{Anomalies, Anomaly, Message},
    protocol::Context,
};

impl Decoder {
    pub(super) fn chunked<'a>(&mut self, data: &mut &'a [u8]) -> Option<Message<'a>> {
        let State::Chunked(chunked) = &mut self.state else { return None };
        let before = data.len();
        let mut anomalies = Anomalies::NONE;
        let step = chunked.step(data, &mut anomalies);
        self.parsed += (before - data.len()) as u64;
        self.anomalies.merge(anomalies);
        match step {
            Step::Bad => self.lose(Anomaly::BadChunk),
            Step::Last => self.state = State::Trailers,
            Step::Content => {
                if let Chunked::Data(left) = chunked
                    && !data.is_empty()
                {
                    let piece = take(data, *left);
                    *left -= piece.len() as u64;
                    if *left == 0 {
                        *chunked = Chunked::DataReturn;
                    }
                    self.parsed += piece.len() as u64;
                    return Some(Message::Body(piece));
                }
            }
        }
        None
    }

    pub(super) fn trailers(&mut self, data: &mut &[u8], context: &Context) -> Option<Message<'static>> {
        while !data.is_empty() {
            let taken = self.fill(data, context);
            let empty = line::strip_empty_line(self.buffer.bytes()).map(<[u8]>::len);
            let end = match empty {
                Some(rest) => Some(self.buffer.len() - rest),
                None => self.buffer.head_end(),
            };
            if let Some(end) = end {
                self.give_back(data, taken, end);
                let (fields, anomalies) = head::trailers(self.buffer.bytes());
                self.buffer.clear();
                self.parsed += end as u64;
                self.anomalies.merge(anomalies);
                self.end_message();
                return (!fields.is_empty()).then_some(Message::Trailers(fields));
            }
            if self.buffer.len() >= context.head_limit {
                self.lose(Anomaly::HeadTooLarge);
                return None;
            }
        }
        None
    }

    /// After a final response to a request that waited for `100 Continue`, its content may come, or the next request
    /// (RFC 9110 section 10.1.1). A method that we know and a space is taken for a request.
    pub(super) fn length_maybe(&mut self, data: &mut &[u8], left: u64) -> Option<Message<'static>> {
        while let [byte, rest @ ..] = *data {
            let had = self.buffer.len();
            if had as u64 == left {
                return self.settle(left);
            }
            self.buffer.extend(&[*byte]);
            match line::known_request(self.buffer.bytes()).0 {
                Fit::More => *data = rest,
                Fit::Yes => {
                    *data = rest;
                    self.then = Then::Aborted;
                    self.state = State::Head;
                    return None;
                }
                Fit::No => {
                    self.buffer.truncate(had);
                    return self.settle(left);
                }
            }
        }
        None
    }

    /// It is content. What was held back of it begins a method, so we know it without the chunk that it came in.
    pub(super) fn settle(&mut self, left: u64) -> Option<Message<'static>> {
        let (_, held) = line::known_request(self.buffer.bytes());
        self.buffer.clear();
        self.parsed += held.len() as u64;
        let left = left.saturating_sub(held.len() as u64);
        if left == 0 {
            self.end_message();
        } else {
            self.state = State::Length(left);
        }
        (!held.is_empty()).then_some(Message::Body(held))
    }
}
