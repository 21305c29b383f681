//! Each program of the object on this kernel: does it load, does it attach, and does real traffic show its effect?
//!
//! Prints a line for each, which `cargo xtask vm` collects from machines with other kernels.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    fs::File,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::AsFd as _,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, ensure};
use aya::programs::loaded_programs;
use interceptor::{
    kernel::{
        Attachment, Capture, CaptureOptions, Hook, Inbound, InboundHook, InboundOptions, SteerOptions, SteerRule,
        Steering,
    },
    model::SocketChange,
};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{SockaddrIn, getsockopt, sockopt},
};

use crate::{
    Test,
    bed::{Ends, Group, Pod, exchange, listen, options, payload, zone},
    collect::Collected,
    frames::tun,
    inbound,
    leaving::own_programs,
    steering,
};

pub(crate) fn tests() -> Vec<Test> {
    vec![("every_program_loads_attaches_and_works", matrix)]
}

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/interceptor-ebpf"));

/// What shows some of the programs at work.
type Proof = (&'static [&'static str], fn(&mut Seen) -> anyhow::Result<()>);

/// Each program has to be in one.
const PROOFS: [Proof; 8] = [
    (&["intercept_out", "intercept_in"], ethernet),
    (&["intercept_outl3", "intercept_inl3"], raw),
    (&["intercept_cgout", "intercept_cgin"], cgroup),
    (&["intercept_sock", "intercept_conn4", "intercept_conn6"], connections),
    (&["steer_conn4", "steer_conn6", "steer_peer4", "steer_peer6", "steer_sock", "steer_original"], outbound),
    (&["steer_lookup"], comes_in),
    (&["steer_assign"], comes_in_by_tc),
    (&["steer_assignl3"], comes_in_by_tun),
];

fn matrix() -> anyhow::Result<()> {
    let object = aya_obj::Object::parse(OBJECT)?;
    let mut rows: BTreeMap<&str, Row> = object.programs.keys().map(|name| (name.as_str(), Row::default())).collect();
    let mut wrong: Vec<String> = Vec::new();
    for (programs, proof) in PROOFS {
        let mut seen = Seen::default();
        if let Err(error) = proof(&mut seen) {
            wrong.push(format!("{}: {error:#}", programs.join(", ")));
        }
        for name in programs {
            let row = rows.get_mut(name).with_context(|| format!("the object has no program {name}"))?;
            *row = seen.row(name);
        }
    }
    println!();
    for (name, row) in &rows {
        println!("matrix {name} {row}");
    }
    let proved: Vec<_> = PROOFS.iter().flat_map(|(programs, _)| programs.iter()).collect();
    wrong.extend(rows.keys().filter(|name| !proved.contains(name)).map(|name| format!("{name}: has no proof here")));
    wrong.extend(rows.iter().filter(|(_, row)| !row.works).map(|(name, row)| format!("{name}: {row}")));
    ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    Ok(())
}

/// What became of a program.
#[derive(Default)]
struct Row {
    /// Its instructions after the verifier's rewriting, and those that the verifier went through (Linux 5.16 and later).
    loaded: Option<(u32, Option<u32>)>,
    attaches: bool,
    works: bool,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |is: bool| if is { "yes" } else { "no" };
        let count = |count: Option<u32>| count.map_or_else(|| "-".to_owned(), |count| count.to_string());
        write!(
            f,
            "loads={} attaches={} works={} instructions={} verified={}",
            word(self.loaded.is_some()),
            word(self.attaches),
            word(self.works),
            count(self.loaded.map(|(instructions, _)| instructions)),
            count(self.loaded.and_then(|(_, verified)| verified)),
        )
    }
}

/// What a proof has seen so far.
#[derive(Default)]
struct Seen {
    loaded: HashMap<String, (u32, Option<u32>)>,
    attached: bool,
    working: Vec<&'static str>,
}

