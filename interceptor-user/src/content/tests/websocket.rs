//! WebSocket frames and messages.

use flate2::{Compress, Compression, FlushCompress};

use super::*;
use crate::content::PermessageDeflate;

pub(super) fn frame(first: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let bit = if mask.is_some() { 0x80 } else { 0 };
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..126 => frame.push(bit | len as u8),
        len @ 126..65536 => frame.extend([&[bit | 0x7e], &(len as u16).to_be_bytes()[..]].concat()),
        len => frame.extend([&[bit | 0x7f], &(len as u64).to_be_bytes()[..]].concat()),
    }
    let mask = mask.inspect(|mask| frame.extend(mask)).unwrap_or_default();
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

fn text(payload: &str) -> Vec<u8> {
    frame(0x81, None, payload.as_bytes())
}

/// Compresses messages one after the other, each with its own window or with one for all.
pub(super) fn deflate(texts: &[&[u8]], alone: bool) -> Vec<Vec<u8>> {
    let mut encoder = Compress::new(Compression::default(), false);
    let mut pack = |text: &&[u8]| {
        let mut packed = Vec::with_capacity(text.len() + 100);
        encoder.compress_vec(text, &mut packed, FlushCompress::Sync).unwrap();
        packed.truncate(packed.len() - 4);
        if alone {
            encoder.reset();
        }
        packed
    };
    texts.iter().map(&mut pack).collect()
}

fn run_in_pieces(agreed: Option<PermessageDeflate>, limits: Limits, steps: &[Step], expected: &str) {
    for lengths in [&[][..], &[1], &[2, 3]] {
        let got = run(Reader::websocket(agreed), limits, steps, lengths);
        assert_eq!(show(&got), expected, "in pieces of {lengths:?}");
    }
}

fn plain(steps: &[Step], expected: &str) {
    run_in_pieces(None, KEEP, steps, expected);
}

