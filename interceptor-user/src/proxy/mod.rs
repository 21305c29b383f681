//! The inline path: connections that the kernel steers to us are carried to where they were going.
//!
//! ```text
//! accept ─► where was it going? ─► connect ─► relay ─┬─► the other end
//!                                                    └─► Pipeline: session ─► inspect ─► sink
//! ```
//!
//! One thread, one runtime, one [`Pipeline`]. What one side sends is handed to the pipeline and then to the other side, as it comes;
//! nothing is read of a side before what it said last was taken by the other.

mod address;
mod answer;
mod client;
mod counts;
mod fields;
mod hold;
mod http1;
mod http2;
mod kernel;
mod relay;
mod rewrite;
mod spoken;
mod tap;
mod upstream;

use std::{
    cell::RefCell,
    net::SocketAddr,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use hyper::StatusCode;
use tokio::{
    net::{TcpListener, TcpStream},
    runtime,
    task::{LocalSet, spawn_local},
    time::{self, MissedTickBehavior},
};

use self::{
    client::Drain,
    counts::Gauge,
    hold::Room,
    kernel::Origin,
    spoken::Spoken,
    upstream::{Failure, Upstreams},
};
pub use self::{
    counts::{Counts, UpstreamCounts},
    kernel::Kernel,
};
use crate::{
    config,
    model::{Endpoint, FlowEnd, FlowInfo, FlowKey, Peer, Timestamp},
    pipeline::{CarriedId, Decision, Pipeline},
    policy::Enforcement,
    session::Which,
    sink::Sink,
};

/// Bounds of the inline path.
#[derive(Clone, Debug)]
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
    /// A client's connection is closed after so long without a request.
    pub idle: Duration,
    /// Bytes of requests that are held back until they are whole, all together.
    pub held: usize,
    /// Servers that requests go to.
    pub upstream: config::Upstream,
}

/// What all connections have in common.
struct Shared<K> {
    kernel: Arc<Kernel>,
    pipeline: RefCell<Pipeline<K>>,
    counts: Arc<Counts>,
    limits: Limits,
    buffer: RefCell<Box<[u8]>>,
    upstreams: Upstreams,
    room: Rc<Room>,
    drain: Drain,
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
    let (ours, counted) = (Arc::clone(&kernel), Arc::clone(&counts));
    let upstreams = Upstreams::new(ours, counted, limits.upstream.clone(), limits.connect);
    let (room, drain) = (Room::new(limits.held, &counts), Drain::default());
    let shared = Rc::new(Shared { kernel, pipeline, counts, limits, buffer, upstreams, room, drain });
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
    let sweeping = Rc::clone(&shared);
    spawn_local(async move { sweeping.upstreams.sweep().await });
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
    shared.drain.begin();
    let end = time::Instant::now() + shared.limits.grace;
    // Once at the least, for those that wait in the queues.
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
    let _open = Gauge::new(&shared.counts, |counts| &counts.open);
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
    // What the server says in pieces leaves in pieces: whether they wait for each other it has decided itself.
    if let Err(error) = client.set_nodelay(true) {
        tracing::debug!(%error, "a client's connection may be slow");
    }
    let enforces = shared.pipeline.borrow_mut().enforces();
    if enforces && shared.upstreams.is_open(to) {
        // A server that has answered requests waits for one: who asks for nothing else needs no connection of its own.
        let spoken = spoken::look_at(&client, shared.limits.detect).await.unwrap_or(Spoken::Opaque);
        if spoken != Spoken::Opaque {
            let id = shared.open(origin, None);
            let end = speak(spoken, client, None, to, id, &shared).await;
            return shared.pipeline.borrow_mut().close(id, end, now());
        }
    }
    let Ok(server) = shared.upstreams.connect(to).await else {
        shared.counts.unreachable.fetch_add(1, Relaxed);
        return relay::reset(&client);
    };
    let Ok(us) = server.local_addr() else { return relay::reset(&client) };
    let id = shared.open(origin, Some(us));
    let spoken = if enforces {
        spoken::look(&client, &server, shared.limits.detect).await.unwrap_or(Spoken::Opaque)
    } else {
        Spoken::Opaque
    };
    let end = speak(spoken, client, Some(server), to, id, &shared).await;
    shared.pipeline.borrow_mut().close(id, end, now());
}

