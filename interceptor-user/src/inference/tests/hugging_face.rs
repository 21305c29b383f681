//! Text Generation Inference and Text Embeddings Inference, which share paths with each other and with others.

use super::*;
use crate::model::{Dialect, Operation, Role::*};

const ASKED: &str = r#"{"inputs":"Once","parameters":{"max_new_tokens":20,"details":true}}"#;

/// Head fields that a server adds.
fn with(mut exchange: Exchange, fields: &[(&str, &str)]) -> Exchange {
    let part = exchange.response.as_mut().expect("a response");
    part.head.fields = sample::fields(fields);
    exchange
}

#[test]
fn text_is_generated() {
    let answer = r#"{"generated_text":" upon","details":{"finish_reason":"length","generated_tokens":20,"seed":null,"prefill":[{"id":1,"text":"Once"}],"tokens":[]}}"#;
    let several = format!("[{answer}]");
    for (path, answer, place) in
        [("/generate", answer, "$['generated_text']"), ("/", &several, "$[0]['generated_text']")]
    {
        let exchange = exchange(&format!("POST {path}"), ASKED, 200, answer);
        let got = meaning(&with(
            exchange,
            &[("x-total-time", "120"), ("x-prompt-tokens", "1"), ("x-generated-tokens", "20")],
        ));
        assert_eq!(
            (got.dialect, got.operation, got.batch),
            (Dialect::Tgi, Operation::TextCompletion, Some(1)),
            "{path}"
        );
        assert_eq!(texts(&got, Request), [("", "$['inputs']", "Once")]);
        assert_eq!(texts(&got, Response), [("", place, " upon")]);
        assert_eq!((got.usage.input, got.usage.output), (Some(1), Some(20)));
        assert_eq!(got.timing.reported, Some(ms(120)));
        assert_eq!((got.finish_reasons, got.parameters.len()), (vec!["length".to_owned()], 2));
    }
    let data = [
        r#"{"index":1,"token":{"id":2,"text":" up","logprob":-1,"special":false},"generated_text":null,"details":null}"#,
        r#"{"index":2,"token":{"id":3,"text":"on","logprob":-1,"special":false},"generated_text":null,"details":null}"#,
        r#"{"index":3,"token":{"id":1,"text":"</s>","special":true},"generated_text":" upon","details":{"finish_reason":"eos_token","generated_tokens":3,"input_length":4}}"#,
    ];
    for (data, reasons) in [(&data[..], vec!["eos_token"]), (&data[..2], Vec::new())] {
        let got = meaning(&stream("POST /generate_stream", ASKED, Format::EventStream, &events(data)));
        assert_eq!((got.dialect, got.streamed), (Dialect::Tgi, true));
        assert_eq!(texts(&got, Response), [("", "$['generated_text']", " upon")]);
        assert_eq!(
            (got.finish_reasons, got.timing.chunks),
            (reasons.into_iter().map(str::to_owned).collect(), data.len() as u64)
        );
    }
    let error = r#"{"error":"Input validation error","error_type":"validation"}"#;
    let got = meaning(&exchange("POST /generate", ASKED, 422, error)).error.expect("an error");
    assert_eq!((got.kind.as_deref(), &*got.message), (Some("validation"), "Input validation error"));
}

#[test]
fn texts_are_embedded_ordered_and_classified() {
    for (path, asked, operation, batch, count) in [
        ("/embed", r#"{"inputs":["a","b"],"truncate":true}"#, Operation::Embeddings, Some(2), 2),
        ("/embed_all", r#"{"inputs":"a"}"#, Operation::Embeddings, Some(1), 1),
        ("/embed_sparse", r#"{"inputs":"a"}"#, Operation::Embeddings, Some(1), 1),
        ("/rerank", r#"{"query":"q","texts":["a","b","c"]}"#, Operation::Rerank, Some(3), 4),
        ("/predict", r#"{"inputs":[["a","b"],["c"]]}"#, Operation::Classify, Some(2), 3),
        ("/similarity", r#"{"inputs":{"source_sentence":"s","sentences":["a","b"]}}"#, Operation::Classify, Some(2), 3),
        ("/tokenize", r#"{"inputs":"a"}"#, Operation::Tokenize, Some(1), 1),
    ] {
        let plain = exchange(&format!("POST {path}"), asked, 200, "[[0.5]]");
        let got = meaning(&plain);
        assert_eq!((got.dialect, got.operation, got.batch), (Dialect::Tei, operation, batch), "{path}");
        assert_eq!(texts(&got, Request).len(), count, "{path}");
        let got = meaning(&with(plain, &[("x-compute-tokens", "7"), ("x-total-time", "3")]));
        assert_eq!((got.usage.input, got.timing.reported), (Some(7), Some(ms(3))), "{path}");
    }
    let root = exchange("POST /", r#"{"inputs":"a"}"#, 200, "[[0.5]]");
    assert!(none(&root), "nothing tells whose it is");
    assert_eq!(meaning(&with(root, &[("x-compute-tokens", "7")])).dialect, Dialect::Tei);
}

#[test]
fn what_a_server_is_tells_which_one_it_is() {
    let generation = r#"{"model_id":"big/lm","model_sha":"e4c","model_dtype":"float16","max_input_tokens":1024,"max_total_tokens":2048,"version":"2.0"}"#;
    let embeddings = r#"{"model_id":"small/e","model_sha":"f0","model_type":{"embedding":{"pooling":"cls"}},"max_input_length":512,"version":"1.2"}"#;
    for (answer, dialect, model) in [(generation, Dialect::Tgi, "big/lm"), (embeddings, Dialect::Tei, "small/e")] {
        let got = meaning(&exchange("GET /info", "", 200, answer));
        assert_eq!(
            (got.dialect, got.operation, got.response_model.as_deref()),
            (dialect, Operation::Metadata, Some(model))
        );
        assert!(got.version.is_some());
    }
    assert!(none(&exchange("GET /info", "", 200, r#"{"build":7}"#)), "an actuator's");
    assert!(none(&exchange("POST /predict", r#"{"rows":[1]}"#, 200, "[1]")), "a program of one's own");
}
