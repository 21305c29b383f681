use std::{borrow::Cow, time::Duration};

use serde_json::Value;

use super::{Role, Tensor};

/// The API that an exchange speaks to a model server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Open Inference Protocol, version 2 (KServe), over REST or gRPC, with Triton's extensions.
    OpenInference,
    /// KServe's version 1.
    KserveV1,
    /// TensorFlow Serving, over REST or gRPC.
    TensorflowServing,
    /// TorchServe, over REST or gRPC.
    Torchserve,
    /// `/invocations` of MLflow and SageMaker.
    Invocations,
    /// OpenAI's, as many servers speak it, with vLLM's extras.
    Openai,
    /// Anthropic's Messages.
    Anthropic,
    /// Ollama's own.
    Ollama,
    /// Hugging Face Text Generation Inference.
    Tgi,
    /// Hugging Face Text Embeddings Inference.
    Tei,
}

impl Dialect {
    /// All of them, in the order of their values.
    pub const ALL: [Self; 10] = [
        Self::OpenInference,
        Self::KserveV1,
        Self::TensorflowServing,
        Self::Torchserve,
        Self::Invocations,
        Self::Openai,
        Self::Anthropic,
        Self::Ollama,
        Self::Tgi,
        Self::Tei,
    ];

    /// `gen_ai.provider.name` where that has a value for it, else a name in its style.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenInference => "open_inference",
            Self::KserveV1 => "kserve_v1",
            Self::TensorflowServing => "tensorflow_serving",
            Self::Torchserve => "torchserve",
            Self::Invocations => "invocations",
            Self::Openai => "openai",
            Self::Anthropic => "anthropic",
            Self::Ollama => "ollama",
            Self::Tgi => "tgi",
            Self::Tei => "tei",
        }
    }
}

/// What was asked of the model server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// An answer in a conversation.
    Chat,
    /// Text that goes on where a prompt ends.
    TextCompletion,
    /// Vectors for texts.
    Embeddings,
    /// Documents in the order in which they answer a query.
    Rerank,
    /// Classes of texts, or how alike they are.
    Classify,
    /// Outputs for tensors or columns.
    Infer,
    /// Why a model answers as it does.
    Explain,
    /// Tokens of a text, or the text of tokens.
    Tokenize,
    /// What a model or a server is, which models there are, whether they are ready.
    Metadata,
    /// Counters that the server keeps itself.
    Statistics,
    /// Models are loaded, unloaded, pulled, registered.
    Manage,
}

impl Operation {
    /// All of them, in the order of their values.
    pub const ALL: [Self; 11] = [
        Self::Chat,
        Self::TextCompletion,
        Self::Embeddings,
        Self::Rerank,
        Self::Classify,
        Self::Infer,
        Self::Explain,
        Self::Tokenize,
        Self::Metadata,
        Self::Statistics,
        Self::Manage,
    ];

    /// `gen_ai.operation.name` where that has a value for it, else a name in its style.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::TextCompletion => "text_completion",
            Self::Embeddings => "embeddings",
            Self::Rerank => "rerank",
            Self::Classify => "classify",
            Self::Infer => "infer",
            Self::Explain => "explain",
            Self::Tokenize => "tokenize",
            Self::Metadata => "metadata",
            Self::Statistics => "statistics",
            Self::Manage => "manage",
        }
    }

    /// Does a model work for it? Asking what there is is no work.
    pub const fn is_work(self) -> bool {
        !matches!(self, Self::Metadata | Self::Statistics | Self::Manage)
    }
}

/// What an exchange means to a model server. What the wire does not say is None or empty.
#[derive(Clone, Debug, PartialEq)]
pub struct Inference {
    /// API that is spoken.
    pub dialect: Dialect,
    /// What was asked.
    pub operation: Operation,
    /// Model as the request names it, in its path or its content.
    pub model: Option<String>,
    /// Its version, likewise; else as the response tells it.
    pub version: Option<String>,
    /// Model as the response names it.
    pub response_model: Option<String>,
    /// Id that request or response give.
    pub id: Option<String>,
    /// On whose behalf; unverified.
    pub tenant: Option<String>,
    /// The answer came, or was asked for, in messages as it was made.
    pub streamed: bool,
    /// Inputs of one request that are worked on together: rows, texts, prompts.
    pub batch: Option<u64>,
    /// Inputs in order: tensors; columns are tensors of one dimension.
    pub inputs: Vec<Tensor>,
    /// Outputs in order.
    pub outputs: Vec<Tensor>,
    /// Prompts and answers in order, those that were streamed put together.
    pub texts: Vec<Text>,
    /// Parameters of the request (`temperature`, `max_tokens`), without its inputs.
    pub parameters: Vec<(String, Value)>,
    /// Why the model stopped, as sent, one for each answer.
    pub finish_reasons: Vec<String>,
    /// Tokens, as the response counts them.
    pub usage: Usage,
    /// Tools that the answer calls.
    pub tool_calls: Vec<ToolCall>,
    /// What went wrong, by its content: also where the status says that all is well.
    pub error: Option<ModelError>,
    /// When what came.
    pub timing: Timing,
    /// Why not all of this was read, where it was not.
    pub unread: Option<Unread>,
}

