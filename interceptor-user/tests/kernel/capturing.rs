//! Byte for byte: what the programs hand over is what the applications wrote.

use std::{
    collections::VecDeque,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use interceptor::{
    capture::Source as _,
    kernel::{Capture, CaptureOptions},
    model::{Endpoint, Event, Owner, Segment, Timestamp},
};
use interceptor_common::DropReason;
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

use crate::{
    Test,
    bed::{Ends, Group, Pod, exchange, listen, options, payload, zone},
    collect::Collected,
};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        ("tc_on_lo_is_byte_exact_from_one_byte_to_ten_megabytes", lo),
        ("tc_on_lo_takes_ipv6", lo_ipv6),
        ("records_that_run_over_the_end_of_the_ring_are_whole", around_the_ring),
        ("an_answer_never_comes_before_its_question_whatever_cpus_they_run_on", order_across_cpus),
        ("tc_on_a_veth_outside_the_pod", veth_outside),
        ("tc_on_a_veth_inside_another_namespace", veth_inside),
        ("sockets_of_other_namespaces_are_not_reported_where_one_is_named", foreign_sockets),
        ("cgroup_skb_is_byte_exact_with_cookies_both_ways", cgroup_skb),
        ("a_flow_that_was_open_before_is_taken_from_where_we_joined", joined),
    ]
}

const LENGTHS: [usize; 10] = [1, 151, 152, 153, 1000, 30 * 1024, 60 * 1024 + 1, 100_000, 1 << 20, 10 << 20];

/// Exchanges bytes of many lengths while capturing, and compares.
fn byte_exact(options: &CaptureOptions, listen_at: &str, lengths: &[usize]) -> anyhow::Result<()> {
    let (listener, address) = listen(listen_at)?;
    let mut options = options.clone();
    options.filters.ports = vec![address.port()];
    options.ring_bytes = 64 << 20;
    let mut capture = Capture::start(&options)?;
    let mut source = capture.source()?;
    for (round, len) in lengths.iter().enumerate() {
        let (request, response) = (payload(*len, round as u64), payload(*len, !(round as u64)));
        let mut collected = Collected::default();
        let ends = exchange(&listener, || Ok(TcpStream::connect(address)?), &request, &response)?;
        collected.until(&mut source, |seen| seen.over(ends.client, ends.server))?;
        compare(&collected, ends, &request, &response).with_context(|| format!("{len} bytes"))?;
        let all: Vec<_> = collected.segments.values().flatten().collect();
        let zone = zone()?;
        ensure!(all.iter().all(|kept| kept.zone == zone && kept.interface == 1), "not of this zone and `lo`");
        ensure!(
            all.iter().all(|kept| matches!(kept.socket, Some((Owner::Source, cookie, _)) if cookie != 0)),
            "a sender's socket is not known"
        );
        ensure!(all.iter().all(|kept| kept.wire_len as usize == kept.payload.len()), "something was cut");
    }
    let drops = capture.drops()?;
    ensure!(DropReason::ALL.iter().all(|reason| drops.total(*reason).bytes == 0), "bytes were dropped: {drops:?}");
    Ok(())
}

fn compare(collected: &Collected, ends: Ends, request: &[u8], response: &[u8]) -> anyhow::Result<()> {
    ensure!(collected.stream(ends.client, ends.server).context("request")? == request, "the request differs");
    ensure!(collected.stream(ends.server, ends.client).context("response")? == response, "the response differs");
    Ok(())
}

fn lo() -> anyhow::Result<()> {
    let options = CaptureOptions { interfaces: vec!["lo".to_owned()], ..CaptureOptions::default() };
    byte_exact(&options, "127.0.0.1:0", &LENGTHS)
}

fn lo_ipv6() -> anyhow::Result<()> {
    let options = CaptureOptions { interfaces: vec!["lo".to_owned()], ..CaptureOptions::default() };
    byte_exact(&options, "[::1]:0", &[1, 1000, 10 << 20])
}

/// Many times around a small ring, read as it fills.
fn around_the_ring() -> anyhow::Result<()> {
    const ROUNDS: usize = 600;
    const LEN: usize = 8001;
    let (listener, address) = listen("127.0.0.1:0")?;
    let mut capture = Capture::start(&CaptureOptions { ring_bytes: 256 << 10, ..options("lo", address.port()) })?;
    let mut source = capture.source()?;
    let mut client = TcpStream::connect(address)?;
    let (mut server, _) = listener.accept()?;
    let (from, to): (Endpoint, Endpoint) = (client.local_addr()?.into(), address.into());
    let sent = payload(ROUNDS * LEN, 11);
    let mut collected = Collected::default();
    for (round, part) in sent.chunks(LEN).enumerate() {
        client.write_all(part)?;
        server.read_exact(&mut vec![0; LEN])?;
        let complete = |seen: &Collected| {
            let kept = seen.segments.get(&(from, to)).into_iter().flatten();
            kept.map(|kept| kept.payload.len()).sum::<usize>() >= (round + 1) * LEN
        };
        // A few at a time, so that places in the ring differ from round to round.
        if round % 7 == 6 || round + 1 == ROUNDS {
            collected.until(&mut source, complete)?;
        }
    }
    ensure!(collected.stream(from, to)? == sent, "the stream differs");
    Ok(())
}

