use super::*;

const LINE: &str = "POST /v1/chat/completions";
const ASKED: &str = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"Hi"}]}"#;

/// A role, then a word at each of these times, then `[DONE]`.
fn words(millis: &[u64]) -> Exchange {
    let event = |delta: &str| format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{delta}}}]}}\n\n");
    let mut messages = vec![(1, event(r#"{"role":"assistant"}"#))];
    messages.extend(millis.iter().enumerate().map(|(n, at)| (*at, event(&format!(r#"{{"content":"{n} "}}"#)))));
    messages.push((millis.last().copied().unwrap_or_default() + 5, "data: [DONE]\n\n".to_owned()));
    stream(LINE, ASKED, Format::EventStream, &messages)
}

#[test]
fn gaps_are_those_between_neighbours() {
    let timing = meaning(&words(&[30, 40, 52, 90, 91])).timing;
    assert_eq!((timing.first_token, timing.chunks, timing.generation), (Some(ms(30)), 5, Some(ms(61))));
    assert_eq!((timing.longest_gap, timing.median_gap), (Some(ms(38)), Some(ms(10))));
    assert_eq!(timing.per_output_token, None, "nobody counted the tokens");
}

#[test]
fn what_was_not_kept_in_the_middle_is_counted_but_is_no_gap() {
    let mut exchange = words(&[30, 40, 50, 400, 800, 810, 825]);
    split(&mut exchange, 4, 3);
    let got = meaning(&exchange);
    assert_eq!((got.timing.first_token, got.timing.chunks, got.timing.generation), (Some(ms(30)), 7, Some(ms(795))));
    assert_eq!((got.timing.longest_gap, got.timing.median_gap), (Some(ms(15)), Some(ms(10))));
    assert_eq!(texts(&got, Role::Response)[0].2, "0 1 2 5 6 ");
    assert_eq!(got.unread, Some(crate::model::Unread::Cut));
}

#[test]
fn where_no_message_was_kept_their_count_and_ends_tell() {
    let mut exchange = words(&[30, 40, 50]);
    split(&mut exchange, 0, 0);
    let timing = meaning(&exchange).timing;
    assert_eq!((timing.first_token, timing.chunks, timing.generation), (Some(ms(1)), 5, Some(ms(54))));
    assert_eq!(timing.longest_gap, None);
    let mut exchange = words(&[30, 40, 50]);
    split(&mut exchange, 1, 1);
    let timing = meaning(&exchange).timing;
    assert_eq!((timing.first_token, timing.chunks), (None, 3), "the first word is among those that were not kept");
}

#[test]
fn a_stream_without_a_word_has_no_times() {
    let timing = meaning(&words(&[])).timing;
    assert_eq!((timing.first_token, timing.chunks, timing.generation, timing.median_gap), (None, 0, None, None));
}