impl Inference {
    /// Nothing is known but this.
    pub fn new(dialect: Dialect, operation: Operation) -> Self {
        Self {
            dialect,
            operation,
            model: None,
            version: None,
            response_model: None,
            id: None,
            tenant: None,
            streamed: false,
            batch: None,
            inputs: Vec::new(),
            outputs: Vec::new(),
            texts: Vec::new(),
            parameters: Vec::new(),
            finish_reasons: Vec::new(),
            usage: Usage::default(),
            tool_calls: Vec::new(),
            error: None,
            timing: Timing::default(),
            unread: None,
        }
    }

    /// About the bytes of memory that it holds.
    pub fn memory(&self) -> usize {
        let texts = self.texts.iter().map(|text| size_of::<Text>() + text.text.len() + text.path.len());
        let tensors = self.inputs.iter().chain(&self.outputs).map(Tensor::memory);
        let calls = self.tool_calls.iter().map(|call| size_of::<ToolCall>() + call.name.len() + call.arguments.len());
        size_of::<Self>() + texts.chain(tensors).chain(calls).sum::<usize>()
    }

    /// Tensors of this side.
    pub fn tensors(&self, role: Role) -> &[Tensor] {
        match role {
            Role::Request => &self.inputs,
            Role::Response => &self.outputs,
        }
    }
}

/// Part of a prompt, or an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// Where it was sent.
    pub role: Role,
    /// Who says it, as sent: `system`, `user`, `assistant`, `tool`; empty where nobody is named.
    pub speaker: Cow<'static, str>,
    /// Where it lies in its content: a normalised JSONPath (RFC 9535 section 2.7); of a streamed answer the path that it
    /// would have in one that is not.
    pub path: String,
    /// The text.
    pub text: String,
}

/// Tokens that the response counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Of prompts, cached ones included.
    pub input: Option<u64>,
    /// Generated, reasoning included.
    pub output: Option<u64>,
    /// Of those of the prompts: read from a cache.
    pub cached: Option<u64>,
    /// Of those of the prompts: written to a cache.
    pub cache_creation: Option<u64>,
    /// Of those generated: not shown, but thought.
    pub reasoning: Option<u64>,
    /// `output`, and `input` where the wire does not state it, are estimated, because that was asked for.
    pub estimated: bool,
}

impl Usage {
    /// Nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A tool that the model wants called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCall {
    /// Its id.
    pub id: Option<String>,
    /// Its name.
    pub name: String,
    /// Its arguments, as sent: most often JSON.
    pub arguments: String,
}

/// What a model server says went wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelError {
    /// Its kind or code, as sent.
    pub kind: Option<String>,
    /// What it says.
    pub message: String,
}

/// When an answer came. Times are those of captured packets, at the place where they were captured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// From the last byte of the request to the first message that carries something generated.
    pub first_token: Option<Duration>,
    /// Messages that carry something generated.
    pub chunks: u64,
    /// From the first of them to the last.
    pub generation: Option<Duration>,
    /// The longest time between two of them that follow each other, of those whose times were kept.
    pub longest_gap: Option<Duration>,
    /// Median of these times.
    pub median_gap: Option<Duration>,
    /// `generation` by each output token but the first.
    pub per_output_token: Option<Duration>,
    /// How long the server says that it worked.
    pub reported: Option<Duration>,
    /// Round-trip time of the connection, where the kernel or the handshake told.
    pub round_trip: Option<Duration>,
    /// Of the answer's time, while its reader had no room for more: see [`Delays::stalled`](super::Delays::stalled).
    pub stalled: Duration,
    /// Of the answer's time, while what had come of it waited for what the network had lost: see
    /// [`Delays::waited`](super::Delays::waited).
    pub waited: Duration,
    /// Messages that came after the client was gone.
    pub wasted_chunks: u64,
    /// Content bytes that came after that.
    pub wasted_bytes: u64,
}

/// Why not all of an inference was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unread {
    /// No content was kept: nobody wanted it.
    NotKept,
    /// Only the beginning of it was kept.
    Cut,
    /// Some of it was not captured.
    Missing,
    /// It is not what the dialect says.
    Malformed,
    /// It holds more than is taken: tensors, texts, depth.
    TooMuch,
}

impl Unread {
    /// Name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotKept => "not_kept",
            Self::Cut => "cut",
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::TooMuch => "too_much",
        }
    }
}
