//! Event streams and lines.

use super::{super::sse::Event, *};

fn events(text: &[u8], expected: &str) {
    check(&typed("text/event-stream"), KEEP, &[data(text)], expected);
}

#[test]
fn an_empty_line_ends_an_event() {
    events(b"data: a\n\ndata: b\n\n", r"'data: a\n\n' data:9 'data: b\n\n' data:9");
    events(b"data: a\r\n\r\ndata: b\r\n\r\n", r"'data: a\r\n\r\n' data:11 'data: b\r\n\r\n' data:11");
    events(b"data: a\r\rdata: b\r\r", r"'data: a\r\r' data:9 'data: b\r\r' data:9");
    events(b"data: a\ndata: b\r\n\r\ndata:c\n\n", r"'data: a\ndata: b\r\n\r\n' data:19 'data:c\n\n' data:8");
    events(b"data: a\n\r\ndata: b\n\n", r"'data: a\n\r' data:9 '\ndata: b\n\n' data:10");
    events(b"data: a\r\n\rdata: b\n\n", r"'data: a\r\n\r' data:10 'data: b\n\n' data:9");
    events(b"data: a\r\n\r", r"'data: a\r\n\r' data:10");
}

#[test]
fn what_has_no_data_is_no_event() {
    events(b"\n\n\r\n: ping\n\n", r"'\n\n\r\n: ping\n\n'");
    events(b": ping\n\ndata\n\n", r"': ping\n\ndata\n\n' data:14");
    events(b"event: x\nid: 1\n\ndata: a\n\n", r"'event: x\nid: 1\n\ndata: a\n\n' data:25");
    events(b"database: x\ndat: y\n data: z\n:data: c\n\n", r"'database: x\ndat: y\n data: z\n:data: c\n\n'");
    events(b"data:\n\n", r"'data:\n\n' data:7");
    events(b"data:x:y\rid\n\n", r"'data:x:y\rid\n\n' data:13");
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_line() {
    events(b"\xef\xbb\xbfdata: a\n\n", r"'\xef\xbb\xbfdata: a\n\n' data:12");
    events(b"\xef\xbb\xbf\n\xef\xbb\xbfdata: a\n\n", r"'\xef\xbb\xbf\n\xef\xbb\xbfdata: a\n\n'");
    events(b"\xef\xbbdata: a\n\n", r"'\xef\xbbdata: a\n\n'");
    events(b"\xef\xbb\n\ndata:\n\n", r"'\xef\xbb\n\ndata:\n\n' data:11");
}

#[test]
fn an_event_without_its_empty_line_is_not_whole() {
    events(b"data: a\n\ndata: b", r"'data: a\n\n' data:9 'data: b' data:7torn");
    events(b"data: b\n", r"'data: b\n' data:8torn");
    events(b"data: a\n\n: bye\n", r"'data: a\n\n' data:9 ': bye\n'");
    events(b"", "");
}

#[test]
fn events_go_on_after_a_gap() {
    let stream = typed("text/event-stream");
    let steps = [data("data: a\n\nda"), Step::Gap(9), data("a: c\n\ndata: d\n\n")];
    check(&stream, KEEP, &steps, r"'data: a\n\n' data:9 'daa: c\n\n' data:8torn 'data: d\n\n' data:9");
    check(&stream, KEEP, &[data("data: a\r\n\r"), Step::Gap(1)], r"'data: a\r\n\r' data:10 data:0torn");
}

#[test]
fn an_event_is_there_with_its_last_byte() {
    let mut run = Run::new(Reader::of(&typed("text/event-stream"), &SKIM), SKIM);
    for (time, bytes) in [b"data: a".as_slice(), b"\r", b"\n", b"\r", b"\n", b"data: b\r\n\r\n"].iter().enumerate() {
        run.data(bytes, time as u64);
    }
    let times = |got: &Got| match got {
        Got::Message(piece) => Some(piece.time.as_nanos()),
        _ => None,
    };
    assert_eq!(run.got.iter().filter_map(times).collect::<Vec<_>>(), [4, 5]);
    assert_eq!(run.most_memory, size_of::<super::super::Content>());
}

#[test]
fn events_are_read_as_browsers_do() {
    let parsed = |text| {
        let Event { event, data, id, retry } = Event::parse(text);
        (event, data, id, retry)
    };
    assert_eq!(parsed("data: YHOO\ndata: +2\ndata: 10\n\n"), (None, "YHOO\n+2\n10".into(), None, None));
    assert_eq!(
        parsed(": test stream\r\n\r\ndata: first event\r\nid: 1\r\n\r\n"),
        (None, "first event".into(), Some("1"), None)
    );
    assert_eq!(parsed("data:second event\rid\r\r"), (None, "second event".into(), Some(""), None));
    assert_eq!(parsed("data:  third event\n\n"), (None, " third event".into(), None, None));
    assert_eq!(parsed("data\ndata\n\n"), (None, "\n".into(), None, None));
    assert_eq!(
        parsed("\u{feff}event: add\ndata:7\nid: a\0b\nretry: 250\nretry: x\nother: 1"),
        (Some("add"), "7".into(), None, Some(250))
    );
    assert_eq!(parsed("event: x\n\ndata: 1\n\n"), (None, "1".into(), None, None), "an event without data is none");
}

#[test]
fn each_line_that_is_not_empty_is_a_message() {
    let lines = |text: &str, expected| check(&typed("application/x-ndjson"), KEEP, &[data(text)], expected);
    lines("{}\n[1]\r\n", r"'{}\n' data:3 '[1]\r\n' data:5");
    lines("\n \r\n{}\n\n", r"'\n \r\n{}\n' data:7 '\n'");
    lines("{}\n{}", r"'{}\n' data:3 '{}' data:2");
    let steps = [data("{}\n{"), Step::Gap(4), data("}\n{}\n"), Step::Gap(1)];
    check(&typed("application/jsonl"), KEEP, &steps, r"'{}\n' data:3 '{}\n' data:3torn '{}\n' data:3 data:0torn");
}
