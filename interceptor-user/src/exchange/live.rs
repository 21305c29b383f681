//! Messages that are told as they come, without waiting for the end of their exchange.

use std::sync::Arc;

use bytes::Bytes;

use crate::model::{
    Anomalies, Exchange, FlowInfo, Format, KeptPiece, MessageRecord, Part, Piece, Pieces, Protocol, Record, Role,
};

/// The message of one content that is coming.
#[derive(Debug, Default)]
pub(super) struct Live {
    bytes: Vec<u8>,
}

/// What is known of an exchange beside its side that the message is of.
#[derive(Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) flow: &'a Arc<FlowInfo>,
    pub(super) number: u64,
    pub(super) protocol: Protocol,
    pub(super) stream: Option<u32>,
    pub(super) role: Role,
    pub(super) other: Option<&'a Part>,
}

impl Live {
    /// Bytes of memory that it holds.
    pub(super) const fn memory(&self) -> usize {
        size_of::<Self>() + self.bytes.capacity()
    }

    /// Keeps more of the message, as far as it is not more than `most` of it.
    pub(super) fn take(&mut self, bytes: &[u8], most: usize) {
        let wanted = most.saturating_sub(self.bytes.len()).min(bytes.len());
        self.bytes.extend_from_slice(bytes.get(..wanted).unwrap_or_default());
    }

    /// The message is over, the last of as many as `counted` says.
    pub(super) fn tell(
        &mut self,
        piece: Piece,
        part: &Part,
        counted: (Format, u64),
        anomalies: Anomalies,
        about: About<'_>,
    ) -> Record {
        let About { flow, number, protocol, stream, role, other } = about;
        let (format, index) = counted;
        let bytes = std::mem::take(&mut self.bytes);
        let mut pieces = Pieces::new(format);
        pieces.count(&piece);
        pieces.kept.push(KeptPiece { piece, start: 0, len: bytes.len() as u32 });
        let head = |part: &Part| Part::new(part.head.clone(), part.first_byte, part.last_byte);
        let own = Part { body: Bytes::from(bytes), pieces: Some(pieces), ..head(part) };
        let (own, other) = (Some(own), other.map(head));
        let (request, response) = if role == Role::Request { (own, other) } else { (other, own) };
        let exchange =
            Exchange { request, response, stream, anomalies, ..Exchange::new(Arc::clone(flow), number, protocol) };
        Record::Message(Box::new(MessageRecord { exchange, role, index, format, piece }))
    }
}
