//! Connections of HTTP/2, which requests of all clients share.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::atomic::Ordering::Relaxed,
    task::{Context, Waker},
    time::Duration,
};

use bytes::Bytes;
use h2::{
    SendStream,
    client::{Builder, ResponseFuture, SendRequest},
};
use hyper::Request;
use tokio::{net::TcpStream, task::spawn_local, time::Instant};

use super::{
    Failure,
    address::{Address, Flight},
};
use crate::proxy::{
    counts::Gauge,
    http2::{HEAD, STREAM_WINDOW},
};

/// Streams of one connection at a time; the server may want fewer.
const STREAMS: u32 = 128;
/// Answers on their way to us, of all streams of a connection: as much as they may be together. Were it less, a client that does not
/// read would hold up the others' streams.
const CONNECTION_WINDOW: u32 = STREAMS * STREAM_WINDOW;
/// Connections to one address at the most. Where all are full, streams wait.
const CONNECTIONS: usize = 64;

pub(super) struct Connection {
    server: SendRequest<Bytes>,
    streams: Cell<u32>,
    /// It has had a stream.
    is_used: Cell<bool>,
    /// Since when it has none.
    idle: RefCell<Option<(Instant, Gauge)>>,
}

/// A place for a stream on a connection, while this lives.
pub(in crate::proxy) struct Stream {
    connection: Rc<Connection>,
    pub(in crate::proxy) address: Rc<Address>,
    /// The connection had others before.
    pub(in crate::proxy) was_kept: bool,
    _flight: Flight,
}

impl Stream {
    pub(in crate::proxy) fn send(
        &self,
        request: Request<()>,
        is_whole: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        // A clone does not wait until the server takes one more stream.
        self.connection.server.clone().send_request(request, is_whole)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.connection.streams.update(|streams| streams - 1);
        if self.connection.streams.get() == 0 {
            let gauge = Gauge::new(&self.address.common.counts, |counts| &counts.upstream.idle);
            *self.connection.idle.borrow_mut() = Some((Instant::now(), gauge));
        }
    }
}

impl Connection {
    /// It is not closed, no GOAWAY came, and its streams' numbers are not used up.
    pub(super) fn is_usable(&self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        !matches!(self.server.clone().poll_ready(&mut context), std::task::Poll::Ready(Err(_)))
    }

    pub(super) fn is_to_be_kept(&self, keep: Duration, now: Instant) -> bool {
        self.is_usable() && self.idle.borrow().as_ref().is_none_or(|(since, _)| *since + keep > now)
    }

    fn has_room(&self) -> bool {
        let streams = self.streams.get();
        streams == 0 || (streams as usize) < self.server.current_max_send_streams().min(STREAMS as usize)
    }
}

impl Address {
    /// A connection that has room, or a new one.
    pub(super) async fn http2(self: &Rc<Self>) -> Result<Stream, Failure> {
        let began = Instant::now();
        if let Some(stream) = self.stream() {
            return Ok(stream);
        }
        let mut failed = self.opening.lock().await;
        if let Some(stream) = self.stream() {
            return Ok(stream);
        }
        // Who waited for one that could not be opened does not wait for the next one, too.
        if let Some((_, failure)) = failed.as_ref().filter(|(at, _)| *at >= began) {
            return Err(*failure);
        }
        let opened = async { self.begin_http2(self.common.connect(self.at).await?).await };
        match opened.await {
            Ok(connection) => {
                *failed = None;
                self.shared.borrow_mut().push(Rc::clone(&connection));
                Ok(self.stream_on(connection))
            }
            Err(failure) => {
                *failed = Some((Instant::now(), failure));
                Err(failure)
            }
        }
    }

    fn stream(self: &Rc<Self>) -> Option<Stream> {
        let mut shared = self.shared.borrow_mut();
        shared.retain(|connection| connection.is_usable());
        let is_full = shared.len() >= CONNECTIONS;
        let free = shared.iter().find(|connection| connection.has_room());
        let least = || shared.iter().filter(|_| is_full).min_by_key(|connection| connection.streams.get());
        let connection = free.or_else(least).map(Rc::clone)?;
        Some(self.stream_on(connection))
    }

    fn stream_on(self: &Rc<Self>, connection: Rc<Connection>) -> Stream {
        let was_kept = connection.is_used.replace(true);
        if was_kept {
            self.common.counts.upstream.reused.fetch_add(1, Relaxed);
        }
        connection.streams.update(|streams| streams + 1);
        *connection.idle.borrow_mut() = None;
        Stream { connection, address: Rc::clone(self), was_kept, _flight: self.flight() }
    }

    pub(super) async fn take_http2(&self, stream: TcpStream) {
        let has_room = self.shared.borrow().iter().any(|connection| connection.is_usable() && connection.has_room());
        if !has_room && let Ok(connection) = self.begin_http2(stream).await {
            self.shared.borrow_mut().push(connection);
        }
    }

    /// The server is known to speak it (RFC 9113 section 3.3).
    async fn begin_http2(&self, stream: TcpStream) -> Result<Rc<Connection>, Failure> {
        let mut builder = Builder::new();
        builder
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(HEAD)
            .enable_push(false);
        let begun = builder.handshake(stream).await;
        let (server, connection) = begun.map_err(|_| Failure::Unanswered)?;
        let open = self.opened();
        spawn_local(async move {
            let _open = open;
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a server's connection ends");
            }
        });
        let gauge = Gauge::new(&self.common.counts, |counts| &counts.upstream.idle);
        let idle = RefCell::new(Some((Instant::now(), gauge)));
        Ok(Rc::new(Connection { server, streams: Cell::new(0), is_used: Cell::new(false), idle }))
    }
}
