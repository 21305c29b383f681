//! What is pinned: steering outlives its process, and the next one takes it over without a gap.

use std::{
    fs,
    io::ErrorKind,
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use interceptor::kernel::{Inbound, InboundOptions, SteerOptions, SteerRule, Steering};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::{
    Test,
    bed::zone,
    inbound, outliving,
    steering::{Bed, arrived},
};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        ("what_is_pinned_stays_in_force_when_its_process_is_killed", killed),
        ("a_successor_takes_over_without_refusing_a_connection", taken_over),
        ("what_comes_in_is_taken_over_too", taken_over_inbound),
        ("only_a_bpf_file_system_takes_pins", elsewhere),
    ]
}

/// A BPF file system of our own.
pub(crate) struct BpfFs(tempfile::TempDir);

impl BpfFs {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        mount(Some("bpf"), directory.path(), Some("bpf"), MsFlags::empty(), None::<&str>).context("mount -t bpf")?;
        Ok(Self(directory))
    }

    pub(crate) fn pins(&self) -> PathBuf {
        self.0.path().join("interceptor")
    }
}

impl Drop for BpfFs {
    fn drop(&mut self) {
        // All that is pinned there goes with it.
        let _ = umount2(self.0.path(), MntFlags::MNT_DETACH);
    }
}

/// Two rules: the first fails closed, the second open.
fn rules(bed: &Bed) -> anyhow::Result<Vec<SteerRule>> {
    let rule = |port, closed| SteerRule { ports: vec![port], closed, ..SteerRule::default() };
    Ok(vec![rule(bed.port()?, true), rule(bed.server6.local_addr()?.port(), false)])
}

fn options(bed: &Bed, files: &BpfFs, rules: Vec<SteerRule>) -> anyhow::Result<SteerOptions> {
    Ok(SteerOptions { pins: Some(files.pins()), ..bed.options(rules)? })
}

/// How long a heartbeat counts.
const TIMEOUT: Duration = Duration::from_millis(300);

/// A set of programs for what is connected to.
const OUTBOUND: usize = 5;

fn killed() -> anyhow::Result<()> {
    let (bed, files) = (Bed::new()?, BpfFs::new()?);
    let of_others = outliving::of_steering()?.len();
    let started = SteerOptions { timeout: Some(TIMEOUT), ..options(&bed, &files, rules(&bed)?)? };
    let [closed, open] = [bed.server.local_addr()?, bed.server6.local_addr()?];
    let steering = Steering::start(&started)?;
    steering.own(&bed.inline)?;
    steering.beat()?;
    ensure!(arrived(closed, &bed.inline)?.is_some(), "it is not steered");
    // As good as killed: nothing is said to the kernel.
    drop(steering);
    thread::sleep(TIMEOUT);
    let refused = TcpStream::connect_timeout(&closed, Duration::from_secs(5)).map(drop).map_err(|error| error.kind());
    ensure!(refused == Err(ErrorKind::PermissionDenied), "closed: {refused:?}");
    ensure!(arrived(open, &bed.inline6)?.is_none(), "open: steered to nobody");
    // The next one has its own idea of what is steered, and where to.
    let inline = TcpListener::bind("127.0.0.1:0")?;
    let SocketAddr::V4(inline4) = inline.local_addr()? else { bail!("not IPv4") };
    let next = Steering::start(&SteerOptions { inline4: Some(inline4), inline6: None, rules: Vec::new(), ..started })?;
    let refused = TcpStream::connect_timeout(&closed, Duration::from_secs(5)).map(drop).map_err(|error| error.kind());
    ensure!(refused == Err(ErrorKind::PermissionDenied), "between both: {refused:?}");
    next.own(&inline)?;
    next.beat()?;
    next.set_rules(&rules(&bed)?[..1])?;
    ensure!(arrived(closed, &inline)?.is_some(), "the next one is not steered to");
    ensure!(outliving::of_steering()?.len() == of_others + OUTBOUND, "{:?}", outliving::of_steering()?);
    drop(next);
    fs::remove_dir_all(files.pins())?;
    // The kernel frees them a little later (RCU); until then it is as if nobody were there.
    soon(|| Ok(outliving::of_steering()?.len() == of_others))?;
    ensure!(arrived(closed, &inline)?.is_none(), "it is steered without a pin");
    Ok(())
}

