//! An exchange to test sinks and filters with.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;

use crate::model::{
    Anomalies, Coding, Container, Exchange, Fields, FlowEnd, FlowInfo, FlowKey, FlowRecord, Format, Head, KeptPiece,
    Kind, Ledger, MessageRecord, Part, Peer, Piece, Pieces, Pod, Process, Protocol, Qos, Role, SideLedger, Timestamp,
    TlsHello, TlsVersion, Version,
};

const START: u64 = 1_763_777_999_123_456_789;

/// At so many nanoseconds after the sample began.
pub(crate) const fn at(nanos: u64) -> Timestamp {
    Timestamp::from_nanos(START + nanos)
}

pub(crate) fn fields(lines: &[(&str, &str)]) -> Fields {
    let mut fields = Fields::default();
    for (name, value) in lines {
        fields.push(name.as_bytes(), value.as_bytes());
    }
    fields
}

pub(crate) fn part(head: Head, body: &'static [u8], first: u64, last: u64) -> Part {
    let body_size = body.len() as u64;
    Part { body: Bytes::from_static(body), body_size, ended: true, ..Part::new(head, at(first), at(last)) }
}

pub(crate) fn request(method: &str, target: &str, lines: &[(&str, &str)], body: &'static [u8]) -> Part {
    part(Head::request(method, target, Version::Http11, fields(lines)), body, 0, 10_000)
}

pub(crate) fn response(status: u16, lines: &[(&str, &str)], body: &'static [u8]) -> Part {
    part(Head::response(status, Version::Http11, fields(lines)), body, 3_000_000, 3_210_000)
}

pub(crate) fn flow(client: &str, server: &str) -> FlowInfo {
    let endpoint = |text: &str| text.parse::<SocketAddr>().expect("a socket address").into();
    let (client, server) = (Peer::new(endpoint(client)), Peer::new(endpoint(server)));
    let key = FlowKey::new(0, client.endpoint, server.endpoint);
    FlowInfo { id: 1, key, client, server, start: at(0), joined: false, round_trip: None, interface: 2 }
}

/// Between a client's process and a container's server.
fn known() -> FlowInfo {
    let mut info = flow("10.0.0.2:40000", "10.0.0.1:8000");
    info.client.cookie = Some(77);
    info.client.cgroup = Some(4242);
    info.client.process = Some(Process { pid: 321, command: "curl".into() });
    let pod = Pod { uid: "7f1b2c3d4e5f60718293a4b5c6d7e8f9".into(), qos: Some(Qos::Guaranteed) };
    let container = Container { id: "0123456789abcdef".into(), namespace: None, pod: Some(pod) };
    info.server.container = Some(Arc::new(container));
    info
}

/// A client's inference, answered 200 after 3.21 ms.
pub(crate) fn exchange() -> Exchange {
    let info = known();
    Exchange {
        request: Some(request(
            "POST",
            "/v2/models/tiny/infer?trace=1",
            &[
                ("Host", "model.default.svc:8000"),
                ("User-Agent", "curl/8"),
                ("Authorization", "Bearer hunter2"),
                ("Accept", "a/b"),
                ("accept", "c/d"),
            ],
            b"{\"inputs\":[1]}",
        )),
        response: Some(response(
            200,
            &[("Content-Type", "application/json"), ("Set-Cookie", "id=hunter2")],
            b"{\"outputs\":[2]}",
        )),
        ..Exchange::new(Arc::new(info), 3, Protocol::Http1)
    }
}

/// The same client's TLS, over after 3.21 s.
pub(crate) fn tls_flow() -> FlowRecord {
    let hello = TlsHello {
        server_name: Some("model.example".into()),
        offered: vec!["h2".into(), "http/1.1".into()],
        chosen: None,
        offered_version: Some(TlsVersion::Tls13),
        version: Some(TlsVersion::Tls13),
    };
    let carried = |carried| SideLedger { carried, captured: carried, reported: carried, ..SideLedger::default() };
    FlowRecord {
        flow: Arc::new(known()),
        end: FlowEnd::Closed,
        time: at(3_210_000_000),
        protocol: Protocol::Tls,
        tls: Some(Box::new(hello)),
        ledger: Ledger { client: carried(1_234), server: carried(56_789) },
        exchanges: 0,
        anomalies: Anomalies::NONE,
    }
}

