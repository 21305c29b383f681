use crate::{
    model::{Chunk, Expects, Message, Role, Timestamp},
    protocol::{Context, Decoder, http1},
};

/// The decoders for the case that the roles of a joined flow were guessed wrong. Each byte goes to them too until heads
/// tell who is right, so whoever is has seen and counted every byte.
#[derive(Debug)]
pub(super) struct Rival {
    pub(super) requests: Decoder,
    pub(super) responses: Decoder,
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

impl Rival {
    pub(super) const fn new() -> Self {
        Self {
            requests: Decoder::Http1(http1::Decoder::joined(Role::Request)),
            responses: Decoder::Http1(http1::Decoder::joined(Role::Response)),
            heads: Heads { requests: 0, responses: 0 },
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

    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + self.requests.memory() + self.responses.memory()
    }
}