fn soon(is_so: impl Fn() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let end = Instant::now() + Duration::from_secs(5);
    while !is_so()? {
        ensure!(Instant::now() < end, "left: {:?}", outliving::of_steering()?);
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn taken_over() -> anyhow::Result<()> {
    let (bed, files) = (Bed::new()?, BpfFs::new()?);
    let inline = TcpListener::bind("127.0.0.1:0")?;
    let SocketAddr::V4(inline4) = inline.local_addr()? else { bail!("not IPv4") };
    let to = bed.server.local_addr()?;
    let before = options(&bed, &files, rules(&bed)?)?;
    let steering = Steering::start(&before)?;
    steering.own(&bed.inline)?;
    let (client, accepted) = arrived(to, &bed.inline)?.context("it is not steered")?;
    inline.set_nonblocking(true)?;
    let (end, connected) = (AtomicBool::new(false), AtomicUsize::new(0));
    let successor = thread::scope(|scope| {
        let connecting = scope.spawn(|| {
            while !end.load(Relaxed) {
                TcpStream::connect_timeout(&to, Duration::from_secs(5)).context("refused")?;
                // Who does not accept has a full queue before long.
                let came = [&bed.inline, &inline].iter().filter(|listener| listener.accept().is_ok()).count();
                ensure!(came == 1, "{came} listeners got it");
                connected.fetch_add(1, Relaxed);
            }
            anyhow::Ok(())
        });
        let successor = (|| {
            go_on(&connected)?;
            let after = SteerOptions { inline4: Some(inline4), inline6: None, ..before.clone() };
            let successor = Steering::start(&after)?;
            go_on(&connected)?;
            ensure!(!steering.is_replaced()?, "replaced before the other one steers");
            successor.own(&inline)?;
            successor.set_rules(&after.rules)?;
            ensure!(steering.is_replaced()? && !successor.is_replaced()?, "not replaced");
            let refused = steering.set_rules(&[]);
            ensure!(refused.is_err(), "who was replaced steers again");
            steering.release()?;
            go_on(&connected)?;
            drop(steering);
            go_on(&connected)?;
            Ok(successor)
        })();
        end.store(true, Relaxed);
        connecting.join().map_err(|_| anyhow::anyhow!("panicked"))??;
        successor
    })?;
    bed.server.set_nonblocking(true)?;
    let straight = bed.server.accept().map(drop).map_err(|error| error.kind());
    ensure!(straight == Err(ErrorKind::WouldBlock), "some went straight");
    // What was steered before is known as it was.
    ensure!(client.peer_addr()? == to, "the application sees {}", client.peer_addr()?);
    let original = successor.original(accepted.peer_addr()?, zone()?)?.context("the successor does not know it")?;
    ensure!(original.destination == to.into(), "{original:?}");
    Ok(())
}

/// Some more have been connected.
fn go_on(connected: &AtomicUsize) -> anyhow::Result<()> {
    let (before, end) = (connected.load(Relaxed), Instant::now() + Duration::from_secs(5));
    while connected.load(Relaxed) < before + 20 {
        ensure!(Instant::now() < end, "no more connections come");
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn taken_over_inbound() -> anyhow::Result<()> {
    let (bed, files) = (inbound::Bed::new()?, BpfFs::new()?);
    let options = InboundOptions { pins: Some(files.pins()), ..bed.options()? };
    let mut before = Inbound::start(&options)?;
    bed.listen(&mut before)?;
    ensure!(arrived(bed.address(0)?, &bed.inline[0])?.is_some(), "it is not steered");
    let others = bed.pod.run(|| Ok([TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("[::1]:0")?]))?;
    let mut after = Inbound::start(&options)?;
    ensure!(arrived(bed.address(0)?, &bed.inline[0])?.is_some(), "it is not steered by who is there");
    after.listen4(&others[0])?;
    after.listen6(&others[1])?;
    after.set_rules(&options.rules)?;
    ensure!(before.is_replaced()?, "not replaced");
    drop(before);
    ensure!(arrived(bed.address(0)?, &others[0])?.is_some(), "the successor is not steered to");
    drop(after);
    drop(others);
    // Nobody is left, and nobody has said that it is over.
    let refused = TcpStream::connect_timeout(&bed.address(1)?, Duration::from_secs(5)).map(drop);
    ensure!(refused.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused), "closed, and not refused");
    Ok(())
}

fn elsewhere() -> anyhow::Result<()> {
    let bed = Bed::new()?;
    let directory = tempfile::tempdir()?;
    let options = SteerOptions { pins: Some(directory.path().join("pins")), ..bed.options(Vec::new())? };
    let Err(error) = Steering::start(&options) else { bail!("it pins in a directory of any kind") };
    let error = format!("{error:#}");
    ensure!(error.contains("not on a BPF file system: mount one"), "{error}");
    ensure!(fs::read_dir(directory.path())?.next().is_none(), "something was made there");
    Ok(())
}
