//! Counters: the kernel's own bytes are the applications' bytes, and what found no room is counted to the byte.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    os::fd::AsRawFd as _,
    thread,
    time::Duration,
};

use anyhow::{Context as _, anyhow, ensure};
use interceptor::{
    kernel::{Capture, CaptureOptions},
    model::{Endpoint, LossReason, SocketChange},
};
use interceptor_common::DropReason;

use crate::{
    Test,
    bed::{Pod, exchange, listen, options, payload},
    collect::Collected,
};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        ("socket_counters_are_payload_bytes_in_every_order_of_closing", closing_orders),
        ("socket_reports_name_process_and_cgroup", who),
        ("segments_that_were_sent_again_are_counted_by_their_socket", retransmits),
        ("what_finds_no_room_in_the_ring_is_counted_to_the_byte", ring_full),
        ("the_reader_keeps_up_and_is_measured", throughput),
    ]
}

/// How a connection ends; gets client and server, each with all that was sent to it read.
type Ending = fn(TcpStream, TcpStream) -> anyhow::Result<()>;

/// Long enough for acknowledgements to pass on `lo`, delayed ones included.
fn settle() {
    thread::sleep(Duration::from_millis(60));
}

/// RST instead of FIN.
fn abort(stream: TcpStream) -> anyhow::Result<()> {
    nix::sys::socket::setsockopt(
        &stream,
        nix::sys::socket::sockopt::Linger,
        &nix::libc::linger { l_onoff: 1, l_linger: 0 },
    )?;
    drop(stream);
    Ok(())
}

const ENDINGS: [(&str, Ending); 8] = [
    ("client first", |client, server| {
        drop(client);
        settle();
        drop(server);
        Ok(())
    }),
    ("server first", |client, server| {
        drop(server);
        settle();
        drop(client);
        Ok(())
    }),
    ("both at once", |client, server| {
        thread::scope(|scope| {
            scope.spawn(|| drop(client));
            scope.spawn(|| drop(server));
        });
        Ok(())
    }),
    ("client resets", |client, server| {
        abort(client)?;
        settle();
        drop(server);
        Ok(())
    }),
    ("server resets", |client, server| {
        abort(server)?;
        settle();
        drop(client);
        Ok(())
    }),
    ("half-closed, then closed before the peer's FIN", |client, server| {
        client.shutdown(Shutdown::Write)?;
        settle();
        drop(client);
        settle();
        drop(server);
        Ok(())
    }),
    ("half-closed, then reset by the peer", |client, server| {
        client.shutdown(Shutdown::Write)?;
        settle();
        abort(server)?;
        settle();
        drop(client);
        Ok(())
    }),
    ("half-closed, then closed in order", |client, server| {
        client.shutdown(Shutdown::Write)?;
        settle();
        server.shutdown(Shutdown::Write)?;
        settle();
        drop((client, server));
        Ok(())
    }),
];

fn closing_orders() -> anyhow::Result<()> {
    let (listener, address) = listen("127.0.0.1:0")?;
    let mut capture = Capture::start(&options("lo", address.port()))?;
    let mut source = capture.source()?;
    for (name, ending) in ENDINGS {
        // The second time the server still sends after the client's half-close, the third nothing is sent at all.
        for (up, down, late) in [(1000, 70_000, 0), (5, 3, 101), (0, 0, 0)] {
            let round = || format!("{name}, {up} up, {down} down, {late} late");
            let (client, server) = connect(&listener, address, up, down)?;
            let (a, b): (Endpoint, Endpoint) = (client.local_addr()?.into(), address.into());
            let late = if late != 0 && name.starts_with("half-closed") {
                client.shutdown(Shutdown::Write)?;
                settle();
                (&server).write_all(&payload(late, 3))?;
                (&client).read_exact(&mut vec![0; late])?;
                late
            } else {
                0
            };
            settle();
            ending(client, server)?;
            let mut collected = Collected::default();
            collected
                .until(&mut source, |seen| seen.closed(a, b).is_some() && seen.closed(b, a).is_some())
                .with_context(round)?;
            let (up, down) = (up as u64, (down + late) as u64);
            for (local, remote, sent, received) in [(a, b, up, down), (b, a, down, up)] {
                let report = collected.closed(local, remote).context("no report")?;
                let counted = (report.bytes_acked, report.bytes_received);
                ensure!(
                    counted == (sent, received),
                    "{}: {local} has {counted:?}, not {:?}",
                    round(),
                    (sent, received)
                );
                let change = if local == a { SocketChange::OpenedActive } else { SocketChange::OpenedPassive };
                let opened = collected.reported(change, local, remote).context("not reported as opened")?;
                ensure!((opened.bytes_acked, opened.bytes_received) == (0, 0), "bytes at opening: {opened:?}");
                ensure!(opened.cookie == report.cookie && report.cookie != 0);
            }
        }
    }
    Ok(())
}

