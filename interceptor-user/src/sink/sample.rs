//! An exchange to test sinks and filters with.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;

use crate::model::{
    Anomalies, Coding, Concealed, Container, Dialect, DriftRecord, DriftTest, Exchange, Fields, Finding, FlowEnd,
    FlowInfo, FlowKey, FlowRecord, Format, Head, Inference, InspectorName, KeptPiece, Kind, Ledger, MessageRecord,
    ModelError, Operation, Part, Peer, Piece, Pieces, Pod, Process, Protocol, Qos, Role, RuleVerdict, Sampled,
    SideLedger, Tensor, Text, Timestamp, Timing, TlsHello, TlsVersion, ToolCall, Uninspected, UninspectedReason, Usage,
    Values, Verdict, Version, Would,
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

/// A conversation that was streamed, of which a policy says something.
pub(crate) fn chat() -> Exchange {
    let ms = Duration::from_millis;
    let mut exchange = exchange();
    exchange.inference = Some(Box::new(Inference {
        model: Some("llama".into()),
        response_model: Some("llama-8b".into()),
        id: Some("chatcmpl-1".into()),
        tenant: Some("acme".into()),
        streamed: true,
        texts: [(Role::Request, "user", "hi"), (Role::Response, "assistant", "hello")]
            .map(|(role, speaker, text)| Text { role, speaker: speaker.into(), path: "$".into(), text: text.into() })
            .into(),
        parameters: vec![("temperature".into(), 0.5.into())],
        finish_reasons: vec!["tool_calls".into()],
        usage: Usage { input: Some(12), output: Some(5), cached: Some(4), reasoning: Some(2), ..Usage::default() },
        tool_calls: vec![ToolCall { id: None, name: "search".into(), arguments: "{}".into() }],
        timing: Timing {
            first_token: Some(ms(250)),
            chunks: 5,
            generation: Some(ms(80)),
            per_output_token: Some(ms(20)),
            median_gap: Some(ms(20)),
            longest_gap: Some(ms(30)),
            round_trip: Some(ms(1)),
            stalled: ms(120),
            waited: ms(2),
            wasted_bytes: 64,
            wasted_chunks: 2,
            ..Timing::default()
        },
        ..Inference::new(Dialect::Openai, Operation::Chat)
    }));
    exchange.verdict = Some(Box::new(verdict()));
    exchange
}

fn verdict() -> Verdict {
    let rule = |name: &str, sampled| RuleVerdict { rule: name.into(), sampled, extracted: Vec::new(), would: None };
    let finding = Finding {
        inspector: InspectorName::Pii,
        kind: "EMAIL_ADDRESS".into(),
        role: Some(Role::Request),
        place: "$.messages[0].content".into(),
        score: 1.0,
        value: Some(Concealed { hash: "00ff".into(), masked: "a**@e******.com".into() }),
        text: String::new(),
        count: 2,
        rule: "audit/prompts".into(),
    };
    let odd = Finding {
        inspector: InspectorName::Transport,
        kind: "bare_lf".into(),
        role: None,
        place: String::new(),
        score: 0.5,
        value: None,
        text: "parsers may disagree".into(),
        count: 1,
        rule: "audit/prompts".into(),
    };
    let uninspected = Uninspected {
        inspector: InspectorName::Pii,
        role: Some(Role::Response),
        reason: UninspectedReason::NotKept,
        rule: "audit/prompts".into(),
    };
    Verdict {
        rules: vec![
            RuleVerdict { extracted: vec![("a".into(), 7.into())], ..rule("audit/prompts", Sampled::Always) },
            RuleVerdict {
                would: Some(Would { action: "deny", detail: "401".into(), done: false }),
                ..rule("audit/keys", Sampled::Out)
            },
        ],
        findings: vec![finding, odd],
        uninspected: vec![uninspected],
        tenant: Some("acme".into()),
        ..Verdict::default()
    }
}

/// Tensors in and out, and an error in a 200.
pub(crate) fn tabular() -> Exchange {
    let tensor = |name: &'static str, numbers: &[f64]| Tensor {
        name: name.into(),
        datatype: None,
        shape: vec![3, 1],
        values: Values::Numbers(numbers.to_vec()),
        cut: false,
    };
    let mut exchange = exchange();
    exchange.inference = Some(Box::new(Inference {
        model: Some("iris".into()),
        version: Some("2".into()),
        batch: Some(3),
        inputs: vec![tensor("x", &[1.0, 2.0, 3.0])],
        outputs: vec![tensor("y", &[0.0, 1.0, 1.0])],
        error: Some(ModelError { kind: Some("bad_input".into()), message: "no \u{1b}".into() }),
        ..Inference::new(Dialect::OpenInference, Operation::Infer)
    }));
    exchange
}

/// A feature of that model that has drifted.
pub(crate) fn drift() -> DriftRecord {
    DriftRecord {
        sinks: crate::model::Sinks::ALL,
        rule: "drift/features".into(),
        dialect: Dialect::OpenInference,
        model: Some("iris".into()),
        version: None,
        role: Role::Request,
        feature: "x[0]".into(),
        start: at(0),
        end: at(1_000_000_000),
        count: 100,
        missing: 25,
        reference_count: 150,
        reference_missing: 0,
        out_of_range: 3,
        new_category_count: 0,
        new_categories: Vec::new(),
        wrong_type: 1,
        test: Some(DriftTest::KolmogorovSmirnov),
        score: Some(0.001),
        threshold: 0.05,
        drifted: true,
        sketched: false,
    }
}
