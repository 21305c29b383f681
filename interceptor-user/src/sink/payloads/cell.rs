//! One value.

use std::{borrow::Cow, time::Duration};

use serde::Serialize;

use crate::{
    model::{Part, Timestamp},
    sink::printable::Printable,
};

/// One value of a column.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell<'a> {
    /// It is not known.
    Null,
    /// For booleans.
    Boolean(bool),
    /// For integers and times.
    Integer(i64),
    /// For texts, and JSON.
    Text(Cow<'a, str>),
    /// For bytes.
    Bytes(Cow<'a, [u8]>),
}

pub(super) fn optional(text: Option<&str>) -> Cell<'_> {
    text.map_or(Cell::Null, |text| Cell::Text(text.into()))
}

pub(super) fn number(number: Option<u64>) -> Cell<'static> {
    number.map_or(Cell::Null, |number| Cell::Integer(i64::try_from(number).unwrap_or(i64::MAX)))
}

/// A length of time, in microseconds.
pub(super) fn size(time: Option<Duration>) -> Cell<'static> {
    number(time.map(|time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX)))
}

pub(super) fn micros(time: Timestamp) -> i64 {
    (time.as_nanos() / 1_000).cast_signed()
}

/// As a JSON text on one line.
pub(super) fn json(value: &impl Serialize) -> Cell<'static> {
    let mut text = Vec::new();
    let written = value.serialize(&mut serde_json::Serializer::with_formatter(&mut text, Printable));
    match (written, String::from_utf8(text)) {
        (Ok(()), Ok(text)) => Cell::Text(text.into()),
        _ => Cell::Null,
    }
}

/// The content as it was kept, if it is text, or if it is none. Of one in messages: theirs, one after the other.
pub(super) fn content(part: Option<&Part>, as_text: bool) -> Cell<'_> {
    let Some(part) = part else { return Cell::Null };
    let bytes = kept(part);
    if bytes.is_empty() {
        return Cell::Null;
    }
    let text = match (part.body_text(), &bytes) {
        (Some(text), Cow::Borrowed(_)) => Some(Cow::Borrowed(text)),
        (_, Cow::Borrowed(_)) => None,
        (_, Cow::Owned(all)) => str::from_utf8(all).ok().map(|text| Cow::Owned(text.to_owned())),
    };
    match text {
        Some(text) if as_text => Cell::Text(text),
        None if !as_text => Cell::Bytes(bytes),
        _ => Cell::Null,
    }
}

/// What was kept of a content: its beginning, and its last messages where these were kept too.
fn kept(part: &Part) -> Cow<'_, [u8]> {
    match &part.tail {
        Some(tail) if !tail.body.is_empty() => {
            let mut all = part.body.to_vec();
            all.extend_from_slice(&tail.body);
            Cow::Owned(all)
        }
        _ => Cow::Borrowed(&part.body),
    }
}
