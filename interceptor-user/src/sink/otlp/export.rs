use std::sync::Arc;

use prost::Message;

use super::Client;
use crate::{
    model::Record,
    sink::{delivery::Attempt, http::Refusal},
};

/// Sends what a batch of records came to.
pub(super) async fn export<Q, A>(client: &Client<Q, A>, request: &Q, batch: Vec<Arc<Record>>) -> Attempt
where
    Q: Message + Clone + Default,
    A: Message + Default,
{
    match client.send(request).await {
        Ok(sent) => {
            // A record may be several spans or log records: at the most all of it is refused.
            let refused = sent.refused.min(batch.len() as u64);
            let error =
                (refused > 0).then(|| anyhow::anyhow!("the other side refuses {}: {}", sent.refused, sent.message));
            if error.is_none() && !sent.message.is_empty() {
                tracing::warn!("the OTLP receiver says: {}", sent.message);
            }
            Attempt { delivered: batch.len() as u64 - refused, refused, error, ..Attempt::default() }
        }
        Err(Refusal::Later(error, wait)) => Attempt { wait, ..Attempt::later(batch, error) },
        Err(Refusal::Never(error)) => Attempt::refused(&batch, error),
    }
}
