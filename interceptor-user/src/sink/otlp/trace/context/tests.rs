use super::*;
use crate::sink::sample;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

fn context(lines: &[(&str, &str)]) -> Context {
    Context::of(&sample::fields(lines))
}

fn parent() -> Parent {
    Parent { trace: from_hex(TRACE.as_bytes()).unwrap(), span: from_hex(SPAN.as_bytes()).unwrap() }
}

fn known(sampled: Option<bool>) -> Context {
    Context { parent: Some(parent()), sampled, state: String::new() }
}

#[test]
fn w3c() {
    let cases = [
        (format!("00-{TRACE}-{SPAN}-01"), known(Some(true))),
        (format!(" 00-{TRACE}-{SPAN}-00 "), known(Some(false))),
        (format!("00-{TRACE}-{SPAN}-03"), known(Some(true))),
        (format!("cc-{TRACE}-{SPAN}-01-what-the-future-will-be"), known(Some(true))),
        (format!("cc-{TRACE}-{SPAN}-01"), known(Some(true))),
        (format!("00-{TRACE}-{SPAN}-01-"), Context::default()),
        (format!("ff-{TRACE}-{SPAN}-01"), Context::default()),
        (format!("00-{}-{SPAN}-01", TRACE.to_uppercase()), Context::default()),
        (format!("00-{}-{SPAN}-01", "0".repeat(32)), Context::default()),
        (format!("00-{TRACE}-{}-01", "0".repeat(16)), Context::default()),
        (format!("00-{TRACE}-{SPAN}"), Context::default()),
        (format!("00-{TRACE}-{SPAN}-1"), Context::default()),
        (format!("0-{TRACE}-{SPAN}-01"), Context::default()),
        (format!("00-{TRACE}x-{SPAN}-01"), Context::default()),
        (format!("00-{}g-{SPAN}-01", &TRACE[1..]), Context::default()),
        (String::new(), Context::default()),
    ];
    for (text, expected) in cases {
        assert_eq!(context(&[("Traceparent", &text)]), expected, "{text}");
    }
    let one = format!("00-{TRACE}-{SPAN}-01");
    assert_eq!(context(&[("traceparent", &one), ("traceparent", &one)]), Context::default(), "only one is allowed");
}

#[test]
fn the_state_is_passed_on_as_far_as_there_is_room() {
    let parent = format!("00-{TRACE}-{SPAN}-01");
    let state = |lines: &[&str]| {
        let lines: Vec<_> = lines.iter().map(|line| ("tracestate", *line)).collect();
        context(&[&[("traceparent", &*parent)], &lines[..]].concat()).state
    };
    assert_eq!(state(&["a=1 , b=2", "c=3"]), "a=1,b=2,c=3");
    assert_eq!(state(&["", ",,a=1,"]), "a=1");
    assert_eq!(state(&["a=\u{1},b=2"]), "b=2");
    let long = format!("a={}", "x".repeat(300));
    assert_eq!(state(&[&long, &long, "z=1"]), long);
    assert_eq!(context(&[("tracestate", "a=1")]), Context::default(), "without a parent there is none");
}

#[test]
fn b3() {
    let short = Parent { trace: 0x8448_eb21_1c80_319c_u128.to_be_bytes(), span: parent().span };
    let of_short = |sampled| Context { parent: Some(short), sampled, state: String::new() };
    let decided = |sampled| Context { sampled: Some(sampled), ..Context::default() };
    let cases = [
        (format!("{TRACE}-{SPAN}-1-05e3ac9a4f6e3b90"), known(Some(true))),
        (format!("{TRACE}-{SPAN}-0"), known(Some(false))),
        (format!("{TRACE}-{SPAN}-d"), known(Some(true))),
        (format!("{TRACE}-{SPAN}"), known(None)),
        (format!("{}-{SPAN}-1", &TRACE[16..]), of_short(Some(true))),
        ("0".to_owned(), decided(false)),
        ("1".to_owned(), decided(true)),
        (format!("{TRACE}-{SPAN}-x"), Context::default()),
        (format!("{TRACE}-{}", "0".repeat(16)), Context::default()),
        (TRACE.to_owned(), Context::default()),
    ];
    for (text, expected) in cases {
        assert_eq!(context(&[("b3", &text)]), expected, "{text}");
    }
}

#[test]
fn b3_in_several_fields() {
    let ids = [("X-B3-TraceId", TRACE), ("X-B3-SpanId", SPAN)];
    let with = |name, value| context(&[&ids[..], &[(name, value)]].concat());
    assert_eq!(context(&ids), known(None));
    assert_eq!(with("X-B3-Sampled", "1"), known(Some(true)));
    assert_eq!(with("X-B3-Sampled", "false"), known(Some(false)));
    assert_eq!(with("X-B3-Flags", "1"), known(Some(true)));
    assert_eq!(context(&ids[..1]), Context::default());
    let denied = Context { sampled: Some(false), ..Context::default() };
    assert_eq!(context(&[("X-B3-Sampled", "0")]), denied);
}

#[test]
fn binary() {
    let [trace, span] = [TRACE, SPAN].map(str::to_owned);
    let bytes = |tail: &str| {
        let text = format!("0000{trace}01{span}{tail}");
        let pairs = text.as_bytes().as_chunks::<2>().0;
        pairs.iter().map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect::<Vec<_>>()
    };
    let sent = |tail: &str| engine::general_purpose::STANDARD.encode(bytes(tail));
    assert_eq!(context(&[("grpc-trace-bin", &sent("0201"))]), known(Some(true)));
    assert_eq!(context(&[("grpc-trace-bin", sent("0200").trim_end_matches('='))]), known(Some(false)));
    assert_eq!(context(&[("grpc-trace-bin", &sent(""))]), known(None));
    let mut fields = crate::model::Fields::default();
    fields.push(b"grpc-trace-bin", &[&[0], &bytes("0201")[..]].concat());
    assert_eq!(Context::of(&fields), known(Some(true)), "true binary metadata");
    for odd in ["", "AA", "AAA=", "!", "AQAK92UZ"] {
        assert_eq!(context(&[("grpc-trace-bin", odd)]), Context::default(), "{odd}");
    }
}

#[test]
fn the_standard_comes_first_and_what_is_malformed_gives_way() {
    let b3 = format!("{}-{SPAN}-0", TRACE.replace('a', "b"));
    let good = format!("00-{TRACE}-{SPAN}-01");
    assert_eq!(context(&[("b3", &b3), ("traceparent", &good)]), known(Some(true)));
    assert_eq!(context(&[("b3", &b3), ("traceparent", "bad")]).sampled, Some(false));
}
