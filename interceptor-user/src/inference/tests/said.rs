//! Exchanges with a model server, for tests.

#![allow(clippy::cast_sign_loss, reason = "varints are two's complement")]

use crate::inference::{Options, read};
use crate::{
    model::{Exchange, Format, Head, Inference, Kind, Part, Tensor, Values, Version},
    sink::sample::{self, fields},
};

/// A request and its response, each with the lines of its head besides.
pub(in crate::inference) struct Said<'a> {
    pub(in crate::inference) method: &'a str,
    pub(in crate::inference) path: &'a str,
    pub(in crate::inference) asks: &'a [(&'a str, &'a str)],
    pub(in crate::inference) request: &'a [u8],
    pub(in crate::inference) status: u16,
    pub(in crate::inference) answers: &'a [(&'a str, &'a str)],
    pub(in crate::inference) response: &'a [u8],
}

pub(in crate::inference) const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

impl Said<'_> {
    pub(in crate::inference) fn exchange(&self) -> Exchange {
        let mut exchange = sample::exchange();
        let with = |head, content: &[u8], first, last| {
            let part = sample::part(head, b"", first, last);
            Part { body: content.to_vec().into(), body_size: content.len() as u64, ..part }
        };
        let head = Head::request(self.method, self.path, Version::Http11, fields(self.asks));
        exchange.request = Some(with(head, self.request, 0, 10_000));
        let head = Head::response(self.status, Version::Http11, fields(self.answers));
        exchange.response = Some(with(head, self.response, 3_000_000, 3_210_000));
        exchange
    }

    pub(in crate::inference) fn read(&self) -> Option<Inference> {
        inference(&self.exchange())
    }
}

pub(in crate::inference) fn inference(exchange: &Exchange) -> Option<Inference> {
    read(exchange, &Options::default())
}

/// JSON posted, and the answer with status 200.
pub(in crate::inference) fn posted<'a>(path: &'a str, request: &'a str, response: &'a str) -> Said<'a> {
    Said {
        method: "POST",
        path,
        asks: JSON,
        request: request.as_bytes(),
        status: 200,
        answers: JSON,
        response: response.as_bytes(),
    }
}

/// Asked for, and answered in JSON.
pub(in crate::inference) fn got<'a>(path: &'a str, response: &'a str) -> Said<'a> {
    Said { method: "GET", asks: &[], ..posted(path, "", response) }
}

/// A gRPC call of these messages, and how it ended.
pub(in crate::inference) fn called(
    path: &str,
    request: &[&[u8]],
    response: &[&[u8]],
    end: &[(&str, &str)],
) -> Exchange {
    let mut exchange = sample::call();
    let grpc = || fields(&[("content-type", "application/grpc")]);
    let with = |head, messages: &[&[u8]]| {
        let messages: Vec<_> = messages.iter().map(|bytes| (Kind::Data, *bytes)).collect();
        let mut part = sample::framed(sample::part(head, b"", 0, 10_000), Format::Grpc, &messages);
        part.decoded_size = part.body.len() as u64;
        part
    };
    exchange.request = Some(with(Head::request("POST", path, Version::Http2, grpc()), request));
    let mut answer = with(Head::response(200, Version::Http2, grpc()), response);
    answer.trailers = fields(end);
    exchange.response = Some(answer);
    exchange
}

/// What is in a tensor, to be compared: NaN as "-".
pub(in crate::inference) fn told(tensor: &Tensor) -> String {
    let values = match &tensor.values {
        Values::Unread => "?".to_owned(),
        Values::Numbers(numbers) => {
            let one = |number: &f64| if number.is_nan() { "-".to_owned() } else { number.to_string() };
            numbers.iter().map(one).collect::<Vec<_>>().join(" ")
        }
        Values::Strings(strings) => {
            strings.iter().map(|text| text.as_deref().unwrap_or("-")).collect::<Vec<_>>().join(" ")
        }
    };
    let datatype = tensor.datatype.map_or("", |datatype| datatype.name());
    let cut = if tensor.cut { "…" } else { "" };
    format!("{} {datatype}{:?}: {values}{cut}", tensor.name, tensor.shape)
}

pub(in crate::inference) fn all(tensors: &[Tensor]) -> Vec<String> {
    tensors.iter().map(told).collect()
}

/// Field of a message: its bytes, length before them.
pub(in crate::inference) fn bytes(number: u32, content: &[u8]) -> Vec<u8> {
    let mut out = varint(u64::from(number << 3 | 2));
    out.extend(varint(content.len() as u64));
    out.extend(content);
    out
}

/// Field of a message: an integer.
pub(in crate::inference) fn integer(number: u32, value: i64) -> Vec<u8> {
    let mut out = varint(u64::from(number << 3));
    out.extend(varint(value as u64));
    out
}

pub(in crate::inference) fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}
