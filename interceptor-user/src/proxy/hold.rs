//! Requests that are held back until they are whole, because a rule asks for their content.

use std::{
    future::Future,
    rc::Rc,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use hyper::HeaderMap;
use tokio::time::timeout;

use super::{counts::Counts, upstream::Failure};

/// What all of them together may take.
pub(super) struct Room {
    most: usize,
    counts: Arc<Counts>,
}

/// A content of which all has come. Its bytes count while it lives.
pub(super) struct Held {
    data: Bytes,
    trailers: Option<HeaderMap>,
    _place: Place,
}

/// A content that comes.
pub(super) struct Holding {
    data: BytesMut,
    most: usize,
    place: Place,
}

struct Place {
    room: Rc<Room>,
    bytes: usize,
}

impl Room {
    pub(super) fn new(most: usize, counts: &Arc<Counts>) -> Rc<Self> {
        Rc::new(Self { most, counts: Arc::clone(counts) })
    }

    /// A request begins, of whose content `most` bytes may come.
    pub(super) fn hold(self: &Rc<Self>, most: usize) -> Holding {
        Holding { data: BytesMut::new(), most, place: Place { room: Rc::clone(self), bytes: 0 } }
    }
}

impl Holding {
    /// More of it has come. What is kept is copied: a part may be a few bytes of a large buffer.
    pub(super) fn add(&mut self, data: &[u8]) -> Result<(), Failure> {
        let counts = &self.place.room.counts;
        if data.len() > self.most - self.data.len() {
            counts.held_too_large.fetch_add(1, Relaxed);
            return Err(Failure::TooLarge);
        }
        if counts.held_bytes.load(Relaxed) + data.len() as u64 > self.place.room.most as u64 {
            counts.held_no_room.fetch_add(1, Relaxed);
            return Err(Failure::Limited);
        }
        counts.held_bytes.fetch_add(data.len() as u64, Relaxed);
        self.place.bytes += data.len();
        self.data.extend_from_slice(data);
        Ok(())
    }

    /// That was all.
    pub(super) fn end(self, trailers: Option<HeaderMap>) -> Held {
        self.place.room.counts.held.fetch_add(1, Relaxed);
        Held { data: self.data.freeze(), trailers, _place: self.place }
    }
}

impl Held {
    pub(super) fn len(&self) -> usize {
        self.data.len()
    }

    pub(super) const fn has_trailers(&self) -> bool {
        self.trailers.is_some()
    }

    /// Nothing is left of it.
    pub(super) fn is_empty(&self) -> bool {
        self.data.is_empty() && self.trailers.is_none()
    }

    /// All of the data that is left, if any is.
    pub(super) fn take_data(&mut self) -> Option<Bytes> {
        Some(std::mem::take(&mut self.data)).filter(|data| !data.is_empty())
    }

    pub(super) fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.counts.held_bytes.fetch_sub(self.bytes as u64, Relaxed);
    }
}

/// The next part of a content. Who sends nothing for so long is not waited for.
pub(super) async fn in_time<T>(time: Option<Duration>, next: impl Future<Output = T>) -> Result<T, Failure> {
    match time {
        Some(time) => timeout(time, next).await.map_err(|_| Failure::Slow),
        None => Ok(next.await),
    }
}
