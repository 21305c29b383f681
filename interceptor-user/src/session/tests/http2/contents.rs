//! What streams carry: calls, events, sockets.

use super::*;

/// One field line, as a literal that is not indexed.
pub(super) fn field(name: &str, value: &str) -> Vec<u8> {
    [&[0, name.len() as u8], name.as_bytes(), &[value.len() as u8], value.as_bytes()].concat()
}

fn message(bytes: &[u8]) -> Vec<u8> {
    [&[0], &(bytes.len() as u32).to_be_bytes()[..], bytes].concat()
}

#[test]
fn a_call_has_a_status_and_its_messages_have_times() {
    let grpc = field("content-type", "application/grpc");
    let trailers = [field("grpc-status", "5"), field("grpc-message", "no%20model")].concat();
    let (exchanges, _) = run(&[
        preface(&[frame(HEADERS, WHOLE, 1, [POST_A, &field("grpc-timeout", "1S"), &grpc].concat())]),
        settings(),
        client(frame(DATA, END, 1, message(b"ask"))),
        server([frame(HEADERS, WHOLE, 1, [OK_200, &grpc].concat()), frame(DATA, 0, 1, message(b"one"))].concat()),
        // A message may be in several frames, and a frame may hold several messages.
        server(frame(DATA, 0, 1, &message(b"second")[..7])),
        server([frame(DATA, 0, 1, [&message(b"second")[7..], &message(b"")].concat())].concat()),
        server(frame(HEADERS, WHOLE | END, 1, trailers)),
    ]);
    let exchange = &exchanges[0];
    assert_eq!(line(exchange), "POST /a 8 > 200 24 []");
    let rpc = exchange.rpc().expect("a call");
    assert_eq!((rpc.method, rpc.status, rpc.timeout), (Some("a"), Some(5), Some(&b"1S"[..])));
    assert_eq!(rpc.message, Some(&b"no%20model"[..]));
    let pieces = |part: &Option<crate::model::Part>| part.as_ref().unwrap().pieces.clone().unwrap();
    assert_eq!((pieces(&exchange.request).count, pieces(&exchange.request).size), (1, 3));
    let answers = pieces(&exchange.response);
    let told: Vec<_> = answers.kept.iter().map(|kept| (kept.piece.time.as_nanos(), kept.piece.size)).collect();
    assert_eq!(told, [(4, 3), (6, 6), (6, 0)], "by the step that completed them");
    assert_eq!(exchange.response.as_ref().unwrap().body, "onesecond");
}

#[test]
fn trailers_may_be_all_of_an_answer() {
    let (exchanges, _) = run(&[
        preface(&[frame(HEADERS, WHOLE | END, 1, [POST_A, &field("content-type", "application/grpc")].concat())]),
        settings(),
        server(frame(
            HEADERS,
            WHOLE | END,
            1,
            [OK_200, &field("content-type", "application/grpc"), &field("grpc-status", "12")].concat(),
        )),
    ]);
    assert_eq!(exchanges[0].rpc().and_then(|rpc| rpc.status), Some(12));
    assert!(exchanges[0].complete());
}

#[test]
fn a_websocket_in_a_stream_has_messages() {
    let connect = [
        field(":method", "CONNECT"),
        field(":protocol", "websocket"),
        field(":scheme", "http"),
        field(":path", "/chat"),
        field(":authority", "h"),
    ]
    .concat();
    let (exchanges, _) = run(&[
        preface(&[frame(HEADERS, WHOLE, 1, connect)]),
        settings(),
        server(frame(HEADERS, WHOLE, 1, OK_200)),
        client(frame(DATA, 0, 1, b"\x81\x82\0\0\0\0yo")),
        server([frame(DATA, 0, 1, b"\x81\x02hi"), frame(DATA, END, 1, b"\x88\x02\x03\xe8")].concat()),
        client(frame(DATA, END, 1, b"\x88\x80\0\0\0\0")),
    ]);
    let exchange = &exchanges[0];
    assert_eq!((exchange.protocol, line(exchange).as_str()), (Protocol::WebSocket, "CONNECT /chat 14 > 200 8 []"));
    let kinds = |part: &Option<crate::model::Part>| -> Vec<_> {
        part.as_ref().unwrap().pieces.as_ref().unwrap().kept.iter().map(|kept| kept.piece.kind).collect()
    };
    assert_eq!(kinds(&exchange.request), [Kind::Text, Kind::Close(1005)]);
    assert_eq!(kinds(&exchange.response), [Kind::Text, Kind::Close(1000)]);
    assert_eq!(exchange.request.as_ref().unwrap().target().path, Some("/chat"));
}

#[test]
fn events_in_a_compressed_answer_come_out_as_they_are_flushed() {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    let mut flushed = |text: &str| {
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.flush().unwrap();
        std::mem::take(encoder.get_mut())
    };
    let head = [OK_200, &field("content-type", "text/event-stream"), &field("content-encoding", "gzip")].concat();
    let steps = [
        preface(&[request(1)]),
        settings(),
        server([frame(HEADERS, WHOLE, 1, head), frame(DATA, 0, 1, flushed("data: a\n\n"))].concat()),
        server(frame(DATA, 0, 1, flushed("data: b\n\n: ping\n\n"))),
        server(frame(DATA, 0, 1, flushed("data: c\n\n"))),
        server(frame(DATA, END, 1, "")),
    ];
    let (exchanges, _) = run(&steps);
    let response = exchanges[0].response.as_ref().unwrap();
    assert_eq!(response.body, "data: a\n\ndata: b\n\n: ping\n\ndata: c\n\n");
    let times: Vec<_> = response.pieces.as_ref().unwrap().kept.iter().map(|kept| kept.piece.time.as_nanos()).collect();
    assert_eq!(times, [3, 4, 5]);
}

#[test]
fn what_is_not_decoded_to_its_end_is_cut() {
    let head = [OK_200, &field("content-encoding", "gzip")].concat();
    let (exchanges, _) = run(&[
        preface(&[request(1)]),
        settings(),
        server([frame(HEADERS, WHOLE, 1, head), frame(DATA, END, 1, b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xcb\x48")].concat()),
    ]);
    let response = exchanges[0].response.as_ref().unwrap();
    assert!(response.body_cut() && response.undecoded, "{response:?}");
    assert!(exchanges[0].anomalies.contains(Anomaly::BadCoding));
}
