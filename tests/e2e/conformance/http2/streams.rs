//! Streams: their states and numbers, heads and contents (RFC 9113 sections 4.3, 5.1, 6.1, 6.2, 6.6, 6.10).

use super::{
    LONG, Row,
    client::Wants::{Answer, Content, Goaway, Goes, Refused, Reset},
    row,
    wire::{
        CANCEL, CONTINUATION, END_HEADERS, END_STREAM, FRAME_SIZE, HEADERS, PADDED, PRIORITIZED, PROTOCOL,
        PUSH_PROMISE, REFUSED, STREAM_CLOSED, WHOLE, block, data, frame, get, get_long, headers, held, ping, post,
        priority, request, reset, window,
    },
};

pub(super) fn rows() -> Vec<Row> {
    let all = [idle(), half_closed(), closed(), numbers(), contents(), heads(), pieces()];
    all.into_iter().flatten().collect()
}

fn idle() -> Vec<Row> {
    vec![
        row("9113 5.1", "idle: DATA", [data(1, 0, b"x")], Goaway(&[PROTOCOL, STREAM_CLOSED])),
        row("9113 5.1", "idle: RST_STREAM", [reset(1, CANCEL)], Goaway(&[PROTOCOL])),
        row("9113 5.1", "idle: WINDOW_UPDATE", [window(1, 100)], Goaway(&[PROTOCOL])),
        row(
            "9113 5.1",
            "idle: CONTINUATION",
            [frame(CONTINUATION, END_HEADERS, 1, &block(&request("GET", "/")))],
            Goaway(&[PROTOCOL]),
        ),
        row("9113 5.1", "idle: PRIORITY", [priority(1, 0, 255), get(1)], Answer(1, 200)),
        row("9113 5.1", "idle: HEADERS", [get(1)], Answer(1, 200)),
    ]
}

fn half_closed() -> Vec<Row> {
    let asked = || [held(), get_long(1)].concat();
    vec![
        row("9113 5.1", "half-closed (remote): DATA", [asked(), data(1, 0, b"x")], Reset(1, &[STREAM_CLOSED])),
        row(
            "9113 5.1",
            "half-closed (remote): HEADERS",
            [asked(), headers(1, WHOLE, &[("x-late", "x")])],
            Reset(1, &[STREAM_CLOSED]),
        ),
        row(
            "9113 5.1",
            "half-closed (remote): CONTINUATION",
            [asked(), frame(CONTINUATION, END_HEADERS, 1, &[])],
            Goaway(&[PROTOCOL]),
        ),
        row("9113 5.1", "half-closed (remote): WINDOW_UPDATE", [asked(), window(1, LONG as u32)], Content(1, LONG)),
        row(
            "9113 5.1",
            "half-closed (remote): PRIORITY",
            [asked(), priority(1, 0, 7), window(1, LONG as u32)],
            Content(1, LONG),
        ),
        row(
            "9113 5.1",
            "half-closed (remote): RST_STREAM",
            [asked(), reset(1, CANCEL), get(3), window(3, 100)],
            Answer(3, 200),
        ),
    ]
}

fn closed() -> Vec<Row> {
    let answered = |what, then: Vec<u8>, wants| row("9113 5.1", what, [get(1)], Answer(1, 200)).then([then], wants);
    let gone = |what, then: Vec<u8>, wants| row("9113 5.1", what, [held(), get_long(1), reset(1, CANCEL), then], wants);
    vec![
        answered("closed: DATA", data(1, 0, b"x"), Refused(1, &[STREAM_CLOSED])),
        answered("closed: HEADERS", get(1), Refused(1, &[STREAM_CLOSED, PROTOCOL])),
        answered("closed: CONTINUATION", frame(CONTINUATION, END_HEADERS, 1, &[]), Goaway(&[PROTOCOL, STREAM_CLOSED])),
        answered("closed: WINDOW_UPDATE", window(1, 1), Goes),
        answered("closed: RST_STREAM", reset(1, CANCEL), Goes),
        answered("closed: PRIORITY", priority(1, 0, 7), Goes),
        gone("closed by RST_STREAM: DATA", data(1, 0, b"x"), Refused(1, &[STREAM_CLOSED])),
        gone("closed by RST_STREAM: HEADERS", get(1), Refused(1, &[STREAM_CLOSED, PROTOCOL])),
        gone(
            "closed by RST_STREAM: CONTINUATION",
            frame(CONTINUATION, END_HEADERS, 1, &[]),
            Goaway(&[PROTOCOL, STREAM_CLOSED]),
        ),
        gone("closed by RST_STREAM: PRIORITY", priority(1, 0, 7), Goes),
    ]
}