/// Client and server on different CPUs write to different rings; what is read must still alternate.
fn order_across_cpus() -> anyhow::Result<()> {
    const ROUNDS: usize = 20_000;
    let cpus = aya::util::online_cpus().map_err(|(path, error)| anyhow::anyhow!("{path}: {error}"))?;
    let (Some(first), Some(last)) = (cpus.first(), cpus.last()) else { anyhow::bail!("no CPU") };
    let (listener, address) = listen("127.0.0.1:0")?;
    let mut capture = Capture::start(&CaptureOptions { ring_bytes: 64 << 20, ..options("lo", address.port()) })?;
    let mut source = capture.source()?;
    let (first, last) = (*first as usize, *last as usize);
    let server = thread::spawn(move || {
        pin(last)?;
        let (mut server, _) = listener.accept()?;
        server.set_nodelay(true)?;
        for _ in 0..ROUNDS {
            let mut byte = [0];
            server.read_exact(&mut byte)?;
            server.write_all(&byte)?;
        }
        anyhow::Ok(())
    });
    let client = thread::spawn(move || {
        pin(first)?;
        let mut client = TcpStream::connect(address)?;
        client.set_nodelay(true)?;
        for _ in 0..ROUNDS {
            client.write_all(b"?")?;
            client.read_exact(&mut [0])?;
        }
        anyhow::Ok(())
    });
    let mut order = Order::new(address.into());
    let end = Instant::now() + Duration::from_secs(30);
    while order.answers < ROUNDS {
        ensure!(Instant::now() < end, "{} questions and {} answers after 30 s", order.questions, order.answers);
        source.poll(Duration::from_millis(20), |event| {
            if let Event::Segment(segment) = event {
                order.see(&segment);
            }
        })?;
        ensure!(!order.wrong, "out of order at the last of these: {:#?}", order.recent);
    }
    client.join().map_err(|_| anyhow::anyhow!("the client panicked"))??;
    server.join().map_err(|_| anyhow::anyhow!("the server panicked"))?
}

/// Whether questions and answers of a byte each come in turn.
struct Order {
    server: Endpoint,
    questions: usize,
    answers: usize,
    /// The sequence numbers of the last question and the last answer. What TCP sends again, as it does where a CPU
    /// stands still for long, comes between others by right.
    last: [Option<u32>; 2],
    /// What came last, oldest first: which, its sequence number, its time, whether it was sent again.
    recent: VecDeque<(&'static str, u32, Timestamp, bool)>,
    wrong: bool,
}

impl Order {
    fn new(server: Endpoint) -> Self {
        Self { server, questions: 0, answers: 0, last: [None; 2], recent: VecDeque::new(), wrong: false }
    }

