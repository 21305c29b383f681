//! Chunks to messages.
//!
//! A [`Decoder`] reads what one side of a flow sent. It is pulled: [`Decoder::next`] takes what it can from the chunk
//! and gives one message at a time, so nothing is queued and content is borrowed from the chunk.
//!
//! Decoding is total: any bytes give messages or anomalies. Any split of the same bytes gives the same messages, apart
//! from where one piece of content ends and the next begins. Every byte is counted once, as parsed or as reported.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::string_slice)
)]

pub mod detect;
pub mod guess;
pub mod http1;
pub mod http2;

use crate::model::{Chunk, Expects, Message, Timestamp};

/// How one side's bytes came to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The sender said so (FIN).
    Fin,
    /// The connection was reset.
    Reset,
    /// The capture, or our patience, ended first.
    Cut,
}

/// What goes with each call of [`Decoder::next`].
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// When the chunk was captured.
    pub time: Timestamp,
    /// The largest head, trailer section or search window that is kept, in bytes.
    pub head_limit: usize,
    /// What the next response answers; not looked at for requests.
    pub expects: Expects,
}

/// The decoder of one side of a flow, by protocol.
#[derive(Debug)]
pub enum Decoder {
    /// HTTP/1.0 and 1.1.
    Http1(http1::Decoder),
}

impl Decoder {
    /// Takes from the front of `chunk` and gives the next message; `None` when the chunk is used up.
    ///
    /// Call it until it gives `None`, with an empty chunk after [`Decoder::finish`].
    #[inline]
    pub fn next<'a>(&mut self, chunk: &mut Chunk<'a>, context: &Context) -> Option<Message<'a>> {
        match self {
            Self::Http1(decoder) => decoder.next(chunk, context),
        }
    }

    /// No more bytes will come.
    pub fn finish(&mut self, how: Finish) {
        match self {
            Self::Http1(decoder) => decoder.finish(how),
        }
    }

    /// The other side made the connection a tunnel: what follows the current message is not for us.
    pub fn tunnel(&mut self) {
        match self {
            Self::Http1(decoder) => decoder.tunnel(),
        }
    }

    /// The connection was upgraded: all that follows is content, without a head of its own.
    pub fn go_on_until_close(&mut self) {
        match self {
            Self::Http1(decoder) => decoder.go_on_until_close(),
        }
    }

    /// Frees what is kept of a head or of trailers that are not whole; their message is lost. Says whether there was one.
    pub fn give_up(&mut self) -> bool {
        match self {
            Self::Http1(decoder) => decoder.give_up(),
        }
    }

    /// The request now being read asked for `100 Continue` and got a final response instead: its content may not come.
    pub fn content_may_not_come(&mut self) {
        match self {
            Self::Http1(decoder) => decoder.content_may_not_come(),
        }
    }

    /// When the first byte of the latest head was captured.
    pub fn started(&self) -> Timestamp {
        match self {
            Self::Http1(decoder) => decoder.started(),
        }
    }

    /// Bytes of memory held beside the decoder itself.
    pub fn memory(&self) -> usize {
        match self {
            Self::Http1(decoder) => decoder.memory(),
        }
    }

    /// Bytes of the current content that are still to come, where its head says how many.
    pub const fn content_left(&self) -> Option<u64> {
        match self {
            Self::Http1(decoder) => decoder.content_left(),
        }
    }

    /// Does the latest head say how long its content is?
    pub const fn length_is_known(&self) -> bool {
        match self {
            Self::Http1(decoder) => decoder.length_is_known(),
        }
    }

    /// Bytes that became part of a message.
    pub fn parsed(&self) -> u64 {
        match self {
            Self::Http1(decoder) => decoder.parsed(),
        }
    }

    /// Bytes that became part of none.
    pub fn reported(&self) -> u64 {
        match self {
            Self::Http1(decoder) => decoder.reported(),
        }
    }
}
