use std::{borrow::Cow, sync::Arc};

use super::Role;

/// Which inspector saw something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InspectorName {
    /// Personal data and secrets.
    Pii,
    /// Features that are not distributed as in the baseline.
    Drift,
    /// Contents that are not as declared.
    Schema,
    /// What is odd about how it was carried.
    Transport,
}

impl InspectorName {
    /// All of them, in the order of their values.
    pub const ALL: [Self; 4] = [Self::Pii, Self::Drift, Self::Schema, Self::Transport];

    /// Name in policies and output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pii => "pii",
            Self::Drift => "drift",
            Self::Schema => "schema",
            Self::Transport => "transport",
        }
    }
}

/// Something that an inspector saw in an exchange. It never holds the value that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Who saw it.
    pub inspector: InspectorName,
    /// What it is: of personal data the entity as Presidio names it (`EMAIL_ADDRESS`), of a schema the keyword that is
    /// violated, of transport the anomaly.
    pub kind: Cow<'static, str>,
    /// In which message; None where it concerns both.
    pub role: Option<Role>,
    /// Where in it: `header:NAME`, `query:NAME`, `form:NAME`, a normalised JSONPath (RFC 9535 section 2.7), `tensor:NAME`,
    /// `trailer:NAME`, `body`.
    pub place: String,
    /// How sure it is: 0 to 1, as Presidio's scores.
    pub score: f32,
    /// What was found, made unreadable.
    pub value: Option<Concealed>,
    /// What to say of it beside that; empty where nothing.
    pub text: String,
    /// How often it was seen at this place.
    pub count: u32,
    /// The rule that asked.
    pub rule: Arc<str>,
}

/// A value that is not told: enough to recognise it, and to see what it is like.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Concealed {
    /// HMAC-SHA-256 of the value under the program's key, the first 16 bytes, in hexadecimal.
    pub hash: String,
    /// The value with all but what cannot identify it replaced by `*`.
    pub masked: String,
}

/// Something that an inspector did not look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uninspected {
    /// Which inspector.
    pub inspector: InspectorName,
    /// In which message.
    pub role: Option<Role>,
    /// Why.
    pub reason: UninspectedReason,
    /// The rule that asked.
    pub rule: Arc<str>,
}

/// Why something was not inspected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UninspectedReason {
    /// The time for an exchange was over.
    Time,
    /// The bytes for an exchange were used up.
    Bytes,
    /// Content was not kept, or only its beginning.
    NotKept,
    /// Content was not captured.
    Missing,
    /// Content is not what its type or coding says.
    Malformed,
    /// Content of a type that the inspector does not read.
    Unsupported,
}

impl UninspectedReason {
    /// All of them, in the order of their values.
    pub const ALL: [Self; 6] =
        [Self::Time, Self::Bytes, Self::NotKept, Self::Missing, Self::Malformed, Self::Unsupported];

    /// Name in metrics and output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Bytes => "bytes",
            Self::NotKept => "not_kept",
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Unsupported => "unsupported",
        }
    }
}
