//! A content of a stream: as it comes, or one that was held until it was whole.

use std::time::Duration;

use bytes::Bytes;
use h2::{Reason, RecvStream};
use hyper::HeaderMap;

use super::{Failed, pump::Ended};
use crate::proxy::hold::{self, Held, Holding};

pub(super) enum Content {
    Coming(RecvStream),
    Held(Held),
}

impl Content {
    /// Was all of it taken?
    pub(super) fn is_over(&self) -> bool {
        match self {
            Self::Coming(stream) => stream.is_end_stream(),
            Self::Held(held) => held.is_empty(),
        }
    }

    /// The next part; None once there is no more.
    pub(super) async fn data(&mut self) -> Option<Result<Bytes, h2::Error>> {
        match self {
            Self::Coming(stream) => stream.data().await,
            Self::Held(held) => held.take_data().map(Ok),
        }
    }

    pub(super) async fn trailers(&mut self) -> Result<Option<HeaderMap>, h2::Error> {
        match self {
            Self::Coming(stream) => stream.trailers().await,
            Self::Held(held) => Ok(held.take_trailers()),
        }
    }

    /// So many bytes have gone on: as many more may come.
    pub(super) fn taken(&mut self, bytes: usize) -> Result<(), h2::Error> {
        match self {
            Self::Coming(stream) => stream.flow_control().release_capacity(bytes),
            Self::Held(_) => Ok(()),
        }
    }
}

/// Waits for all of a content.
pub(super) async fn hold(
    stream: &mut RecvStream,
    mut holding: Holding,
    time: Option<Duration>,
) -> Result<Content, Failed> {
    // Whose content it is has given it up, or is gone.
    let ended = |error: h2::Error| Ended::Giver(error.reason().unwrap_or(Reason::CANCEL));
    while let Some(data) = hold::in_time(time, stream.data()).await? {
        let data = data.map_err(ended)?;
        holding.add(&data)?;
        stream.flow_control().release_capacity(data.len()).map_err(ended)?;
    }
    let trailers = hold::in_time::<Result<_, _>>(time, stream.trailers()).await?.map_err(ended)?;
    Ok(Content::Held(holding.end(trailers)))
}
