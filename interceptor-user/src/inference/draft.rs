//! An inference as it is filled in: what it takes has bounds, and what all dialects share is written once.

use serde_json::{Map, Value};

use super::{
    body,
    call::{Call, media_type},
    json::{count, string},
    timing::Pace,
};
use crate::model::{Inference, ModelError, Operation, Role, Text, ToolCall, Unread, Usage};

/// Texts of an inference, and finish reasons.
pub(super) const TEXTS: usize = 1024;
/// Bytes of its texts, tool calls and parameters together.
pub(super) const BYTES: usize = 4 << 20;
/// Tools that it calls.
pub(super) const TOOLS: usize = 256;
/// Parameters of its request.
const PARAMETERS: usize = 128;
/// Bytes of what is short: names, ids, reasons.
const NAME: usize = 512;
/// Bytes of an error's message.
const MESSAGE: usize = 4096;
/// Characters of a token, by a rule of thumb that OpenAI gives for English text.
const CHARACTERS: u64 = 4;

/// See the module.
pub(super) struct Draft<'a> {
    pub(super) inference: &'a mut Inference,
    room: usize,
}

impl<'a> Draft<'a> {
    pub(super) const fn new(inference: &'a mut Inference) -> Self {
        Self { inference, room: BYTES }
    }

    pub(super) const fn too_much(&mut self) {
        self.inference.unread = Some(Unread::TooMuch);
    }

    fn take(&mut self, bytes: usize, fits: bool) -> bool {
        let room = self.room.checked_sub(bytes).filter(|_| fits);
        self.room = room.unwrap_or(self.room);
        if room.is_none() {
            self.too_much();
        }
        room.is_some()
    }

    /// One that is empty is none.
    pub(super) fn text(&mut self, role: Role, speaker: &str, path: impl Into<String>, text: impl Into<String>) {
        let (path, text) = (path.into(), text.into());
        let fits = self.inference.texts.len() < TEXTS;
        if !text.is_empty() && self.take(path.len() + text.len(), fits) {
            self.inference.texts.push(Text { role, speaker: short(speaker).to_owned().into(), path, text });
        }
    }

    /// A text, or the parts of a message: of them the texts, those in the results of tools too. Images, sounds and files
    /// are not told: they are part of one prompt, so they do not count as a batch either.
    pub(super) fn content(&mut self, role: Role, speaker: &str, path: &str, content: &Value) {
        match content {
            Value::String(text) => self.text(role, speaker, path, text),
            Value::Array(parts) => {
                for (index, part) in parts.iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    if let Value::String(text) = part {
                        self.text(role, speaker, path, text);
                        continue;
                    }
                    for name in ["text", "refusal", "thinking"] {
                        if let Some(text) = string(part, name) {
                            self.text(role, speaker, format!("{path}['{name}']"), text);
                        }
                    }
                    if let Some(inner) = part.get("content") {
                        self.content(role, speaker, &format!("{path}['content']"), inner);
                    }
                }
            }
            _ => {}
        }
    }

    pub(super) fn tool(&mut self, id: Option<&str>, name: &str, arguments: impl Into<String>) {
        let arguments = arguments.into();
        let fits = self.inference.tool_calls.len() < TOOLS;
        if self.take(arguments.len(), fits) {
            let call = ToolCall { id: id.map(short).map(Into::into), name: short(name).into(), arguments };
            self.inference.tool_calls.push(call);
        }
    }

    /// All members but these, and but those that are null.
    pub(super) fn parameters(&mut self, members: &Map<String, Value>, except: &[&str]) {
        for (name, value) in members.iter().filter(|(name, value)| !except.contains(&name.as_str()) && !value.is_null())
        {
            let fits = self.inference.parameters.len() < PARAMETERS && name.len() <= NAME;
            if self.take(weight(value), fits) {
                self.inference.parameters.push((name.clone(), value.clone()));
            }
        }
    }

    pub(super) fn finish_reason(&mut self, reason: &str) {
        let fits = self.inference.finish_reasons.len() < TEXTS;
        if self.take(0, fits) {
            self.inference.finish_reasons.push(short(reason).into());
        }
    }

    pub(super) fn model(&mut self, model: Option<&str>) {
        set(&mut self.inference.model, model);
    }

    /// What every answer of a dialect may hold: which model it was, its id, counts, what went wrong.
    pub(super) fn answer(&mut self, answer: &Value) {
        set(&mut self.inference.response_model, string(answer, "model"));
        set(&mut self.inference.id, string(answer, "id"));
        if let Some(counts) = answer.get("usage") {
            usage(counts, &mut self.inference.usage);
        }
        self.error(answer);
    }

    /// An object that says what went wrong, as the dialects spell it; the first one is the one that is told.
    pub(super) fn error(&mut self, answer: &Value) {
        if self.inference.error.is_none() {
            self.inference.error = error(answer);
        }
    }

    /// What can be told once everything else is known.
    pub(super) fn close(mut self, call: &Call<'_>, pace: Pace) {
        self.inference.streamed |= call.pieces().is_some();
        self.failure(call);
        if self.inference.unread.is_none() {
            self.inference.unread = call.unread(Role::Response).or_else(|| call.unread(Role::Request));
        }
        if call.options.estimate_tokens {
            self.estimate(call, &pace);
        }
        pace.finish(call, self.inference);
    }

    /// What the status alone, or a text that is not JSON, tells of a failure; and whether content is what it should be.
    fn failure(&mut self, call: &Call<'_>) {
        let malformed = |role| {
            let part = call.exchange.part(role);
            part.is_some_and(|part| !part.body.is_empty()) && call.json(role).is_none() && call.unread(role).is_none()
        };
        let response = call.exchange.response.as_ref();
        let failed = body::refused(call);
        if failed && self.inference.error.is_none() {
            let plain = response.filter(|part| media_type(&part.head).starts_with("text/plain"));
            let told =
                call.json(Role::Response).and_then(|answer| answer.get("detail").or_else(|| answer.get("message")));
            let message = match told {
                Some(Value::String(text)) => Some(text.as_str()),
                Some(_) => None,
                None => plain.and_then(|part| part.body_text()),
            };
            let error = |text| ModelError { kind: None, message: cut(text, MESSAGE).into() };
            self.inference.error = message.map(error);
        } else if malformed(Role::Request) || !failed && call.pieces().is_none() && malformed(Role::Response) {
            self.inference.unread = Some(Unread::Malformed);
        }
    }

    /// Where the response counts no tokens: of a stream as many as there were messages that carry something generated,
    /// else one for four characters, rounded up.
    fn estimate(&mut self, call: &Call<'_>, pace: &Pace) {
        let generates = matches!(self.inference.operation, Operation::Chat | Operation::TextCompletion);
        if !generates || self.inference.usage.output.is_some() {
            return;
        }
        let characters = |role| {
            let texts = self.inference.texts.iter().filter(|text| text.role == role);
            texts.map(|text| text.text.chars().count() as u64).sum::<u64>()
        };
        let tools = self.inference.tool_calls.iter().map(|call| call.arguments.chars().count() as u64).sum::<u64>();
        let output = match pace.chunks(call) {
            0 if call.unread(Role::Response).is_some() => 0,
            0 => (characters(Role::Response) + tools).div_ceil(CHARACTERS),
            chunks => chunks,
        };
        let input = characters(Role::Request).div_ceil(CHARACTERS);
        if output > 0 {
            let known = call.unread(Role::Request).is_none() && input > 0;
            let usage = &mut self.inference.usage;
            usage.output = Some(output);
            usage.input = usage.input.or_else(|| known.then_some(input));
            usage.estimated = true;
        }
    }
}

