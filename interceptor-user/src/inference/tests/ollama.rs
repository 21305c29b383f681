use serde_json::json;

use super::*;
use crate::model::{Dialect, Operation, Role::*};

const CHAT: &str = r#"{"model":"llama3.2","options":{"temperature":0,"num_ctx":4096},"keep_alive":"5m","messages":[{"role":"user","content":"why?","images":["AA"]}]}"#;

fn lines(data: &[&str]) -> Vec<(u64, String)> {
    data.iter().enumerate().map(|(index, line)| (10 * (index as u64 + 1), format!("{line}\n"))).collect()
}

#[test]
fn a_chat_is_read_streamed_or_not() {
    let last = r#"{"model":"llama3.2","created_at":"t","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","total_duration":4883583458,"load_duration":1,"prompt_eval_count":26,"prompt_eval_duration":2,"eval_count":3,"eval_duration":4}"#;
    let data = lines(&[
        r#"{"model":"llama3.2","message":{"role":"assistant","content":"","thinking":"Hm"},"done":false}"#,
        r#"{"model":"llama3.2","message":{"role":"assistant","content":"The "},"done":false}"#,
        r#"{"model":"llama3.2","message":{"role":"assistant","content":"sky","tool_calls":[{"function":{"name":"look","arguments":{"a":1}}}]},"done":false}"#,
        last,
    ]);
    let mut whole = serde_json::from_str::<Value>(last).expect("JSON");
    whole["message"] = json!({"role": "assistant", "content": "The sky", "thinking": "Hm",
        "tool_calls": [{"function": {"name": "look", "arguments": {"a": 1}}}]});
    let unstreamed = CHAT.replacen('{', r#"{"stream":false,"#, 1);
    for (exchange, streamed) in [
        (stream("POST /api/chat", CHAT, Format::JsonLines, &data), true),
        (exchange("POST /api/chat", &unstreamed, 200, &whole.to_string()), false),
    ] {
        let got = meaning(&exchange);
        assert_eq!(
            (got.dialect, got.operation, got.batch, got.streamed),
            (Dialect::Ollama, Operation::Chat, Some(1), streamed)
        );
        assert_eq!((got.model.as_deref(), got.response_model.as_deref()), (Some("llama3.2"), Some("llama3.2")));
        assert_eq!(texts(&got, Request), [("user", "$['messages'][0]['content']", "why?")]);
        assert_eq!(
            texts(&got, Response),
            [("assistant", "$['message']['content']", "The sky"), ("assistant", "$['message']['thinking']", "Hm")]
        );
        assert_eq!(got.tool_calls, [ToolCall { id: None, name: "look".into(), arguments: "{\"a\":1}".into() }]);
        assert_eq!(got.finish_reasons, ["stop"]);
        assert_eq!((got.usage.input, got.usage.output), (Some(26), Some(3)));
        assert_eq!(got.timing.reported, Some(Duration::from_nanos(4_883_583_458)));
        assert_eq!(names(&got), ["keep_alive", "num_ctx", "temperature"]);
        let expected = if streamed { (Some(ms(10)), 3, Some(ms(10))) } else { (None, 0, None) };
        assert_eq!((got.timing.first_token, got.timing.chunks, got.timing.per_output_token), expected);
    }
}

#[test]
fn an_error_ends_a_stream() {
    let data = lines(&[r#"{"model":"m","response":"a","done":false}"#, r#"{"error":"an error was encountered"}"#]);
    let got =
        meaning(&stream("POST /api/generate", r#"{"model":"m","prompt":"x","system":"s"}"#, Format::JsonLines, &data));
    assert_eq!(got.operation, Operation::TextCompletion);
    assert_eq!(got.error.map(|error| error.message).as_deref(), Some("an error was encountered"));
    assert_eq!(
        texts(&meaning(&stream("POST /api/generate", r#"{"model":"m"}"#, Format::JsonLines, &data)), Response),
        [("", "$['response']", "a")]
    );
}

#[test]
fn the_other_endpoints_are_known() {
    for (line, asked, answer, operation, model, batch) in [
        (
            "POST /api/embed",
            r#"{"model":"m","input":["a","b"]}"#,
            r#"{"model":"m","embeddings":[[0.1]],"prompt_eval_count":8}"#,
            Operation::Embeddings,
            Some("m"),
            Some(2),
        ),
        (
            "POST /api/embeddings",
            r#"{"model":"m","prompt":"a"}"#,
            r#"{"embedding":[0.1]}"#,
            Operation::Embeddings,
            Some("m"),
            Some(1),
        ),
        (
            "POST /api/show",
            r#"{"model":"m"}"#,
            r#"{"modelfile":"FROM x","details":{}}"#,
            Operation::Metadata,
            Some("m"),
            None,
        ),
        (
            "POST /api/pull",
            r#"{"model":"m","stream":false}"#,
            r#"{"status":"success"}"#,
            Operation::Manage,
            Some("m"),
            None,
        ),
        ("DELETE /api/delete", r#"{"name":"m"}"#, "", Operation::Manage, Some("m"), None),
        ("GET /api/tags", "", r#"{"models":[]}"#, Operation::Metadata, None, None),
        ("GET /api/ps", "", r#"{"models":[]}"#, Operation::Metadata, None, None),
        ("GET /api/version", "", r#"{"version":"0.5.1"}"#, Operation::Metadata, None, None),
    ] {
        let got = meaning(&exchange(line, asked, 200, answer));
        assert_eq!(
            (got.dialect, got.operation, got.model.as_deref(), got.batch),
            (Dialect::Ollama, operation, model, batch),
            "{line}"
        );
    }
    assert!(none(&exchange("GET /api/tags", "", 200, r#"["news"]"#)), "a blog's");
    assert!(none(&exchange("POST /api/chat", r#"{"to":"me"}"#, 200, "{}")), "a chat program's");
}
