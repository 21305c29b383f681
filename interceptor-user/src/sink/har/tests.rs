use serde_json::{Value, json};

use super::*;
use crate::{
    model::{Anomalies, Anomaly, Coding, Exchange, Format, KeptPiece, Kind, Piece, Pieces, Protocol},
    sink::sample,
};

fn archive(exchanges: &[Exchange], options: Options) -> Value {
    let mut out = Vec::new();
    let mut sink = HarSink::new(&mut out, options);
    for exchange in exchanges {
        sink.record(&Record::Exchange(Box::new(exchange.clone()))).expect("written");
        sink.record(&Record::Flow(Box::new(sample::tls_flow()))).expect("passed over");
    }
    sink.close().expect("written");
    serde_json::from_slice(&out).expect("JSON")
}

fn entry(exchange: Exchange) -> Value {
    archive(&[exchange], bodies())["log"]["entries"][0].take()
}

fn bodies() -> Options {
    Options { bodies: true, mask: Mask::default() }
}

fn valid(archive: &Value) -> Result<(), String> {
    let schema = serde_json::from_str(include_str!("schema.json")).expect("JSON");
    let schema = jsonschema::options().should_validate_formats(true).build(&schema).expect("a schema");
    schema.validate(archive).map_err(|error| format!("{error} at {}", error.instance_path()))
}

/// Nothing but a request, and nothing at all.
fn incomplete() -> [Exchange; 2] {
    let mut unanswered = sample::exchange();
    unanswered.response = None;
    unanswered.anomalies = Anomalies::from_iter([Anomaly::Reset, Anomaly::NoResponse]);
    let orphan = Exchange { request: None, response: None, ..sample::exchange() };
    [unanswered, orphan]
}

fn piece(kind: Kind, nanos: u64, start: u32, len: u32, size: u64) -> KeptPiece {
    let piece = Piece { kind, time: sample::at(nanos), size, wire_size: size, compression: None, whole: true };
    KeptPiece { piece, start, len }
}

/// A greeting, an answer of which not all was kept, an end.
fn web_socket() -> Exchange {
    let mut exchange = Exchange { protocol: Protocol::WebSocket, ..sample::exchange() };
    let mut sent = Pieces::new(Format::WebSocket);
    sent.kept = vec![piece(Kind::Text, 5_000_000, 0, 2, 2), piece(Kind::Close(1000), 9_000_000, 2, 0, 0)];
    let mut got = Pieces::new(Format::WebSocket);
    got.kept = vec![piece(Kind::Binary, 6_000_000, 0, 2, 5)];
    let (request, response) = (exchange.request.as_mut(), exchange.response.as_mut());
    let (request, response) = (request.expect("a request"), response.expect("a response"));
    (request.body, request.pieces) = (bytes::Bytes::from_static(b"hi"), Some(sent));
    (response.body, response.pieces) = (bytes::Bytes::from_static(b"\xff\xfe"), Some(got));
    exchange
}

#[test]
fn the_sample_in_full() {
    insta::assert_snapshot!(serde_json::to_string_pretty(&entry(sample::exchange())).expect("JSON"));
}

#[test]
fn every_archive_obeys_the_schema_and_the_schema_refuses_others() {
    let [unanswered, orphan] = incomplete();
    let mut hostile = sample::exchange();
    let fields = [("Host", "\u{1b}\"\\"), ("Cookie", "a=b; c"), ("x\"", "\u{202e}")];
    hostile.request = Some(sample::request("BR\"EW", "no form\u{7}?=&&x", &fields, b"\xff\0"));
    let several = [sample::exchange(), unanswered, orphan, hostile, web_socket()];
    for options in [Options::default(), bodies()] {
        for count in 0..=several.len() {
            let archive = archive(&several[..count], options.clone());
            assert_eq!((valid(&archive), archive["log"]["entries"].as_array().map(Vec::len)), (Ok(()), Some(count)));
        }
    }
    let good = archive(&several, bodies());
    for (place, value) in [
        ("/log/version", json!("1.1")),
        ("/log/entries/0/startedDateTime", json!("yesterday")),
        ("/log/entries/0/time", json!(null)),
        ("/log/entries/0/request/url", json!("/relative")),
        ("/log/entries/0/request/headers", json!({})),
        ("/log/entries/0/response/status", json!("200")),
        ("/log/entries/0/response/content/size", json!(-2)),
        ("/log/entries/0/timings/wait", json!(-1)),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(place).expect(place) = value;
        assert!(valid(&bad).is_err(), "{place} is not checked");
    }
}

