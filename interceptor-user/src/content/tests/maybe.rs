//! Contents whose type is not known.

use super::{
    grpc::{gzip, message},
    *,
};

/// A head of HTTP/2 with these field lines.
pub(super) fn head(lines: &[(&str, &str)]) -> Head {
    Head::response(200, Version::Http2, super::head(lines).fields)
}

fn unknown() -> Head {
    head(&[("?7", "?")])
}

#[test]
fn what_begins_like_a_message_is_grpc() {
    let bytes = [message(0, b"ab"), message(0, b""), message(0, b"cde")].concat();
    check(&unknown(), SKIM, &[data(&bytes)], "=grpc 'ab' data:2 data:0 'cde' data:3");
    check(&unknown(), KEEP, &[data(message(0, b""))], "=grpc data:0");
    let packed = gzip(b"abc");
    let expected = format!("=grpc 'abc' data:3/{}(gzip)", packed.len());
    check(&head(&[("?1", "?"), ("grpc-encoding", "gzip")]), KEEP, &[data(message(1, &packed))], &expected);
    let most = [0, 1, 0, 0, 0];
    check(&unknown(), KEEP, &[data(most), data("a")], "=grpc 'a' data:1torn");
}

#[test]
fn what_does_not_is_plain() {
    check(&unknown(), KEEP, &[data("hello"), data("!")], "'hello!'");
    check(&unknown(), KEEP, &[data(message(2, b"ab"))], r"'\x02\x00\x00\x00\x02ab'");
    check(&unknown(), KEEP, &[data([0, 1, 0, 0, 1, 9])], r"'\x00\x01\x00\x00\x01\t'");
    check(&unknown(), KEEP, &[data([0, 0, 0, 0])], r"'\x00\x00\x00\x00'");
    let torn = [data([0, 0]), Step::Gap(3), data(message(0, b"a"))];
    check(&unknown(), KEEP, &torn, r"'\x00\x00\x00\x00\x00\x00\x01a'");
    check(&unknown(), KEEP, &[], "");
}

#[test]
fn nothing_is_guessed_where_the_type_is_known_or_there_is_none() {
    for head in [head(&[("?1", "?"), ("content-type", "text/plain")]), head(&[("a", "b")]), super::head(&[("?1", "?")])]
    {
        let reader = Reader::of(&head, &KEEP);
        assert!(reader.is_plain(), "{head:?}");
    }
    let reader = Reader::of(&unknown(), &KEEP);
    assert_eq!((reader.is_plain(), reader.format(), reader.memory()), (false, None, 0));
    assert_eq!(
        Reader::of(&head(&[("?1", "?"), ("content-encoding", "gzip")]), &KEEP).coding(),
        Some(crate::model::Coding::Gzip)
    );
}