/// Tokens in all the spellings of those who speak OpenAI's dialect. What is not stated stays as it is.
pub(super) fn usage(counts: &Value, usage: &mut Usage) {
    let of = |name: &str| count(counts, name);
    let within = |names: [&str; 2], name: &str| names.iter().find_map(|outer| count(counts.get(outer)?, name));
    let prompt = ["prompt_tokens_details", "input_tokens_details"];
    let completion = ["completion_tokens_details", "output_tokens_details"];
    let input = of("prompt_tokens").or_else(|| of("input_tokens")).or_else(|| of("total_tokens"));
    usage.input = input.or(usage.input);
    usage.output = of("completion_tokens").or_else(|| of("output_tokens")).or(usage.output);
    // The second is DeepSeek's, the third xAI's and Moonshot's.
    let cached =
        within(prompt, "cached_tokens").or_else(|| of("prompt_cache_hit_tokens")).or_else(|| of("cached_tokens"));
    usage.cached = cached.or(usage.cached);
    let written = within(prompt, "cache_write_tokens").or_else(|| within(prompt, "cache_creation_tokens"));
    usage.cache_creation = written.or(usage.cache_creation);
    let reasoning = within(completion, "reasoning_tokens").or_else(|| of("reasoning_tokens"));
    usage.reasoning = reasoning.or(usage.reasoning);
}

fn error(answer: &Value) -> Option<ModelError> {
    let told = |kind: Option<&Value>, message: &str| {
        let kind = match kind {
            Some(Value::String(kind)) if !kind.is_empty() => Some(short(kind).to_owned()),
            Some(Value::Number(code)) => Some(code.to_string()),
            _ => None,
        };
        Some(ModelError { kind, message: cut(message, MESSAGE).to_owned() })
    };
    let typed =
        |error: &Value| error.get("type").filter(|kind| kind.is_string()).or_else(|| error.get("code")).cloned();
    match answer.get("error") {
        Some(Value::String(message)) if !message.is_empty() => {
            told(answer.get("error_type").or_else(|| answer.get("type")), message)
        }
        Some(error @ Value::Object(_)) => told(typed(error).as_ref(), string(error, "message").unwrap_or_default()),
        // vLLM before 0.10: the error is the whole answer. OpenAI's responses have an event of this type.
        _ if string(answer, "object") == Some("error") => {
            told(typed(answer).as_ref(), string(answer, "message").unwrap_or_default())
        }
        _ if string(answer, "type") == Some("error") => {
            told(answer.get("code"), string(answer, "message").unwrap_or_default())
        }
        _ => None,
    }
}

fn set(field: &mut Option<String>, value: Option<&str>) {
    if let Some(value) = value.filter(|value| !value.is_empty()) {
        *field = Some(short(value).into());
    }
}

pub(super) fn short(text: &str) -> &str {
    cut(text, NAME)
}

/// What a server says went wrong, as far as it is told.
pub(super) fn message(text: &str) -> &str {
    cut(text, MESSAGE)
}

/// So many bytes at most, without half a character.
fn cut(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or(text)
}

/// About the bytes that a value takes.
fn weight(value: &Value) -> usize {
    const NODE: usize = 32;
    NODE + match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(weight).sum(),
        Value::Object(members) => members.iter().map(|(name, value)| NODE + name.len() + weight(value)).sum(),
        _ => 0,
    }
}
