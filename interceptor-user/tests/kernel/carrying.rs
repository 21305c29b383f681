//! What is steered to our own inline path is carried to where it was going, and seen.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, ensure};
use interceptor::{
    config,
    inspect::{self, Plan, Policies, pii::Key},
    kernel::{Capture, CaptureOptions, Filters, SteerRule, Steering},
    model::{Endpoint, Exchange, FlowRecord, Record},
    pipeline::{Options, Pipeline},
    policy::Policy,
    proxy::{self, Counts, Kernel, Limits},
    sink::Sink,
};

use interceptor_common::DropReason;
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

use crate::{
    Test,
    bed::{exchange, payload, zone},
    collect::Collected,
    steering,
};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        ("what_is_carried_arrives_and_is_seen", arrives),
        ("what_is_carried_is_not_captured_beside", not_beside),
        ("large_contents_are_carried_whole_both_ways_at_once", large),
        ("what_comes_piece_by_piece_leaves_piece_by_piece", pieces),
        ("who_cannot_be_reached_or_resets_is_told_to_the_client", resets),
        ("who_connects_to_the_inline_path_itself_is_turned_away", strays),
        ("at_the_end_what_is_open_goes_on_and_what_is_new_goes_straight", drained),
    ]
}

/// Keeps what it gets.
#[derive(Clone, Default)]
pub(crate) struct Kept(Arc<Mutex<Vec<Record>>>);

impl Sink for Kept {
    fn record(&mut self, record: &Record) -> anyhow::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(record.clone());
        Ok(())
    }
}

/// Servers in a pod, and an inline path that connections to them are steered to.
pub(crate) struct Bed {
    pub(crate) ends: steering::Bed,
    kept: Kept,
    pub(crate) counts: Arc<Counts>,
    kernel: Arc<Kernel>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Bed {
    fn new() -> anyhow::Result<Self> {
        Self::beside(steering::Bed::new()?, Vec::new())
    }

    fn beside(bed: steering::Bed, captures: Vec<Weak<Capture>>) -> anyhow::Result<Self> {
        Self::with(bed, captures, Options::default(), limits())
    }

    /// Under a policy with these rules.
    pub(crate) fn under(rules: &str) -> anyhow::Result<Self> {
        Self::within(rules, |_| {})
    }

    /// The same, within limits that differ from the usual ones.
    pub(crate) fn within(rules: &str, differ: impl FnOnce(&mut Limits)) -> anyhow::Result<Self> {
        let head = "apiVersion: interceptor/v1alpha1\nkind: Policy\nmetadata: { name: p }\nspec:\n  rules:\n";
        let policy = Policy::parse(&[("p.yaml", &format!("{head}{rules}"))])?;
        let none = |_: &Path| Err(ErrorKind::NotFound.into());
        let policies = Arc::new(Policies::new(Plan::new(policy, &none, &Key::new(b"k"))?));
        let inspect = inspect::Options { policies: Some(policies), ..inspect::Options::default() };
        let mut limits = limits();
        differ(&mut limits);
        Self::with(steering::Bed::new()?, Vec::new(), Options { inspect, ..Options::default() }, limits)
    }

    fn with(
        bed: steering::Bed,
        captures: Vec<Weak<Capture>>,
        options: Options,
        limits: Limits,
    ) -> anyhow::Result<Self> {
        let ports = vec![bed.port()?, bed.server6.local_addr()?.port()];
        let rule = SteerRule { ports, closed: true, ..SteerRule::default() };
        let outbound = Some(Steering::start(&bed.options(vec![rule])?)?);
        let kernel = Arc::new(Kernel { outbound, zone: zone()?, captures, ..Kernel::default() });
        let listeners = vec![bed.inline.try_clone()?, bed.inline6.try_clone()?];
        for listener in &listeners {
            kernel.own(listener)?;
        }
        let (kept, counts, stop) = (Kept::default(), Arc::new(Counts::default()), Arc::new(AtomicBool::new(false)));
        let pipeline = Pipeline::new(options, kept.clone());
        let (ours, counted, stopped) = (Arc::clone(&kernel), Arc::clone(&counts), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            // An emulated machine has neither the file nor anybody who reads it; tests that need names do not run there.
            if Path::new(HOSTS).exists() {
                own_hosts()?;
            }
            let mut pipeline = proxy::run(listeners, ours, pipeline, counted, limits, &stopped)?;
            pipeline.finish()
        });
        Ok(Self { ends: bed, kept, counts, kernel, stop, thread: Some(thread) })
    }

