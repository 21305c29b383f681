//! What an opaque flow speaks, by the first bytes of each side and never by its port.
//!
//! A guess is the first of the known protocols that the bytes fit, in an order of their own: bytes that may still fit one
//! are waited for before the next is believed. So it does not depend on how the bytes are split.

mod binary;
mod reader;
mod text;
mod tls;

use super::{detect, http1::line::Fit};
use crate::model::{Chunk, Protocol, Side, TlsHello};

/// Bytes of both sides that are kept to guess by.
const LIMIT: usize = 16 * 1024;
/// Bytes of one side that tell every protocol, but for what the hellos of TLS hold.
const ENOUGH: usize = 1024;

/// Guesses the protocol of one flow. Takes no memory before the first byte, and little once it is sure.
#[derive(Debug, Default)]
pub struct Guesser(Option<Box<Guessing>>);

#[derive(Debug, Default)]
struct Guessing {
    protocol: Option<Protocol>,
    hello: Option<Box<TlsHello>>,
    client: First,
    server: First,
    /// Whose bytes showed the protocol, where TLS follows them.
    upgrades: Option<Side>,
    given_up: bool,
}

/// The first bytes of one side.
#[derive(Debug, Default)]
struct First {
    bytes: Vec<u8>,
    /// Nothing more is to be learnt from this side.
    over: bool,
}

impl Guesser {
    /// Are more bytes wanted of a flow that had some?
    #[inline]
    pub fn wants_more(&self) -> bool {
        self.0.as_ref().is_some_and(|guessing| !guessing.over())
    }

    /// Takes the next chunk of one side. No more than `room` bytes are kept of it; what finds no room ends the guessing.
    pub fn chunk(&mut self, side: Side, chunk: Chunk<'_>, room: usize) {
        if matches!(chunk, Chunk::Data([])) || self.0.as_ref().is_some_and(|guessing| guessing.over()) {
            return;
        }
        let guessing = self.0.get_or_insert_default();
        match chunk {
            Chunk::Data(data) => guessing.data(side, data, room),
            Chunk::Gap { .. } => guessing.side(side).end(),
        }
    }

    /// What it speaks.
    pub fn protocol(&self) -> Protocol {
        self.0.as_ref().and_then(|guessing| guessing.protocol).unwrap_or(Protocol::Unknown)
    }

    /// What it speaks, and what its TLS showed. Nothing is kept after that.
    pub fn take(&mut self) -> (Protocol, Option<Box<TlsHello>>) {
        let protocol = self.protocol();
        (protocol, self.0.take().and_then(|guessing| guessing.hello))
    }

    /// Bytes of memory that grow with what was seen.
    pub fn held(&self) -> usize {
        self.0.as_ref().map_or(0, |guessing| {
            let hello = guessing.hello.as_ref().map_or(0, |hello| hello.memory());
            guessing.client.bytes.capacity() + guessing.server.bytes.capacity() + hello
        })
    }

    /// Bytes of memory, beside the guesser itself.
    pub fn memory(&self) -> usize {
        self.0.as_ref().map_or(0, |_| size_of::<Guessing>()) + self.held()
    }

    /// Was it given up for want of room since this was asked last?
    pub fn take_given_up(&mut self) -> bool {
        self.0.as_mut().is_some_and(|guessing| std::mem::take(&mut guessing.given_up))
    }
}

impl Guessing {
    const fn over(&self) -> bool {
        self.client.over && self.server.over
    }

