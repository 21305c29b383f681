mod conventions;
mod models;

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::{
    model::{
        Abort, Anomalies, Anomaly, Coding, Container, Exchange, Fields, FlowInfo, Format, Head, Kind, Pod, Process,
        Qos, Role, Version,
    },
    sink::sample,
};

fn everything() -> Options {
    Options { headers: true, bodies: true, ..Options::default() }
}

fn lines(exchanges: &[Exchange], options: Options) -> Vec<Value> {
    let mut out = Vec::new();
    let mut sink = JsonSink::new(&mut out, options);
    for exchange in exchanges {
        sink.record(&Record::Exchange(Box::new(exchange.clone()))).expect("written");
    }
    sink.flush().expect("written");
    String::from_utf8(out).expect("UTF-8").lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn line(exchange: Exchange, options: Options) -> Value {
    lines(&[exchange], options).remove(0)
}

/// One of each kind: whole, nothing known, hostile, everything known.
fn several() -> Vec<Exchange> {
    let mut bare = sample::exchange();
    bare.flow = Arc::new(FlowInfo { joined: true, interface: 0, ..sample::flow("[2001:db8::2]:1", "[2001:db8::1]:2") });
    bare.request = None;
    bare.response = None;
    bare.anomalies = Anomalies::from_iter(Anomaly::ALL);

    let mut hostile = sample::exchange();
    let mut fields = Fields::default();
    fields.push(b"Host", b"\xff\"\\");
    fields.push(b"x-\"\\\x01", b"\xff\x00\"");
    fields.push(b"User-Agent", b"\xff\x1b");
    hostile.request =
        Some(sample::part(Head::request("BR\"EW", "no form\u{7}", Version::Http10, fields), b"\xff\0", 9, 3));
    hostile.response = Some(sample::response(999, &[("A", ""), ("a", "b")], b"text"));

    let mut full = sample::exchange();
    let mut info = FlowInfo::clone(&full.flow);
    info.server.process = Some(Process { pid: 9, command: "nginx".into() });
    info.server.cookie = Some(u64::MAX);
    info.server.cgroup = Some(1);
    let pod = Pod { uid: "6c2e4f1a-0b1c-4d5e-8f90-a1b2c3d4e5f6".into(), qos: Some(Qos::Burstable) };
    let container = Container { id: "c".into(), namespace: Some("k8s.io"), pod: Some(pod) };
    info.client.container = Some(Arc::new(container));
    info.server.container.clone_from(&info.client.container);
    full.flow = Arc::new(info);
    full.interim = 1;
    let response = full.response.as_mut().expect("a response");
    response.trailers = sample::fields(&[("X-Checksum", "1"), ("X-Token", "t")]);
    response.body_missing = 10;
    let mut aborted = sample::call();
    aborted.abort = Some(Abort { by: Role::Request, code: 8 });
    vec![sample::exchange(), bare, hostile, full, sample::call(), aborted]
}

#[test]
fn every_line_obeys_the_schema_and_the_schema_refuses_others() {
    let schema: Value = serde_json::from_str(&schema::exchange().expect("a schema")).expect("JSON");
    let schema = jsonschema::options().should_validate_formats(true).build(&schema).expect("a valid schema");
    for options in [Options::default(), everything()] {
        for line in lines(&several(), options) {
            let errors: Vec<_> =
                schema.iter_errors(&line).map(|error| format!("{error} at {}", error.instance_path())).collect();
            assert!(errors.is_empty(), "{errors:?} in {line:#}");
            assert!(
                line.as_object().expect("an object").values().all(|value| !value.is_object() && !value.is_null()),
                "flat: {line:#}"
            );
        }
    }
    let good = line(sample::exchange(), everything());
    for (key, value) in [
        ("timestamp", json!("yesterday")),
        ("duration", json!("1")),
        ("anomalies", json!(["unheard_of"])),
        ("server.port", json!(70_000)),
        ("client.address", Value::Null),
        ("http.request.header.accept", json!("a/b")),
        ("unknown", json!(1)),
        ("network.type", json!("ipx")),
    ] {
        let mut bad = good.clone();
        bad[key] = value;
        assert!(!schema.is_valid(&bad), "{key} is not checked");
    }
    let mut without = good;
    without.as_object_mut().expect("an object").remove("complete");
    assert!(!schema.is_valid(&without), "complete is required");
}

#[test]
fn messages_have_lines_of_their_own_that_the_schema_allows() {
    let schema = serde_json::from_str(&schema::exchange().expect("a schema")).expect("JSON");
    let schema = jsonschema::validator_for(&schema).expect("a JSON schema");
    let told = |options: Options| {
        let mut out = Vec::new();
        let mut sink = JsonSink::new(&mut out, options);
        for message in sample::messages() {
            sink.record(&Record::Message(Box::new(message))).expect("written");
        }
        sink.record(&Record::Exchange(Box::new(sample::call()))).expect("written");
        sink.flush().expect("written");
        let text = String::from_utf8(out).expect("UTF-8");
        text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")).collect::<Vec<_>>()
    };
    let registry = crate::protobuf::Registry::builtin();
    let lines = told(Options { messages: true, registry, ..everything() });
    for line in lines.iter().chain(&told(Options::default())) {
        assert!(schema.is_valid(line), "{line}");
    }
    assert!(lines[3].get("interceptor.request.body.messages").is_none(), "they are not told again");
    insta::assert_snapshot!(serde_json::to_string_pretty(&lines[..2]).expect("JSON"));
}

#[test]
fn the_committed_schema_is_the_generated_one() {
    let committed = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/exchange.schema.json"));
    assert_eq!(
        committed,
        schema::exchange().expect("a schema"),
        "write it anew: interceptor generate schema > docs/exchange.schema.json"
    );
}

#[test]
fn the_sample_in_full() {
    let line = line(sample::exchange(), everything());
    insta::assert_snapshot!(serde_json::to_string_pretty(&line).expect("JSON"));
}

#[test]
fn a_call_in_full() {
    let line = line(sample::call(), everything());
    insta::assert_snapshot!(serde_json::to_string_pretty(&line).expect("JSON"));
}

#[test]
fn messages_are_json_text_or_base64_and_say_when_they_are_cut() {
    let with = |format, content_type: &str, messages: &[(Kind, &[u8])], change: fn(&mut crate::model::Part)| {
        let mut exchange = sample::exchange();
        let response = sample::response(200, &[("content-type", content_type)], b"");
        let mut response = sample::framed(response, format, messages);
        change(&mut response);
        exchange.response = Some(response);
        line(exchange, everything())
    };
    let forms = |line: &Value| {
        let messages = line["interceptor.response.body.messages"].as_array().expect("messages").clone();
        messages.into_iter().map(|one| (one["encoding"].clone(), one["content"].clone())).collect::<Vec<_>>()
    };
    let events: [(Kind, &[u8]); 3] =
        [(Kind::Data, b"{ \"n\": 12345678901234567890 }"), (Kind::Data, b"[DONE]"), (Kind::Data, b"\xff")];
    let line = with(Format::EventStream, "text/event-stream", &events, |_| {});
    assert_eq!(
        forms(&line),
        [
            (json!("json"), json!({ "n": 12_345_678_901_234_567_890_u64 })),
            (json!("utf-8"), json!("[DONE]")),
            (json!("base64"), json!("/w=="))
        ]
    );
    assert_eq!(line["interceptor.response.body.truncated"], false);
    assert_eq!(line.get("interceptor.response.body.content"), None, "not twice");
    assert_eq!(line["interceptor.response.message.count"], 3);

    let grpc: [(Kind, &[u8]); 1] = [(Kind::Data, b"\x0a\x02hi\x12\x02hi")];
    let form = |content_type, change| forms(&with(Format::Grpc, content_type, &grpc, change)).remove(0);
    assert_eq!(form("application/grpc", |_| {}), (json!("protobuf-wire"), json!({ "1": "hi", "2": "hi" })));
    assert_eq!(form("application/grpc+proto;x=y", |_| {}).0, "protobuf-wire");
    assert_eq!(form("application/grpc+json", |_| {}).0, "utf-8");
    let unknown = |part: &mut crate::model::Part| {
        part.pieces.as_mut().expect("messages").kept[0].piece.compression = Some(Coding::Unknown);
    };
    assert_eq!(form("application/grpc", unknown), (json!("base64"), json!("CgJoaRICaGk=")));

    let cut = with(Format::Grpc, "application/grpc", &grpc, |part| {
        let pieces = part.pieces.as_mut().expect("messages");
        pieces.kept[0].len = 6;
        pieces.count = 7;
    });
    assert_eq!(forms(&cut)[0], (json!("protobuf-wire"), json!({ "1": "hi", "2": "" })));
    assert_eq!(cut["interceptor.response.body.messages"][0]["truncated"], true);
    assert_eq!(cut["interceptor.response.body.truncated"], true);
    // A place that is not in the body is no reason to fail.
    let astray = with(Format::Grpc, "application/grpc", &grpc, |part| {
        part.pieces.as_mut().expect("messages").kept[0].start = u32::MAX;
    });
    assert_eq!(astray["interceptor.response.body.messages"][0]["truncated"], true);
}

#[test]
fn how_a_call_and_its_stream_ended() {
    let mut exchange = sample::call();
    exchange.abort = Some(Abort { by: Role::Request, code: 8 });
    let response = exchange.response.as_mut().expect("a response");
    response.trailers = sample::fields(&[("grpc-status", "99")]);
    let aborted = line(exchange.clone(), Options::default());
    assert_eq!(aborted["interceptor.stream.abort.by"], "client");
    assert_eq!(aborted["interceptor.stream.abort.code"], "CANCEL");
    assert_eq!(aborted["rpc.response.status_code"], "99");
    assert_eq!(aborted["error.type"], "99");
    let response = exchange.response.as_mut().expect("a response");
    response.trailers = sample::fields(&[("grpc-status", "0")]);
    exchange.abort = Some(Abort { by: Role::Response, code: 77 });
    let fine = line(exchange, Options::default());
    assert_eq!(fine["interceptor.stream.abort.code"], "77");
    assert_eq!((fine["rpc.response.status_code"].clone(), fine.get("error.type")), (json!("OK"), None));
    assert_eq!(
        line(sample::call(), Options::default()).get("interceptor.rpc.status_details"),
        None,
        "only with bodies"
    );
}

#[test]
fn secrets_are_masked_unless_asked_for_by_name() {
    let text = line(sample::exchange(), everything()).to_string();
    assert!(!text.contains("hunter2"), "{text}");
    let mask = Mask::showing(vec!["authorization".parse().expect("a name")]);
    let shown = line(sample::exchange(), Options { mask, ..everything() });
    assert_eq!(shown["http.request.header.authorization"], json!(["Bearer hunter2"]));
    assert_eq!(shown["http.response.header.set-cookie"], json!(["[masked]"]));
    let mut exchange = sample::exchange();
    let referer = [("Referer", "http://u:hunter2@h/?refreshToken=hunter2")];
    exchange.request = Some(sample::request("GET", "http://u:hunter2@h/p;sid=x?api_key=hunter2&a=b", &referer, b""));
    let line = line(exchange, everything());
    assert_eq!(line["http.request.header.referer"], json!(["http://[masked]@h/?refreshToken=[masked]"]));
    assert_eq!(line["url.path"], "/p;sid=[masked]");
    assert_eq!(line["url.full"], "http://h/p;sid=[masked]?api_key=[masked]&a=b");
    assert_eq!(line["url.query"], "api_key=[masked]&a=b");
}

#[test]
fn server_is_whom_the_request_names() {
    let with = |host: &str| {
        let mut exchange = sample::exchange();
        exchange.request = Some(sample::request("GET", "/", &[("Host", host)], b""));
        let line = line(exchange, Options::default());
        (line["server.address"].clone(), line["server.port"].clone(), line["network.peer.address"].clone())
    };
    assert_eq!(with("model"), (json!("model"), json!(8000), json!("10.0.0.1")));
    assert_eq!(with("[::1]:81"), (json!("::1"), json!(81), json!("10.0.0.1")));
    assert_eq!(with(""), (json!("10.0.0.1"), json!(8000), json!("10.0.0.1")));
}

#[test]
fn bodies_are_text_or_base64_and_say_when_they_are_cut() {
    let body = |bytes: &'static [u8], size: u64| {
        let mut exchange = sample::exchange();
        let response = exchange.response.as_mut().expect("a response");
        response.body = bytes::Bytes::from_static(bytes);
        response.body_size = size;
        let line = line(exchange, everything());
        ["content", "encoding", "truncated"].map(|key| line[format!("interceptor.response.body.{key}")].clone())
    };
    assert_eq!(body(b"\"text\"\n", 7), [json!("\"text\"\n"), json!("utf-8"), json!(false)]);
    assert_eq!(body(b"\xff\0", 2), [json!("/wA="), json!("base64"), json!(false)]);
    assert_eq!(body(b"ab\xe4\xb8", 100), [json!("ab"), json!("utf-8"), json!(true)]);
    assert_eq!(body(b"ab\xe4\xb8", 4), [json!("YWLkuA=="), json!("base64"), json!(false)]);
    assert_eq!(body(b"", 0), [Value::Null, Value::Null, Value::Null]);
}