/// What is no HTTP passes as it is.
async fn speak<K: Sink + 'static>(
    spoken: Spoken,
    client: TcpStream,
    server: Option<TcpStream>,
    to: SocketAddr,
    id: CarriedId,
    shared: &Rc<Shared<K>>,
) -> FlowEnd {
    match (spoken, server) {
        (Spoken::Http1, server) => http1::serve(client, server, to, id, shared).await,
        (Spoken::Http2, server) => http2::serve(client, server, to, id, shared).await,
        (Spoken::Opaque, Some(server)) => relay::both(&client, &server, id, shared).await,
        (Spoken::Opaque, None) => FlowEnd::Closed,
    }
}

impl<K: Sink> Shared<K> {
    /// A connection is carried; `us`: the address that its server sees, where it has a connection of its own to it.
    fn open(&self, origin: Origin, us: Option<SocketAddr>) -> CarriedId {
        let fails_closed = origin.fails_closed;
        self.pipeline.borrow_mut().open(info(origin, us, self.kernel.zone, now()), fails_closed)
    }

    /// What the policy says of a request.
    fn decide(&self, id: CarriedId, which: Which, method: &str, target: &str) -> Result<Decided, Refused> {
        self.decided(self.pipeline.borrow_mut().decide(id, which, method, target))
    }

    /// The same of one that was awaited.
    fn decide_whole(&self, id: CarriedId, which: Which) -> Result<Enforcement, Refused> {
        match self.decided(self.pipeline.borrow_mut().decide_whole(id, which))? {
            Decided::Now(enforcement) => Ok(enforcement),
            Decided::Whole(_) => Err(Refused::bad(UNCLEAR)),
        }
    }

    fn decided(&self, decision: Decision) -> Result<Decided, Refused> {
        match decision {
            Decision::Forward(enforcement) => Ok(Decided::Now(*enforcement)),
            Decision::Await(most) => Ok(Decided::Whole(most)),
            Decision::Refuse(anomaly) => Err(Refused::bad(format!("{UNCLEAR}: {}", anomaly.name()))),
            Decision::Unknown => Err(Refused::bad(UNCLEAR)),
            Decision::Unread { fails_closed: false } => {
                self.counts.unread_forwarded.fetch_add(1, Relaxed);
                Ok(Decided::Now(Enforcement::default()))
            }
            Decision::Unread { fails_closed: true } => {
                self.counts.unread_refused.fetch_add(1, Relaxed);
                let why = "there is no room to look at the request".to_owned();
                Err(Refused { status: StatusCode::SERVICE_UNAVAILABLE, why })
            }
        }
    }

    /// A request is answered by us. (What is beyond a limit is counted there.)
    fn unanswered(&self, failure: Failure) {
        if failure != Failure::Limited {
            self.counts.unanswered.fetch_add(1, Relaxed);
        }
    }
}

/// When it is known what is to be done with a request.
enum Decided {
    Now(Enforcement),
    /// Once it is whole, if it has no more than so many bytes of content.
    Whole(usize),
}

const UNCLEAR: &str = "the request can be read in more than one way";

/// A request that is not even asked.
struct Refused {
    status: StatusCode,
    why: String,
}

impl Refused {
    fn bad(why: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, why: why.into() }
    }
}

/// As the server sees it: it knows the address that we connect from. Who asks is the application.
fn info(origin: Origin, us: Option<SocketAddr>, zone: u32, start: Timestamp) -> FlowInfo {
    let Origin { destination, mut client, hidden, .. } = origin;
    if hidden && let Some(us) = us {
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
