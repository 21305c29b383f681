//! Header compression (RFC 7541). Where a path is in one of its forms, the answer tells that it was read as it was meant.

use super::{
    LONG, Row,
    client::Wants::{Answer, Content, Goaway},
    row,
    wire::{COMPRESSION, HEADERS, WHOLE, block, frame, get, integer, literal, request, string, window},
};

/// `/big`, by the code of RFC 7541 appendix B.
const BIG: [u8; 4] = [0x83, 0x62, 0x33, 0x4d];
/// Of the static table (RFC 7541 appendix A).
const PATH: usize = 4;

pub(super) fn rows() -> Vec<Row> {
    [forms(), sizes(), broken(), strings()].into_iter().flatten().collect()
}

/// A request for a path in one form.
fn asks(stream: u32, path: &[u8]) -> Vec<u8> {
    let [method, scheme, _, authority] = request("GET", "");
    frame(HEADERS, WHOLE, stream, &[&block(&[method, scheme]), path, &block(&[authority])].concat())
}

/// The same, with something behind it.
fn with(stream: u32, more: &[u8]) -> Vec<u8> {
    frame(HEADERS, WHOLE, stream, &[&block(&request("GET", "/")), more].concat())
}

/// What has this number in the tables (RFC 7541 section 6.1).
fn entry(index: usize) -> Vec<u8> {
    integer(0x80, 7, index)
}

fn named(first: u8, bits: u32, value: &[u8]) -> Vec<u8> {
    [&integer(first, bits, PATH), value].concat()
}

fn new(first: u8, name: &[u8], value: &[u8]) -> Vec<u8> {
    [&[first], name, value].concat()
}

/// RFC 7541 section 6.
fn forms() -> Vec<Row> {
    let (plain, coded) = (string(b"/big"), BIG.to_vec());
    let name = string(b":path");
    let path = |section, what, path: Vec<u8>| row(section, what, [asks(1, &path)], Content(1, LONG));
    // The code of `:path`.
    let short = [&[0x84][..], &[0xb9, 0x58, 0xd3, 0x3f]].concat();
    vec![
        row("7541 6.1", "an entry of the static table", [asks(1, &[0x85])], Content(1, 4)),
        path("7541 6.2.1", "indexed from now on, a known name", named(0x40, 6, &plain)),
        path("7541 6.2.1", "indexed from now on, a known name, coded", named(0x40, 6, &coded)),
        path("7541 6.2.1", "indexed from now on, a new name", new(0x40, &name, &plain)),
        path("7541 6.2.1", "indexed from now on, a new name, coded", new(0x40, &short, &coded)),
        path("7541 6.2.2", "not indexed, a known name", named(0, 4, &plain)),
        path("7541 6.2.2", "not indexed, a known name, coded", named(0, 4, &coded)),
        path("7541 6.2.2", "not indexed, a new name", new(0, &name, &plain)),
        path("7541 6.2.2", "not indexed, a new name, coded", new(0, &short, &coded)),
        path("7541 6.2.3", "never indexed, a known name", named(0x10, 4, &plain)),
        path("7541 6.2.3", "never indexed, a known name, coded", named(0x10, 4, &coded)),
        path("7541 6.2.3", "never indexed, a new name", new(0x10, &name, &plain)),
        path("7541 6.2.3", "never indexed, a new name, coded", new(0x10, &short, &coded)),
        row(
            "7541 2.3.2",
            "what was indexed is there in the next block",
            [asks(1, &named(0x40, 6, &string(b"/index.html")))],
            Content(1, 4),
        )
        .then([asks(3, &entry(62))], Content(3, 4)),
        row("7541 2.3.2", "what was not indexed is not", [asks(1, &named(0, 4, &plain))], Content(1, LONG))
            .then([asks(3, &entry(62))], Goaway(&[COMPRESSION])),
        row("7541 2.3.2", "the newest entry is the first", [asks(1, &named(0x40, 6, &plain))], Content(1, LONG))
            .then([asks(3, &named(0x40, 6, &string(b"/index.html")))], Content(3, 4))
            .then([window(0, 1 << 20), asks(5, &entry(63))], Content(5, LONG)),
    ]
}

