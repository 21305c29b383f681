use proptest::prelude::*;

use super::*;

const LINES: [&str; 21] = [
    "POST /v1/chat/completions",
    "POST /v1/completions",
    "POST /v1/responses",
    "POST /v1/embeddings",
    "POST /v1/rerank",
    "POST /v1/score",
    "POST /tokenize",
    "GET /v1/models",
    "POST /v1/messages",
    "POST /v1/messages/count_tokens",
    "POST /api/chat",
    "POST /api/generate",
    "POST /api/embed",
    "GET /api/tags",
    "POST /generate",
    "POST /generate_stream",
    "POST /",
    "GET /info",
    "POST /embed",
    "POST /predict",
    "POST /rerank",
];

/// JSON made of the words that the dialects know.
fn value() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "messages",
        "content",
        "choices",
        "delta",
        "tool_calls",
        "function",
        "arguments",
        "usage",
        "index",
        "type",
        "text",
        "error",
        "message",
        "input",
        "output",
        "response",
        "model",
        "prompt",
        "documents",
        "details",
        "token",
        "inputs",
        "content_block_delta",
        "response.output_text.delta",
        "message_start",
        "id",
        "name",
        "item",
        "generated_text",
    ]);
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        Just(u64::MAX.to_string()),
        word.clone().prop_map(|word| format!("\"{word}\"")),
    ];
    leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec((word.clone(), inner), 0..5).prop_map(|members| {
                let members = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect::<Vec<_>>();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_contents_give_an_inference_or_none(
        line in prop::sample::select(LINES.to_vec()),
        (asked, answer) in (value(), value()),
        data in prop::collection::vec(value(), 0..6),
        (request, response) in (0..200_usize, 0..200_usize),
        (first, last) in (0..3_usize, 0..3_usize),
        noise in prop::collection::vec(any::<u8>(), 0..50),
        status in prop::sample::select(vec![200_u16, 400]),
    ) {
        let options = Options { estimate_tokens: true };
        let read = |exchange: &Exchange| read(exchange, &options);
        let mut plain = exchange(line, &asked, status, &answer);
        read(&plain);
        keep(&mut plain, Role::Request, request);
        keep(&mut plain, Role::Response, response);
        read(&plain);
        if let Some(part) = plain.response.as_mut() {
            part.body = noise.into();
        }
        read(&plain);
        let data = data.iter().map(String::as_str).collect::<Vec<_>>();
        for format in [Format::EventStream, Format::JsonLines] {
            let messages = events(&data);
            let mut streamed = stream(line, &asked, format, &messages);
            read(&streamed);
            let first = first.min(messages.len());
            split(&mut streamed, first, last.min(messages.len() - first));
            read(&streamed);
        }
    }
}
