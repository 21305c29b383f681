//! Values that rules take out of exchanges.

use std::{cell::OnceCell, fmt, sync::Arc};

use serde_json::{Number, Value};
use serde_json_path::JsonPath;

use super::expression::joined;
use crate::{
    model::{Exchange, Format, Inference, Needs, Part, Role, Target, Values},
    protobuf::Registry,
};

/// Values of one name, and bytes of them together, at the most.
const VALUES: usize = 64;
const BYTES: usize = 4096;
/// Messages of a content that are looked at.
const MESSAGES: usize = 256;

/// A value that is taken out.
#[derive(Clone, Debug)]
pub struct Extraction {
    /// Name that it is reported by.
    pub name: Arc<str>,
    /// Which message has it.
    pub from: Role,
    /// Where in it.
    pub place: Place,
}

/// Where in a message.
#[derive(Clone, Debug)]
pub enum Place {
    /// A header field, by its name in lower case.
    Header(String),
    /// A trailer field, likewise.
    Trailer(String),
    /// A parameter of the query.
    Query(String),
    /// In JSON.
    JsonPath(Box<JsonPath>),
    /// A field of a protobuf message.
    Protobuf(FieldPath),
    /// A tensor, by its name.
    Tensor(String),
}

/// `a.b[0].c`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldPath(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// By its name in the definition, and in JSON (protobuf's "ProtoJSON format").
    Field(String, String),
    Index(usize),
}

impl FieldPath {
    /// None where it is none; steps are 32 at the most.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut steps = Vec::new();
        for field in text.split('.') {
            let (name, indices) = field.split_at(field.find('[').unwrap_or(field.len()));
            let mut characters = name.chars();
            let begins = characters.next().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
            if !begins || !characters.all(|c| c.is_ascii_alphanumeric() || c == '_') {
                return None;
            }
            steps.push(Step::Field(name.to_owned(), camel(name)));
            let mut rest = indices;
            while !rest.is_empty() {
                let (index, after) = rest.strip_prefix('[')?.split_once(']')?;
                steps.push(Step::Index(index.parse().ok()?));
                rest = after;
            }
        }
        (steps.len() <= 32).then_some(Self(steps))
    }

    fn of<'v>(&self, message: &'v Value) -> Option<&'v Value> {
        self.0.iter().try_fold(message, |value, step| match step {
            Step::Field(name, json) => value.get(json).or_else(|| value.get(name)),
            Step::Index(index) => value.get(index),
        })
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            match step {
                Step::Field(name, _) => write!(f, "{}{name}", if index > 0 { "." } else { "" })?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

fn camel(name: &str) -> String {
    let mut after = false;
    let next = |c: char| {
        let upper = std::mem::replace(&mut after, c == '_');
        (c != '_').then_some(if upper { c.to_ascii_uppercase() } else { c })
    };
    name.chars().filter_map(next).collect()
}

impl Extraction {
    /// Where it is, in words.
    pub fn place(&self) -> String {
        let from = self.from.name();
        match &self.place {
            Place::Header(name) => format!("header {name} of the {from}"),
            Place::Trailer(name) => format!("trailer {name} of the {from}"),
            Place::Query(name) => format!("query parameter {name}"),
            Place::JsonPath(path) => format!("{path} in the {from}"),
            Place::Protobuf(path) => format!("field {path} of the {from}"),
            Place::Tensor(name) => format!("tensor {name} of the {from}"),
        }
    }

    /// Content that it needs; of tensors the rule knows, which reads the whole inference for them.
    pub(super) fn needs(&self, keep: Needs) -> Needs {
        match (&self.place, self.from) {
            (Place::Header(_) | Place::Trailer(_) | Place::Query(_) | Place::Tensor(_), _) => Needs::default(),
            (Place::JsonPath(_) | Place::Protobuf(_), Role::Request) => Needs { request: keep.request, response: 0 },
            (Place::JsonPath(_) | Place::Protobuf(_), Role::Response) => Needs { request: 0, response: keep.response },
        }
    }

    pub(super) const fn is_tensor(&self) -> bool {
        matches!(self.place, Place::Tensor(_))
    }
}

/// An exchange, of which each content is read once, and only if that is asked for.
pub(super) struct Contents<'a> {
    exchange: &'a Exchange,
    inference: Option<&'a Inference>,
    registry: &'a Registry,
    json: [OnceCell<Vec<Value>>; 2],
    protobuf: [OnceCell<Vec<Value>>; 2],
}

impl<'a> Contents<'a> {
    pub(super) const fn new(exchange: &'a Exchange, inference: Option<&'a Inference>, registry: &'a Registry) -> Self {
        Self {
            exchange,
            inference,
            registry,
            json: [const { OnceCell::new() }; 2],
            protobuf: [const { OnceCell::new() }; 2],
        }
    }

