//! The inline path: connections that the kernel steers to us are carried to where they were going.
//!
//! ```text
//! accept ─► where was it going? ─► connect ─► relay ─┬─► the other end
//!                                                    └─► Pipeline: session ─► inspect ─► sink
//! ```
//!
//! One thread, one runtime, one [`Pipeline`]. What one side sends is handed to the pipeline and then to the other side, as it comes;
//! nothing is read of a side before what it said last was taken by the other.

mod answer;
mod fields;
mod http1;
mod http2;
mod kernel;
mod relay;
mod spoken;
mod tap;

use std::{
    cell::RefCell,
    io,
    net::SocketAddr,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    runtime,
    task::{LocalSet, spawn_local},
    time::{self, MissedTickBehavior},
};

pub use self::kernel::Kernel;
use self::{kernel::Origin, spoken::Spoken};
use crate::{
    model::{Endpoint, FlowEnd, FlowInfo, FlowKey, Peer, Timestamp},
    pipeline::{CarriedId, Pipeline},
    sink::Sink,
};

/// Bounds of the inline path.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time. More wait in the kernel's queue.
    pub connections: usize,
    /// How long connecting to where one was going may take.
    pub connect: Duration,
    /// How long the first bytes of a connection may leave open what is spoken.
    pub detect: Duration,
    /// How often the kernel is told that we run.
    pub beat: Duration,
    /// How long what is open may go on once the end has begun.
    pub grace: Duration,
}

/// What it counts.
#[derive(Debug, Default)]
pub struct Counts {
    /// Connections that are carried now.
    pub open: AtomicU64,
    /// That were carried, or are.
    pub accepted: AtomicU64,
    /// Of which nobody knows where they were going: somebody connected to us.
    pub strays: AtomicU64,
    /// That could not be connected to where they were going.
    pub unreachable: AtomicU64,
    /// Requests that no server answered.
    pub unanswered: AtomicU64,
}

/// What all connections have in common.
struct Shared<K> {
    kernel: Arc<Kernel>,
    pipeline: RefCell<Pipeline<K>>,
    counts: Arc<Counts>,
    limits: Limits,
    buffer: RefCell<Box<[u8]>>,
}

/// Bytes that are read at a time. One buffer serves all: what cannot be written at once is copied out of it.
const BUFFER: usize = 64 << 10;

/// Carries connections until it is told to stop, and then those that are open for as long as they may.
pub fn run<K: Sink + 'static>(
    listeners: Vec<std::net::TcpListener>,
    kernel: Arc<Kernel>,
    pipeline: Pipeline<K>,
    counts: Arc<Counts>,
    limits: Limits,
    stop: &AtomicBool,
) -> anyhow::Result<Pipeline<K>> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().context("cannot start a runtime")?;
    let buffer = RefCell::new(vec![0; BUFFER].into_boxed_slice());
    let pipeline = RefCell::new(pipeline);
    let shared = Rc::new(Shared { kernel, pipeline, counts, limits, buffer });
    let local = LocalSet::new();
    runtime.block_on(local.run_until(serve(listeners, Rc::clone(&shared), stop)))?;
    drop(local);
    let shared = Rc::into_inner(shared).context("a connection outlives its runtime")?;
    Ok(shared.pipeline.into_inner())
}

async fn serve<K: Sink + 'static>(
    listeners: Vec<std::net::TcpListener>,
    shared: Rc<Shared<K>>,
    stop: &AtomicBool,
) -> anyhow::Result<()> {
    let mut accepting = Vec::new();
    for listener in listeners {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let at = listener.local_addr()?;
        accepting.push(spawn_local(accept(listener, at, Rc::clone(&shared))));
    }
    let mut beat = time::interval(shared.limits.beat);
    beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
    while !stop.load(Relaxed) {
        beat.tick().await;
        if shared.kernel.is_replaced()? {
            tracing::info!("another interceptor steers to itself from now on");
            break;
        }
        shared.kernel.beat()?;
        shared.pipeline.borrow_mut().tick(now());
    }
    // From here on no more are steered to us; those that were before are in the listeners' queues, or here.
    shared.kernel.release()?;
    let end = time::Instant::now() + shared.limits.grace;
    loop {
        beat.tick().await;
        shared.pipeline.borrow_mut().tick(now());
        if shared.counts.open.load(Relaxed) == 0 || time::Instant::now() >= end {
            break;
        }
    }
    accepting.iter().for_each(tokio::task::JoinHandle::abort);
    Ok(())
}

