//! The trace that an exchange is part of, and the ids of its spans.
//!
//! An id is a hash of what tells its span from others, so that it is the same whenever it is asked for: when a batch is sent
//! again, where a metric's exemplar points to it, and before the span itself is there. With a parent on the wire nothing
//! goes into it that another capture of the same exchange would not know.

#[cfg(test)]
mod tests;

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::LazyLock,
};

use sha2::{Digest as _, Sha256};

use super::context::{Context, Parent, SpanId, TraceId};
use crate::{
    model::{Exchange, FlowInfo, Side},
    sink::prometheus::sides,
};

/// Tells the traces that begin in this process from those of others.
static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one("traces"));

/// The trace of an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Its id.
    pub id: TraceId,
    /// The span on the wire that the exchange's first span hangs on.
    pub parent: Option<SpanId>,
    /// What the wire says of being recorded.
    pub sampled: Option<bool>,
    /// `tracestate`.
    pub state: String,
    /// What all spans of the exchange have in common.
    place: [u8; 32],
}

impl Trace {
    /// What the request's fields say; a new one where they say nothing. None without a request: there is no span either.
    pub fn of(exchange: &Exchange) -> Option<Self> {
        let Context { parent, sampled, state } = Context::of(&exchange.request.as_ref()?.head.fields);
        let place = place(exchange, parent);
        let id = parent.map_or_else(|| begun(&place), |parent| parent.trace);
        Some(Self { id, parent: parent.map(|parent| parent.span), sampled, state, place })
    }

    /// The id of the exchange's span at this end.
    pub fn span(&self, side: Side) -> SpanId {
        let mut hash = Sha256::new_with_prefix([side as u8]);
        hash.update(self.id);
        hash.update(self.place);
        let digest: [u8; 32] = hash.finalize().into();
        let id = digest.first_chunk().copied().unwrap_or_default();
        // Zero stands for none.
        if id == [0; 8] { [1; 8] } else { id }
    }

    /// What whoever gets the request is to be told, if the client tells nothing of the kind: `traceparent` (W3C Trace Context) with
    /// the id of our own span, that of the server's end if it is here.
    pub fn traceparent(&self, flow: &FlowInfo) -> String {
        let side = sides(flow).next().unwrap_or(Side::Server);
        let (trace, span) = (u128::from_be_bytes(self.id), u64::from_be_bytes(self.span(side)));
        format!("00-{trace:032x}-{span:016x}-{:02x}", u8::from(self.sampled.unwrap_or(true)))
    }

    /// Is it sent? What the wire decided is respected; for what it left open the trace's id decides, with this part of
    /// them taken. Everyone who decides so (W3C Trace Context level 2, OpenTelemetry's consistent probability sampling)
    /// takes the same traces.
    #[expect(clippy::cast_precision_loss, reason = "of 56 bits the lowest three do not matter")]
    pub fn is_sampled(&self, part: f64) -> bool {
        self.sampled.unwrap_or_else(|| {
            let all = 1_u64 << 56;
            let random = u128::from_be_bytes(self.id) as u64 & (all - 1);
            random as f64 >= (1.0 - part) * all as f64
        })
    }
}

fn place(exchange: &Exchange, parent: Option<Parent>) -> [u8; 32] {
    let flow = &exchange.flow;
    let mut hash = Sha256::new();
    for end in [flow.client.endpoint, flow.server.endpoint] {
        hash.update(end.mapped());
        hash.update(end.port().to_be_bytes());
    }
    // A stream has the same number for whoever joined late.
    let number = exchange.stream.map_or(exchange.number, u64::from);
    hash.update(number.to_be_bytes());
    if let Some(parent) = parent {
        hash.update(parent.span);
    } else {
        hash.update(PROCESS.to_be_bytes());
        hash.update(flow.id.to_be_bytes());
        hash.update(flow.key.zone().to_be_bytes());
        hash.update(flow.start.as_nanos().to_be_bytes());
    }
    hash.finalize().into()
}

/// The id of a trace that begins with the exchange at this place.
fn begun(place: &[u8; 32]) -> TraceId {
    let digest: [u8; 32] = Sha256::new_with_prefix(b"trace").chain_update(place).finalize().into();
    let id = digest.first_chunk().copied().unwrap_or_default();
    if id == [0; 16] { [1; 16] } else { id }
}
