//! Bytes that are meant to hurt: memory stays bounded, work stays linear, and a later exchange is still seen.

use super::*;

const HOSTILE: Limits<'_> = Limits {
    head: 16 * 1024,
    body: 1024,
    decide: None,
    pipeline: 32,
    streams: 32,
    memory: 256 * 1024,
    messages: false,
    room: usize::MAX,
};
/// What one flow may hold: the open exchanges, the heads of one more (text, and at worst as many places), two buffers.
const MEMORY_MAX: usize = HOSTILE.memory + 24 * HOSTILE.head;
const MEGABYTE: usize = 1 << 20;

/// Feeds a flow, watching its memory; gives its record and how many exchanges it had.
fn feed<'s>(joined: bool, pieces: impl IntoIterator<Item = (Side, &'s [u8])>) -> (FlowRecord, Vec<String>) {
    let flow = flow(joined);
    let (mut session, mut ledger) = (Session::default(), Ledger::default());
    let (mut last, mut over) = (Vec::new(), None);
    let mut emit = |record: Record| match record {
        Record::Exchange(exchange) => {
            last = exchange
                .request
                .iter()
                .chain(&exchange.response)
                .map(|part| format!("{:?}", part.head.start_line()))
                .collect();
        }
        Record::Message(_) | Record::Drift(_) | Record::Edge(_) => panic!("nobody asked for it"),
        Record::Flow(record) => over = Some(*record),
    };
    let time = Timestamp::from_nanos(1);
    for (side, bytes) in pieces {
        let captured = &mut ledger.side_mut(side).captured;
        *captured += bytes.len() as u64;
        ledger.side_mut(side).carried = ledger.side(side).captured;
        session.event(&flow, FlowEvent::Chunk { side, time, next: 0, chunk: Chunk::Data(bytes) }, &HOSTILE, &mut emit);
        assert!(session.memory() <= MEMORY_MAX, "{} bytes", session.memory());
        assert!(session.open() as usize <= HOSTILE.pipeline + 1);
    }
    session.event(&flow, FlowEvent::Ended { end: FlowEnd::Closed, time, ledger }, &HOSTILE, &mut emit);
    assert_eq!(session.memory(), 0);
    let over = over.unwrap();
    assert!(over.ledger.balances());
    (over, last)
}

/// `bytes` again and again until it is `total` in all, by the client, after an ordinary exchange and before another.
fn repeated(begin: &str, bytes: &str, total: usize, piece: usize) -> Vec<String> {
    let begin = begin.as_bytes();
    let many = bytes.as_bytes().repeat(total / bytes.len());
    let mut pieces = vec![(Side::Client, GET.as_bytes()), (Side::Server, OK.as_bytes()), (Side::Client, begin)];
    pieces.extend(many.chunks(piece).map(|piece| (Side::Client, piece)));
    pieces.extend([(Side::Client, b"\n\r\nGET /last HTTP/1.1\r\n\r\n".as_slice()), (Side::Server, OK.as_bytes())]);
    feed(false, pieces).1
}

#[test]
fn never_a_line_end() {
    for begin in ["", "GET /", "GET / HTTP/1.1\r\nA: ", "GET / HTTP/1.1\r\n\0"] {
        let last = repeated(begin, "x", 10 * MEGABYTE, 64 * 1024);
        assert!(last[0].contains("/last"), "{begin}: {last:?}");
    }
}

#[test]
fn a_hundred_thousand_fields() {
    let last = repeated("GET / HTTP/1.1\r\n", "a:\r\n", 400_000, 1460);
    assert!(last[0].contains("/last"), "{last:?}");
}

#[test]
fn as_many_fields_as_a_head_can_hold() {
    let head = format!("GET / HTTP/1.1\r\n{}\r\n", "a:\n".repeat(5000));
    let pieces = std::iter::repeat_n((Side::Client, head.as_bytes()), HOSTILE.pipeline + 10);
    let (over, _) = feed(false, pieces);
    assert!(over.anomalies.contains(Anomaly::MemoryLimit), "{:?}", over.anomalies);
}

#[test]
fn lines_that_look_like_heads() {
    for bytes in [
        "GET / HTTP/1.1\r\nX: ",
        "GET /GET ",
        "GET ",
        "X: GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "\r\n",
        "\r\r\n",
    ] {
        let last = repeated("\0", bytes, MEGABYTE, 1460);
        assert!(last[0].contains("/last"), "{bytes:?}: {last:?}");
    }
}

