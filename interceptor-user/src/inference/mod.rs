//! What an exchange means to a model server: which model was asked what, and how it answered.
//!
//! A file a dialect. A dialect is recognised by the request's method, path and content type, never by a port; where two
//! share a path, the content tells. What is read is bounded by what was kept of the contents.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod anthropic;
mod body;
mod call;
mod columns;
mod deltas;
mod draft;
mod element;
mod invocations;
mod json;
mod kserve_v1;
mod message;
mod ollama;
mod open_inference;
mod openai;
mod partial;
mod rows;
mod tei;
mod tensorflow;
#[cfg(test)]
mod tests;
mod tgi;
mod timing;
mod torchserve;
mod tree;

use self::call::{Asked, Call};
use crate::model::{Dialect, Exchange, Head, Inference, Operation};

/// Bytes of each content of an inference that are kept where nothing else is said.
pub const BODY: usize = 256 * 1024;

/// What is read beside what the wire states.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Tokens that the wire does not state are estimated from the text, and said to be.
    pub estimate_tokens: bool,
}

/// In the order in which they are tried.
const ORDER: [Dialect; 10] = [
    Dialect::OpenInference,
    Dialect::Anthropic,
    Dialect::Ollama,
    Dialect::Tgi,
    Dialect::Tei,
    Dialect::TensorflowServing,
    Dialect::KserveV1,
    Dialect::Torchserve,
    Dialect::Invocations,
    Dialect::Openai,
];

/// What a request with this head is likely to ask; for content that has not come yet.
pub fn recognise(head: &Head) -> Option<(Dialect, Operation)> {
    let asked = Asked::of(head)?;
    ORDER.into_iter().find_map(|dialect| Some((dialect, operation(dialect, &asked)?)))
}

/// What the exchange means, if it means something to a model server.
pub fn read(exchange: &Exchange, options: &Options) -> Option<Inference> {
    let asked = Asked::of(&exchange.request.as_ref()?.head)?;
    let call = Call::new(exchange, asked, options);
    ORDER.into_iter().find_map(|dialect| {
        let mut inference = Inference::new(dialect, operation(dialect, &call.asked)?);
        fill(dialect, &call, &mut inference).then_some(inference)
    })
}

fn operation(dialect: Dialect, asked: &Asked<'_>) -> Option<Operation> {
    match dialect {
        Dialect::OpenInference => open_inference::recognise(asked),
        Dialect::KserveV1 => kserve_v1::recognise(asked),
        Dialect::TensorflowServing => tensorflow::recognise(asked),
        Dialect::Torchserve => torchserve::recognise(asked),
        Dialect::Invocations => invocations::recognise(asked),
        Dialect::Openai => openai::recognise(asked),
        Dialect::Anthropic => anthropic::recognise(asked),
        Dialect::Ollama => ollama::recognise(asked),
        Dialect::Tgi => tgi::recognise(asked),
        Dialect::Tei => tei::recognise(asked),
    }
}

/// Reads what is there; false where the content shows that it is another dialect's.
fn fill(dialect: Dialect, call: &Call<'_>, inference: &mut Inference) -> bool {
    match dialect {
        Dialect::OpenInference => open_inference::read(call, inference),
        Dialect::KserveV1 => kserve_v1::read(call, inference),
        Dialect::TensorflowServing => tensorflow::read(call, inference),
        Dialect::Torchserve => torchserve::read(call, inference),
        Dialect::Invocations => invocations::read(call, inference),
        Dialect::Openai => openai::read(call, inference),
        Dialect::Anthropic => anthropic::read(call, inference),
        Dialect::Ollama => ollama::read(call, inference),
        Dialect::Tgi => tgi::read(call, inference),
        Dialect::Tei => tei::read(call, inference),
    }
}