/// RFC 7541 sections 4 and 6.3.
fn sizes() -> Vec<Row> {
    let size = |size: usize| integer(0x20, 5, size);
    let first = |sizes: &[Vec<u8>]| frame(HEADERS, WHOLE, 1, &[sizes.concat(), block(&request("GET", "/"))].concat());
    let indexed = named(0x40, 6, &string(b"/index.html"));
    vec![
        row("7541 6.3", "a smaller table", [first(&[size(0)])], Answer(1, 200)),
        row("7541 6.3", "a table as large as it may be", [first(&[size(4096)])], Answer(1, 200)),
        row("7541 4.2", "two sizes at a block's beginning", [first(&[size(0), size(4096)])], Answer(1, 200)),
        row("7541 6.3", "a table larger than it may be", [first(&[size(4097)])], Goaway(&[COMPRESSION])),
        row("7541 6.3", "a table of 2^28 bytes", [first(&[size(1 << 28)])], Goaway(&[COMPRESSION])),
        row("7541 4.2", "a size behind a field", [with(1, &size(0))], Goaway(&[COMPRESSION])),
        row("7541 4.3", "a smaller table loses its entries", [asks(1, &indexed)], Content(1, 4)).then(
            [frame(HEADERS, WHOLE, 3, &[size(0), size(4096)].concat()), asks(5, &entry(62))],
            Goaway(&[COMPRESSION]),
        ),
        row("7541 4.4", "an entry larger than the table empties it", [asks(1, &indexed)], Content(1, 4))
            .then([with(3, &new(0x40, &string(b"x-large"), &string(&[b'x'; 4096])))], Answer(3, 200))
            .then([asks(5, &entry(62))], Goaway(&[COMPRESSION])),
        row("7541 4.4", "the oldest entry makes room", [asks(1, &indexed)], Content(1, 4))
            .then([with(3, &new(0x40, &string(b"x-large"), &string(&[b'x'; 4020])))], Answer(3, 200))
            .then([asks(5, &entry(63))], Goaway(&[COMPRESSION])),
    ]
}

fn broken() -> Vec<Row> {
    let bad = |section, what, more: &[u8]| row(section, what, [with(1, more)], Goaway(&[COMPRESSION]));
    vec![
        bad("7541 6.1", "the index 0", &[0x80]),
        bad("7541 2.3.3", "an index that no entry has", &entry(62)),
        bad("7541 2.3.3", "a large index", &entry(5000)),
        bad(
            "7541 2.3.3",
            "a name that no entry has, indexed from now on",
            &[&integer(0x40, 6, 70), &string(b"x")[..]].concat(),
        ),
        bad("7541 2.3.3", "a name that no entry has, not indexed", &[&integer(0, 4, 70), &string(b"x")[..]].concat()),
        bad("7541 5.1", "a number beyond 2^64", &[&[0xff; 12][..], &[0x7f]].concat()),
        bad("7541 5.1", "a number that never ends", &[0xff; 40]),
        bad("7541 5.1", "a block that ends within a number", &[0xff, 0x80]),
        bad("7541 5.2", "a block that ends within a name", &[0, 5, b'x']),
        bad("7541 5.2", "a block that ends before a value", &[0, 1, b'x']),
        bad("7541 5.2", "a block that ends within a value", &[0, 1, b'x', 9, b'y']),
        row(
            "9113 4.3",
            "a block that says nothing is the connection's error",
            [frame(HEADERS, WHOLE, 1, b"\x00\x7f")],
            Goaway(&[COMPRESSION]),
        ),
        row("9113 4.3", "trailers that cannot be read", [get(1)], Content(1, 4))
            .then([with(3, &[0x80])], Goaway(&[COMPRESSION])),
    ]
}

/// RFC 7541 section 5.2.
fn strings() -> Vec<Row> {
    let value = |coded: &[u8]| [&[0][..], &string(b"x-coded"), &[0x80 | coded.len() as u8], coded].concat();
    let bad = |what, coded: &[u8]| row("7541 5.2", what, [with(1, &value(coded))], Goaway(&[COMPRESSION]));
    vec![
        // 'a' is 00011, and ones behind it.
        row("7541 5.2", "a code with its padding", [with(1, &value(&[0x1f]))], Answer(1, 200)),
        row("7541 5.2", "an empty code", [with(1, &value(&[]))], Answer(1, 200)),
        row("7541 5.2", "an empty string", [with(1, &literal(b"x-empty", b""))], Answer(1, 200)),
        bad("padding of eight bits", &[0x1f, 0xff]),
        bad("padding of more than a byte", &[0x1f, 0xff, 0xff]),
        bad("padding of zeros", &[0x18]),
        bad("the code of the end", &[0x1f, 0xff, 0xff, 0xff, 0xff]),
    ]
}