async fn accept<K: Sink + 'static>(listener: TcpListener, at: SocketAddr, shared: Rc<Shared<K>>) {
    loop {
        match listener.accept().await {
            Ok((client, from)) => {
                shared.counts.accepted.fetch_add(1, Relaxed);
                spawn_local(carry(client, from, at, Rc::clone(&shared)));
            }
            // Out of descriptors: some become free when connections end.
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                time::sleep(Duration::from_millis(100)).await;
            }
        }
        while shared.counts.open.load(Relaxed) >= shared.limits.connections as u64 {
            time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// One connection, from its beginning to its end.
async fn carry<K: Sink + 'static>(client: TcpStream, from: SocketAddr, at: SocketAddr, shared: Rc<Shared<K>>) {
    let _open = Open::new(Arc::clone(&shared.counts));
    let Ok(local) = client.local_addr() else { return };
    let origin = match shared.kernel.origin(from, local, at) {
        Ok(Some(origin)) => origin,
        Ok(None) => {
            shared.counts.strays.fetch_add(1, Relaxed);
            return;
        }
        Err(error) => return tracing::error!("{error:#}"),
    };
    let to = origin.destination.socket_addr();
    let server = match connect(to, &shared).await {
        Ok(server) => server,
        Err(error) => {
            shared.counts.unreachable.fetch_add(1, Relaxed);
            tracing::debug!(%to, %error, "cannot connect");
            return relay::reset(&client);
        }
    };
    // What the server says in pieces leaves in pieces: whether they wait for each other it has decided itself.
    if let Err(error) = client.set_nodelay(true) {
        tracing::debug!(%error, "a client's connection may be slow");
    }
    let began = now();
    let Ok(us) = server.local_addr() else { return relay::reset(&client) };
    let id = shared.pipeline.borrow_mut().open(info(origin, us, shared.kernel.zone, began));
    let end = if shared.pipeline.borrow_mut().enforces() {
        enforce(client, server, to, id, &shared).await
    } else {
        relay::both(&client, &server, id, &shared).await
    };
    shared.pipeline.borrow_mut().close(id, end, now());
}

/// Under a policy that has something done to requests. What is no HTTP passes as it is.
async fn enforce<K: Sink + 'static>(
    client: TcpStream,
    server: TcpStream,
    to: SocketAddr,
    id: CarriedId,
    shared: &Rc<Shared<K>>,
) -> FlowEnd {
    match spoken::look(&client, &server, shared.limits.detect).await {
        Ok(Spoken::Http1) => http1::serve(client, server, to, id, shared).await,
        Ok(Spoken::Http2) => http2::serve(client, server, to, id, shared).await,
        Ok(Spoken::Opaque) | Err(_) => relay::both(&client, &server, id, shared).await,
    }
}

/// To where it was going. The kernel is told first that the socket is ours.
async fn connect<K>(to: SocketAddr, shared: &Shared<K>) -> io::Result<TcpStream> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    shared.kernel.own(&socket).map_err(io::Error::other)?;
    let stream = time::timeout(shared.limits.connect, socket.connect(to)).await??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// As the server sees it: it knows the address that we connect from. Who asks is the application.
fn info(origin: Origin, us: SocketAddr, zone: u32, start: Timestamp) -> FlowInfo {
    let Origin { destination, mut client, hidden, .. } = origin;
    if hidden {
        client.endpoint = Endpoint::from(us);
    }
    FlowInfo {
        id: 0,
        key: FlowKey::new(zone, client.endpoint, destination),
        client,
        server: Peer::new(destination),
        start,
        joined: false,
        round_trip: None,
        interface: 0,
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// Counted while it lives.
struct Open(Arc<Counts>);

impl Open {
    fn new(counts: Arc<Counts>) -> Self {
        counts.open.fetch_add(1, Relaxed);
        Self(counts)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}
