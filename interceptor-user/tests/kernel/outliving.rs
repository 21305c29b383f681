//! The inline path is stopped or killed, or comes and goes: connections go on.

use std::{
    io::ErrorKind,
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, ExitCode},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use aya::{
    maps::loaded_maps,
    programs::{loaded_links, loaded_programs},
};
use interceptor::kernel::{Inbound, InboundOptions, SteerOptions, SteerRule, Steering, cgroup};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    Test,
    bed::{self, Pod},
};

/// What a child steers until it is killed: the port.
pub(crate) const CHILD: &str = "INTERCEPTOR_TEST_STEERS";

/// How long its heartbeat counts.
const TIMEOUT: Duration = Duration::from_millis(500);

pub(crate) fn tests() -> Vec<Test> {
    vec![
        ("a_stopped_inline_path_is_passed_by_in_time_and_found_again", stopped),
        ("a_killed_inline_path_is_passed_by_at_once_and_leaves_nothing", killed),
        ("steering_again_and_again_leaves_nothing", again_and_again),
    ]
}

/// Connections to a server of ours in a pod, while a child steers them to itself.
struct Bed {
    server: TcpListener,
    to: SocketAddr,
    child: Child,
    _pod: Pod,
}

impl Bed {
    fn new() -> anyhow::Result<Self> {
        let pod = Pod::new()?;
        let address = (pod.peer[0], 0);
        let server = pod.run(|| Ok(TcpListener::bind(address)?))?;
        server.set_nonblocking(true)?;
        let to = server.local_addr()?;
        let child = bed::child(CHILD, &to.port().to_string(), "steers")?;
        Ok(Self { server, to, child, _pod: pod })
    }

    /// Connects: did that go to the server?
    fn goes_straight(&self) -> anyhow::Result<bool> {
        let _client = TcpStream::connect_timeout(&self.to, Duration::from_secs(5)).context("refused")?;
        match self.server.accept() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        Ok(kill(Pid::from_raw(self.child.id().try_into()?), signal)?)
    }

    fn soon(&self, straight: bool) -> anyhow::Result<()> {
        let end = Instant::now() + Duration::from_secs(10);
        while self.goes_straight()? != straight {
            ensure!(Instant::now() < end, "connections do not come to go straight: {straight}");
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Steers, says so, beats, and waits to be killed.
pub(crate) fn child(port: &str) -> ExitCode {
    let steer = || -> anyhow::Result<()> {
        let inline = TcpListener::bind("127.0.0.1:0")?;
        let SocketAddr::V4(inline4) = inline.local_addr()? else { bail!("not IPv4") };
        let steering = Steering::start(&SteerOptions {
            cgroup: cgroup::mount().context("no cgroup v2 mount")?,
            rules: vec![SteerRule { ports: vec![port.parse()?], ..SteerRule::default() }],
            inline4: Some(inline4),
            own: true,
            timeout: Some(TIMEOUT),
            ..SteerOptions::default()
        })?;
        steering.own(&inline)?;
        steering.beat()?;
        println!("steers");
        let end = Instant::now() + Duration::from_mins(1);
        while Instant::now() < end {
            steering.beat()?;
            thread::sleep(TIMEOUT / 10);
        }
        Ok(())
    };
    match steer() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn stopped() -> anyhow::Result<()> {
    let bed = Bed::new()?;
    ensure!(!bed.goes_straight()?, "it is not steered");
    bed.signal(Signal::SIGSTOP)?;
    thread::sleep(TIMEOUT + Duration::from_millis(50));
    for _ in 0..20 {
        ensure!(bed.goes_straight()?, "it waits for who is stopped");
    }
    bed.signal(Signal::SIGCONT)?;
    bed.soon(false)
}

fn killed() -> anyhow::Result<()> {
    let mut bed = Bed::new()?;
    ensure!(!bed.goes_straight()?, "it is not steered");
    bed.child.kill()?;
    bed.child.wait()?;
    // The listener went before the programs, or after them: either way nobody is refused.
    for _ in 0..200 {
        bed.goes_straight()?;
    }
    ensure!(bed.goes_straight()?, "it is still steered");
    let end = Instant::now() + Duration::from_secs(5);
    while !of_steering()?.is_empty() {
        ensure!(Instant::now() < end, "left: {:?}", of_steering()?);
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Names of our programs for steering that are loaded.
pub(crate) fn of_steering() -> anyhow::Result<Vec<String>> {
    let names = loaded_programs().map(|program| Ok(program?.name_as_str().unwrap_or_default().to_owned()));
    let names: anyhow::Result<Vec<String>> = names.collect();
    Ok(names?.into_iter().filter(|name| name.starts_with("steer_")).collect())
}

/// Programs, maps and links of the whole machine.
fn all() -> (usize, usize, usize) {
    (loaded_programs().count(), loaded_maps().count(), loaded_links().count())
}

fn again_and_again() -> anyhow::Result<()> {
    let emulated = std::env::var_os("INTERCEPTOR_EMULATED").is_some();
    // A thousand take minutes, nearly all of them in the verifier.
    let asked = std::env::var("INTERCEPTOR_ROUNDS").ok().map(|rounds| rounds.parse::<usize>()).transpose()?;
    let times = asked.unwrap_or(if emulated { 2 } else { 100 });
    let inline = TcpListener::bind("127.0.0.1:0")?;
    let SocketAddr::V4(inline4) = inline.local_addr()? else { bail!("not IPv4") };
    let cgroup = cgroup::mount().context("no cgroup v2 mount")?;
    let rules = vec![SteerRule { ports: vec![1], ..SteerRule::default() }];
    let round = || -> anyhow::Result<()> {
        let (cgroup, rules) = (cgroup.clone(), rules.clone());
        let options = SteerOptions { cgroup, rules: rules.clone(), inline4: Some(inline4), ..SteerOptions::default() };
        let _outbound = Steering::start(&options)?;
        let mut inbound = Inbound::start(&InboundOptions { rules, ..InboundOptions::default() })?;
        inbound.listen4(&inline)
    };
    round()?;
    let mut before = all();
    let end = Instant::now() + Duration::from_secs(5);
    // The kernel frees them a little later (RCU).
    while !of_steering()?.is_empty() && Instant::now() < end {
        thread::sleep(Duration::from_millis(20));
        before = all();
    }
    for _ in 0..times {
        round()?;
    }
    let end = Instant::now() + Duration::from_secs(5);
    while all() > before {
        ensure!(Instant::now() < end, "programs, maps, links: {before:?} became {:?}", all());
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