fn numbers() -> Vec<Row> {
    let many: Vec<u8> = (0..257).flat_map(|number| get_long(2 * number + 1)).collect();
    let waits = |id| headers(id, END_HEADERS, &request("POST", "/elsewhere"));
    let most: Vec<u8> = (0..256).flat_map(|number| waits(2 * number + 1)).collect();
    vec![
        row("9113 5.1.1", "an even number", [get(2)], Goaway(&[PROTOCOL])),
        row("9113 5.1.1", "a number below the last one", [get(5)], Answer(5, 200)).then([get(3)], Goaway(&[PROTOCOL])),
        row("9113 5.1.1", "numbers that are left out", [get(101)], Answer(101, 200))
            .then([get(1001)], Answer(1001, 200)),
        row("9113 5.1.1", "the last number", [get(i32::MAX as u32)], Answer(i32::MAX as u32, 200)),
        row("9113 5.1.1", "numbers that were left out are closed", [get(101)], Answer(101, 200))
            .then([data(51, 0, b"x")], Refused(51, &[STREAM_CLOSED, PROTOCOL])),
        row("9113 5.1.2", "one stream more than may be open", [held(), many], Reset(513, &[PROTOCOL, REFUSED])),
        row(
            "9113 5.1.2",
            "a stream once another has ended",
            [held(), most, reset(1, CANCEL), get(601), window(601, 100)],
            Answer(601, 200),
        ),
    ]
}

fn contents() -> Vec<Row> {
    vec![
        row("9113 6.1", "DATA", [post(1), data(1, END_STREAM, b"some")], Content(1, 4)),
        row("9113 6.1", "several DATA", [post(1), data(1, 0, b"some"), data(1, END_STREAM, b"more")], Content(1, 8)),
        row(
            "9113 6.1",
            "DATA with padding",
            [post(1), data(1, END_STREAM | PADDED, b"\x05some\0\0\0\0\0")],
            Content(1, 4),
        ),
        row(
            "9113 6.1",
            "DATA of padding alone",
            [post(1), data(1, PADDED, b"\x03\0\0\0"), data(1, END_STREAM, b"x")],
            Content(1, 1),
        ),
        row(
            "9113 6.1",
            "an empty DATA that ends it",
            [post(1), data(1, 0, b"some"), data(1, END_STREAM, b"")],
            Content(1, 4),
        ),
        row("9113 6.1", "DATA on the connection", [data(0, 0, b"x")], Goaway(&[PROTOCOL])),
        row(
            "9113 6.1",
            "padding as long as DATA",
            [post(1), data(1, END_STREAM | PADDED, b"\x05abcde")],
            Content(1, 0),
        ),
        row(
            "9113 6.1",
            "padding longer than DATA",
            [post(1), data(1, END_STREAM | PADDED, b"\x06abcde")],
            Goaway(&[PROTOCOL]),
        ),
        row(
            "9113 6.1",
            "DATA that lacks its padding's length",
            [post(1), data(1, END_STREAM | PADDED, b"")],
            Goaway(&[FRAME_SIZE, PROTOCOL]),
        ),
    ]
}

