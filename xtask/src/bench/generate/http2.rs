//! HTTP/2 as nghttp2 and gRPC peers write it: what repeats is in the tables of both sides from the first exchange on.

use std::io::{self, Write as _};

/// Preface, SETTINGS of some three, and a larger window for the connection.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\
    \0\0\x12\x04\0\0\0\0\0\0\x02\0\0\0\0\0\x03\0\0\0\x64\0\x04\0\x01\0\0\0\0\x04\x08\0\0\0\0\0\x3f\xff\0\0";
pub(super) const SETTINGS: &[u8] = b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64\0\0\0\x04\x01\0\0\0\0";
pub(super) const ACKNOWLEDGED: &[u8] = b"\0\0\0\x04\x01\0\0\0\0";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// Fields: by their index in the static table, by what they insert at first and refer to after that, and literally.
struct Block<'a> {
    first: bool,
    fixed: &'a [u8],
    /// Each is in the table after the first block; the last one is its newest entry.
    repeated: &'a [(&'a str, &'a str)],
    literal: &'a [(&'a str, &'a str)],
}

impl Block<'_> {
    fn bytes(&self) -> Vec<u8> {
        let mut out = self.fixed.to_vec();
        for (place, (name, value)) in self.repeated.iter().enumerate() {
            if self.first {
                out.push(0x40);
                string(&mut out, name);
                string(&mut out, value);
            } else {
                out.push(0x80 | (62 + self.repeated.len() - 1 - place) as u8);
            }
        }
        for (name, value) in self.literal {
            out.push(0);
            string(&mut out, name);
            string(&mut out, value);
        }
        out
    }
}

/// Without Huffman code, and short enough for one byte of length.
fn string(out: &mut Vec<u8>, text: &str) {
    out.push(text.len() as u8);
    out.extend_from_slice(text.as_bytes());
}

const QUESTION: [(&str, &str); 6] = [
    (":path", "/v2/models/bert-base/infer"),
    (":authority", "models.example.org:8080"),
    ("user-agent", "python-httpx/0.27.0"),
    ("accept", "application/json"),
    ("accept-encoding", "gzip, deflate"),
    ("content-type", "application/json"),
];
const ANSWER: [(&str, &str); 3] =
    [("server", "model-server"), ("content-type", "application/json"), ("date", "Tue, 14 Nov 2023 22:13:20 GMT")];

/// An inference in JSON, with an embedding as its answer.
pub(super) fn json(
    connection: u32,
    number: u32,
    id: u64,
    request: &mut Vec<u8>,
    response: &mut Vec<u8>,
) -> io::Result<()> {
    let (stream, first) = (2 * number + 1, number == 0);
    let id = format!("{:016x}", id ^ u64::from(connection));
    let literal = [("x-request-id", id.as_str())];
    let block = Block { first, fixed: b"\x83\x86", repeated: &QUESTION, literal: &literal };
    frame(request, HEADERS, END_HEADERS, stream, &block.bytes());
    let mut body = Vec::new();
    write!(
        body,
        "{{\"id\":\"{id}\",\"inputs\":[{{\"name\":\"x\",\"shape\":[1,4],\"datatype\":\"FP32\",\"data\":[3,1,1,0]}}]}}"
    )?;
    frame(request, DATA, END_STREAM, stream, &body);
    let block = Block { first, fixed: b"\x88", repeated: &ANSWER, literal: &literal };
    frame(response, HEADERS, END_HEADERS, stream, &block.bytes());
    body.clear();
    write!(body, "{{\"id\":\"{id}\",\"outputs\":[{{\"name\":\"y\",\"shape\":[1,128],\"datatype\":\"FP32\",\"data\":[")?;
    for place in 0..128_u64 {
        write!(body, "0.{:04},", place.wrapping_mul(7919) % 9973)?;
    }
    write!(body, "0]}}]}}")?;
    frame(response, DATA, END_STREAM, stream, &body);
    Ok(())
}

const CALL: [(&str, &str); 6] = [
    (":path", "/inference.GRPCInferenceService/ModelInfer"),
    (":authority", "models.example.org:8001"),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
    ("grpc-accept-encoding", "identity, deflate, gzip"),
    ("user-agent", "grpc-python/1.60.0 grpc-c/37.0.0 (linux; chttp2)"),
];
const REPLY: [(&str, &str); 2] =
    [("content-type", "application/grpc"), ("grpc-accept-encoding", "identity, deflate, gzip")];

/// A unary call: a `ModelInferRequest` and a `ModelInferResponse` with a name and an id.
pub(super) fn call(number: u32, id: u64, request: &mut Vec<u8>, response: &mut Vec<u8>) {
    let (stream, first) = (2 * number + 1, number == 0);
    let id = format!("{id:016x}");
    let message = |name: &str| {
        let mut message = vec![0x0a, name.len() as u8];
        message.extend_from_slice(name.as_bytes());
        message.extend_from_slice(&[0x1a, id.len() as u8]);
        message.extend_from_slice(id.as_bytes());
        [&[0], &(message.len() as u32).to_be_bytes()[..], &message].concat()
    };
    let block = Block { first, fixed: b"\x83\x86", repeated: &CALL, literal: &[] };
    frame(request, HEADERS, END_HEADERS, stream, &block.bytes());
    frame(request, DATA, END_STREAM, stream, &message("bert-base"));
    let block = Block { first, fixed: b"\x88", repeated: &REPLY, literal: &[] };
    frame(response, HEADERS, END_HEADERS, stream, &block.bytes());
    frame(response, DATA, 0, stream, &message("bert-base"));
    frame(response, HEADERS, END_HEADERS | END_STREAM, stream, b"\x00\x0bgrpc-status\x010\x00\x0cgrpc-message\x00");
}
