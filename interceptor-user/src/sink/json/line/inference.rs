use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::{Detail, is_false, is_zero_u64};
use crate::model::{Exchange, Inference, Role, Tensor, Text, ToolCall};

/// What the exchange means to a model server.
///
/// The keys that begin with `gen_ai.` are those of OpenTelemetry's conventions for generative AI; they are used for models of
/// any kind where they fit. What the conventions have no name for begins with `inference.`.
#[derive(Default, Serialize, JsonSchema)]
pub(super) struct InferenceLine<'a> {
    /// API that is spoken.
    #[serde(rename = "gen_ai.provider.name", skip_serializing_if = "Option::is_none")]
    dialect: Option<&'static str>,
    /// What was asked: chat, text_completion, embeddings, and for other models infer, explain and the like.
    #[serde(rename = "gen_ai.operation.name", skip_serializing_if = "Option::is_none")]
    operation: Option<&'static str>,
    /// Model as the request names it.
    #[serde(rename = "gen_ai.request.model", skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    /// Its version.
    #[serde(rename = "inference.model.version", skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    /// Model as the response names it.
    #[serde(rename = "gen_ai.response.model", skip_serializing_if = "Option::is_none")]
    response_model: Option<&'a str>,
    /// Id that request or response give.
    #[serde(rename = "gen_ai.response.id", skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    /// On whose behalf, by a header or claim that nobody verified.
    #[serde(rename = "inference.tenant.unverified", skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
    /// The answer came in messages as it was made.
    #[serde(rename = "gen_ai.request.stream", skip_serializing_if = "is_false")]
    streamed: bool,
    /// Inputs that were worked on together: rows, texts, prompts.
    #[serde(rename = "inference.batch.size", skip_serializing_if = "Option::is_none")]
    batch: Option<u64>,
    /// Inputs: tensors, columns.
    #[serde(rename = "inference.inputs", skip_serializing_if = "Vec::is_empty")]
    inputs: Vec<TensorLine<'a>>,
    /// Outputs.
    #[serde(rename = "inference.outputs", skip_serializing_if = "Vec::is_empty")]
    outputs: Vec<TensorLine<'a>>,
    /// Parameters of the request, by the names that it gives them; numbers and switches only, unless bodies are asked for.
    #[serde(rename = "inference.parameters", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Map<String, Value>>")]
    parameters: Option<Parameters<'a>>,
    /// Why the model stopped, one for each answer.
    #[serde(rename = "gen_ai.response.finish_reasons", skip_serializing_if = "is_empty")]
    finish_reasons: &'a [String],
    /// Tokens of prompts.
    #[serde(rename = "gen_ai.usage.input_tokens", skip_serializing_if = "Option::is_none")]
    input_tokens: Option<u64>,
    /// Tokens generated.
    #[serde(rename = "gen_ai.usage.output_tokens", skip_serializing_if = "Option::is_none")]
    output_tokens: Option<u64>,
    /// Of the tokens of prompts: read from a cache.
    #[serde(rename = "gen_ai.usage.cache_read.input_tokens", skip_serializing_if = "Option::is_none")]
    cached: Option<u64>,
    /// Of the tokens of prompts: written to a cache.
    #[serde(rename = "gen_ai.usage.cache_creation.input_tokens", skip_serializing_if = "Option::is_none")]
    cache_creation: Option<u64>,
    /// Of the tokens generated: thought, not shown.
    #[serde(rename = "gen_ai.usage.reasoning.output_tokens", skip_serializing_if = "Option::is_none")]
    reasoning: Option<u64>,
    /// Tokens are estimated: the wire does not state them.
    #[serde(rename = "inference.usage.estimated", skip_serializing_if = "is_false")]
    estimated: bool,
    /// Tools that the answer calls; their arguments if bodies are asked for.
    #[serde(rename = "inference.tool_calls", skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ToolLine<'a>>,
    /// What the content says went wrong, whatever the status.
    #[serde(rename = "inference.error.message", skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    /// Its kind or code.
    #[serde(rename = "inference.error.type", skip_serializing_if = "Option::is_none")]
    error_type: Option<&'a str>,
    /// Seconds from the last byte of the request to the first message that carries something generated.
    #[serde(rename = "gen_ai.response.time_to_first_chunk", skip_serializing_if = "Option::is_none")]
    first_token: Option<f64>,
    /// Messages that carry something generated.
    #[serde(rename = "inference.response.chunks", skip_serializing_if = "is_zero_u64")]
    chunks: u64,
    /// Seconds for each output token but the first.
    #[serde(rename = "inference.response.time_per_output_token", skip_serializing_if = "Option::is_none")]
    per_output_token: Option<f64>,
    /// Seconds between two messages that follow each other: the median.
    #[serde(rename = "inference.response.chunk_gap.median", skip_serializing_if = "Option::is_none")]
    median_gap: Option<f64>,
    /// The longest.
    #[serde(rename = "inference.response.chunk_gap.max", skip_serializing_if = "Option::is_none")]
    longest_gap: Option<f64>,
    /// Seconds for which the server says that it worked.
    #[serde(rename = "inference.response.reported_duration", skip_serializing_if = "Option::is_none")]
    reported: Option<f64>,
    /// Round-trip time of the connection, in seconds.
    #[serde(rename = "inference.network.round_trip", skip_serializing_if = "Option::is_none")]
    round_trip: Option<f64>,
    /// Seconds for which what had come of the answer waited for segments that the network had lost, as seen at the place of
    /// capture.
    #[serde(rename = "inference.network.waited", skip_serializing_if = "Option::is_none")]
    waited: Option<f64>,
    /// Seconds for which the answer's reader had no room for more (a TCP window of zero).
    #[serde(rename = "inference.reader.stalled", skip_serializing_if = "Option::is_none")]
    stalled: Option<f64>,
    /// Messages that came after the client was gone.
    #[serde(rename = "inference.response.wasted.chunks", skip_serializing_if = "is_zero_u64")]
    wasted_chunks: u64,
    /// Content bytes that came after that.
    #[serde(rename = "inference.response.wasted.size", skip_serializing_if = "is_zero_u64")]
    wasted_bytes: u64,
    /// Why not all of this was read.
    #[serde(rename = "inference.unread", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["not_kept", "cut", "missing", "malformed", "too_much"]))]
    unread: Option<&'static str>,
    /// Prompts, if bodies are asked for.
    #[serde(rename = "gen_ai.input.messages", skip_serializing_if = "Vec::is_empty")]
    input_messages: Vec<SaidLine<'a>>,
    /// Answers, if bodies are asked for; those that were streamed put together.
    #[serde(rename = "gen_ai.output.messages", skip_serializing_if = "Vec::is_empty")]
    output_messages: Vec<SaidLine<'a>>,
}