#[test]
fn status_lines_without_end() {
    let many = "HTTP/1.1 200 OK\r\nA: ".repeat(50_000);
    let mut pieces = vec![(Side::Client, GET.as_bytes()), (Side::Server, b"\0")];
    pieces.extend(many.as_bytes().chunks(1460).map(|piece| (Side::Server, piece)));
    pieces.push((Side::Server, b"\r\nHTTP/1.1 299 X\r\nContent-Length: 0\r\n\r\n"));
    let (_, last) = feed(false, pieces);
    assert!(last[1].contains("299"), "{last:?}");
}

#[test]
fn a_byte_at_a_time() {
    for (begin, bytes) in
        [("GET / HTTP/1.1\r\nA: ", "x"), ("GET /", "x"), ("", "GET /x"), ("\0", "GET / HTTP/1.1\r\nX: "), ("", "\r\n")]
    {
        let last = repeated(begin, bytes, MEGABYTE / 4, 1);
        assert!(last[0].contains("/last"), "{begin} {bytes}: {last:?}");
    }
}

#[test]
fn a_first_line_without_end_byte_at_a_time() {
    for first in ["GET /", "GET  /", "\r\n", "HTTP/1.1 200"] {
        let many = [first.as_bytes(), &vec![b'x'; MEGABYTE / 8]].concat();
        for side in Side::BOTH {
            feed(false, many.chunks(1).map(|piece| (side, piece)));
            feed(true, many.chunks(1).map(|piece| (side, piece)));
        }
    }
}

#[test]
fn huge_claims_keep_nothing() {
    let claims = [
        "Content-Length: 1073741824",
        "Content-Length: 18446744073709551615",
        "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff",
        "Transfer-Encoding: chunked\r\n\r\n40000000",
    ];
    let content = vec![b'x'; 64 * 1024];
    for claim in claims {
        let end = if claim.contains("chunked") { "\r\n" } else { "\r\n\r\n" };
        let request = format!("POST / HTTP/1.1\r\n{claim}{end}");
        let mut pieces = vec![(Side::Client, request.as_bytes())];
        pieces.extend(std::iter::repeat_n((Side::Client, &content[..]), 100));
        let (over, last) = feed(false, pieces);
        assert_eq!(last.len(), 1, "{claim}");
        assert_eq!(over.ledger.client.reported, 0);
    }
}

#[test]
fn deep_pipelining() {
    let many = GET.repeat(100_000);
    let responses = OK.repeat(100_000);
    let mut pieces: Vec<_> = many.as_bytes().chunks(1460).map(|piece| (Side::Client, piece)).collect();
    pieces.extend(responses.as_bytes().chunks(1460).map(|piece| (Side::Server, piece)));
    pieces.extend([(Side::Client, b"GET /last HTTP/1.1\r\n\r\n".as_slice()), (Side::Server, OK.as_bytes())]);
    let (over, last) = feed(false, pieces);
    assert_eq!(over.exchanges, 100_001);
    assert!(last[0].contains("/last"), "{last:?}");
}

#[test]
fn an_idle_session_is_small() {
    let flow = flow(false);
    let mut session = Session::default();
    let mut emitted = 0;
    for bytes in [(Side::Client, GET), (Side::Server, OK)] {
        let chunk = Chunk::Data(bytes.1.as_bytes());
        let event = FlowEvent::Chunk { side: bytes.0, time: Timestamp::default(), next: 0, chunk };
        session.event(&flow, event, &HOSTILE, &mut |_| emitted += 1);
    }
    assert_eq!(emitted, 1);
    let size = size_of::<Session>() + session.memory();
    assert!(size < 1024, "{size} bytes");
}

#[test]
fn trailers_count_against_the_memory_of_the_flow() {
    let limits = Limits { memory: 1024, ..LIMITS };
    let trailer = "v".repeat(2000);
    let first = format!("POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nT: {trailer}\r\n\r\n");
    let (exchanges, over) = run_with(&limits, false, &[client(first), get("/b")], FlowEnd::Idle);
    assert_eq!(exchanges.iter().map(line).collect::<Vec<_>>(), ["POST /a 0 > - [truncated no_response]"]);
    assert!(over.anomalies.contains(Anomaly::MemoryLimit));
}
