//! Multipart bodies.

use super::*;

fn parts(text: &str, expected: &str) {
    check(&typed("multipart/form-data; boundary=\"b d\""), KEEP, &[data(text)], expected);
}

#[test]
fn each_part_is_a_message() {
    parts("--b d\r\nA: b\r\n\r\nhello\r\n--b d--\r\n", r"'A: b\r\n\r\nhello' data:13");
    parts("before\r\n--b d\r\n\r\n1\r\n--b d \t\r\n\r\n\r\n--b d--after", r"'\r\n1' data:3 '\r\n' data:2");
    parts("--b d\r\n--b d\r\n\r\n--b d--", "data:0 data:0");
    parts("--b d--\r\n", "");
}

#[test]
fn what_only_begins_like_a_delimiter_is_text() {
    parts(
        "--b d\r\na\r\n--b\r\r\n--b dx\r\n--b d-x--b d\r\n--b d--",
        r"'a\r\n--b\r\r\n--b dx\r\n--b d-x--b d' data:29",
    );
    parts("--b d\r\n--b e\r\n\r\r\n\r\n--b d--", r"'--b e\r\n\r\r\n' data:10");
    parts("--b dx\r\n--b d\r\n1\r\n--b d--", "'1' data:1");
    parts("--b d\n1\r\n--b d\r\n2\r\n--b d--", "'2' data:1");
}

#[test]
fn a_part_that_is_cut_is_not_whole() {
    parts("--b d\r\nhello", "'hello' data:5torn");
    parts("--b d\r\nhello\r\n--b d", r"'hello\r\n--b d' data:12torn");
    parts("--b d\r\nhello\r\n--b d-", r"'hello\r\n--b d-' data:13torn");
    parts("--b d\r\nhello\r\n--b d\r", "'hello' data:5 bad_message");
    parts("hello", "bad_message");
    parts("", "bad_message");
    parts("--b d\r\n1\r\n--b d \tx\r\n", r"'1' data:1 bad_message 'x\r\n'");
}

#[test]
fn parts_go_on_after_a_gap() {
    let check = |before: &str, after: &str, expected: &str| {
        let steps = [data(before), Step::Gap(3), data(after)];
        check(&typed("multipart/mixed;boundary=b"), KEEP, &steps, expected);
    };
    let next = "\r\n--b\r\n2\r\n--b--";
    check("--b\r\n1", next, "'1' data:1torn '2' data:1");
    check("--b\r\n1\r\n-", next, r"'1\r\n-' data:4torn '2' data:1");
    check("--b\r\n1\r\n--b\r", &format!("x{next}"), "'1' data:1 'x' data:1torn '2' data:1");
    check("--b\r\n1\r\n--b-", next, r"'1\r\n--b-' data:7torn '2' data:1");
    check("x", next, "'2' data:1");
    check("--b\r\n1\r\n--b--", next, "'1' data:1");
}