fn connect(
    listener: &TcpListener,
    address: SocketAddr,
    up: usize,
    down: usize,
) -> anyhow::Result<(TcpStream, TcpStream)> {
    let client = TcpStream::connect(address)?;
    let (server, _) = listener.accept()?;
    (&client).write_all(&payload(up, 1))?;
    (&server).read_exact(&mut vec![0; up])?;
    (&server).write_all(&payload(down, 2))?;
    (&client).read_exact(&mut vec![0; down])?;
    Ok((client, server))
}

fn who() -> anyhow::Result<()> {
    let (listener, address) = listen("[::1]:0")?;
    let mut capture = Capture::start(&options("lo", address.port()))?;
    let mut source = capture.source()?;
    let ends = exchange(&listener, || Ok(TcpStream::connect(address)?), b"ping", b"pong")?;
    let mut collected = Collected::default();
    collected.until(&mut source, |seen| seen.closed(ends.server, ends.client).is_some())?;
    let active =
        collected.reported(SocketChange::OpenedActive, ends.client, ends.server).context("no active report")?;
    let process = active.process.as_ref().context("no process")?;
    ensure!(process.pid == std::process::id() && process.command.starts_with("kernel"), "{process:?}");
    let group = interceptor::kernel::cgroup::of_pid(process.pid)?;
    ensure!(active.cgroup == Some(interceptor::kernel::cgroup::id(&group)?), "cgroup {:?}", active.cgroup);
    let passive =
        collected.reported(SocketChange::OpenedPassive, ends.server, ends.client).context("no passive report")?;
    ensure!(passive.process.is_none(), "the client is `current` when a connection is accepted: {passive:?}");
    ensure!(active.srtt > Duration::ZERO && active.srtt < Duration::from_secs(1), "{:?}", active.srtt);
    Ok(())
}

/// The peer is without its address for longer than the least retransmission time-out, 200 ms. (With its link down our
/// side would not send at all.)
fn retransmits() -> anyhow::Result<()> {
    let pod = Pod::new()?;
    let listener = pod.run(|| Ok(TcpListener::bind((pod.peer[0], 0))?))?;
    let address = listener.local_addr()?;
    let mut capture = Capture::start(&options(&pod.outside, address.port()))?;
    let mut source = capture.source()?;
    let (client, server) = connect(&listener, address, 10, 10)?;
    pod.ip(&format!("addr del {}/30 dev {}", pod.peer[0], pod.inside))?;
    (&client).write_all(b"again")?;
    thread::sleep(Duration::from_millis(300));
    pod.ip(&format!("addr add {}/30 dev {}", pod.peer[0], pod.inside))?;
    (&server).read_exact(&mut [0; 5])?;
    let (a, b): (Endpoint, Endpoint) = (client.local_addr()?.into(), address.into());
    drop((client, server));
    let mut collected = Collected::default();
    collected.until(&mut source, |seen| seen.closed(a, b).is_some() && seen.closed(b, a).is_some())?;
    let sent_again = |local, remote| collected.closed(local, remote).map(|report| report.retransmits);
    ensure!(sent_again(a, b) > Some(0), "by the client: {:?}", sent_again(a, b));
    ensure!(sent_again(b, a) == Some(0), "by the server: {:?}", sent_again(b, a));
    Ok(())
}

