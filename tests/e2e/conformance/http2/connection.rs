//! The connection: its beginning, frames as such, SETTINGS, PING, GOAWAY (RFC 9113 sections 3, 4, 5.4, 5.5, 6.5, 6.7, 6.8, 7, 10.5).

use super::{
    LONG, Row, SERVER_STREAMS,
    client::Wants::{Acknowledged, Answer, Content, End, Goaway, Goes, Last, Only, Pong, Relayed, SettingsFirst},
    row,
    wire::{
        ACK, CALM, CANCEL, CONTINUATION, DATA, ENABLE_PUSH, END_HEADERS, FLOW_CONTROL, FRAME_SIZE, GOAWAY,
        HEADER_TABLE_SIZE, HEADERS, INITIAL_WINDOW_SIZE, MAX_CONCURRENT_STREAMS, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE,
        PING, PREFACE, PROTOCOL, SETTINGS, UNKNOWN, WHOLE, block, data, frame, get, get_long, goaway, headers, ping,
        post, request, reset, settings, window,
    },
};

pub(super) fn rows() -> Vec<Row> {
    [beginning(), frames(), sizes(), errors(), set(), values(), pings(), ends(), floods()]
        .into_iter()
        .flatten()
        .collect()
}

/// What does not begin with the preface is no HTTP/2 to the inline path, which relays it: the server behind says what it thinks of it.
fn beginning() -> Vec<Row> {
    let (magic, none) = (PREFACE.to_vec(), settings(&[]));
    let (first, rest) = PREFACE.split_at(11);
    vec![
        row(
            "9113 3.4",
            "the preface and SETTINGS are answered by SETTINGS",
            [magic.clone(), none.clone()],
            SettingsFirst,
        )
        .bare()
        .then([], Acknowledged(1)),
        row(
            "9113 3.4",
            "a request may come before the other side's SETTINGS",
            [magic.clone(), none.clone(), get(1)],
            Answer(1, 200),
        )
        .bare(),
        row("9113 3.4", "the preface in two pieces", [first.to_vec()], SettingsFirst)
            .bare()
            .then([rest.to_vec(), none.clone(), get(1)], Answer(1, 200)),
        row(
            "9113 3.4",
            "another preface is relayed as it is",
            [b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n".to_vec()],
            Relayed(SERVER_STREAMS),
        )
        .bare()
        .then([], End),
        row("9113 3.4", "frames without the preface are relayed as they are", [settings(&[])], Relayed(SERVER_STREAMS))
            .bare()
            .then([get(1)], End),
        row("9113 3.4", "PING before SETTINGS", [magic.clone(), ping([0; 8])], Goaway(&[PROTOCOL])).bare(),
        row("9113 3.4", "HEADERS before SETTINGS", [magic, get(1)], Goaway(&[PROTOCOL])).bare(),
    ]
}

fn frames() -> Vec<Row> {
    let mut reserved = get(1);
    reserved[5] |= 0x80;
    let mut pinged = ping(*b"reserved");
    pinged[5] |= 0x80;
    vec![
        row(
            "9113 4.1",
            "a frame of an unknown type",
            [frame(UNKNOWN, 0xff, 0, b"what"), ping(*b"unknown.")],
            Pong(*b"unknown."),
        ),
        row("9113 4.1", "flags that PING does not have", [frame(PING, 0x16, 0, b"no flags")], Pong(*b"no flags")),
        row(
            "9113 4.1",
            "flags that HEADERS does not have",
            [headers(1, WHOLE | 0x52, &request("GET", "/"))],
            Answer(1, 200),
        ),
        row("9113 4.1", "flags that DATA does not have", [post(1), data(1, 0xf7, b"flags")], Content(1, 5)),
        row("9113 4.1", "the reserved bit of HEADERS", [reserved], Answer(1, 200)),
        row("9113 4.1", "the reserved bit of PING", [pinged], Pong(*b"reserved")),
        row(
            "9113 5.5",
            "a frame of an unknown type on an idle stream",
            [frame(UNKNOWN, 0, 9, b"what"), get(1)],
            Answer(1, 200),
        ),
        row(
            "9113 5.5",
            "a frame of an unknown type within a content",
            [post(1), frame(UNKNOWN, 0, 1, b"what"), data(1, 1, b"x")],
            Content(1, 1),
        ),
        row(
            "9113 5.5",
            "a frame of an unknown type within a field block",
            [
                headers(1, 1, &request("GET", "/")),
                frame(UNKNOWN, 0, 1, b"what"),
                frame(CONTINUATION, END_HEADERS, 1, &[]),
            ],
            Goaway(&[PROTOCOL]),
        ),
        row("9113 5.5", "an unknown setting", [settings(&[(0xabcd, 1)])], Acknowledged(2)),
    ]
}

fn sizes() -> Vec<Row> {
    const MOST: usize = 1 << 14;
    let long = block(&[("x-long", &"x".repeat(MOST))]);
    vec![
        row("9113 4.2", "DATA as long as it may be", [post(1), data(1, 1, &[0; MOST])], Content(1, MOST)),
        row("9113 4.2", "DATA that is longer", [post(1), data(1, 1, &[0; MOST + 1])], Goaway(&[FRAME_SIZE])),
        row(
            "9113 4.2",
            "HEADERS that is longer",
            [frame(HEADERS, WHOLE, 1, &[block(&request("GET", "/")), long].concat())],
            Goaway(&[FRAME_SIZE]),
        ),
        row("9113 4.2", "SETTINGS that is longer", [frame(SETTINGS, 0, 0, &[0; 16_386])], Goaway(&[FRAME_SIZE])),
        row(
            "9113 4.2",
            "a frame of an unknown type that is longer",
            [frame(UNKNOWN, 0, 0, &[0; MOST + 1])],
            Goaway(&[FRAME_SIZE]),
        ),
        row("9113 4.2", "an empty DATA", [post(1), data(1, 0, b""), data(1, 1, b"x")], Content(1, 1)),
    ]
}

fn errors() -> Vec<Row> {
    vec![
        row("9113 5.4.1", "the last stream is told with the error", [get(1)], Answer(1, 200))
            .then([frame(PING, 0, 0, b"short")], Last(1, &[FRAME_SIZE])),
        row("9113 5.4.1", "no stream was taken before the error", [data(0, 0, b"x")], Last(0, &[PROTOCOL])),
        row("9113 5.4.2", "RST_STREAM is not answered by RST_STREAM", [post(1), reset(1, CANCEL)], Goes),
        row("9113 5.4.2", "a stream that ends leaves the others", [post(1), get(3), reset(1, CANCEL)], Answer(3, 200)),
        row("9113 7", "RST_STREAM with an unknown code", [post(1), reset(1, 0xff), get(3)], Answer(3, 200)),
        row(
            "9113 7",
            "GOAWAY with an unknown code while a stream is open",
            [post(1), goaway(0xff), data(1, 1, b"x")],
            Content(1, 1),
        ),
    ]
}

fn set() -> Vec<Row> {
    vec![
        row("9113 6.5", "ACK with a payload", [frame(SETTINGS, ACK, 0, &[0; 6])], Goaway(&[FRAME_SIZE])),
        row("9113 6.5", "SETTINGS on a stream", [frame(SETTINGS, 0, 1, &[])], Goaway(&[PROTOCOL])),
        row("9113 6.5", "SETTINGS on an open stream", [post(1), frame(SETTINGS, 0, 1, &[])], Goaway(&[PROTOCOL])),
        row("9113 6.5", "a length that is not settings", [frame(SETTINGS, 0, 0, &[0; 7])], Goaway(&[FRAME_SIZE])),
        row("9113 6.5", "a length that is half a setting", [frame(SETTINGS, 0, 0, &[0; 3])], Goaway(&[FRAME_SIZE])),
        row("9113 6.5.3", "each SETTINGS is acknowledged", [settings(&[]), settings(&[])], Acknowledged(3)),
        row(
            "9113 6.5.3",
            "of two values for one setting the last counts",
            [settings(&[(INITIAL_WINDOW_SIZE, 100), (INITIAL_WINDOW_SIZE, 1)]), get_long(1)],
            Only(1, 1),
        ),
        row(
            "9113 6.5.3",
            "a setting is in force once it is acknowledged",
            [settings(&[(INITIAL_WINDOW_SIZE, 3)])],
            Acknowledged(2),
        )
        .then([get_long(1)], Only(1, 3)),
    ]
}

fn values() -> Vec<Row> {
    vec![
        row("9113 6.5.2", "ENABLE_PUSH of 2", [settings(&[(ENABLE_PUSH, 2)])], Goaway(&[PROTOCOL])),
        row("9113 6.5.2", "ENABLE_PUSH of 1", [settings(&[(ENABLE_PUSH, 1)]), get(1)], Answer(1, 200)),
        row(
            "9113 6.5.2",
            "a window beyond 2^31-1",
            [settings(&[(INITIAL_WINDOW_SIZE, 1 << 31)])],
            Goaway(&[FLOW_CONTROL]),
        ),
        row(
            "9113 6.5.2",
            "the largest window",
            [settings(&[(INITIAL_WINDOW_SIZE, i32::MAX as u32)]), get_long(1)],
            Content(1, LONG),
        ),
        row("9113 6.5.2", "a frame size below 2^14", [settings(&[(MAX_FRAME_SIZE, 16_383)])], Goaway(&[PROTOCOL])),
        row("9113 6.5.2", "a frame size beyond 2^24-1", [settings(&[(MAX_FRAME_SIZE, 1 << 24)])], Goaway(&[PROTOCOL])),
        row(
            "9113 6.5.2",
            "the largest frame size",
            [settings(&[(MAX_FRAME_SIZE, (1 << 24) - 1)]), get_long(1)],
            Content(1, LONG),
        ),
        row(
            "9113 6.5.2",
            "no stream may be begun by the server",
            [settings(&[(MAX_CONCURRENT_STREAMS, 0)]), get(1)],
            Answer(1, 200),
        ),
        row("9113 6.5.2", "no table for fields", [settings(&[(HEADER_TABLE_SIZE, 0)]), get(1)], Answer(1, 200))
            .then([get(3)], Answer(3, 200)),
        row(
            "9113 6.5.2",
            "the largest field section",
            [settings(&[(MAX_HEADER_LIST_SIZE, 1 << 16)]), get(1)],
            Answer(1, 200),
        ),
    ]
}

fn pings() -> Vec<Row> {
    vec![
        row("9113 6.7", "PING is answered with what it had", [ping(*b"the same")], Pong(*b"the same")),
        row("9113 6.7", "PING is answered while a stream is open", [post(1), ping(*b"the same")], Pong(*b"the same")),
        row(
            "9113 6.7",
            "PING with ACK is not answered",
            [frame(PING, ACK, 0, b"unasked."), ping(*b"asked...")],
            Pong(*b"asked..."),
        )
        .then([], Goes),
        row("9113 6.7", "PING on a stream", [frame(PING, 0, 1, &[0; 8])], Goaway(&[PROTOCOL])),
        row("9113 6.7", "PING that is too short", [frame(PING, 0, 0, &[0; 6])], Goaway(&[FRAME_SIZE])),
        row("9113 6.7", "PING that is too long", [frame(PING, 0, 0, &[0; 9])], Goaway(&[FRAME_SIZE])),
    ]
}

fn ends() -> Vec<Row> {
    vec![
        row("9113 6.8", "GOAWAY on a stream", [frame(GOAWAY, 0, 1, &[0; 8])], Goaway(&[PROTOCOL])),
        row("9113 6.8", "GOAWAY that is too short", [frame(GOAWAY, 0, 0, &[0; 7])], Goaway(&[FRAME_SIZE])),
        row(
            "9113 6.8",
            "GOAWAY with words",
            [post(1), frame(GOAWAY, 0, 0, b"\0\0\0\0\0\0\0\0bye"), data(1, 1, b"x")],
            Content(1, 1),
        ),
        row("9113 6.8", "after GOAWAY and the last answer the connection ends", [get(1), goaway(0)], Answer(1, 200))
            .then([], End),
    ]
}

/// What costs more to answer than to send, or to keep (section 10.5).
fn floods() -> Vec<Row> {
    let many = |frames: &[Vec<u8>]| frames.concat();
    let rapid: Vec<Vec<u8>> =
        (0..2000).flat_map(|number| [get(2 * number + 1), reset(2 * number + 1, CANCEL)]).collect();
    let pieces: Vec<Vec<u8>> = (0..1000).map(|_| frame(CONTINUATION, 0, 1, &[])).collect();
    let long = "x".repeat(15_000);
    let begin = headers(1, 1, &request("GET", "/"));
    let more = |flags: u8| frame(CONTINUATION, flags, 1, &block(&[("x-long", &long)]));
    vec![
        row("9113 10.5", "streams that are reset as soon as they are begun", [many(&rapid)], Goaway(&[CALM])),
        row("9113 10.5", "a field block that never ends", [begin.clone(), many(&pieces)], Goaway(&[CALM])),
        row(
            "9113 10.5.1",
            "fields of 75 KB",
            [begin.clone(), more(0), more(0), more(0), more(0), more(END_HEADERS)],
            Answer(1, 431),
        ),
        row("9113 10.5.1", "fields of 45 KB", [begin, more(0), more(0), more(END_HEADERS)], Answer(1, 200)),
        row(
            "9113 10.5",
            "windows that are opened byte by byte",
            [post(1), (0..1000).flat_map(|_| window(1, 1)).collect(), frame(DATA, 1, 1, b"x")],
            Content(1, 1),
        ),
    ]
}
