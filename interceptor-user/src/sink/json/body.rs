use base64::{Engine as _, engine::general_purpose::STANDARD};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::model::Part;

/// How the kept content is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) enum Encoding {
    /// As it is: it is text.
    #[serde(rename = "utf-8")]
    Utf8,
    /// RFC 4648 section 4: it is not text.
    #[serde(rename = "base64")]
    Base64,
}

/// Content that was kept, to be written as text where it is text.
#[derive(Clone, Copy)]
pub(super) struct Content<'a> {
    bytes: &'a [u8],
    text: Option<&'a str>,
}

impl<'a> Content<'a> {
    /// Of this message; None where it has none.
    pub(super) fn of(part: &'a Part) -> Option<Self> {
        (part.content_size() > 0).then(|| Self { bytes: &part.body, text: part.body_text() })
    }

    pub(super) const fn encoding(self) -> Encoding {
        match self.text {
            Some(_) => Encoding::Utf8,
            None => Encoding::Base64,
        }
    }
}

impl Serialize for Content<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.text {
            Some(text) => serializer.serialize_str(text),
            None => serializer.serialize_str(&STANDARD.encode(self.bytes)),
        }
    }
}