/// A tensor or column, without its elements.
#[derive(Serialize, JsonSchema)]
struct TensorLine<'a> {
    /// Its name.
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    /// Type of its elements.
    #[serde(skip_serializing_if = "Option::is_none")]
    datatype: Option<&'static str>,
    /// Its shape; -1 where a size is not known.
    shape: &'a [i64],
}

/// A tool that the answer calls.
#[derive(Serialize, JsonSchema)]
struct ToolLine<'a> {
    /// Its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    /// Its name.
    name: &'a str,
    /// What it is called with, as sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<&'a str>,
}

/// Something that was said.
#[derive(Serialize, JsonSchema)]
struct SaidLine<'a> {
    /// By whom.
    role: &'a str,
    /// What: a list of one.
    parts: [SaidPart<'a>; 1],
}

/// Text.
#[derive(Serialize, JsonSchema)]
struct SaidPart<'a> {
    /// Always `text`.
    #[serde(rename = "type")]
    kind: Cow<'static, str>,
    /// The text.
    content: &'a str,
}

/// Parameters as an object: where bodies are not asked for, numbers and switches only. Texts may be anything.
struct Parameters<'a>(Vec<(&'a str, &'a Value)>);

impl Serialize for Parameters<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

impl<'a> Parameters<'a> {
    fn of(inference: &'a Inference, detail: Detail<'a>) -> Option<Self> {
        let shown = |value: &Value| detail.bodies || value.is_number() || value.is_boolean();
        let all = inference.parameters.iter().filter(|(_, value)| shown(value));
        let all: Vec<_> = all.map(|(name, value)| (name.as_str(), value)).collect();
        (!all.is_empty()).then_some(Self(all))
    }
}

