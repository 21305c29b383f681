//! Streamed answers, put together.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    draft::{BYTES, Draft, TEXTS, TOOLS, short},
    json::string,
};
use crate::model::{Role, ToolCall};

/// Which text of an answer: two ordinals (choice, or output and part of it), and what kind of text.
pub(super) type Place = (u64, u64, &'static str);

/// What came so far.
#[derive(Debug, Default)]
pub(super) struct Deltas {
    texts: BTreeMap<Place, String>,
    tools: BTreeMap<(u64, u64), ToolCall>,
    reasons: BTreeMap<u64, String>,
    bytes: usize,
    too_much: bool,
}

impl Deltas {
    /// More of a text; says whether there was more.
    pub(super) fn text(&mut self, place: Place, more: Option<&str>) -> bool {
        let Some(more) = more.filter(|more| !more.is_empty()) else { return false };
        if self.takes(more.len(), self.texts.len() < TEXTS || self.texts.contains_key(&place)) {
            self.texts.entry(place).or_default().push_str(more);
        }
        true
    }

    /// More of a tool's call; says whether there was more.
    pub(super) fn tool(&mut self, place: (u64, u64), id: Option<&str>, name: Option<&str>, more: Option<&str>) -> bool {
        let more = more.unwrap_or_default();
        if self.takes(more.len(), self.tools.len() < TOOLS || self.tools.contains_key(&place)) {
            let empty = || ToolCall { id: None, name: String::new(), arguments: String::new() };
            let call = self.tools.entry(place).or_insert_with(empty);
            call.arguments.push_str(more);
            if let Some(id) = id.filter(|id| !id.is_empty()) {
                call.id = Some(short(id).into());
            }
            if let Some(name) = name.filter(|name| !name.is_empty()) {
                call.name = short(name).into();
            }
        }
        !more.is_empty() || name.is_some_and(|name| !name.is_empty())
    }

    /// OpenAI's spelling of the same.
    pub(super) fn function(&mut self, place: (u64, u64), call: &Value) -> bool {
        let function = call.get("function").unwrap_or(call);
        self.tool(place, string(call, "id"), string(function, "name"), string(function, "arguments"))
    }

    /// Why this choice is over.
    pub(super) fn finish_reason(&mut self, choice: u64, reason: Option<&str>) {
        if let Some(reason) = reason.filter(|_| self.reasons.len() < TEXTS) {
            self.reasons.insert(choice, short(reason).into());
        }
    }

    fn takes(&mut self, bytes: usize, fits: bool) -> bool {
        let fits = fits && self.bytes.saturating_add(bytes) <= BYTES;
        if fits {
            self.bytes += bytes;
        }
        self.too_much |= !fits;
        fits
    }

    /// All of it, each text with the path that it would have in an answer that is not streamed.
    pub(super) fn finish(self, draft: &mut Draft<'_>, speaker: &str, path: impl Fn(Place) -> String) {
        for (place, text) in self.texts {
            draft.text(Role::Response, speaker, path(place), text);
        }
        for call in self.tools.into_values() {
            draft.tool(call.id.as_deref(), &call.name, call.arguments);
        }
        for reason in self.reasons.values() {
            draft.finish_reason(reason);
        }
        if self.too_much {
            draft.too_much();
        }
    }
}
