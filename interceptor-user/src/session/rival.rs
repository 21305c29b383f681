use crate::{
    model::{Chunk, Expects, Message, Role, Timestamp},
    protocol::{Context, Decoder, http1},
};

/// The decoders of both sides, for one guess of who sends the requests.
///
/// Of a joined flow whose roles were guessed there is a rival for the case that the guess is wrong. Each byte goes to it
/// too until heads tell who is right, so whoever is has seen and counted every byte.
#[derive(Debug)]
pub(super) struct Decoders {
    pub(super) requests: Decoder,
    pub(super) responses: Decoder,
    /// Heads found while there is a rival.
    pub(super) heads: Heads,
}

/// How many heads were found, by role.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Heads {
    requests: u32,
    responses: u32,
}

impl Heads {
    /// Heads of one role that settle it where the other side is not to be seen.
    const ENOUGH: u32 = 8;

    pub(super) const fn count(&mut self, role: Role) {
        match role {
            Role::Request => self.requests += 1,
            Role::Response => self.responses += 1,
        }
    }

    const fn none(self) -> bool {
        self.requests == 0 && self.responses == 0
    }

    /// A head may be text in somebody's content; heads of both sides are not.
    const fn both(self) -> bool {
        self.requests > 0 && self.responses > 0
    }

    pub(super) const fn settled(self) -> bool {
        self.both() || self.requests >= Self::ENOUGH || self.responses >= Self::ENOUGH
    }
}

/// Whether a rival's head changes who is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// No: there is as much to be said for the other.
    None,
    /// It is the first head, and so the best guess.
    Likely,
    /// It has heads of both sides.
    Proven,
}

impl Decoders {
    pub(super) fn new(late: bool) -> Self {
        let decoder = if late { http1::Decoder::joined } else { http1::Decoder::new };
        Self {
            requests: Decoder::Http1(decoder(Role::Request)),
            responses: Decoder::Http1(decoder(Role::Response)),
            heads: Heads::default(),
        }
    }

    pub(super) const fn decoder(&mut self, role: Role) -> &mut Decoder {
        match role {
            Role::Request => &mut self.requests,
            Role::Response => &mut self.responses,
        }
    }

    /// Decodes up to the next head, or all of the chunk. Only a head matters: nothing of a rival is told.
    pub(super) fn next_head<'a>(
        &mut self,
        role: Role,
        time: Timestamp,
        head_limit: usize,
        chunk: &mut Chunk<'a>,
    ) -> Option<Message<'a>> {
        let context = Context { time, head_limit, expects: Expects::Content };
        let decoder = self.decoder(role);
        let head =
            std::iter::from_fn(|| decoder.next(chunk, &context)).find(|message| matches!(message, Message::Head(_)));
        if head.is_some() {
            self.heads.count(role);
        }
        head
    }

    pub(super) const fn claim(&self, believed: Heads) -> Claim {
        if believed.none() {
            Claim::Likely
        } else if self.heads.both() {
            Claim::Proven
        } else {
            Claim::None
        }
    }

    /// Bytes kept, beside the decoders themselves.
    #[inline]
    pub(super) fn buffered(&self) -> usize {
        self.requests.memory() + self.responses.memory()
    }
}
