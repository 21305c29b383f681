//! A content on its way from one stream to another.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use bytes::Bytes;
use h2::{Reason, SendStream};

use super::content::Content;

/// Who gave a stream up, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Whose content it is.
    Giver(Reason),
    /// Who was to get it.
    Taker(Reason),
}

impl Ended {
    pub(super) fn by_taker(error: &h2::Error) -> Self {
        Self::Taker(remote(error).unwrap_or(Reason::CANCEL))
    }

    /// Without a reason of its own its connection is gone: what is missing has to be missed.
    fn by_giver(error: &h2::Error) -> Self {
        Self::Giver(remote(error).unwrap_or(Reason::INTERNAL_ERROR))
    }
}

fn remote(error: &h2::Error) -> Option<Reason> {
    error.reason().filter(|_| error.is_remote() && error.is_reset())
}

/// All of a content, and its trailers. The giver may send as much more as the taker has room for, so nothing piles up here; the end
/// of the stream comes with what it came with. Each part is told of.
pub(super) async fn pump(from: &mut Content, to: &mut SendStream<Bytes>, passed: impl Fn()) -> Result<(), Ended> {
    while let Some(data) = unless_reset(to, from.data()).await? {
        let data = data.map_err(|error| Ended::by_giver(&error))?;
        let end = from.is_over();
        passed();
        give(from, to, data, end).await?;
        if end {
            return Ok(());
        }
    }
    let trailers = unless_reset(to, from.trailers()).await?.map_err(|error| Ended::by_giver(&error))?;
    let given = match trailers {
        Some(trailers) => to.send_trailers(trailers),
        None => to.send_data(Bytes::new(), true),
    };
    given.map_err(|error| Ended::by_taker(&error))
}

async fn give(from: &mut Content, to: &mut SendStream<Bytes>, mut data: Bytes, end: bool) -> Result<(), Ended> {
    if data.is_empty() && end {
        return to.send_data(data, true).map_err(|error| Ended::by_taker(&error));
    }
    while !data.is_empty() {
        let room = room(to, data.len()).await?;
        let part = data.split_to(room.min(data.len()));
        let taken = part.len();
        to.send_data(part, end && data.is_empty()).map_err(|error| Ended::by_taker(&error))?;
        from.taken(taken).map_err(|error| Ended::by_giver(&error))?;
    }
    Ok(())
}

/// Waits until some of so many bytes are taken.
async fn room(to: &mut SendStream<Bytes>, wanted: usize) -> Result<usize, Ended> {
    to.reserve_capacity(wanted);
    loop {
        // Only changes are told.
        match to.capacity() {
            0 => {}
            room => return Ok(room),
        }
        match poll_fn(|context| to.poll_capacity(context)).await {
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(Ended::by_taker(&error)),
            None => return Err(Ended::Taker(given_up(to).await)),
        }
    }
}

/// Why nothing more can be sent.
async fn given_up(to: &mut SendStream<Bytes>) -> Reason {
    poll_fn(|context| match to.poll_reset(context) {
        Poll::Ready(Ok(reason)) => Poll::Ready(reason),
        Poll::Ready(Err(_)) | Poll::Pending => Poll::Ready(Reason::CANCEL),
    })
    .await
}

/// Who waits for more to come is told if the taker wants none of it.
async fn unless_reset<T>(to: &mut SendStream<Bytes>, next: impl Future<Output = T>) -> Result<T, Ended> {
    let mut next = pin!(next);
    poll_fn(|context| match to.poll_reset(context) {
        Poll::Ready(Ok(reason)) => Poll::Ready(Err(Ended::Taker(reason))),
        Poll::Ready(Err(error)) => Poll::Ready(Err(Ended::by_taker(&error))),
        Poll::Pending => next.as_mut().poll(context).map(Ok),
    })
    .await
}
