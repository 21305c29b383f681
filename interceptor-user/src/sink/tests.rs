//! What holds for every sink: a secret appears in no output, wherever in an address it stands.

use std::sync::Arc;

use proptest::prelude::*;

use super::{
    har::HarSink,
    json::JsonSink,
    prometheus::{Metrics, Prometheus},
    sample,
    text::TextSink,
    *,
};
use crate::config::Paths;

/// Percent-encoding as a client might do it.
fn encoded(text: &str, upper: bool) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        _ if upper => format!("%{byte:02X}"),
        _ => format!("%{byte:02x}"),
    };
    text.bytes().map(byte).collect()
}

/// An address with the secret in it, and others around it.
fn address(secret: &'static str) -> impl Strategy<Value = String> {
    let innermost = prop_oneof![
        Just(format!("https://h/p?a=1&token={secret}&b=2")),
        Just(format!("https://h/p?api_key={secret}")),
        Just(format!("/cb#state=1&access_token={secret}")),
        Just(format!("https://h/a;jsessionid={secret}?x")),
        Just(format!("//user:{secret}@h:8080/p?x=1")),
        Just(format!("https://{secret}@h")),
    ];
    let around = (0..5_u8, any::<bool>());
    (innermost, proptest::collection::vec(around, 0..4)).prop_map(|(innermost, around)| {
        around.into_iter().fold(innermost, |address, (how, upper)| match how {
            0 => format!("https://g/login?next={}&lang=en", encoded(&address, upper)),
            1 => format!("/proxy/{}/tail", encoded(&address, upper)),
            2 => format!("https://g/;to={}", encoded(&address, upper)),
            3 => format!("https://g/?state={}", encoded(&encoded(&address, upper), !upper)),
            _ => format!("https://g/login?next={address}"),
        })
    })
}

/// What every sink makes of an exchange.
fn outputs(exchange: &Exchange) -> Vec<String> {
    let (mut lines, mut text, mut archive) = (Vec::new(), Vec::new(), Vec::new());
    let json = super::json::Options { headers: true, ..super::json::Options::default() };
    let mut json = JsonSink::new(&mut lines, json);
    let mut people = TextSink::new(&mut text, text::Options { headers: true, ..text::Options::default() });
    let record = Record::Exchange(Box::new(exchange.clone()));
    let mut har = HarSink::new(&mut archive, har::Options::default());
    for sink in [&mut json as &mut dyn Sink, &mut people, &mut har] {
        sink.record(&record).expect("written");
        sink.flush().expect("written");
    }
    drop((json, people, har));
    let mut all: Vec<String> =
        [lines, text, archive].into_iter().map(|bytes| String::from_utf8(bytes).expect("UTF-8")).collect();
    for paths in [Paths::Keep, Paths::Template] {
        let metrics = Arc::new(Metrics::new(10).expect("metrics"));
        let mut sink = Prometheus::new(Arc::clone(&metrics), paths);
        sink.open(&mut [exchange].into_iter()).expect("shown");
        sink.record(&record).expect("counted");
        all.push(metrics.text().expect("a scrape"));
    }
    all
}

const SECRET: &str = "hunter2hunter";

proptest! {
    #[test]
    fn a_secret_in_an_address_appears_in_no_output(address in address(SECRET), target in 0..4_u8, field in 0..5_usize) {
        let target = match target {
            0 => format!("/x?to={}&z=1", encoded(&address, true)),
            1 => format!("/x/{}", encoded(&address, false)),
            2 => address.replacen("https://", "http://", 1),
            _ => "/x".to_owned(),
        };
        let link = format!("</first>; rel=first, <{address}>; rel=\"next\"");
        let (name, value) =
            [("Location", &address), ("Content-Location", &address), ("Referer", &address), ("Refresh", &address), ("Link", &link)][field];
        let mut exchange = sample::exchange();
        exchange.request = Some(sample::request("GET", &target, &[("Host", "h"), (name, value)], b""));
        exchange.response = Some(sample::response(302, &[(name, value)], b""));
        for output in outputs(&exchange) {
            prop_assert!(!output.contains(SECRET), "{target} {name}: {value}: {output}");
            prop_assert!(!output.is_empty());
        }
    }
}
