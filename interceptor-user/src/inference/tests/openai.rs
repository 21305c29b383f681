use serde_json::json;

use super::*;
use crate::model::{Dialect, ModelError, Operation, Role::*, Unread};

const CHAT: &str = r#"{"model":"gpt-4o-mini","temperature":0.2,"stop":null,"messages":[
    {"role":"system","content":"Be brief."},
    {"role":"user","content":[{"type":"text","text":"What is this?"},{"type":"image_url","image_url":{"url":"https://x/y.png"}}]},
    {"role":"assistant","content":null,"tool_calls":[{"id":"c0","type":"function","function":{"name":"f","arguments":"{}"}}]},
    {"role":"tool","tool_call_id":"c0","content":"a cat"}]}"#;

#[test]
fn a_chat_is_read() {
    let answer = r#"{"id":"chatcmpl-1","object":"chat.completion","model":"gpt-4o-mini-2024-07-18","choices":[
        {"index":0,"message":{"role":"assistant","content":"A cat.","reasoning_content":"Hm.","refusal":null},"finish_reason":"stop"},
        {"index":1,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"look","arguments":"{\"at\":1}"}}]},"finish_reason":"tool_calls"}],
        "usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,"prompt_tokens_details":{"cached_tokens":8,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":4}}}"#;
    for path in ["/v1", "", "/openai/v1", "/openai", "/api/any/v1"] {
        let got = meaning(&exchange(&format!("POST {path}/chat/completions?x=1"), CHAT, 200, answer));
        assert_eq!((got.dialect, got.operation), (Dialect::Openai, Operation::Chat), "{path}");
        assert_eq!(got.model.as_deref(), Some("gpt-4o-mini"));
        assert_eq!(got.response_model.as_deref(), Some("gpt-4o-mini-2024-07-18"));
        assert_eq!(got.id.as_deref(), Some("chatcmpl-1"));
        assert_eq!((got.streamed, got.batch, got.unread, &got.error), (false, Some(1), None, &None));
        assert_eq!(got.parameters, [("temperature".to_owned(), json!(0.2))]);
        assert_eq!(
            texts(&got, Request),
            [
                ("system", "$['messages'][0]['content']", "Be brief."),
                ("user", "$['messages'][1]['content'][0]['text']", "What is this?"),
                ("assistant", "$['messages'][2]['tool_calls'][0]['function']['arguments']", "{}"),
                ("tool", "$['messages'][3]['content']", "a cat"),
            ]
        );
        assert_eq!(
            texts(&got, Response),
            [
                ("assistant", "$['choices'][0]['message']['content']", "A cat."),
                ("assistant", "$['choices'][0]['message']['reasoning_content']", "Hm."),
            ]
        );
        assert_eq!(got.tool_calls, [tool("call_1", "look", "{\"at\":1}")]);
        assert_eq!(got.finish_reasons, ["stop", "tool_calls"]);
        let usage = got.usage;
        assert_eq!((usage.input, usage.output, usage.cached, usage.reasoning), (Some(19), Some(10), Some(8), Some(4)));
        assert_eq!(got.timing.first_token, None);
        assert!(!usage.estimated);
    }
}

#[test]
fn a_streamed_chat_is_put_together() {
    let data = events(&[
        r#"{"id":"c","model":"m-1","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}"#,
        r#"{"id":"c","model":"m-1","choices":[{"index":0,"delta":{"reasoning_content":"Hm"}}]}"#,
        r#"{"id":"c","model":"m-1","choices":[{"index":0,"delta":{"content":"Hel"}}]}"#,
        r#"{"id":"c","model":"m-1","choices":[{"index":0,"delta":{"content":"lo"}}]}"#,
        r#"{"id":"c","model":"m-1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"t","type":"function","function":{"name":"look","arguments":""}}]}}]}"#,
        r#"{"id":"c","model":"m-1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":"}}]}}]}"#,
        r#"{"id":"c","model":"m-1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]}}]}"#,
        r#"{"id":"c","model":"m-1","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#,
        r#"{"id":"c","model":"m-1","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":11,"total_tokens":16}}"#,
        "[DONE]",
    ]);
    let asked = r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"Hi"}]}"#;
    let got = meaning(&stream("POST /v1/chat/completions", asked, Format::EventStream, &data));
    assert!(got.streamed);
    assert_eq!(
        texts(&got, Response),
        [
            ("assistant", "$['choices'][0]['message']['content']", "Hello"),
            ("assistant", "$['choices'][0]['message']['reasoning_content']", "Hm"),
        ]
    );
    assert_eq!(got.tool_calls, [tool("t", "look", "{\"a\":1}")]);
    assert_eq!(got.finish_reasons, ["tool_calls"]);
    assert_eq!((got.response_model.as_deref(), got.id.as_deref()), (Some("m-1"), Some("c")));
    assert_eq!((got.usage.input, got.usage.output), (Some(5), Some(11)));
    // The first event says only who speaks, the last three carry nothing.
    assert_eq!((got.timing.first_token, got.timing.chunks, got.timing.generation), (Some(ms(20)), 6, Some(ms(50))));
    assert_eq!(got.timing.per_output_token, Some(ms(5)));
    assert_eq!(got.unread, None);
}