fn heads() -> Vec<Row> {
    let fields = block(&request("GET", "/"));
    let padded = |length: u8, padding: usize| [&[length][..], &fields, &vec![0; padding]].concat();
    let weighed = |on: u32| [&on.to_be_bytes()[..], &[7], &fields].concat();
    let all = WHOLE | PADDED | PRIORITIZED;
    let both = [&[3][..], &weighed(0), &[0; 3]].concat();
    vec![
        row("9113 6.2", "HEADERS with padding", [frame(HEADERS, WHOLE | PADDED, 1, &padded(9, 9))], Answer(1, 200)),
        row("9113 6.2", "HEADERS with priority", [frame(HEADERS, WHOLE | PRIORITIZED, 1, &weighed(0))], Answer(1, 200)),
        row("9113 6.2", "HEADERS with both", [frame(HEADERS, all, 1, &both)], Answer(1, 200)),
        row("9113 6.2", "HEADERS on the connection", [headers(0, WHOLE, &request("GET", "/"))], Goaway(&[PROTOCOL])),
        row(
            "9113 6.2",
            "padding longer than HEADERS",
            [frame(HEADERS, WHOLE | PADDED, 1, &padded(255, 0))],
            Goaway(&[PROTOCOL]),
        ),
        row(
            "9113 6.2",
            "HEADERS that lacks its priority",
            [frame(HEADERS, WHOLE | PRIORITIZED, 1, &[0; 3])],
            Goaway(&[FRAME_SIZE, PROTOCOL]),
        ),
        row(
            "9113 4.3",
            "PRIORITY within a field block",
            [headers(1, END_STREAM, &request("GET", "/")), priority(1, 0, 7)],
            Goaway(&[PROTOCOL]),
        ),
        row(
            "9113 4.3",
            "HEADERS of another stream within a field block",
            [headers(1, END_STREAM, &request("GET", "/")), get(3)],
            Goaway(&[PROTOCOL]),
        ),
        row(
            "9113 4.3",
            "PING within a field block",
            [headers(1, END_STREAM, &request("GET", "/")), ping([0; 8])],
            Goaway(&[PROTOCOL]),
        ),
        row(
            "9113 6.6",
            "PUSH_PROMISE of a client",
            [post(1), frame(PUSH_PROMISE, END_HEADERS, 1, &[&[0, 0, 0, 2][..], &fields].concat())],
            Goaway(&[PROTOCOL]),
        ),
        row(
            "9113 6.6",
            "PUSH_PROMISE on the connection",
            [frame(PUSH_PROMISE, END_HEADERS, 0, &[0, 0, 0, 2])],
            Goaway(&[PROTOCOL]),
        ),
    ]
}

fn pieces() -> Vec<Row> {
    let fields = block(&request("GET", "/"));
    let begin = |size: usize| frame(HEADERS, END_STREAM, 1, &fields[..size]);
    let more = |flags: u8, from: usize, to: usize| frame(CONTINUATION, flags, 1, &fields[from..to]);
    let end = fields.len();
    vec![
        row("9113 6.10", "one CONTINUATION", [begin(20), more(END_HEADERS, 20, end)], Answer(1, 200)),
        row(
            "9113 6.10",
            "several CONTINUATION",
            [begin(10), more(0, 10, 11), more(0, 11, 20), more(END_HEADERS, 20, end)],
            Answer(1, 200),
        ),
        row(
            "9113 6.10",
            "a block that is all in CONTINUATION",
            [begin(0), more(0, 0, 0), more(END_HEADERS, 0, end)],
            Answer(1, 200),
        ),
        row("9113 6.10", "an empty last CONTINUATION", [begin(end), more(END_HEADERS, end, end)], Answer(1, 200)),
        row(
            "9113 6.10",
            "CONTINUATION of trailers",
            [
                post(1),
                data(1, 0, b"x"),
                frame(HEADERS, END_STREAM, 1, &[]),
                frame(CONTINUATION, END_HEADERS, 1, &block(&[("x-end", "x")])),
            ],
            Content(1, 1),
        ),
        row(
            "9113 6.10",
            "another frame between CONTINUATION",
            [begin(10), more(0, 10, 20), data(1, 0, b"x")],
            Goaway(&[PROTOCOL]),
        ),
        row(
            "9113 6.10",
            "CONTINUATION on the connection",
            [begin(10), frame(CONTINUATION, END_HEADERS, 0, &fields[10..])],
            Goaway(&[PROTOCOL]),
        ),
        row(
            "9113 6.10",
            "CONTINUATION of another stream",
            [begin(10), frame(CONTINUATION, END_HEADERS, 3, &fields[10..])],
            Goaway(&[PROTOCOL]),
        ),
        row(
            "9113 6.10",
            "CONTINUATION after the block's end",
            [held(), get_long(1), more(END_HEADERS, 0, end)],
            Goaway(&[PROTOCOL]),
        ),
        row(
            "9113 6.10",
            "CONTINUATION after the last CONTINUATION",
            [begin(10), more(END_HEADERS, 10, end), more(END_HEADERS, 0, end)],
            Goaway(&[PROTOCOL]),
        ),
        row(
            "9113 6.10",
            "CONTINUATION after DATA",
            [post(1), data(1, 0, b"x"), more(END_HEADERS, 0, end)],
            Goaway(&[PROTOCOL]),
        ),
    ]
}
