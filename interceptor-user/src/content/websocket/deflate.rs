//! permessage-deflate (RFC 7692).

use flate2::Decompress;

use crate::{
    content::{
        Limits,
        coding::{self, INFLATE_MEMORY, Sink, inflate},
    },
    model::{Anomaly, Fields, Role},
};

/// What a compressor leaves out at the end of each message (RFC 7692 section 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// What was agreed for the messages of one side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PermessageDeflate {
    /// Each message is compressed by itself; otherwise each may refer to those before it.
    pub no_context_takeover: bool,
}

impl PermessageDeflate {
    /// What the answer to the handshake, the one that accepts it, agrees to for what `sender` sends.
    pub fn agreed(answer: &Fields, sender: Role) -> Option<Self> {
        let alone = match sender {
            Role::Request => "client_no_context_takeover",
            Role::Response => "server_no_context_takeover",
        };
        let lists = answer.get_all("sec-websocket-extensions").filter_map(|value| str::from_utf8(value).ok());
        lists.flat_map(|list| list.split(',')).find_map(|extension| {
            let mut words = extension.split(';').map(str::trim);
            words
                .next()?
                .eq_ignore_ascii_case("permessage-deflate")
                .then(|| Self { no_context_takeover: words.any(|word| word.eq_ignore_ascii_case(alone)) })
        })
    }
}

/// Inflates the messages of one side.
#[derive(Debug)]
pub(super) struct Inflater {
    stream: Decompress,
    /// Bytes before and after, of all messages.
    coded: u64,
    decoded: u64,
    /// What the window should hold is not known.
    broken: bool,
    /// [`Limits`] are reached.
    spent: bool,
}

impl Default for Inflater {
    fn default() -> Self {
        Self { stream: Decompress::new(false), coded: 0, decoded: 0, broken: false, spent: false }
    }
}

impl Inflater {
    pub(super) const MEMORY: usize = size_of::<Self>() + INFLATE_MEMORY;

    /// A compressed message begins. Says whether it can be decoded.
    pub(super) fn begin(&mut self, agreed: PermessageDeflate) -> bool {
        if agreed.no_context_takeover {
            self.stream.reset(false);
            self.broken = false;
        }
        !self.broken && !self.spent
    }

    /// The next bytes of a message; `size` counts what comes out.
    pub(super) fn data(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
        size: &mut u64,
        out: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Anomaly> {
        let Self { stream, coded, decoded, .. } = self;
        let mut count = |bytes: &[u8]| {
            *size += bytes.len() as u64;
            out(bytes);
            Ok(())
        };
        let inflated = coding::steps(coded, bytes, limits, &mut |part, allowed| {
            blocks(stream, part, &mut |bytes| coding::within(allowed, decoded, bytes, &mut count))
        });
        if let Err(anomaly) = inflated {
            self.broken = true;
            self.spent |= anomaly == Anomaly::ContentLimit;
        }
        inflated
    }

    /// The message is over.
    pub(super) fn end(&mut self, limits: &Limits, size: &mut u64, out: &mut dyn FnMut(&[u8])) -> Result<(), Anomaly> {
        self.data(&TAIL, limits, size, out)
    }

    /// Something of a message is missing.
    pub(super) const fn gap(&mut self) {
        self.broken = true;
    }
}

/// Inflates; after a block that says it is the last one, another stream begins (RFC 7692 section 7.2.3.4). Its first
/// block may refer to what was before in theory; no compressor does that.
fn blocks(stream: &mut Decompress, bytes: &[u8], out: Sink<'_>) -> Result<(), Anomaly> {
    let mut rest = bytes;
    while let Some(after) = inflate(stream, rest, out)? {
        stream.reset(false);
        if after.is_empty() {
            break;
        }
        rest = after;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_says_what_was_agreed() {
        let agreed = |value: &str, role| {
            let mut fields = Fields::default();
            fields.push(b"Sec-WebSocket-Extensions", value.as_bytes());
            PermessageDeflate::agreed(&fields, role).map(|deflate| deflate.no_context_takeover)
        };
        for (value, client, server) in [
            ("permessage-deflate", Some(false), Some(false)),
            ("x, Permessage-Deflate; server_no_context_takeover", Some(false), Some(true)),
            ("permessage-deflate;client_no_context_takeover;server_max_window_bits=10", Some(true), Some(false)),
            ("x-webkit-deflate-frame", None, None),
            ("", None, None),
        ] {
            assert_eq!((agreed(value, Role::Request), agreed(value, Role::Response)), (client, server), "{value}");
        }
        assert_eq!(PermessageDeflate::agreed(&Fields::EMPTY, Role::Request), None);
    }
}