#[test]
fn what_was_not_seen_is_as_browsers_write_it() {
    let [unanswered, orphan] = incomplete();
    let entry = |exchange| {
        let entry = entry(exchange);
        ["/response/status", "/response/_error", "/request/method", "/request/url", "/request/bodySize"]
            .map(|place| entry.pointer(place).cloned().unwrap_or_default())
    };
    let url = "http://model.default.svc:8000/v2/models/tiny/infer?trace=1";
    assert_eq!(entry(unanswered), [json!(0), json!("reset"), json!("POST"), json!(url), json!(14)]);
    let url = "http://10.0.0.1:8000/";
    assert_eq!(entry(orphan), [json!(0), Value::Null, json!("UNKNOWN"), json!(url), json!(-1)]);
}

#[test]
fn times_add_up_also_where_the_answer_comes_before_the_request_is_over() {
    let mut early = sample::exchange();
    early.request.as_mut().expect("a request").last_byte = sample::at(5_000_000);
    for exchange in [sample::exchange(), early] {
        let millis = exchange.duration().expect("both were seen").as_secs_f64() * 1e3;
        let entry = entry(exchange);
        let time = entry["time"].as_f64().expect("a number");
        assert!((time - millis).abs() < 1e-9, "{time} {millis}");
    }
}

#[test]
fn content_is_decoded_and_says_what_that_saved() {
    let mut exchange = sample::exchange();
    let response = exchange.response.as_mut().expect("a response");
    response.body = bytes::Bytes::from_static(b"\xffdecoded");
    (response.body_size, response.decoded, response.decoded_size) = (5, Some(Coding::Gzip), 8);
    let entry = entry(exchange);
    assert_eq!(entry["response"]["bodySize"], 5);
    let content = &entry["response"]["content"];
    assert_eq!((&content["size"], &content["compression"]), (&json!(8), &json!(3)));
    assert_eq!((&content["text"], &content["encoding"]), (&json!("/2RlY29kZWQ="), &json!("base64")));
}

#[test]
fn messages_are_in_order_in_chromes_form() {
    let entry = entry(web_socket());
    let messages = entry["_webSocketMessages"].as_array().expect("messages");
    let seen: Vec<_> =
        messages.iter().map(|one| (one["type"].as_str(), one["opcode"].as_u64(), one["data"].as_str())).collect();
    let expected = [
        (Some("send"), Some(1), Some("hi")),
        (Some("receive"), Some(2), Some("//4=")),
        (Some("send"), Some(8), Some("")),
    ];
    assert_eq!(seen, expected);
    assert_eq!((&messages[1]["_truncated"], &entry["_resourceType"]), (&json!(true), &json!("websocket")));
    assert!(entry["request"]["url"].as_str().is_some_and(|url| url.starts_with("ws://")), "{entry:#}");

    let mut stream = web_socket();
    stream.protocol = Protocol::Http1;
    for part in [&mut stream.request, &mut stream.response] {
        part.as_mut().and_then(|part| part.pieces.as_mut()).expect("messages").format = Format::EventStream;
    }
    let entry = super::tests::entry(stream);
    assert_eq!((entry["_messages"].as_array().map(Vec::len), entry.get("_webSocketMessages")), (Some(3), None));
    assert_eq!(entry["_messages"][0].get("opcode"), None);
}

#[test]
fn cookies_are_taken_apart_where_they_may_be_shown() {
    let shown = |mask: Mask| {
        let mut exchange = sample::exchange();
        exchange.request = Some(sample::request("GET", "/", &[("Cookie", "a=1; b=x=y;c")], b""));
        let set = "id=hunter2; Path=/v2; HttpOnly; Max-Age=1; Secure; Domain=model";
        exchange.response = Some(sample::response(200, &[("Set-Cookie", set)], b""));
        let mut archive = archive(&[exchange], Options { bodies: false, mask });
        let entry = archive["log"]["entries"][0].take();
        (entry["request"]["cookies"].clone(), entry["response"]["cookies"].clone())
    };
    assert_eq!(shown(Mask::default()), (json!([]), json!([])));
    let names = ["cookie", "set-cookie"].map(|name| name.parse().expect("a name"));
    let (sent, set) = shown(Mask::showing(names.to_vec()));
    assert_eq!(sent, json!([{ "name": "a", "value": "1" }, { "name": "b", "value": "x=y" }]));
    let set_cookie = json!({
        "name": "id", "value": "hunter2", "path": "/v2", "domain": "model", "httpOnly": true, "secure": true
    });
    assert_eq!(set, json!([set_cookie]));
}