/// A part that consists of these messages, as they were sent: 5 bytes of framing before each.
pub(crate) fn framed(mut part: Part, format: Format, messages: &[(Kind, &[u8])]) -> Part {
    let mut pieces = Pieces::new(format);
    let mut body = Vec::new();
    for (index, (kind, bytes)) in messages.iter().enumerate() {
        let (len, time) = (bytes.len(), at(1_000 * (index as u64 + 1)));
        let size = len as u64;
        let piece = Piece { kind: *kind, time, size, wire_size: size, compression: None, whole: true };
        pieces.count(&piece);
        pieces.kept.push(KeptPiece { piece, start: body.len() as u32, len: len as u32 });
        body.extend_from_slice(bytes);
    }
    part.body_size = (body.len() + 5 * messages.len()) as u64;
    part.body = body.into();
    part.pieces = Some(pieces);
    part
}

/// A call of a streaming method of the Open Inference Protocol: one message, two answers, NOT_FOUND.
pub(crate) fn call() -> Exchange {
    let mut exchange = exchange();
    exchange.protocol = Protocol::Http2;
    exchange.stream = Some(5);
    let fields = fields(&[("content-type", "application/grpc"), ("grpc-timeout", "1500m")]);
    let head = Head::request("POST", "/inference.GRPCInferenceService/ModelStreamInfer", Version::Http2, fields);
    let request = framed(part(head, b"", 0, 10_000), Format::Grpc, &[(Kind::Data, b"\x0a\x04tiny\x1a\x017")]);
    let head = Head::response(200, Version::Http2, self::fields(&[("content-type", "application/grpc+proto")]));
    let answers: [(Kind, &[u8]); 2] = [(Kind::Data, b"\x12\x06\x0a\x04tiny"), (Kind::Data, b"\x0a\x02no")];
    let mut response = framed(part(head, b"", 3_000_000, 3_210_000), Format::Grpc, &answers);
    if let Some(compressed) = response.pieces.as_mut().and_then(|pieces| pieces.kept.last_mut()) {
        compressed.piece.compression = Some(Coding::Gzip);
        compressed.piece.wire_size = 24;
    }
    // A google.rpc.Status with code 5 and a RetryInfo of 1 s, without padding.
    let details = "CAUaMAoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLlJldHJ5SW5mbxIECgIIAQ";
    response.trailers =
        self::fields(&[("grpc-status", "5"), ("grpc-message", "no%20model"), ("grpc-status-details-bin", details)]);
    exchange.request = Some(request);
    exchange.response = Some(response);
    exchange
}

/// The messages of that call, as they came.
pub(crate) fn messages() -> Vec<MessageRecord> {
    let call = call();
    let of = |role, part: Option<&Part>| {
        let Some(Part { pieces: Some(pieces), .. }) = part.cloned() else { return Vec::new() };
        let one = |(index, kept): (usize, &KeptPiece)| {
            let mut exchange = call.clone();
            let part = if role == Role::Request { exchange.request.as_mut() } else { exchange.response.as_mut() };
            if let Some(part) = part {
                let mut alone = Pieces::new(pieces.format);
                alone.count(&kept.piece);
                alone.kept.push(*kept);
                part.pieces = Some(alone);
            }
            MessageRecord { exchange, role, index: index as u64 + 1, format: pieces.format, piece: kept.piece }
        };
        pieces.kept.iter().enumerate().map(one).collect()
    };
    let asked = of(Role::Request, call.request.as_ref());
    asked.into_iter().chain(of(Role::Response, call.response.as_ref())).collect()
}
