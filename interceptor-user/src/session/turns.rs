//! Whether the kernel leaves out what lies beyond the first bytes of each turn, so that of a content that nobody wants not even
//! those bytes are copied that pass before its head is read.
//!
//! A turn is what one side sends before the other says something again. In HTTP/1 that is one message, as a rule: but where
//! requests are pipelined, heads would be left out too. And what is wanted of the next message its head says. So turns are cut
//! only where nothing else was seen for a while, and never again on a flow on which that went wrong.

use crate::model::Role;

/// Messages in a row that nobody wanted anything of, before turns are cut.
const ENOUGH: u8 = 8;

/// What of one role's messages is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// What is asked for, content by content. So many messages in a row would have been fit for more.
    Learning(u8),
    /// What lies beyond the first bytes of each turn.
    Cut,
    /// The kernel is to be told that all is wanted again.
    Lift,
    /// What is asked for, and so it stays.
    Never,
}

/// The same, of both roles.
#[derive(Debug)]
pub(super) struct Turns {
    request: Turn,
    response: Turn,
}

impl Default for Turns {
    fn default() -> Self {
        // A request whose head was left out would leave its answer to another: only answers are cut.
        Self { request: Turn::Never, response: Turn::Learning(0) }
    }
}

impl Turns {
    pub(super) const fn of(&mut self, role: Role) -> &mut Turn {
        match role {
            Role::Request => &mut self.request,
            Role::Response => &mut self.response,
        }
    }

    /// Another head of this role was seen. Fit is one that says how long its content is, of which nothing is wanted.
    pub(super) const fn head(&mut self, role: Role, fit: bool) {
        let turn = self.of(role);
        match turn {
            Turn::Learning(count) if fit => *count = count.saturating_add(1),
            Turn::Learning(count) => *count = 0,
            Turn::Cut if !fit => *turn = Turn::Lift,
            Turn::Cut | Turn::Lift | Turn::Never => {}
        }
    }

    /// Turns are not cut on this flow, and never will be.
    pub(super) const fn end(&mut self, role: Role) {
        let turn = self.of(role);
        *turn = match turn {
            Turn::Cut | Turn::Lift => Turn::Lift,
            Turn::Learning(_) | Turn::Never => Turn::Never,
        };
    }
}

impl Turn {
    /// Says, once, that the kernel is to be told.
    pub(super) fn take_lift(&mut self) -> bool {
        let lift = *self == Self::Lift;
        if lift {
            *self = Self::Never;
        }
        lift
    }

    /// Cuts turns from now on, if enough was seen; says so if they are cut.
    pub(super) fn cut(&mut self) -> bool {
        if matches!(self, Self::Learning(count) if *count >= ENOUGH) {
            *self = Self::Cut;
        }
        *self == Self::Cut
    }
}