    /// What is there: the value, a list where there are several, None where there is none.
    pub(super) fn extract(&self, extraction: &Extraction) -> Option<Value> {
        let Extraction { from, place, .. } = extraction;
        let part = self.exchange.part(*from);
        let mut found: Vec<Value> = match place {
            Place::Header(name) => text(joined(&part?.head.fields, name)?),
            Place::Trailer(name) => text(joined(&part?.trailers, name)?),
            Place::Query(name) => query(Target::of(&part?.head).query?, name),
            Place::JsonPath(path) => {
                let nodes = self.json(*from)?.iter().flat_map(|value| path.query(value).all());
                nodes.take(VALUES).map(bounded).collect()
            }
            Place::Protobuf(path) => {
                let messages = self.protobuf(*from)?.iter();
                messages.filter_map(|message| path.of(message)).take(VALUES).map(bounded).collect()
            }
            Place::Tensor(name) => {
                let tensor = self.inference?.tensors(*from).iter().find(|tensor| tensor.name == **name)?;
                elements(&tensor.values)
            }
        };
        limit(&mut found);
        if found.len() > 1 { Some(Value::Array(found)) } else { found.pop() }
    }

    fn json(&self, role: Role) -> Option<&[Value]> {
        let part = self.exchange.part(role)?;
        Some(self.json.get(role as usize)?.get_or_init(|| json(part)))
    }

    fn protobuf(&self, role: Role) -> Option<&[Value]> {
        let part = self.exchange.part(role)?;
        let method = self.exchange.rpc()?.method?;
        Some(self.protobuf.get(role as usize)?.get_or_init(|| {
            let messages = part.messages().take(MESSAGES);
            let read = |bytes| serde_json::to_value(self.registry.to_json(method, role, bytes, false)).ok();
            messages.filter_map(|(_, bytes)| read(bytes)).collect()
        }))
    }
}

/// The content as JSON; where it has messages, each of them.
fn json(part: &Part) -> Vec<Value> {
    match part.pieces.as_ref().map(|pieces| pieces.format) {
        None => serde_json::from_slice(&part.body).into_iter().collect(),
        Some(Format::EventStream) => {
            let texts = part.messages().take(MESSAGES).filter_map(|(_, bytes)| str::from_utf8(bytes).ok());
            texts.filter_map(|text| serde_json::from_str(&data(text)).ok()).collect()
        }
        Some(Format::JsonLines | Format::WebSocket | Format::Multipart) => {
            part.messages().take(MESSAGES).filter_map(|(_, bytes)| serde_json::from_slice(bytes).ok()).collect()
        }
        Some(Format::Grpc | Format::GrpcWeb | Format::GrpcWebText) => Vec::new(),
    }
}

/// What an event holds (WHATWG HTML section 9.2.6): its lines `data:`.
fn data(event: &str) -> String {
    let lines = event.lines().filter_map(|line| line.strip_prefix("data:"));
    lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

fn text(text: impl Into<String>) -> Vec<Value> {
    vec![Value::String(text.into())]
}

fn query(query: &str, name: &str) -> Vec<Value> {
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let named = pairs.filter(|(found, _)| unescape(found) == name);
    named.take(VALUES).map(|(_, value)| Value::String(unescape(value))).collect()
}

/// Percent-encoding, and `+` for a space (WHATWG URL section 5.1). What is not UTF-8 then is replaced.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digit = |at: usize| after.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        if let (b'%', Some(high), Some(low)) = (first, digit(0), digit(1)) {
            bytes.push((high * 16 + low) as u8);
            rest = after.get(2..).unwrap_or_default();
        } else {
            bytes.push(if *first == b'+' { b' ' } else { *first });
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn elements(values: &Values) -> Vec<Value> {
    match values {
        Values::Unread => Vec::new(),
        // What is not a number has no form in JSON.
        Values::Numbers(numbers) => {
            numbers.iter().take(VALUES).map(|n| Number::from_f64(*n).map_or(Value::Null, Value::Number)).collect()
        }
        Values::Strings(strings) => {
            let strings = strings.iter().take(VALUES);
            strings.map(|s| s.as_ref().map_or(Value::Null, |text| bounded(&Value::String(text.clone())))).collect()
        }
    }
}

/// A copy of no more than the bytes that are reported.
fn bounded(value: &Value) -> Value {
    let mut left = BYTES;
    copy(value, &mut left)
}

fn copy(value: &Value, left: &mut usize) -> Value {
    *left = left.saturating_sub(8);
    match value {
        Value::String(text) => {
            let text = cut(text, *left);
            *left -= text.len();
            Value::String(text.to_owned())
        }
        Value::Array(values) => {
            let mut all = Vec::new();
            for value in values {
                if *left == 0 {
                    break;
                }
                all.push(copy(value, left));
            }
            Value::Array(all)
        }
        Value::Object(entries) => {
            let mut all = serde_json::Map::new();
            for (key, value) in entries {
                if *left <= key.len() {
                    break;
                }
                *left -= key.len();
                all.insert(key.clone(), copy(value, left));
            }
            Value::Object(all)
        }
        other => other.clone(),
    }
}

fn cut(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or_default()
}

/// Leaves out the values behind the bytes that are reported.
fn limit(values: &mut Vec<Value>) {
    let mut left = BYTES;
    values.retain_mut(|value| {
        let had = left;
        *value = copy(value, &mut left);
        had > 0
    });
}