impl<'a> InferenceLine<'a> {
    pub(super) fn of(exchange: &'a Exchange, detail: Detail<'a>) -> Self {
        exchange.inference.as_deref().map_or_else(Self::default, |inference| Self::new(inference, detail))
    }

    fn new(inference: &'a Inference, detail: Detail<'a>) -> Self {
        let Inference { usage, timing, .. } = inference;
        let seconds = |duration: Option<std::time::Duration>| duration.map(|duration| duration.as_secs_f64());
        let said = |role: Role| {
            let texts = inference.texts.iter().filter(move |text| detail.bodies && text.role == role);
            texts.map(SaidLine::of).collect()
        };
        Self {
            dialect: Some(inference.dialect.name()),
            operation: Some(inference.operation.name()),
            model: inference.model.as_deref(),
            version: inference.version.as_deref(),
            response_model: inference.response_model.as_deref(),
            id: inference.id.as_deref(),
            tenant: inference.tenant.as_deref(),
            streamed: inference.streamed,
            batch: inference.batch,
            inputs: inference.inputs.iter().map(TensorLine::of).collect(),
            outputs: inference.outputs.iter().map(TensorLine::of).collect(),
            parameters: Parameters::of(inference, detail),
            finish_reasons: &inference.finish_reasons,
            input_tokens: usage.input,
            output_tokens: usage.output,
            cached: usage.cached,
            cache_creation: usage.cache_creation,
            reasoning: usage.reasoning,
            estimated: usage.estimated,
            tool_calls: inference.tool_calls.iter().map(|call| ToolLine::of(call, detail)).collect(),
            error: inference.error.as_ref().map(|error| error.message.as_str()),
            error_type: inference.error.as_ref().and_then(|error| error.kind.as_deref()),
            first_token: seconds(timing.first_token),
            chunks: timing.chunks,
            per_output_token: seconds(timing.per_output_token),
            median_gap: seconds(timing.median_gap),
            longest_gap: seconds(timing.longest_gap),
            reported: seconds(timing.reported),
            round_trip: seconds(timing.round_trip),
            waited: seconds(Some(timing.waited).filter(|time| !time.is_zero())),
            stalled: seconds(Some(timing.stalled).filter(|time| !time.is_zero())),
            wasted_chunks: timing.wasted_chunks,
            wasted_bytes: timing.wasted_bytes,
            unread: inference.unread.map(crate::model::Unread::name),
            input_messages: said(Role::Request),
            output_messages: said(Role::Response),
        }
    }
}

impl<'a> TensorLine<'a> {
    fn of(tensor: &'a Tensor) -> Self {
        Self { name: &tensor.name, datatype: tensor.datatype.map(crate::model::Datatype::name), shape: &tensor.shape }
    }
}

impl<'a> ToolLine<'a> {
    fn of(call: &'a ToolCall, detail: Detail<'_>) -> Self {
        let arguments = detail.bodies.then_some(call.arguments.as_str());
        Self { id: call.id.as_deref(), name: &call.name, arguments }
    }
}

impl<'a> SaidLine<'a> {
    fn of(text: &'a Text) -> Self {
        Self { role: &text.speaker, parts: [SaidPart { kind: "text".into(), content: &text.text }] }
    }
}

const fn is_empty(list: &[String]) -> bool {
    list.is_empty()
}
