use super::*;
use crate::model::{Dialect, ModelError, Operation, Role::*};

const ASKED: &str = r#"{"model":"claude-sonnet-4-5","max_tokens":1024,"stream":true,"system":[{"type":"text","text":"Be brief."}],"messages":[
    {"role":"user","content":"Weather?"},
    {"role":"assistant","content":[{"type":"tool_use","id":"t0","name":"w","input":{}}]},
    {"role":"user","content":[{"type":"tool_result","tool_use_id":"t0","content":[{"type":"text","text":"Rain"}]},{"type":"image","source":{"type":"base64","data":"AA"}}]}]}"#;

fn check(got: &Inference) {
    assert_eq!((got.dialect, got.operation, got.batch), (Dialect::Anthropic, Operation::Chat, Some(1)));
    assert_eq!(
        texts(got, Request),
        [
            ("system", "$['system'][0]['text']", "Be brief."),
            ("user", "$['messages'][0]['content']", "Weather?"),
            ("user", "$['messages'][2]['content'][0]['content'][0]['text']", "Rain"),
        ]
    );
    assert_eq!(
        texts(got, Response),
        [("assistant", "$['content'][0]['thinking']", "Hm"), ("assistant", "$['content'][1]['text']", "Hello")]
    );
    assert_eq!(got.tool_calls, [tool("toolu_1", "look", "{\"a\":1}")]);
    assert_eq!(got.finish_reasons, ["tool_use"]);
    assert_eq!((got.id.as_deref(), got.response_model.as_deref()), (Some("msg_1"), Some("claude-x")));
    let usage = got.usage;
    assert_eq!(
        (usage.input, usage.output, usage.cached, usage.cache_creation),
        (Some(130), Some(15), Some(100), Some(20))
    );
    assert_eq!(names(got), ["max_tokens"]);
}

#[test]
fn a_message_is_read_streamed_or_not() {
    let whole = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-x","content":[{"type":"thinking","thinking":"Hm","signature":"s"},
        {"type":"text","text":"Hello"},{"type":"tool_use","id":"toolu_1","name":"look","input":{"a":1}}],"stop_reason":"tool_use",
        "usage":{"input_tokens":10,"cache_creation_input_tokens":20,"cache_read_input_tokens":100,"output_tokens":15}}"#;
    check(&meaning(&exchange("POST /v1/messages", ASKED, 200, whole)));
    let data = events(&[
        r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","content":[],"model":"claude-x","stop_reason":null,"usage":{"input_tokens":10,"cache_creation_input_tokens":20,"cache_read_input_tokens":100,"output_tokens":1}}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm"}}"#,
        r#"{"type":"ping"}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Hel"}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"lo"}}"#,
        r#"{"type":"content_block_stop","index":1}"#,
        r#"{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"toolu_1","name":"look","input":{}}}"#,
        r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":""}}"#,
        r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"a\":"}}"#,
        r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"1}"}}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":15}}"#,
        r#"{"type":"message_stop"}"#,
    ]);
    let got = meaning(&stream("POST /v1/messages", ASKED, Format::EventStream, &data));
    check(&got);
    assert!(got.streamed);
    assert_eq!((got.timing.first_token, got.timing.chunks, got.timing.generation), (Some(ms(30)), 6, Some(ms(90))));
}

#[test]
fn errors_counts_and_models_are_told() {
    let told = Some(ModelError { kind: Some("overloaded_error".into()), message: "Overloaded".into() });
    let error = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}"#;
    assert_eq!(meaning(&exchange("POST /v1/messages", ASKED, 529, error)).error, told);
    assert_eq!(meaning(&stream("POST /v1/messages", ASKED, Format::EventStream, &events(&[error]))).error, told);
    let got = meaning(&exchange("POST /v1/messages/count_tokens?beta=true", ASKED, 200, r#"{"input_tokens":14}"#));
    assert_eq!((got.operation, got.usage.input), (Operation::Tokenize, Some(14)));
    let line = "GET /v1/models/claude-x\nanthropic-version: 2023-06-01";
    let got = meaning(&exchange(line, "", 200, r#"{"type":"model","id":"claude-x"}"#));
    assert_eq!((got.dialect, got.model.as_deref()), (Dialect::Anthropic, Some("claude-x")));
    assert!(none(&exchange("POST /v1/messages", r#"{"to":"me"}"#, 200, "{}")), "someone's chat program");
}
