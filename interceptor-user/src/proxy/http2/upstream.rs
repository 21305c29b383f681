//! Connections to servers, for the streams of one client.

use std::{cell::RefCell, collections::BTreeMap, future::poll_fn, io, net::SocketAddr, rc::Rc};

use bytes::Bytes;
use h2::{
    SendStream,
    client::{Builder, ResponseFuture, SendRequest},
};
use hyper::{Request, StatusCode};
use tokio::{net::TcpStream, sync::Mutex, task::spawn_local};

use super::{CONNECTION_WINDOW, Failed, HEAD, STREAM_WINDOW};
use crate::{
    proxy::{Shared, connect},
    sink::Sink,
};

/// A connection, while it can be used. Who makes another one is waited for.
type Slot = Rc<Mutex<Option<SendRequest<Bytes>>>>;

/// By what a route calls them; the one to the destination has no name.
pub(super) struct Servers<K: Sink> {
    shared: Rc<Shared<K>>,
    destination: SocketAddr,
    slots: RefCell<BTreeMap<String, Slot>>,
}

impl<K: Sink> Servers<K> {
    /// With the connection to the destination.
    pub(super) async fn new(shared: Rc<Shared<K>>, destination: SocketAddr, first: TcpStream) -> Self {
        let first = Rc::new(Mutex::new(begin(first).await.ok()));
        Self { shared, destination, slots: RefCell::new(BTreeMap::from([(String::new(), first)])) }
    }

    /// Begins a stream. A connection that takes no more (closed, or GOAWAY came, or its numbers are used up) is replaced.
    pub(super) async fn send(
        &self,
        name: &str,
        request: Request<()>,
        whole: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), Failed> {
        let slot = Rc::clone(self.slots.borrow_mut().entry(name.to_owned()).or_default());
        let mut slot = slot.lock().await;
        if let Some(server) = slot.as_mut()
            && poll_fn(|context| server.poll_ready(context)).await.is_err()
        {
            *slot = None;
        }
        let mut server = match slot.take() {
            Some(server) => server,
            None => self.connect(name).await.map_err(|error| unreachable(name, &error))?,
        };
        // A clone does not wait until the server takes one more stream: those that wait are not more than the client's.
        *slot = Some(server.clone());
        server.send_request(request, whole).map_err(|error| {
            tracing::debug!(%error, "a request cannot be sent");
            Failed::Unanswered(StatusCode::BAD_GATEWAY)
        })
    }

    async fn connect(&self, name: &str) -> io::Result<SendRequest<Bytes>> {
        let to = if name.is_empty() {
            self.destination
        } else {
            tokio::net::lookup_host(name).await?.next().ok_or(io::ErrorKind::NotFound)?
        };
        begin(connect(to, &self.shared).await?).await.map_err(io::Error::other)
    }
}

fn unreachable(name: &str, error: &io::Error) -> Failed {
    tracing::debug!(name, %error, "cannot connect");
    Failed::Unanswered(match error.kind() {
        io::ErrorKind::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::BAD_GATEWAY,
    })
}

/// HTTP/2 on a connection to a server, which is known to speak it (RFC 9113 section 3.3).
async fn begin(server: TcpStream) -> Result<SendRequest<Bytes>, h2::Error> {
    let mut builder = Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(HEAD)
        .enable_push(false);
    let (sender, connection) = builder.handshake(server).await?;
    spawn_local(async {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a server's connection ends");
        }
    });
    Ok(sender)
}
