//! Exchanges as clients and servers of each dialect have them, by their public documentation.

mod anthropic;
mod clients;
mod hostile;
mod hugging_face;
mod ollama;
mod openai;
pub(super) mod said;
mod timing;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde_json::Value;

use super::{Options, read};
use crate::{
    model::{
        Exchange, Format, Head, Inference, KeptPiece, Kind, Part, Piece, Pieces, Protocol, Role, Tail, ToolCall,
        Version,
    },
    sink::sample,
};

/// When the last byte of a request was captured, and the first of its response.
const ASKED: u64 = 10_000_000;
const ANSWERED: u64 = 20_000_000;

pub(super) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn part(head: Head, body: &[u8], from: u64, to: u64) -> Part {
    let (body, body_size) = (Bytes::copy_from_slice(body), body.len() as u64);
    Part { body, body_size, decoded_size: body_size, ended: true, ..Part::new(head, sample::at(from), sample::at(to)) }
}

/// A request without an answer: `POST /v1/chat/completions`, then fields, a line each.
pub(super) fn ask(line: &str, body: &str) -> Exchange {
    let mut lines = line.lines();
    let (method, target) = lines.next().and_then(|line| line.split_once(' ')).expect("method and target");
    let fields = lines.filter_map(|line| line.split_once(": ")).collect::<Vec<_>>();
    let head = Head::request(method, target, Version::Http11, sample::fields(&fields));
    let flow = Arc::new(sample::flow("10.0.0.2:40000", "10.0.0.1:8000"));
    Exchange { request: Some(part(head, body.as_bytes(), 0, ASKED)), ..Exchange::new(flow, 1, Protocol::Http1) }
}

/// The same with an answer that is one JSON text.
pub(super) fn exchange(line: &str, body: &str, status: u16, answer: &str) -> Exchange {
    let head = Head::response(status, Version::Http11, sample::fields(&[("content-type", "application/json")]));
    Exchange { response: Some(part(head, answer.as_bytes(), ANSWERED, ANSWERED)), ..ask(line, body) }
}

/// The same with an answer in messages: when they came, in milliseconds after the request, and as they were sent.
pub(super) fn stream(line: &str, body: &str, format: Format, messages: &[(u64, String)]) -> Exchange {
    let kind = if format == Format::EventStream { "text/event-stream" } else { "application/x-ndjson" };
    let head = Head::response(200, Version::Http11, sample::fields(&[("content-type", kind)]));
    let mut pieces = Pieces::new(format);
    let mut all = Vec::new();
    for (millis, bytes) in messages {
        let (time, size) = (sample::at(ASKED + millis * 1_000_000), bytes.len() as u64);
        let piece = Piece { kind: Kind::Data, time, size, wire_size: size, compression: None, whole: true };
        pieces.count(&piece);
        pieces.kept.push(KeptPiece { piece, start: all.len() as u32, len: size as u32 });
        all.extend_from_slice(bytes.as_bytes());
    }
    let mut response = part(head, &all, ANSWERED, ANSWERED);
    response.last_byte = pieces.last;
    response.pieces = Some(pieces);
    Exchange { response: Some(response), ..ask(line, body) }
}

/// Events with this data, ten milliseconds apart; `type` is their type too, where they have one.
pub(super) fn events(data: &[&str]) -> Vec<(u64, String)> {
    let text = |data: &&str| {
        let value = serde_json::from_str::<Value>(data).unwrap_or_default();
        let kind = value["type"].as_str().map(|kind| format!("event: {kind}\n")).unwrap_or_default();
        format!("{kind}data: {data}\n\n")
    };
    data.iter().enumerate().map(|(index, data)| (10 * (index as u64 + 1), text(data))).collect()
}

/// Only the first and the last messages were kept.
pub(super) fn split(exchange: &mut Exchange, first: usize, last: usize) {
    let part = exchange.response.as_mut().expect("a response");
    let pieces = part.pieces.as_mut().expect("messages");
    let whole = part.body.clone();
    let rest = pieces.kept.split_off(first);
    part.body = whole.slice(..pieces.kept.last().map_or(0, |kept| (kept.start + kept.len) as usize));
    let kept = rest[rest.len() - last..].to_vec();
    if let Some(begin) = kept.first().map(|kept| kept.start) {
        let body = whole.slice(begin as usize..);
        let kept = kept.into_iter().map(|kept| KeptPiece { start: kept.start - begin, ..kept }).collect();
        part.tail = Some(Box::new(Tail { body, kept }));
    }
}

/// Only so many bytes of a side's content were kept.
pub(super) fn keep(exchange: &mut Exchange, role: Role, bytes: usize) {
    let part = if role == Role::Request { &mut exchange.request } else { &mut exchange.response };
    let part = part.as_mut().expect("that side");
    part.body = part.body.slice(..bytes.min(part.body.len()));
}

pub(super) fn meaning(exchange: &Exchange) -> Inference {
    read(exchange, &Options::default()).expect("an inference")
}

pub(super) fn none(exchange: &Exchange) -> bool {
    read(exchange, &Options::default()).is_none()
}

/// Path and text of all texts of a side.
pub(super) fn texts(inference: &Inference, role: Role) -> Vec<(&str, &str, &str)> {
    let texts = inference.texts.iter().filter(|text| text.role == role);
    texts.map(|text| (&*text.speaker, &*text.path, &*text.text)).collect()
}

pub(super) fn tool(id: &str, name: &str, arguments: &str) -> ToolCall {
    ToolCall { id: Some(id.into()), name: name.into(), arguments: arguments.into() }
}

pub(super) fn names(inference: &Inference) -> Vec<&str> {
    inference.parameters.iter().map(|(name, _)| name.as_str()).collect()
}