#[test]
fn errors_and_methods_as_the_conventions_say() {
    let with = |method: &str, status: Option<u16>, anomalies: &[Anomaly]| {
        let mut exchange = sample::exchange();
        exchange.request = Some(sample::request(method, "/", &[], b""));
        exchange.response = status.map(|status| sample::response(status, &[], b""));
        exchange.anomalies = anomalies.iter().copied().collect();
        let line = line(exchange, Options::default());
        ["http.request.method", "http.request.method_original", "error.type"].map(|key| line.get(key).cloned())
    };
    assert_eq!(with("GET", Some(399), &[]), [Some(json!("GET")), None, None]);
    assert_eq!(with("get", Some(404), &[]), [Some(json!("_OTHER")), Some(json!("get")), Some(json!("404"))]);
    assert_eq!(
        with("QUERY", None, &[Anomaly::Reset, Anomaly::NoResponse]),
        [Some(json!("QUERY")), None, Some(json!("reset"))]
    );
}

#[test]
fn no_line_speaks_to_the_terminal() {
    let mut exchange = sample::exchange();
    exchange.request = Some(sample::request("GET", "/\u{9b}31m\u{202e}\u{7f}", &[("X", "\u{85}\u{2066}")], b"\x7f"));
    let messages: [(Kind, &[u8]); 2] =
        [(Kind::Data, "[\"\u{9b}\"]".as_bytes()), (Kind::Text, "\u{9b}31m\n".as_bytes())];
    let response = sample::framed(sample::response(200, &[], b""), Format::WebSocket, &messages);
    exchange.response = Some(response);
    let mut out = Vec::new();
    let mut sink = JsonSink::new(&mut out, everything());
    sink.record(&Record::Exchange(Box::new(exchange))).expect("written");
    sink.flush().expect("written");
    let text = String::from_utf8(out).expect("UTF-8");
    assert!(!text.trim_end().contains(crate::sink::escape::acts), "{text:?}");
}