    /// It begins to end.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Relaxed);
    }

    pub(crate) fn end(&mut self) -> anyhow::Result<()> {
        self.stop();
        let Some(thread) = self.thread.take() else { return Ok(()) };
        thread.join().map_err(|_| anyhow!("the inline path panicked"))?
    }

    fn records<T>(&self, of: impl Fn(&Record) -> Option<T>) -> Vec<T> {
        self.kept.0.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(of).collect()
    }

    pub(crate) fn exchanges(&self) -> Vec<Exchange> {
        self.records(|record| if let Record::Exchange(exchange) = record { Some((**exchange).clone()) } else { None })
    }

    /// Waits until so many flows are over.
    pub(crate) fn flows(&self, count: usize) -> anyhow::Result<Vec<FlowRecord>> {
        let end = Instant::now() + Duration::from_secs(5);
        loop {
            let flows =
                self.records(|record| if let Record::Flow(flow) = record { Some((**flow).clone()) } else { None });
            if flows.len() >= count {
                return Ok(flows);
            }
            ensure!(Instant::now() < end, "{} flows are over, not {count}", flows.len());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("{error:#}");
        }
    }
}

const HOSTS: &str = "/etc/hosts";

/// What this thread and those that it starts take for `/etc/hosts`: a name with two addresses.
fn own_hosts() -> anyhow::Result<()> {
    let mut hosts = tempfile::NamedTempFile::new()?;
    hosts.write_all(b"127.0.0.1 two.test\n::1 two.test\n")?;
    unshare(CloneFlags::CLONE_NEWNS)?;
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    Ok(mount(Some(hosts.path()), HOSTS, none, MsFlags::MS_BIND, none)?)
}

fn limits() -> Limits {
    Limits {
        connections: 1000,
        connect: Duration::from_secs(2),
        detect: Duration::from_secs(1),
        beat: Duration::from_millis(50),
        grace: Duration::from_secs(5),
        idle: Duration::from_mins(1),
        held: 8 << 20,
        upstream: config::Upstream::default(),
    }
}

fn connect(to: SocketAddr) -> anyhow::Result<TcpStream> {
    let client = TcpStream::connect_timeout(&to, Duration::from_secs(5))?;
    client.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok(client)
}

fn arrives() -> anyhow::Result<()> {
    const REQUEST: &[u8] = b"POST /v2/models/m/infer HTTP/1.1\r\nHost: model\r\nContent-Length: 5\r\n\r\nhello";
    const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nworld";
    let bed = Bed::new()?;
    for server in [&bed.ends.server, &bed.ends.server6] {
        talk(server, REQUEST, RESPONSE)?;
    }
    let flows = bed.flows(2)?;
    let exchanges = bed.exchanges();
    ensure!(exchanges.len() == 2, "{exchanges:?}");
    for (server, (seen, flow)) in [&bed.ends.server, &bed.ends.server6].into_iter().zip(exchanges.iter().zip(&flows)) {
        ensure!(seen.complete() && seen.response.as_ref().and_then(|part| part.head.status()) == Some(200), "{seen:?}");
        ensure!(seen.flow.server.endpoint == Endpoint::from(server.local_addr()?), "{:?}", seen.flow);
        let process = seen.flow.client.process.as_ref().map(|process| process.pid);
        ensure!(process == Some(std::process::id()), "{process:?}");
        ensure!(flow.ledger.balances() && flow.ledger.client.carried == REQUEST.len() as u64, "{:?}", flow.ledger);
    }
    Ok(())
}

/// One after the other: the server answers when it has the request.
fn talk(server: &TcpListener, request: &[u8], response: &[u8]) -> anyhow::Result<()> {
    let mut client = connect(server.local_addr()?)?;
    client.write_all(request)?;
    let (mut accepted, _) = server.accept()?;
    let mut heard = vec![0; request.len()];
    accepted.read_exact(&mut heard)?;
    ensure!(heard == request, "the server received something else");
    accepted.write_all(response)?;
    drop(accepted);
    let mut heard = Vec::new();
    client.read_to_end(&mut heard)?;
    ensure!(heard == response, "the client received something else");
    Ok(())
}

/// The inline path tells of it. What goes straight is captured as ever.
fn not_beside() -> anyhow::Result<()> {
    let bed = steering::Bed::new()?;
    let [v4, v6] = bed.pod.peer;
    let straight = bed.pod.run(|| Ok([TcpListener::bind((v4, 0))?, TcpListener::bind((v6, 0))?]))?;
    let [inline4, inline6] = [bed.inline.local_addr()?.port(), bed.inline6.local_addr()?.port()];
    let steered = [bed.port()?, bed.server6.local_addr()?.port()];
    let other = [straight[0].local_addr()?.port(), straight[1].local_addr()?.port()];
    let mut capture = Capture::start(&CaptureOptions {
        interfaces: vec!["lo".to_owned(), bed.pod.outside.clone()],
        filters: Filters { ports: [[inline4, inline6], steered, other].concat(), ..Filters::default() },
        inline: Some([inline4, inline6]),
        ..CaptureOptions::default()
    })?;
    let mut source = capture.source()?;
    let capture = Arc::new(capture);
    let bed = Bed::beside(bed, vec![Arc::downgrade(&capture)])?;
    for server in [&bed.ends.server, &bed.ends.server6] {
        talk(server, b"steered", b"answered")?;
    }
    bed.flows(2)?;
    let mut collected = Collected::default();
    for server in &straight {
        talk(server, b"straight", b"answered")?;
        let server = Endpoint::from(server.local_addr()?);
        collected.until(&mut source, |seen| {
            seen.segments.keys().any(|(from, _)| *from == server)
                && seen.sockets.iter().any(|report| report.remote == server)
        })?;
    }
    let ends = |port: u16| other.contains(&port);
    for (from, to) in collected.segments.keys() {
        ensure!(ends(from.port()) || ends(to.port()), "captured beside: {from} to {to}");
    }
    for report in &collected.sockets {
        ensure!(ends(report.local.port()) || ends(report.remote.port()), "reported beside: {report:?}");
    }
    // Both connections of each, both ways.
    let left_out = capture.drops()?.total(DropReason::Inline);
    let bytes = 2 * 2 * (b"steered".len() + b"answered".len()) as u64;
    ensure!(left_out.bytes >= bytes, "{left_out:?}, not {bytes} bytes");
    Ok(())
}

