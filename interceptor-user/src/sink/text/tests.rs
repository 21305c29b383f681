mod models;

use super::*;
use crate::{
    model::{Abort, Anomalies, Anomaly, Format, Head, Kind, Version},
    sink::sample,
};

fn shown(exchanges: &[Exchange], options: Options) -> String {
    let mut out = Vec::new();
    let mut sink = TextSink::new(&mut out, options);
    for exchange in exchanges {
        sink.record(&Record::Exchange(Box::new(exchange.clone()))).expect("written");
    }
    sink.flush().expect("written");
    String::from_utf8(out).expect("UTF-8")
}

fn several() -> Vec<Exchange> {
    let mut failed = sample::exchange();
    failed.request = Some(sample::request("GET", "http://u:p@other:81/x?api_key=hunter2", &[], b""));
    failed.response = Some(sample::response(503, &[], b""));
    let mut missing = sample::exchange();
    missing.flow = std::sync::Arc::new(sample::flow("[2001:db8::2]:40000", "[2001:db8::1]:80"));
    missing.response = None;
    missing.anomalies = Anomalies::from_iter([Anomaly::NoResponse, Anomaly::Reset]);
    let mut orphan = sample::exchange();
    orphan.request = None;
    orphan.anomalies = Anomalies::from_iter([Anomaly::NoRequest]);
    let mut cut = sample::exchange();
    cut.response.as_mut().expect("a response").ended = false;
    vec![sample::exchange(), failed, missing, orphan, cut, sample::call()]
}

#[test]
fn a_line_an_exchange() {
    insta::assert_snapshot!(shown(&several(), Options { heading: true, ..Options::default() }));
}

#[test]
fn heads_and_bodies_under_the_line() {
    let mut exchange = sample::exchange();
    let response = exchange.response.as_mut().expect("a response");
    response.body = bytes::Bytes::from_static(b"first\tline\r\nsecond \x1b[31m\xe4\xb8");
    response.body_size = 5_000;
    response.trailers = sample::fields(&[("X-Checksum", "1")]);
    let mut binary = sample::exchange();
    binary.response.as_mut().expect("a response").body = bytes::Bytes::from_static(b"\x1f\x8b\x08\0");
    binary.request.as_mut().expect("a request").body = bytes::Bytes::new();
    let options = Options { headers: true, bodies: true, ..Options::default() };
    insta::assert_snapshot!(shown(&[exchange, binary], options));
}

#[test]
fn calls_and_their_messages() {
    let mut cut = sample::call();
    let response = cut.response.as_mut().expect("a response");
    let pieces = response.pieces.as_mut().expect("messages");
    pieces.kept.truncate(1);
    pieces.kept[0].len = 5;
    response.trailers = sample::fields(&[("grpc-status", "0")]);
    response.ended = false;
    cut.abort = Some(Abort { by: Role::Request, code: 8 });
    cut.anomalies = Anomalies::from_iter([Anomaly::StreamReset]);
    let mut socket = sample::exchange();
    let messages: [(Kind, &[u8]); 6] = [
        (Kind::Text, b"{ \"a\": 1 }"),
        (Kind::Text, b"two\nlines\x1b[31m"),
        (Kind::Binary, b"\xff\xfe"),
        (Kind::Ping, b""),
        (Kind::Text, b""),
        (Kind::Close(1000), b"bye"),
    ];
    socket.response = Some(sample::framed(sample::response(101, &[], b""), Format::WebSocket, &messages));
    let options = Options { bodies: true, ..Options::default() };
    insta::assert_snapshot!(shown(&[sample::call(), cut, socket], options));
}

#[test]
fn colours_only_when_asked_for() {
    let coloured = shown(&several(), Options { colour: true, ..Options::default() });
    let plain = shown(&several(), Options::default());
    assert!(!plain.contains('\x1b'));
    assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), plain);
    insta::assert_snapshot!(coloured.lines().next().expect("a line").escape_debug());
}

#[test]
fn hostile_bytes_do_not_reach_the_terminal() {
    let mut exchange = sample::exchange();
    let target = "/\u{1b}]0;owned\u{7}\r\n\u{9b}31m\u{202e}?q=\u{1b}[2J";
    let fields = sample::fields(&[("X-\u{1b}[1m", "\u{1b}[5mblink\r\n")]);
    exchange.request =
        Some(sample::part(Head::request("G\u{1b}cT", target, Version::Http10, fields), b"\x1b[31m\x07", 0, 1));
    let text = shown(&[exchange], Options { headers: true, bodies: true, ..Options::default() });
    assert!(text.contains("/\\x1b]0;owned\\x07"), "{text}");
    assert!(text.chars().all(|c| !c.is_control() || c == '\n'), "{text:?}");
    assert!(!text.contains('\u{202e}'), "{text:?}");
}

#[test]
fn long_targets_are_cut_on_a_terminal_only() {
    let mut exchange = sample::exchange();
    let target = format!("/{}?secret={}", "long".repeat(100), "x".repeat(50));
    exchange.request = Some(sample::request("GET", &target, &[], b""));
    exchange.anomalies = Anomalies::from_iter([Anomaly::Gap]);
    let cut = shown(&[exchange.clone()], Options { width: || Some(160), colour: true, ..Options::default() });
    let plain = anstream::adapter::strip_str(cut.trim_end()).to_string();
    assert!(plain.ends_with("longlon…  curl[321]  !gap") || plain.contains("…  curl[321]  !gap"), "{plain}");
    assert_eq!(plain.chars().count(), 160, "{plain}");
    let whole = shown(&[exchange], Options::default());
    assert!(whole.contains(&"long".repeat(100)) && whole.contains("?secret=[masked]"), "{whole}");
}

#[test]
fn a_narrow_terminal_leaves_room_for_the_path() {
    let line = shown(&[sample::exchange()], Options { width: || Some(20), ..Options::default() });
    assert!(line.contains(" /v2/models/tiny/infer?t…"), "{line}");
}

#[test]
fn no_target_shows_its_secrets_and_no_address_in_a_field_does() {
    for (target, expected) in [
        ("foo?api_key=x", "GET foo?api_key=[masked]"),
        ("foo?a=b@c&token=x@y", "GET foo?a=b@c&token=[masked]"),
        ("?refreshToken=x", "GET ?refreshToken=[masked]"),
        ("u:p@foo;sid=x", "GET foo;sid=[masked]"),
        ("/foo;jsessionid=x?user[password]=y", "GET /foo;jsessionid=[masked]?user[password]=[masked]"),
    ] {
        let mut exchange = sample::exchange();
        exchange.request = Some(sample::request("GET", target, &[("Referer", "http://u:p@h/?token=x")], b""));
        exchange.response = Some(sample::response(302, &[("Location", "/cb?access_token=x")], b""));
        let text = shown(&[exchange], Options { headers: true, ..Options::default() });
        assert_eq!(text.matches(expected).count(), 2, "{text}");
        assert!(text.contains("Referer: http://[masked]@h/?token=[masked]\n"), "{text}");
        assert!(text.contains("Location: /cb?access_token=[masked]\n"), "{text}");
    }
}
