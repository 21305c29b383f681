//! Metrics, health and readiness over HTTP.
//!
//! It runs on a thread of its own and only reads what capturing publishes, so that whatever clients do, captures do not
//! wait. Clients are bounded: [`CONNECTIONS_MAX`] at a time, each for [`CONNECTION_TIME`], one request each.

mod accept;
mod respond;
mod state;
#[cfg(test)]
mod tests;

use std::{
    convert::Infallible,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::Context as _;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpStream,
    runtime,
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time,
};

use crate::privilege;

pub use state::{Phase, State};

/// Connections at a time; more wait in the kernel's queue until one ends.
const CONNECTIONS_MAX: usize = 64;
/// How long a client may take to send its request's head.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// How long a connection may last, however slowly the client reads.
const CONNECTION_TIME: Duration = Duration::from_secs(15);
/// A head larger than this is refused.
const HEAD_BYTES: usize = 16 << 10;

/// A running server; dropping it ends it.
pub struct Server {
    address: SocketAddr,
    /// Dropped to stop the thread.
    stop: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens on `address` and serves what `state` says.
    pub fn start(address: SocketAddr, state: Arc<State>) -> anyhow::Result<Self> {
        let listen = || {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            Ok::<_, std::io::Error>((listener.local_addr()?, listener))
        };
        let (address, listener) = listen().with_context(|| {
            format!("cannot serve metrics on {address} (choose another address with --metrics-address)")
        })?;
        let runtime =
            runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            privilege::settle();
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, state) => {}
                    _ = stopped => {}
                }
            });
        };
        let thread = thread::Builder::new().name("admin".to_owned()).spawn(serve).context("cannot start a thread")?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens; the port is real where 0 was asked for.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("the thread that serves metrics panicked");
        }
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "cannot serve metrics"),
    };
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        // The semaphore is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(serve(stream, place, Arc::clone(&state)))),
            Err(error) => {
                // Out of file descriptors, most likely; trying again at once would spin.
                tracing::warn!(%error, "cannot accept a connection");
                time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, _place: OwnedSemaphorePermit, state: Arc<State>) {
    let service = service_fn(|request| {
        let response = respond::respond(&request, &state);
        async { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match time::timeout(CONNECTION_TIME, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "an admin connection failed"),
        Err(_) => tracing::debug!("an admin connection was too slow"),
    }
}