    fn see(&mut self, segment: &Segment<'_>) {
        const RECENT: usize = 12;
        if segment.payload.is_empty() || self.wrong {
            return;
        }
        let asks = segment.destination == self.server;
        let again = self.last[usize::from(asks)].is_some_and(|last| segment.seq.wrapping_sub(last).cast_signed() <= 0);
        let kind = if asks { "question" } else { "answer" };
        self.recent.push_back((kind, segment.seq, segment.time, again));
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
        if again {
            return;
        }
        self.last[usize::from(asks)] = Some(segment.seq);
        *(if asks { &mut self.questions } else { &mut self.answers }) += 1;
        if !(self.answers..=self.answers + 1).contains(&self.questions) {
            self.wrong = true;
        }
    }
}

/// Runs this thread on one CPU only.
fn pin(cpu: usize) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

/// A server in a pod, a client outside, the capture at either end of the pair.
fn veth(options: impl Fn(&Pod) -> CaptureOptions) -> anyhow::Result<()> {
    let pod = Pod::new()?;
    for address in pod.peer {
        let listener = pod.run(|| Ok(std::net::TcpListener::bind(SocketAddr::new(address, 0))?))?;
        let server = listener.local_addr()?;
        let mut options = options(&pod);
        options.filters.ports = vec![server.port()];
        options.ring_bytes = 64 << 20;
        let mut capture = Capture::start(&options)?;
        let mut source = capture.source()?;
        let (request, response) = (payload(100_000, 1), payload(5 << 20, 2));
        let ends = exchange(&listener, || Ok(TcpStream::connect(server)?), &request, &response)?;
        let mut collected = Collected::default();
        collected.until(&mut source, |seen| seen.over(ends.client, ends.server))?;
        compare(&collected, ends, &request, &response)?;
        // One pass each: nothing is there twice, but for what TCP itself sent twice.
        let captured: usize = collected.segments.values().flatten().map(|kept| kept.payload.len()).sum();
        let carried = request.len() + response.len();
        ensure!(captured < carried + carried / 10, "{captured} bytes captured of {carried}");
    }
    Ok(())
}

fn veth_outside() -> anyhow::Result<()> {
    veth(|pod| CaptureOptions { interfaces: vec![pod.outside.clone()], ..CaptureOptions::default() })
}

fn veth_inside() -> anyhow::Result<()> {
    veth(|pod| CaptureOptions {
        interfaces: vec![pod.inside.clone()],
        netns: vec![pod.netns()],
        ..CaptureOptions::default()
    })
}

fn foreign_sockets() -> anyhow::Result<()> {
    let pod = Pod::new()?;
    let listener = pod.run(|| Ok(std::net::TcpListener::bind(SocketAddr::new(pod.peer[0], 0))?))?;
    let server = listener.local_addr()?;
    let inside = CaptureOptions { netns: vec![pod.netns()], ..options(&pod.inside, server.port()) };
    let mut capture = Capture::start(&inside)?;
    let mut source = capture.source()?;
    let ends = exchange(&listener, || Ok(TcpStream::connect(server)?), b"ping", b"pong")?;
    let mut collected = Collected::default();
    collected.until(&mut source, |seen| seen.closed(ends.server, ends.client).is_some())?;
    collected.for_a_while(&mut source, std::time::Duration::from_millis(150))?;
    ensure!(collected.sockets.iter().all(|report| report.local == ends.server), "{:?}", collected.sockets);
    // From outside the pod's socket is wanted too.
    let mut capture = Capture::start(&options(&pod.outside, server.port()))?;
    let mut source = capture.source()?;
    let ends = exchange(&listener, || Ok(TcpStream::connect(server)?), b"ping", b"pong")?;
    let both = |seen: &Collected| {
        seen.closed(ends.server, ends.client).is_some() && seen.closed(ends.client, ends.server).is_some()
    };
    Collected::default().until(&mut source, both)
}

fn cgroup_skb() -> anyhow::Result<()> {
    let group = Group::new()?;
    let id = interceptor::kernel::cgroup::id(&group.0)?;
    for address in ["127.0.0.1:0", "[::1]:0"] {
        // The server is inside, the client is not.
        let (listener, server) = group.run(|| listen(address))?;
        let options =
            CaptureOptions { cgroups: vec![group.0.clone()], ring_bytes: 64 << 20, ..CaptureOptions::default() };
        let mut capture = Capture::start(&options)?;
        ensure!(!capture.attached().iter().any(|attachment| attachment.place == "lo"), "attached to `lo` too");
        let mut source = capture.source()?;
        let (request, response) = (payload(300_000, 5), payload(5 << 20, 6));
        let ends = exchange(&listener, || Ok(TcpStream::connect(server)?), &request, &response)?;
        let mut collected = Collected::default();
        collected.until(&mut source, |seen| seen.over(ends.client, ends.server))?;
        ensure!(collected.stream(ends.client, ends.server)? == request, "the request differs");
        // Before Linux 6.6 no program of the cgroup sees the answer to a SYN.
        ensure!(collected.stream_from_start(ends.server, ends.client)? == response, "the response differs");
        let mut cookies = Vec::new();
        for ((sender, _), kept) in &collected.segments {
            let owner = if *sender == ends.server { Owner::Source } else { Owner::Destination };
            for kept in kept.iter().filter(|kept| !kept.payload.is_empty()) {
                let (found, cookie, cgroup) = kept.socket.context("data without a socket")?;
                ensure!(found == owner && cgroup == id, "{found:?} in {cgroup}, expected {owner:?} in {id}");
                cookies.push(cookie);
            }
        }
        cookies.sort_unstable();
        cookies.dedup();
        ensure!(cookies.len() == 1 && cookies[0] != 0, "the server's socket has the cookies {cookies:?}");
    }
    Ok(())
}

fn joined() -> anyhow::Result<()> {
    let (listener, address) = listen("127.0.0.1:0")?;
    let mut client = TcpStream::connect(address)?;
    let (mut server, _) = listener.accept()?;
    client.write_all(b"before")?;
    server.read_exact(&mut [0; 6])?;
    let mut capture = Capture::start(&options("lo", address.port()))?;
    let mut source = capture.source()?;
    thread::sleep(Duration::from_millis(20));
    client.write_all(b"after")?;
    server.read_exact(&mut [0; 5])?;
    let (from, to): (Endpoint, Endpoint) = (client.local_addr()?.into(), address.into());
    drop((client, server));
    let mut collected = Collected::default();
    collected.until(&mut source, |seen| seen.over(from, to))?;
    let first = collected.segments.get(&(from, to)).and_then(|kept| kept.first()).context("nothing captured")?;
    ensure!(first.payload == b"after", "first is {first:?}");
    ensure!(collected.stream_from(from, to, first.seq)? == b"after");
    Ok(())
}