#[test]
fn an_error_is_told_wherever_it_is() {
    let error = |kind: &str, message: &str| Some(ModelError { kind: Some(kind.into()), message: message.into() });
    let asked = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"Hi"}]}"#;
    for (status, answer, expected) in [
        (
            404,
            r#"{"error":{"message":"no such model","type":"NotFoundError","param":null,"code":404}}"#,
            error("NotFoundError", "no such model"),
        ),
        (
            400,
            r#"{"object":"error","message":"too long","type":"BadRequestError","code":400}"#,
            error("BadRequestError", "too long"),
        ),
        (200, r#"{"error":{"message":"busy","code":429}}"#, error("429", "busy")),
        (422, r#"{"detail":"bad"}"#, Some(ModelError { kind: None, message: "bad".into() })),
    ] {
        let got = meaning(&exchange("POST /v1/chat/completions", asked, status, answer));
        assert_eq!((got.error, got.unread), (expected, None), "{answer}");
        assert!(got.streamed, "that was asked for");
    }
    let data = events(&[
        r#"{"id":"c","model":"m-1","choices":[{"index":0,"delta":{"content":"Hel"}}]}"#,
        r#"{"error":{"message":"out of memory","type":"server_error"}}"#,
    ]);
    let got = meaning(&stream("POST /v1/chat/completions", asked, Format::EventStream, &data));
    assert_eq!(got.error, error("server_error", "out of memory"));
    assert_eq!(texts(&got, Response)[0].2, "Hel");
}

#[test]
fn completions_have_a_prompt_or_several() {
    for (prompt, batch, count) in
        [(r#""Once""#, 1, 1), (r#"["Once","Twice"]"#, 2, 2), ("[1,2,3]", 1, 0), ("[[1],[2,3]]", 2, 0)]
    {
        let asked = format!(r#"{{"model":"m","prompt":{prompt},"max_tokens":7,"guided_regex":"a+","n":2}}"#);
        let answer = r#"{"id":"cmpl-1","object":"text_completion","model":"m","choices":[{"index":0,"text":" upon","finish_reason":"length"}],"usage":{"prompt_tokens":2,"completion_tokens":7}}"#;
        let got = meaning(&exchange("POST /v1/completions", &asked, 200, answer));
        assert_eq!((got.operation, got.batch), (Operation::TextCompletion, Some(batch)));
        assert_eq!(texts(&got, Request).len(), count, "{prompt}");
        assert_eq!(texts(&got, Response), [("", "$['choices'][0]['text']", " upon")]);
        assert_eq!(names(&got), ["guided_regex", "max_tokens", "n"]);
    }
    let data = events(&[
        r#"{"id":"cmpl-2","choices":[{"index":1,"text":"a"}],"model":"m"}"#,
        r#"{"id":"cmpl-2","choices":[{"index":0,"text":"b"},{"index":1,"text":"c","finish_reason":"stop"}],"model":"m"}"#,
        "[DONE]",
    ]);
    let got = meaning(&stream("POST /v1/completions", r#"{"prompt":"x","stream":true}"#, Format::EventStream, &data));
    assert_eq!(texts(&got, Response), [("", "$['choices'][0]['text']", "b"), ("", "$['choices'][1]['text']", "ac")]);
}

#[test]
fn responses_are_read_from_their_last_event_or_from_deltas() {
    let asked = r#"{"model":"gpt-5","instructions":"Be kind.","stream":true,"input":[{"role":"user","content":[{"type":"input_text","text":"Hi"}]},
        {"type":"function_call_output","call_id":"c","output":"42"}]}"#;
    let whole = r#"{"id":"resp_1","object":"response","model":"gpt-5-x","status":"completed","error":null,"output":[
        {"type":"reasoning","id":"rs","summary":[{"type":"summary_text","text":"Hm"}]},
        {"type":"message","role":"assistant","content":[{"type":"output_text","text":"Hello"}]},
        {"type":"function_call","call_id":"call_9","name":"look","arguments":"{}"}],
        "usage":{"input_tokens":9,"input_tokens_details":{"cached_tokens":3},"output_tokens":6,"output_tokens_details":{"reasoning_tokens":2},"total_tokens":15}}"#;
    let last = format!(r#"{{"type":"response.completed","response":{}}}"#, whole.replace('\n', ""));
    let data = [
        r#"{"type":"response.created","response":{"id":"resp_1","model":"gpt-5-x","status":"in_progress","output":[],"usage":null}}"#,
        r#"{"type":"response.reasoning_summary_text.delta","output_index":0,"summary_index":0,"delta":"Hm"}"#,
        r#"{"type":"response.output_text.delta","output_index":1,"content_index":0,"delta":"Hel"}"#,
        r#"{"type":"response.output_text.delta","output_index":1,"content_index":0,"delta":"lo"}"#,
        r#"{"type":"response.output_item.added","output_index":2,"item":{"type":"function_call","call_id":"call_9","name":"look","arguments":""}}"#,
        r#"{"type":"response.function_call_arguments.delta","output_index":2,"delta":"{}"}"#,
        &last,
    ];
    let told = [
        ("assistant", "$['output'][0]['summary'][0]['text']", "Hm"),
        ("assistant", "$['output'][1]['content'][0]['text']", "Hello"),
    ];
    let format = Format::EventStream;
    for exchange in [
        exchange("POST /v1/responses", asked, 200, whole),
        stream("POST /v1/responses", asked, format, &events(&data)),
        stream("POST /v1/responses", asked, format, &events(&data[..6])),
    ] {
        let got = meaning(&exchange);
        assert_eq!(got.operation, Operation::Chat);
        assert_eq!(texts(&got, Response), told);
        assert_eq!(got.tool_calls, [tool("call_9", "look", "{}")]);
        assert_eq!(got.id.as_deref(), Some("resp_1"));
        assert_eq!(
            texts(&got, Request),
            [
                ("system", "$['instructions']", "Be kind."),
                ("user", "$['input'][0]['content'][0]['text']", "Hi"),
                ("tool", "$['input'][1]['output']", "42"),
            ]
        );
    }
    let got = meaning(&stream("POST /v1/responses", asked, format, &events(&data)));
    assert_eq!(
        (got.usage.input, got.usage.cached, got.usage.output, got.usage.reasoning),
        (Some(9), Some(3), Some(6), Some(2))
    );
    assert_eq!((got.finish_reasons, got.timing.chunks), (vec!["completed".to_owned()], 5));
}

#[test]
fn texts_are_counted_for_vectors_orders_and_classes() {
    let listed = r#"{"object":"list","model":"e","data":[{"index":0,"embedding":[0.1]}],"usage":{"prompt_tokens":8,"total_tokens":8}}"#;
    let scored = r#"{"id":"r","model":"e","usage":{"total_tokens":8},"results":[{"index":0,"relevance_score":0.9,"document":{"text":"d"}}]}"#;
    let cohere = r#"{"id":"r","results":[{"index":0,"relevance_score":0.9}],"meta":{"billed_units":{"search_units":1},"tokens":{"input_tokens":8}}}"#;
    for (path, asked, answer, operation, batch, count) in [
        ("/v1/embeddings", r#"{"model":"e","input":["a","b"]}"#, listed, Operation::Embeddings, Some(2), 2),
        (
            "/openai/deployments/e/embeddings?api-version=2024-02-01",
            r#"{"input":"a"}"#,
            listed,
            Operation::Embeddings,
            Some(1),
            1,
        ),
        ("/v1/embeddings", r#"{"model":"e","input":[[1,2],[3]]}"#, listed, Operation::Embeddings, Some(2), 0),
        ("/pooling", r#"{"model":"e","input":"a"}"#, listed, Operation::Embeddings, Some(1), 1),
        (
            "/v1/rerank",
            r#"{"model":"e","query":"q","documents":["d","e","f"],"top_n":1}"#,
            scored,
            Operation::Rerank,
            Some(3),
            4,
        ),
        ("/rerank", r#"{"model":"e","query":"q","documents":[{"text":"d"}]}"#, scored, Operation::Rerank, Some(1), 2),
        ("/v2/rerank", r#"{"model":"e","query":"q","documents":["d"]}"#, cohere, Operation::Rerank, Some(1), 2),
        ("/v1/score", r#"{"model":"e","text_1":"a","text_2":["b","c"]}"#, listed, Operation::Classify, Some(2), 3),
        ("/classify", r#"{"model":"e","input":["a","b"]}"#, listed, Operation::Classify, Some(2), 2),
        (
            "/tokenize",
            r#"{"model":"e","prompt":"a"}"#,
            r#"{"count":8,"max_model_len":9,"tokens":[1]}"#,
            Operation::Tokenize,
            Some(1),
            1,
        ),
    ] {
        let got = meaning(&exchange(&format!("POST {path}"), asked, 200, answer));
        assert_eq!((got.dialect, got.operation, got.batch), (Dialect::Openai, operation, batch), "{path}");
        assert_eq!(texts(&got, Request).len(), count, "{path} {asked}");
        assert_eq!(got.model.as_deref(), Some("e"), "{path}");
        assert_eq!(got.usage.input, (operation != Operation::Tokenize).then_some(8), "{path}");
    }
}

#[test]
fn models_are_listed_and_what_is_not_ours_is_left() {
    let listed = r#"{"object":"list","data":[{"id":"m","object":"model","owned_by":"vllm"}]}"#;
    let got = meaning(&exchange("GET /v1/models", "", 200, listed));
    assert_eq!((got.dialect, got.operation, got.unread), (Dialect::Openai, Operation::Metadata, None));
    let got = meaning(&exchange("GET /v1/models/org/m", "", 200, r#"{"id":"org/m","object":"model"}"#));
    assert_eq!(got.model.as_deref(), Some("org/m"));
    for (line, answer, dialect) in [
        ("GET /v1/models", r#"{"models":["a"]}"#, Dialect::KserveV1),
        ("GET /v1/models/m", r#"{"model_version_status":[]}"#, Dialect::TensorflowServing),
    ] {
        assert_eq!(meaning(&exchange(line, "", 200, answer)).dialect, dialect, "{line}");
    }
    for (line, asked, answer) in [
        ("POST /v1/responses", r#"{"answer":1}"#, "{}"),
        ("POST /classify", "not JSON", "{}"),
        ("POST /shop/models", "{}", "{}"),
        ("GET /v1/chat/completions", "{}", "{}"),
    ] {
        assert!(none(&exchange(line, asked, 200, answer)), "{line}");
    }
}

#[test]
fn what_is_cut_is_read_as_far_as_it_goes() {
    let answer = r#"{"id":"c","model":"m-1","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5}}"#;
    let mut cut = exchange("POST /v1/chat/completions", CHAT, 200, answer);
    keep(&mut cut, Role::Request, 120);
    let got = meaning(&cut);
    assert_eq!((got.model.as_deref(), got.unread), (Some("gpt-4o-mini"), Some(Unread::Cut)));
    assert_eq!(texts(&got, Request), [("system", "$['messages'][0]['content']", "Be brief.")]);
    keep(&mut cut, Role::Response, 100);
    assert_eq!(texts(&meaning(&cut), Response), [("assistant", "$['choices'][0]['message']['content']", "Hello")]);
    keep(&mut cut, Role::Request, 0);
    keep(&mut cut, Role::Response, 0);
    let got = meaning(&cut);
    assert_eq!((got.operation, got.model, got.unread), (Operation::Chat, None, Some(Unread::NotKept)));
    let got = meaning(&exchange("POST /v1/chat/completions", "{oops", 200, answer));
    assert_eq!((got.response_model.as_deref(), got.unread), (Some("m-1"), Some(Unread::Malformed)));
}

#[test]
fn more_than_is_taken_is_said() {
    let prompts = vec!["a"; 5_000];
    let asked = json!({"model": "m", "prompt": prompts}).to_string();
    let got = meaning(&ask("POST /v1/completions", &asked));
    assert_eq!((got.texts.len(), got.batch, got.unread), (1024, Some(5_000), Some(Unread::TooMuch)));
}

#[test]
fn tokens_are_estimated_only_on_request() {
    let answer =
        r#"{"id":"c","model":"m-1","choices":[{"index":0,"message":{"role":"assistant","content":"12345678901"}}]}"#;
    let asked = r#"{"model":"m","messages":[{"role":"user","content":"1234"}]}"#;
    let whole = exchange("POST /v1/chat/completions", asked, 200, answer);
    assert!(meaning(&whole).usage.is_empty());
    let options = Options { estimate_tokens: true };
    let usage = read(&whole, &options).expect("an inference").usage;
    assert_eq!((usage.input, usage.output, usage.estimated), (Some(1), Some(3), true));
    let chunk = r#"{"choices":[{"index":0,"delta":{"content":"some words"}}]}"#;
    let streamed = stream("POST /v1/chat/completions", asked, Format::EventStream, &events(&[chunk; 5]));
    let got = read(&streamed, &options).expect("an inference");
    assert_eq!((got.usage.output, got.timing.per_output_token), (Some(5), Some(ms(10))));
}