#[test]
fn messages_are_unmasked_and_joined() {
    plain(&[data(text("hello"))], "'hello' text:5");
    // RFC 6455 section 5.7.
    plain(&[data(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58")], "'Hello' text:5");
    let mask = Some([1, 2, 3, 4]);
    let parts = [frame(0x02, mask, b"abc"), frame(0, mask, b""), frame(0x80, None, b"de"), frame(0x82, mask, b"")];
    plain(&[data(parts.concat())], "'abcde' binary:5 binary:0");
    for len in [125, 126, 65535, 65536, 100_000] {
        let payload = vec![b'x'; len];
        let expected = format!("'{}' binary:{len}", "x".repeat(len));
        plain(&[data(frame(0x82, mask, &payload))], &expected);
    }
}

#[test]
fn control_frames_wait_for_the_message_they_interrupt() {
    let bytes = [frame(0x89, None, b"p"), frame(0x8a, None, b""), frame(0x01, None, b"ab"), frame(0x89, None, b"q")];
    let rest = [frame(0x80, None, b"c"), frame(0x88, None, b"\x03\xe8bye"), frame(0x88, None, b"")];
    let expected = r"'p' ping:1 pong:0 'abc' text:3 'q' ping:1 '\x03\xe8bye' close:5 close:0";
    plain(&[data([bytes, [rest.concat(), vec![], vec![], vec![]]].concat().concat())], expected);
    let close =
        |payload: &[u8]| match run(Reader::websocket(None), KEEP, &[data(frame(0x88, None, payload))], &[]).last() {
            Some(Got::Message(piece)) => piece.kind,
            other => panic!("{other:?}"),
        };
    assert_eq!(close(b"\x03\xe9"), crate::model::Kind::Close(1001));
    assert_eq!(close(b""), crate::model::Kind::Close(1005));
    let flood = [frame(0x01, None, b""), frame(0x89, None, b"").repeat(17), frame(0x80, None, b"")].concat();
    plain(&[data(flood)], &format!("content_limit text:0{}", " ping:0".repeat(16)));
}

#[test]
fn what_breaks_the_rules_is_no_frame() {
    for (bytes, what) in [
        (&b"\x83\x00"[..], "opcode"),
        (b"\x91\x00", "reserved bit"),
        (b"\xc1\x00", "compressed, which was not agreed"),
        (b"\x80\x00", "continuation of nothing"),
        (b"\x09\x00", "control frame in fragments"),
        (b"\x89\x7e\x00\x7e", "control frame too long"),
        (b"\x81\x7e\x00\x7d", "length not in its shortest form"),
        (b"\x81\x7f\x00\x00\x00\x00\x00\x00\xff\xff", "length not in its shortest form"),
        (b"\x81\x7f\xff\x00\x00\x00\x00\x00\xff\xff", "length of 64 bits"),
    ] {
        let expected = format!("'a' text:1 bad_message '{}rest'", bytes.escape_ascii());
        plain(&[data(text("a")), data(bytes), data("re"), Step::Gap(1), data("st")], &expected);
        let _ = what;
    }
    let within = [frame(0x01, None, b"a"), frame(0x01, None, b"b")].concat();
    plain(&[data(within)], r"'a' text:1torn bad_message '\x01\x01b'");
}

#[test]
fn what_is_cut_is_not_whole() {
    plain(&[data(&text("hello")[..4])], "'he' text:2torn");
    plain(&[data(frame(0x01, None, b"he"))], "'he' text:2torn");
    plain(&[data(&frame(0x89, None, b"hello")[..4])], "'he' ping:2torn");
    plain(&[data(b"\x81")], "bad_message");
}

#[test]
fn a_gap_within_a_payload_is_survived() {
    let mask = Some([1, 2, 3, 4]);
    let cut = frame(0x81, mask, b"abcdefgh");
    let steps = [data(&cut[..8]), Step::Gap(3), data([&cut[11..], &text("next")[..]].concat())];
    plain(&steps, "'abfgh' text:5/8torn 'next' text:4");
    plain(&[data(&cut[..8]), Step::Gap(6), data(text("next"))], "'ab' text:2/8torn 'next' text:4");
    plain(&[data(&cut[..8]), Step::Gap(7), data("x")], "'ab' text:2/8torn bad_message 'x'");
    plain(&[data(text("a")), Step::Gap(1), data("x")], "'a' text:1 bad_message 'x'");
    let ping = frame(0x89, None, b"ping");
    plain(&[data(&ping[..4]), Step::Gap(2), data(text("a"))], "'pi' ping:2torn 'a' text:1");
}

#[test]
fn messages_are_inflated() {
    let texts: [&[u8]; 3] = [b"hello hello hello hello", b"hello hello hello hello", b""];
    for alone in [false, true] {
        let packed = deflate(&texts, alone);
        let agreed = Some(PermessageDeflate { no_context_takeover: alone });
        let frames: Vec<Vec<u8>> = packed.iter().map(|packed| frame(0xc1, None, packed)).collect();
        let [first, second, empty] = [0, 1, 2].map(|index| packed[index].len());
        let expected = format!(
            "'hello hello hello hello' text:23/{first}(deflate) 'hello hello hello hello' text:23/{second}(deflate) text:0/{empty}(deflate)"
        );
        run_in_pieces(agreed, KEEP, &[data(frames.concat())], &expected);
        let fragments = packed[0].split_at(3);
        let fragments = [frame(0x41, None, fragments.0), frame(0x89, None, b""), frame(0x80, None, fragments.1)];
        let expected = format!("'hello hello hello hello' text:23/{first}(deflate) ping:0 'a' text:1");
        run_in_pieces(agreed, KEEP, &[data([fragments.concat(), text("a")].concat())], &expected);
        let raw = format!("'{}' text:{first}(deflate)", packed[0].escape_ascii());
        run_in_pieces(agreed, SKIM, &[data(&frames[0])], &raw);

        // The first message is lost in part; the second one can be read if it stands by itself.
        let steps = [data(&frames[0][..4]), Step::Gap(first as u64 - 2), data(&frames[1])];
        let got = show(&run(Reader::websocket(agreed), KEEP, &steps, &[]));
        let torn = got.find(&format!("/{first}(deflate)torn ")).expect(&got);
        let whole = format!("'hello hello hello hello' text:23/{second}(deflate)");
        let raw = format!("'{}' text:{second}(deflate)", packed[1].escape_ascii());
        assert!(got[torn..].ends_with(if alone { &whole } else { &raw }), "{got}");
    }
    // RFC 7692 section 7.2.3.4: a block with BFINAL set, and a byte of zeros after it.
    let agreed = Some(PermessageDeflate::default());
    let last = frame(0xc1, None, b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00");
    run_in_pieces(agreed, KEEP, &[data(&last), data(&last)], "'Hello' text:5/8(deflate) 'Hello' text:5/8(deflate)");
    let bad = [frame(0xc1, None, b"\xff\xff\xff"), frame(0xc1, None, b"abc"), text("a")].concat();
    run_in_pieces(agreed, KEEP, &[data(bad)], "bad_coding text:0/3(deflate)torn 'abc' text:3(deflate) 'a' text:1");
}
