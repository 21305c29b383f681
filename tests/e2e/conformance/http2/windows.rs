//! What there is beside heads and contents: flow control, PRIORITY, RST_STREAM (RFC 9113 sections 5.3, 6.3, 6.4, 6.9).

use super::{
    LONG, Row,
    client::Wants::{Answer, Content, Goaway, Only, Refused, Reset},
    row,
    wire::{
        CANCEL, END_HEADERS, FLOW_CONTROL, FRAME_SIZE, HEADERS, INITIAL_WINDOW_SIZE, PRIORITIZED, PRIORITY, PROTOCOL,
        RST_STREAM, WHOLE, WINDOW_UPDATE, block, data, frame, get, get_long, headers, held, post, priority, request,
        reset, settings, window,
    },
};

pub(super) fn rows() -> Vec<Row> {
    [priorities(), resets(), windows(), changes()].into_iter().flatten().collect()
}

/// They mean nothing any more (RFC 9113 section 5.3), but have a form.
fn priorities() -> Vec<Row> {
    vec![
        row("9113 5.3", "the least weight", [get(1), priority(1, 0, 0), get(3)], Answer(3, 200)),
        row("9113 5.3", "the largest weight", [get(1), priority(1, 0, 255), get(3)], Answer(3, 200)),
        row("9113 5.3", "a stream that depends on another one", [priority(3, 1, 7), get(3)], Answer(3, 200)),
        row("9113 5.3", "a stream that depends exclusively", [priority(3, 1 | 1 << 31, 7), get(3)], Answer(3, 200)),
        row("9113 5.3", "PRIORITY of a higher stream first", [priority(7, 0, 7), get(1)], Answer(1, 200)),
        row(
            "7540 5.3.1",
            "HEADERS that depends on itself",
            [frame(HEADERS, WHOLE | PRIORITIZED, 1, &[&[0, 0, 0, 1, 7][..], &block(&request("GET", "/"))].concat())],
            Reset(1, &[PROTOCOL]),
        ),
        row(
            "7540 5.3.1",
            "PRIORITY that depends on itself",
            [held(), get_long(1), priority(1, 1, 7)],
            Reset(1, &[PROTOCOL]),
        ),
        row("9113 6.3", "PRIORITY on the connection", [priority(0, 1, 7)], Goaway(&[PROTOCOL])),
        row(
            "9113 6.3",
            "PRIORITY of a wrong length",
            [held(), get_long(1), frame(PRIORITY, 0, 1, &[0; 4])],
            Reset(1, &[FRAME_SIZE]),
        ),
    ]
}

fn resets() -> Vec<Row> {
    vec![
        row("9113 6.4", "RST_STREAM", [post(1), reset(1, CANCEL), get(3)], Answer(3, 200)),
        row("9113 6.4", "RST_STREAM on the connection", [reset(0, CANCEL)], Goaway(&[PROTOCOL])),
        row("9113 6.4", "RST_STREAM on an idle stream", [get(1), reset(3, CANCEL)], Goaway(&[PROTOCOL])),
        row(
            "9113 6.4",
            "RST_STREAM of a wrong length",
            [post(1), frame(RST_STREAM, 0, 1, &[0; 3])],
            Goaway(&[FRAME_SIZE]),
        ),
    ]
}

fn windows() -> Vec<Row> {
    let most = i32::MAX as u32;
    let stalled = headers(1, END_HEADERS, &request("POST", "/elsewhere"));
    let more = (0..25).flat_map(|_| data(1, 0, &[0; 1 << 14])).collect();
    let one = || settings(&[(INITIAL_WINDOW_SIZE, 1)]);
    vec![
        row("9113 6.9", "WINDOW_UPDATE on the connection", [window(0, 1), get(1)], Answer(1, 200)),
        row("9113 6.9", "WINDOW_UPDATE on a stream", [one(), get_long(1), window(1, 9)], Only(1, 10)),
        row("9113 6.9", "nothing on the connection", [window(0, 0)], Goaway(&[PROTOCOL])),
        row("9113 6.9", "nothing on a stream", [post(1), window(1, 0)], Reset(1, &[PROTOCOL])),
        row(
            "9113 6.9",
            "WINDOW_UPDATE of a wrong length",
            [frame(WINDOW_UPDATE, 0, 0, &[0; 3])],
            Goaway(&[FRAME_SIZE]),
        ),
        row("9113 6.9.1", "no more than the window is sent", [one(), get_long(1)], Only(1, 1)),
        row("9113 6.9.1", "a window of nothing", [held(), get_long(1)], Only(1, 0)),
        row(
            "9113 6.9.1",
            "a head needs no window",
            [held(), headers(1, WHOLE, &request("HEAD", "/big"))],
            Answer(1, 200),
        ),
        row(
            "9113 6.9.1",
            "a window beyond 2^31-1",
            [post(1), window(1, most), window(1, most)],
            Reset(1, &[FLOW_CONTROL]),
        ),
        row(
            "9113 6.9.1",
            "the connection's beyond 2^31-1",
            [window(0, most), window(0, most)],
            Goaway(&[FLOW_CONTROL]),
        ),
        row("9113 6.9.1", "more than the window is sent to us", [stalled, more], Refused(1, &[FLOW_CONTROL])),
        row(
            "9113 6.9.1",
            "the connection's window is that of all streams",
            [settings(&[(INITIAL_WINDOW_SIZE, 1 << 20)]), get_long(1)],
            Content(1, LONG),
        )
        .then([get_long(3)], Only(3, 65_535 - LONG)),
    ]
}

fn changes() -> Vec<Row> {
    let set = |size: u32| settings(&[(INITIAL_WINDOW_SIZE, size)]);
    vec![
        row("9113 6.9.2", "a window that SETTINGS opens", [set(0), get_long(1)], Only(1, 0)).then([set(1)], Only(1, 1)),
        row("9113 6.9.2", "a window below nothing", [set(3), get_long(1)], Only(1, 3))
            .then([set(2), window(1, 2)], Only(1, 4)),
        row("9113 6.9.2", "a window below nothing is made up for", [set(1000), get_long(1)], Only(1, 1000))
            .then([set(0)], Only(1, 1000))
            .then([window(1, 1500)], Only(1, 1500)),
        row(
            "9113 6.9.2",
            "SETTINGS that make a window too large",
            [post(1), window(1, i32::MAX as u32 - 65_535), set(65_536)],
            Goaway(&[FLOW_CONTROL]),
        ),
        row(
            "9113 6.9.2",
            "SETTINGS leave the connection's window",
            [set(0), set(1 << 20), get_long(1)],
            Content(1, LONG),
        ),
    ]
}
