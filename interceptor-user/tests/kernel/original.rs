//! Other proxies are told where connections were going, as by iptables (SO_ORIGINAL_DST).

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use interceptor::kernel::{SteerOptions, SteerRule, Steering};
use interceptor_common::SteerOutcome;
use nix::sys::socket::{SockaddrIn, SockaddrIn6, getsockopt, sockopt};

use crate::{
    NotHere, Test,
    bed::Group,
    steering::{Bed, arrived, count},
};

pub(crate) fn tests() -> Vec<Test> {
    vec![("so_original_dst_is_answered", original_dst), ("haproxy_finds_where_connections_were_going", haproxy)]
}

/// The proxy's listeners are in its cgroup, and with them what they accept.
fn original_dst() -> anyhow::Result<()> {
    let group = Group::new()?;
    let mut bed = Bed::new()?;
    (bed.inline, bed.inline6) = group.run(|| Ok((TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("[::1]:0")?)))?;
    let ports = vec![bed.port()?, bed.server6.local_addr()?.port()];
    let options = SteerOptions {
        own: false,
        proxies: vec![group.0.clone()],
        ..bed.options(vec![SteerRule { ports, ..SteerRule::default() }])?
    };
    let _steering = Steering::start(&options)?;
    let to = bed.server.local_addr()?;
    let (_client, accepted) = arrived(to, &bed.inline)?.context("it went straight")?;
    let answer = SockaddrIn::from(getsockopt(&accepted, sockopt::OriginalDst)?);
    ensure!(SocketAddr::from((answer.ip(), answer.port())) == to, "{answer}");
    let to = bed.server6.local_addr()?;
    let (_client, accepted) = arrived(to, &bed.inline6)?.context("it went straight")?;
    let answer = SockaddrIn6::from(getsockopt(&accepted, sockopt::Ip6tOriginalDst)?);
    ensure!(SocketAddr::from((answer.ip(), answer.port())) == to, "{answer}");
    // Of what was not steered the kernel says what it always says.
    let plain = TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(plain.local_addr()?)?;
    ensure!(getsockopt(&client, sockopt::OriginalDst).is_err());
    Ok(())
}

fn haproxy() -> anyhow::Result<()> {
    if Command::new("haproxy").arg("-v").stdout(Stdio::null()).status().is_err() {
        return Err(NotHere("haproxy is not installed").into());
    }
    let bed = Bed::new()?;
    let proxy = bed.inline.local_addr()?;
    let group = Group::new()?;
    let rule = SteerRule { ports: vec![bed.port()?], closed: true, ..SteerRule::default() };
    let proxies = vec![group.0.clone()];
    let options = SteerOptions { own: false, inline6: None, proxies, ..bed.options(vec![rule])? };
    let Bed { pod: _pod, server, inline, .. } = bed;
    let to = server.local_addr()?;
    // It is haproxy that listens there.
    drop(inline);
    let steering = Steering::start(&options)?;
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("haproxy.cfg");
    // To where the connection was going, which it asks the kernel for.
    std::fs::write(
        &file,
        format!(
            "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 5s\n  timeout server 5s\n\
             listen all\n  bind {proxy}\n  server there 0.0.0.0:0\n"
        ),
    )?;
    let mut child = group.run(|| {
        let file = file.to_str().context("a path")?;
        Ok(Command::new("haproxy").args(["-db", "-q", "-f", file]).stdout(Stdio::null()).spawn()?)
    })?;
    let talked = talk(&server, to, &steering);
    child.kill()?;
    child.wait()?;
    talked
}

/// Through the proxy, once it is there; before, connections are refused.
fn talk(server: &TcpListener, to: SocketAddr, steering: &Steering) -> anyhow::Result<()> {
    let end = Instant::now() + Duration::from_secs(10);
    let mut client = loop {
        match TcpStream::connect_timeout(&to, Duration::from_secs(5)) {
            Ok(client) => break client,
            Err(error) => ensure!(Instant::now() < end, "haproxy does not come up: {error}"),
        }
        thread::sleep(Duration::from_millis(20));
    };
    ensure!(client.peer_addr()? == to);
    client.write_all(b"ping")?;
    let (mut accepted, from) = server.accept()?;
    ensure!(from != client.local_addr()?, "it came straight");
    let mut heard = [0; 4];
    accepted.read_exact(&mut heard)?;
    accepted.write_all(b"pong")?;
    client.read_exact(&mut heard)?;
    ensure!(&heard == b"pong");
    ensure!(count(steering, "", SteerOutcome::Steered)? == 1 && count(steering, "", SteerOutcome::Exempt)? == 1);
    Ok(())
}