    const fn side(&mut self, side: Side) -> &mut First {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    fn end(&mut self) {
        self.client.end();
        self.server.end();
    }

    fn data(&mut self, side: Side, data: &[u8], room: usize) {
        let left = LIMIT.saturating_sub(self.client.bytes.len() + self.server.bytes.len());
        let first = self.side(side);
        if first.over {
            return;
        }
        let whole = data.len() < left;
        let data = data.get(..left).unwrap_or(data);
        // Most are told by their first bytes: those are looked at where they lie.
        let mut kept = std::mem::take(&mut first.bytes);
        let wants_more = if kept.is_empty() {
            self.look(side, data)
        } else if data.len() > room {
            self.given_up = true;
            return self.end();
        } else {
            kept.reserve_exact(data.len());
            kept.extend_from_slice(data);
            self.look(side, &kept)
        };
        if !wants_more {
            return;
        }
        if !whole {
            return self.side(side).end();
        }
        if kept.is_empty() {
            if data.len() > room {
                self.given_up = true;
                return self.end();
            }
            kept = data.to_vec();
        }
        self.side(side).bytes = kept;
    }

    /// Looks at all that one side sent so far. Says whether more of it may tell more.
    fn look(&mut self, side: Side, bytes: &[u8]) -> bool {
        if self.protocol.is_none() {
            match identify(bytes) {
                Some(protocol) => {
                    self.protocol = Some(protocol);
                    self.upgrades = binary::asks_for_tls(bytes).then_some(side);
                    if protocol != Protocol::Tls && self.upgrades.is_none() {
                        self.end();
                        return false;
                    }
                }
                None if bytes.len() < ENOUGH && may_be(bytes) => return true,
                None => {
                    self.side(side).end();
                    return false;
                }
            }
        }
        let wants_more = self.hello(side, bytes);
        if !wants_more {
            self.side(side).end();
        }
        wants_more
    }

    /// Reads a side's hello; what comes before it in a protocol that turns to TLS is passed over.
    fn hello(&mut self, side: Side, bytes: &[u8]) -> bool {
        let skip = match self.upgrades {
            None => 0,
            Some(asking) if asking == side => binary::SSL_REQUEST_LEN,
            // The answer: `S`, or `N` where the server has no TLS.
            Some(_) => 1,
        };
        let refused = skip == 1 && bytes.first() != Some(&b'S');
        let Some(bytes) = bytes.get(skip..).filter(|_| !refused) else { return !refused };
        let mut hello = self.hello.take().unwrap_or_default();
        let found = tls::read(bytes, &mut hello);
        self.hello = Some(hello).filter(|hello| **hello != TlsHello::default());
        found == tls::Found::More
    }
}

impl First {
    fn end(&mut self) {
        self.over = true;
        self.bytes = Vec::new();
    }
}

type Test = fn(&[u8]) -> Fit;

/// Every protocol that is recognised, in the order in which they are believed.
fn fits(bytes: &[u8]) -> impl Iterator<Item = (Protocol, Fit)> {
    let known: [(Protocol, Test); 12] = [
        (Protocol::Tls, detect::tls),
        (Protocol::Ssh, text::ssh),
        (Protocol::Smtp, text::smtp),
        (Protocol::Redis, text::redis),
        (Protocol::Amqp, text::amqp),
        (Protocol::Memcached, text::memcached),
        (Protocol::Mqtt, |bytes| binary::fit(binary::mqtt(bytes))),
        (Protocol::Postgresql, |bytes| binary::fit(binary::postgresql(bytes))),
        (Protocol::Mysql, |bytes| binary::fit(binary::mysql(bytes))),
        (Protocol::Memcached, |bytes| binary::fit(binary::memcached(bytes))),
        (Protocol::Kafka, |bytes| binary::fit(binary::kafka(bytes))),
        (Protocol::Mongodb, |bytes| binary::fit(binary::mongodb(bytes))),
    ];
    known.into_iter().map(move |(protocol, fit)| (protocol, fit(bytes)))
}

fn identify(bytes: &[u8]) -> Option<Protocol> {
    let first = fits(bytes).find(|(_, fit)| *fit != Fit::No);
    first.filter(|(_, fit)| *fit == Fit::Yes).map(|(protocol, _)| protocol)
}

fn may_be(bytes: &[u8]) -> bool {
    fits(bytes).any(|(_, fit)| fit != Fit::No)
}

#[cfg(test)]
mod tests;