/// How many bytes TCP has sent on this connection, each as often as it was sent (`tcpi_bytes_sent`, Linux 4.19).
fn bytes_sent(stream: &TcpStream) -> anyhow::Result<u64> {
    /// As far as it is asked for; libc's ends before it.
    const LENGTH: usize = 208;
    let mut info = [0_u8; LENGTH];
    let mut length = LENGTH as nix::libc::socklen_t;
    #[expect(unsafe_code, reason = "no crate tells this member")]
    // SAFETY: the kernel writes at most `length` bytes, which `info` has.
    let result = unsafe {
        nix::libc::getsockopt(
            stream.as_raw_fd(),
            nix::libc::IPPROTO_TCP,
            nix::libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    nix::errno::Errno::result(result)?;
    ensure!(length as usize == LENGTH, "the kernel tells {length} bytes of tcp_info");
    Ok(u64::from_ne_bytes(info[200..].try_into()?))
}

/// Both send at once; returns how many bytes each has sent in the end, what was sent again counted again.
fn send_both_ways(client: &TcpStream, server: &TcpStream, up: &[u8], down: &[u8]) -> anyhow::Result<(u64, u64)> {
    let transfer = |mut from: &TcpStream, mut to: &TcpStream, content: &[u8]| -> anyhow::Result<()> {
        let mut received = vec![0; content.len()];
        thread::scope(|scope| -> anyhow::Result<()> {
            let sender = scope.spawn(move || from.write_all(content));
            to.read_exact(&mut received)?;
            Ok(sender.join().map_err(|_| anyhow!("the sender panicked"))??)
        })?;
        ensure!(received == content, "something else arrived");
        Ok(())
    };
    thread::scope(|scope| -> anyhow::Result<()> {
        let other = scope.spawn(|| transfer(server, client, down));
        transfer(client, server, up)?;
        other.join().map_err(|_| anyhow!("a transfer panicked"))?
    })?;
    settle();
    Ok((bytes_sent(client)?, bytes_sent(server)?))
}

fn ring_full() -> anyhow::Result<()> {
    let (listener, address) = listen("127.0.0.1:0")?;
    let options = CaptureOptions { ring_bytes: 64 << 10, ..options("lo", address.port()) };
    let mut capture = Capture::start(&options)?;
    let mut source = capture.source()?;
    // Nobody reads meanwhile.
    let (request, response) = (payload(3 << 20, 1), payload(5 << 20, 2));
    let client = TcpStream::connect(address)?;
    let (server, _) = listener.accept()?;
    let (up, down) = send_both_ways(&client, &server, &request, &response)?;
    let (a, b): (Endpoint, Endpoint) = (client.local_addr()?.into(), address.into());
    drop((client, server));
    let mut collected = Collected::default();
    collected.until(&mut source, |seen| seen.closed(a, b).is_some() && seen.closed(b, a).is_some())?;
    collected.for_a_while(&mut source, Duration::from_millis(250))?;
    let captured: u64 = collected.segments.values().flatten().map(|kept| kept.payload.len() as u64).sum();
    let drops = capture.drops()?;
    let full = drops.total(DropReason::RingFull);
    ensure!(drops.taken_total().bytes == captured, "{} taken, {captured} captured", drops.taken_total().bytes);
    // A long packet comes in pieces, each of which is collected as a segment.
    let segments = collected.segments.values().flatten().count() as u64;
    let packets = drops.taken_total().packets;
    ensure!(packets > 0 && packets <= segments, "{packets} packets taken, {segments} segments captured");
    ensure!(full.packets > 0 && drops.total(DropReason::MapFull).packets == 0);
    let lost: u64 = collected.losses.iter().map(|loss| loss.bytes).sum();
    ensure!(lost == full.bytes, "{lost} reported, {} counted", full.bytes);
    ensure!(collected.losses.iter().all(|loss| loss.reason == LossReason::RingFull));
    // The final counters came through all the same.
    let report = collected.closed(a, b).context("no report")?;
    ensure!((report.bytes_acked, report.bytes_received) == (request.len() as u64, response.len() as u64));
    // A busy machine makes TCP send again even on `lo`: what was lost twice counts twice.
    for (from, to, sent) in [(a, b, up), (b, a, down)] {
        let kept = collected.segments.get(&(from, to)).into_iter().flatten();
        let captured: u64 = kept.map(|kept| kept.payload.len() as u64).sum();
        let losses = collected.losses.iter().filter(|loss| loss.source == from && loss.destination == to);
        let lost: u64 = losses.map(|loss| loss.bytes).sum();
        ensure!(captured + lost == sent, "{captured} captured and {lost} lost are not {sent}");
    }
    Ok(())
}

fn throughput() -> anyhow::Result<()> {
    use interceptor::capture::Source as _;
    const ROUNDS: usize = 40_000;
    let (listener, address) = listen("127.0.0.1:0")?;
    let mut capture = Capture::start(&CaptureOptions { ring_bytes: 64 << 20, ..options("lo", address.port()) })?;
    let mut source = capture.source()?;
    let mut client = TcpStream::connect(address)?;
    client.set_nodelay(true)?;
    let (mut server, _) = listener.accept()?;
    for _ in 0..ROUNDS {
        client.write_all(&[7; 200])?;
        server.read_exact(&mut [0; 200])?;
    }
    let (mut records, mut bytes) = (0_u32, 0_usize);
    let start = std::time::Instant::now();
    while bytes < ROUNDS * 200 {
        ensure!(start.elapsed() < Duration::from_secs(10), "{bytes} bytes after ten seconds");
        source.poll(Duration::from_millis(10), |event| {
            records += 1;
            if let interceptor::model::Event::Segment(segment) = event {
                bytes += segment.payload.len();
            }
        })?;
    }
    let took = start.elapsed();
    println!("{records} records in {took:?}: {:?} each", took / records);
    Ok(())
}