impl Seen {
    /// Starts a capture that `is_ours` has to be among the attachments of.
    fn start(&mut self, options: &CaptureOptions, is_ours: fn(&Attachment) -> bool) -> anyhow::Result<Capture> {
        let capture = self.loading(|| Capture::start(options))?;
        self.attached = capture.attached().iter().any(is_ours);
        ensure!(self.attached, "attached are only {:?}", capture.attached());
        Ok(capture)
    }

    /// Notes the programs that this loads.
    fn loading<T>(&mut self, load: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        let before = own_programs()?;
        let made = load()?;
        let ours = &own_programs()? - &before;
        for program in loaded_programs().filter_map(Result::ok).filter(|program| ours.contains(&program.id())) {
            let name = program.name_as_str().context("a program without a name")?.to_owned();
            let instructions = program.size_translated().context("the kernel shows no instructions")? / 8;
            self.loaded.insert(name, (instructions, program.verified_instruction_count()));
        }
        Ok(made)
    }

    /// Both directions are there, byte for byte. Before Linux 6.6 cgroup_skb does not see the answer to a SYN: a
    /// direction begins with its first byte.
    fn bytes(
        &mut self,
        collected: &Collected,
        ends: Ends,
        [out, into]: [&'static str; 2],
        [sent, received]: [&[u8]; 2],
    ) -> anyhow::Result<()> {
        ensure!(collected.stream_from_start(ends.client, ends.server)? == sent, "{out}: the bytes differ");
        self.working.push(out);
        ensure!(collected.stream_from_start(ends.server, ends.client)? == received, "{into}: the bytes differ");
        self.working.push(into);
        Ok(())
    }

    fn row(&self, name: &str) -> Row {
        let loaded = self.loaded.get(name).copied();
        Row { loaded, attaches: self.attached && loaded.is_some(), works: self.working.contains(&name) }
    }
}

fn is_tc(attachment: &Attachment) -> bool {
    matches!(attachment.hook, Hook::Tcx | Hook::Clsact)
}

/// A capture of an exchange: out of the client's place, and into it.
fn captured(
    capture: &mut Capture,
    exchange: impl FnOnce() -> anyhow::Result<Ends>,
) -> anyhow::Result<(Collected, Ends)> {
    let mut source = capture.source()?;
    let ends = exchange()?;
    let mut collected = Collected::default();
    collected.until(&mut source, |seen| seen.over(ends.client, ends.server))?;
    Ok((collected, ends))
}

fn ethernet(seen: &mut Seen) -> anyhow::Result<()> {
    let pod = Pod::new()?;
    let listener = pod.run(|| Ok(TcpListener::bind((pod.peer[0], 0))?))?;
    let server = listener.local_addr()?;
    let mut capture = seen.start(&options(&pod.outside, server.port()), is_tc)?;
    let (request, response) = (payload(100_000, 1), payload(300_000, 2));
    let (collected, ends) =
        captured(&mut capture, || exchange(&listener, || Ok(TcpStream::connect(server)?), &request, &response))?;
    seen.bytes(&collected, ends, ["intercept_out", "intercept_in"], [&request, &response])
}

/// Two tun interfaces, in a namespace each; we carry the packets from one to the other.
fn raw(seen: &mut Seen) -> anyhow::Result<()> {
    let (near, far) = (Pod::new()?, Pod::new()?);
    let files = linked(&near, &far)?;
    let listener = far.run(|| Ok(TcpListener::bind("198.51.100.2:0")?))?;
    let server: SocketAddr = listener.local_addr()?;
    let options = CaptureOptions { netns: vec![near.netns()], ..options("raw0", server.port()) };
    let mut capture = seen.start(&options, is_tc)?;
    let (request, response) = (payload(20_000, 3), payload(50_000, 4));
    let over = AtomicBool::new(false);
    let (collected, ends) = thread::scope(|scope| {
        let carrier = scope.spawn(|| carry(&files, &over));
        let connect = || near.run(|| Ok(TcpStream::connect(server)?));
        let result = captured(&mut capture, || exchange(&listener, connect, &request, &response));
        over.store(true, Relaxed);
        carrier.join().map_err(|_| anyhow!("the carrier panicked"))??;
        result
    })?;
    seen.bytes(&collected, ends, ["intercept_outl3", "intercept_inl3"], [&request, &response])
}

/// Two pods with a link without an Ethernet header, each end of which is a file. TEST-NET-2 (RFC 5737).
fn linked(near: &Pod, far: &Pod) -> anyhow::Result<[File; 2]> {
    let link = |pod: &Pod, ours: &str, theirs: &str| {
        let file = pod.run(|| tun("raw0"))?;
        pod.ip(&format!("addr add {ours} peer {theirs} dev raw0"))?;
        anyhow::Ok(file)
    };
    Ok([link(near, "198.51.100.1", "198.51.100.2")?, link(far, "198.51.100.2", "198.51.100.1")?])
}

fn carry(files: &[File; 2], over: &AtomicBool) -> anyhow::Result<()> {
    let mut packet = [0; 2048];
    while !over.load(Relaxed) {
        let mut ready = files.each_ref().map(|file| PollFd::new(file.as_fd(), PollFlags::POLLIN));
        poll(&mut ready, PollTimeout::from(20_u8))?;
        for (at, [mut from, mut to]) in [[&files[0], &files[1]], [&files[1], &files[0]]].into_iter().enumerate() {
            if ready[at].any() == Some(true) {
                let len = from.read(&mut packet)?;
                to.write_all(&packet[..len])?;
            }
        }
    }
    Ok(())
}

/// The server is inside.
fn cgroup(seen: &mut Seen) -> anyhow::Result<()> {
    let group = Group::new()?;
    let (listener, server) = group.run(|| listen("127.0.0.1:0"))?;
    let options = CaptureOptions { cgroups: vec![group.0.clone()], ..CaptureOptions::default() };
    let mut capture = seen.start(&options, |attachment| attachment.hook == Hook::CgroupSkb)?;
    let (request, response) = (payload(100_000, 5), payload(300_000, 6));
    let (collected, ends) =
        captured(&mut capture, || exchange(&listener, || Ok(TcpStream::connect(server)?), &request, &response))?;
    seen.bytes(&collected, ends, ["intercept_cgin", "intercept_cgout"], [&request, &response])
}

/// The kernel's counters are the bytes that were sent, and the process that called connect is ours.
fn connections(seen: &mut Seen) -> anyhow::Result<()> {
    let listeners = [("intercept_conn4", listen("127.0.0.1:0")?), ("intercept_conn6", listen("[::1]:0")?)];
    let mut options = options("lo", 0);
    options.filters.ports = listeners.iter().map(|(_, (_, address))| address.port()).collect();
    let mut capture = seen.start(&options, |attachment| attachment.hook == Hook::SockOps)?;
    let connect = capture.attached().iter().any(|attachment| attachment.hook == Hook::Connect);
    let mut source = capture.source()?;
    for (program, (listener, address)) in &listeners {
        let (request, response) = (payload(1000, 7), payload(2000, 8));
        let ends = exchange(listener, || Ok(TcpStream::connect(address)?), &request, &response)?;
        let mut collected = Collected::default();
        collected.until(&mut source, |seen| seen.closed(ends.client, ends.server).is_some())?;
        let closed = collected.closed(ends.client, ends.server).context("no report")?;
        let counted = (closed.bytes_acked, closed.bytes_received);
        ensure!(counted == (request.len() as u64, response.len() as u64), "intercept_sock: {counted:?} bytes");
        seen.working.push("intercept_sock");
        let opened = collected.reported(SocketChange::OpenedActive, ends.client, ends.server);
        let process = opened.and_then(|report| report.process.as_ref()).map(|process| process.pid);
        ensure!(connect && process == Some(std::process::id()), "{program}: connected by {process:?}");
        seen.working.push(program);
    }
    Ok(())
}

/// What is steered arrives, knows nothing of it, and whoever accepts it finds out.
fn outbound(seen: &mut Seen) -> anyhow::Result<()> {
    let group = Group::new()?;
    let bed = group.run(steering::Bed::new)?;
    let ports = vec![bed.port()?, bed.server6.local_addr()?.port()];
    let proxies = vec![group.0.clone()];
    let options =
        SteerOptions { own: false, proxies, ..bed.options(vec![SteerRule { ports, ..SteerRule::default() }])? };
    let steering = seen.loading(|| Steering::start(&options))?;
    seen.attached = true;
    let ways = [
        (&bed.server, &bed.inline, "steer_conn4", "steer_peer4"),
        (&bed.server6, &bed.inline6, "steer_conn6", "steer_peer6"),
    ];
    for (server, inline, connect, peer) in ways {
        let to = server.local_addr()?;
        let (client, accepted) = steering::arrived(to, inline)?.with_context(|| format!("{connect}: went straight"))?;
        seen.working.push(connect);
        ensure!(client.peer_addr()? == to, "{peer}: {}", client.peer_addr()?);
        seen.working.push(peer);
        let original = steering.original(accepted.peer_addr()?, zone()?)?.context("steer_sock: nothing is known")?;
        ensure!(original.destination == to.into(), "steer_sock: {original:?}");
        seen.working.push("steer_sock");
        if to.is_ipv4() {
            let answer = SockaddrIn::from(getsockopt(&accepted, sockopt::OriginalDst)?);
            ensure!(SocketAddr::from((answer.ip(), answer.port())) == to, "steer_original: {answer}");
            seen.working.push("steer_original");
        }
    }
    Ok(())
}

fn comes_in(seen: &mut Seen) -> anyhow::Result<()> {
    came_in(seen, &inbound::Bed::new()?, "steer_lookup")
}

fn comes_in_by_tc(seen: &mut Seen) -> anyhow::Result<()> {
    came_in(seen, &inbound::Bed::by_tc()?, "steer_assign")
}

fn came_in(seen: &mut Seen, bed: &inbound::Bed, program: &'static str) -> anyhow::Result<()> {
    let mut steering = seen.loading(|| Inbound::start(&bed.options()?))?;
    seen.attached = true;
    bed.listen(&mut steering)?;
    let to = bed.address(0)?;
    let (_client, accepted) = steering::arrived(to, &bed.inline[0])?.context("it went straight")?;
    ensure!(accepted.local_addr()? == to, "{}", accepted.local_addr()?);
    seen.working.push(program);
    Ok(())
}

fn comes_in_by_tun(seen: &mut Seen) -> anyhow::Result<()> {
    let (near, far) = (Pod::new()?, Pod::new()?);
    let files = linked(&near, &far)?;
    let bind = |address: &str| far.run(|| Ok(TcpListener::bind(address)?));
    let (application, inline) = (bind("198.51.100.2:0")?, bind("127.0.0.1:0")?);
    let to = application.local_addr()?;
    let rules = vec![SteerRule { ports: vec![to.port()], ..SteerRule::default() }];
    let options =
        InboundOptions { netns: Some(far.netns()), rules, hook: InboundHook::Tc, ..InboundOptions::default() };
    let mut steering = seen.loading(|| Inbound::start(&options))?;
    seen.attached = true;
    steering.listen4(&inline)?;
    let over = AtomicBool::new(false);
    let came = thread::scope(|scope| {
        let carrier = scope.spawn(|| carry(&files, &over));
        let came = near.run(|| {
            let client = TcpStream::connect(to)?;
            // Its last packet has to be carried, too.
            let end = Instant::now() + Duration::from_secs(5);
            inline.set_nonblocking(true)?;
            while Instant::now() < end {
                if let Ok((accepted, _)) = inline.accept() {
                    return Ok((client, accepted));
                }
                thread::sleep(Duration::from_millis(5));
            }
            Err(anyhow!("it went straight"))
        });
        over.store(true, Relaxed);
        carrier.join().map_err(|_| anyhow!("the carrier panicked"))??;
        came
    })?;
    let (_client, accepted) = came;
    ensure!(accepted.local_addr()? == to, "{}", accepted.local_addr()?);
    seen.working.push("steer_assignl3");
    Ok(())
}