fn large() -> anyhow::Result<()> {
    let bed = Bed::new()?;
    let (request, response) = (payload(64 << 20, 1), payload(64 << 20, 2));
    let to = bed.ends.server.local_addr()?;
    exchange(&bed.ends.server, || connect(to), &request, &response)?;
    let flow = bed.flows(1)?.remove(0);
    let carried = (flow.ledger.client.carried, flow.ledger.server.carried);
    ensure!(carried == (request.len() as u64, response.len() as u64) && flow.ledger.balances(), "{carried:?}");
    Ok(())
}

fn pieces() -> anyhow::Result<()> {
    let bed = Bed::new()?;
    let mut client = connect(bed.ends.server.local_addr()?)?;
    let (mut server, _) = bed.ends.server.accept()?;
    server.set_nodelay(true)?;
    for piece in 0..100_u32 {
        server.write_all(&piece.to_be_bytes())?;
        let mut heard = [0; 4];
        client.read_exact(&mut heard).with_context(|| format!("piece {piece}"))?;
        ensure!(heard == piece.to_be_bytes());
    }
    // One side is done, the other goes on.
    client.shutdown(std::net::Shutdown::Write)?;
    ensure!(server.read(&mut [0; 4])? == 0, "the server is not told that the client has said all");
    server.write_all(b"more")?;
    drop(server);
    let mut rest = Vec::new();
    client.read_to_end(&mut rest)?;
    ensure!(rest == b"more", "{rest:?}");
    Ok(())
}

fn resets() -> anyhow::Result<()> {
    let mut bed = Bed::new()?;
    let mut client = connect(bed.ends.server.local_addr()?)?;
    let (server, _) = bed.ends.server.accept()?;
    // What it has not read makes its end a reset (RFC 9293 section 3.6.1).
    client.write_all(b"unread")?;
    server.set_read_timeout(Some(Duration::from_secs(5)))?;
    server.peek(&mut [0; 6])?;
    drop(server);
    let heard = client.read(&mut [0; 1]);
    ensure!(heard.as_ref().is_err_and(|error| error.kind() == ErrorKind::ConnectionReset), "{heard:?}");
    let to = bed.ends.server.local_addr()?;
    bed.ends.server = TcpListener::bind("127.0.0.1:0")?;
    // It may be told while it is still looking whether it is connected.
    let heard = TcpStream::connect_timeout(&to, Duration::from_secs(5)).and_then(|mut client| client.read(&mut [0; 1]));
    ensure!(heard.as_ref().is_err_and(|error| error.kind() == ErrorKind::ConnectionReset), "{heard:?}");
    ensure!(bed.counts.unreachable.load(Relaxed) == 1);
    Ok(())
}

fn strays() -> anyhow::Result<()> {
    let bed = Bed::new()?;
    let mut client = connect(bed.ends.inline.local_addr()?)?;
    ensure!(client.read(&mut [0; 1])? == 0, "it was carried somewhere");
    ensure!(bed.counts.strays.load(Relaxed) == 1);
    Ok(())
}

fn drained() -> anyhow::Result<()> {
    let mut bed = Bed::new()?;
    let to = bed.ends.server.local_addr()?;
    let mut client = connect(to)?;
    let (mut server, _) = bed.ends.server.accept()?;
    bed.stop.store(true, Relaxed);
    let end = Instant::now() + Duration::from_secs(2);
    // Its own address is seen only by those that go straight.
    loop {
        let new = connect(to)?;
        let (_accepted, from) = bed.ends.server.accept()?;
        if from == new.local_addr()? {
            break;
        }
        ensure!(Instant::now() < end, "it is still steered");
        thread::sleep(Duration::from_millis(10));
    }
    server.write_all(b"still")?;
    client.read_exact(&mut [0; 5])?;
    drop((client, server));
    bed.end()?;
    ensure!(
        bed.kernel.outbound.as_ref().is_some_and(|steering| steering.open() == 0) && bed.counts.open.load(Relaxed) == 0
    );
    Ok(())
}
