//! Field sections to heads and trailers (RFC 9113 section 8).

use super::hpack::{self, Field};
use crate::model::{Anomalies, Anomaly, Draft, Fields, Head, Version, Word};

/// What an entry of a field section counts beside its name and value (RFC 9113 section 10.5.1).
const OVERHEAD: usize = 32;

/// A field section, decoded.
#[derive(Debug)]
pub struct Section {
    /// What it holds.
    pub content: Content,
    /// What is odd about it.
    pub anomalies: Anomalies,
}

/// What a field section holds.
#[derive(Debug)]
pub enum Content {
    /// `:method` or `:status` says what it is the head of.
    Head(Head),
    /// Field lines without either: trailers, or a head of which too little is known.
    Fields(Fields),
}

/// Puts field sections together; kept for its memory.
#[derive(Debug, Default)]
pub(super) struct Builder {
    draft: Draft,
    method: Word,
    target: Word,
    authority: Word,
    status: u16,
    size: usize,
    regular: bool,
    anomalies: Anomalies,
}

impl Builder {
    /// Bytes of memory held beside itself.
    pub(super) const fn memory(&self) -> usize {
        self.draft.memory()
    }

    /// Decodes a whole block.
    pub(super) fn decode(&mut self, block: &[u8], decoder: &mut hpack::Decoder, limit: usize) -> Section {
        self.draft.clear();
        *self = Self { draft: std::mem::take(&mut self.draft), ..Self::default() };
        if decoder.decode(block, &mut |field| self.field(field, limit)).is_err() {
            self.anomalies.insert(Anomaly::BadHeaderBlock);
            decoder.forget();
        }
        self.finish()
    }

    #[inline]
    fn field(&mut self, field: Field<'_>, limit: usize) {
        let Field { name, value, known, literal_name } = field;
        if !known {
            self.anomalies.insert(Anomaly::UnknownField);
        }
        self.size += name.len() + value.len() + OVERHEAD;
        if self.size > limit {
            // The rest is decoded, for the sake of the table, and not kept.
            self.anomalies.insert(Anomaly::HeadTooLarge);
            return;
        }
        if let [b':', pseudo @ ..] = name {
            self.pseudo(name, pseudo, value);
            return;
        }
        // An unknown name may be a pseudo-header's.
        self.regular |= known;
        if literal_name && !is_field_name(name) {
            self.anomalies.insert(Anomaly::BadHead);
        }
        self.draft.push(name, value);
    }

    fn pseudo(&mut self, name: &[u8], pseudo: &[u8], value: &[u8]) {
        let place = match pseudo {
            b"method" => &mut self.method,
            b"path" => &mut self.target,
            b"authority" => {
                self.authority = self.draft.word(value);
                self.draft.push(name, value);
                return;
            }
            b"status" => {
                let status =
                    str::from_utf8(value).ok().filter(|text| text.len() == 3).and_then(|text| text.parse().ok());
                if status.is_none() || self.status != 0 || self.regular {
                    self.anomalies.insert(Anomaly::BadHead);
                }
                self.status = status.unwrap_or(self.status);
                return;
            }
            b"scheme" | b"protocol" => {
                self.draft.push(name, value);
                return;
            }
            _ => {
                self.anomalies.insert(Anomaly::BadHead);
                self.draft.push(name, value);
                return;
            }
        };
        // Before all others, once, and not empty (RFC 9113 sections 8.3 and 8.3.1).
        if self.regular || !place.is_empty() || value.is_empty() {
            self.anomalies.insert(Anomaly::BadHead);
        }
        *place = self.draft.word(value);
    }

    fn finish(&self) -> Section {
        let content = if !self.method.is_empty() || !self.target.is_empty() {
            // CONNECT has no path: what it is for is the authority (RFC 9113 section 8.5).
            let target = if self.target.is_empty() { self.authority } else { self.target };
            let known = !self.anomalies.contains(Anomaly::UnknownField) || !self.target.is_empty();
            Content::Head(self.draft.request(self.method, if known { target } else { Word::default() }, Version::Http2))
        } else if self.status != 0 {
            Content::Head(Head::response(self.status, Version::Http2, self.draft.fields()))
        } else {
            Content::Fields(self.draft.fields())
        };
        Section { content, anomalies: self.anomalies }
    }
}

/// A token in lower case (RFC 9113 section 8.2.1).
fn is_field_name(name: &[u8]) -> bool {
    let allowed = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9') || b"!#$%&'*+-.^_`|~".contains(byte);
    !name.is_empty() && name.iter().all(allowed)
}
