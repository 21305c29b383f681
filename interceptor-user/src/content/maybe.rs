//! A content whose type is not known, for the field that says it refers to a table that we did not see. If it is gRPC's, it
//! begins with a message's head, which few other contents do.

use super::{Item, Limits, grpc::Grpc};
use crate::model::{Coding, Head, Timestamp, Version};

/// A message's head: flags and length.
const HEAD: usize = 5;
/// A longer message is not believed.
const MESSAGE_MAX: u32 = 16 << 20;

/// The first bytes, until they tell.
#[derive(Debug)]
pub(super) struct Maybe {
    bytes: [u8; HEAD],
    have: u8,
    /// How its messages are compressed, if it is gRPC.
    coding: Option<Coding>,
}

/// What a content turned out to be.
pub(super) enum Is {
    /// Nothing yet.
    Unclear,
    Plain,
    /// gRPC, which has read this.
    Grpc(Grpc),
}

/// May one of this head's fields be the content's type?
pub(super) fn may_have_type(head: &Head) -> bool {
    head.version == Version::Http2 && head.fields.iter().any(|(name, _)| name.starts_with('?'))
}

impl Maybe {
    pub(super) const fn new(coding: Option<Coding>) -> Self {
        Self { bytes: [0; HEAD], have: 0, coding }
    }

    /// The next bytes, which are not handed on as long as it is unclear what they are.
    pub(super) fn data(
        &mut self,
        bytes: &[u8],
        time: Timestamp,
        limits: &Limits,
        out: &mut impl FnMut(Item<'_>),
    ) -> Is {
        let room = self.bytes.get_mut(self.have.into()..).unwrap_or_default();
        let (begin, rest) = bytes.split_at_checked(room.len()).unwrap_or((bytes, &[]));
        room.iter_mut().zip(begin).for_each(|(place, byte)| *place = *byte);
        self.have += begin.len() as u8;
        if usize::from(self.have) < HEAD {
            return Is::Unclear;
        }
        let [flags, length @ ..] = self.bytes;
        if flags > 1 || u32::from_be_bytes(length) > MESSAGE_MAX {
            self.give_up(out);
            out(Item::Bytes(rest));
            return Is::Plain;
        }
        let mut grpc = Grpc::new(self.coding, false);
        out(Item::Format(grpc.format()));
        grpc.data(&self.bytes, time, limits, out);
        grpc.data(rest, time, limits, out);
        Is::Grpc(grpc)
    }

    /// It will stay unclear: hands on what there is.
    pub(super) fn give_up(&self, out: &mut impl FnMut(Item<'_>)) {
        if let Some(bytes @ [_, ..]) = self.bytes.get(..self.have.into()) {
            out(Item::Bytes(bytes));
        }
    }
}
