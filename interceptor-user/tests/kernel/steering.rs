//! Connections are sent to an inline path that is there, know nothing of it, and never wait for one that is not.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6, TcpListener, TcpStream},
    os::fd::{AsRawFd as _, OwnedFd},
    process::Command,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, bail, ensure};
use interceptor::{
    kernel::{SteerOptions, SteerRule, Steering, cgroup},
    model::Endpoint,
};
use interceptor_common::SteerOutcome;
use nix::{
    libc::MSG_FASTOPEN,
    sys::socket::{
        AddressFamily, MsgFlags, SockFlag, SockType, SockaddrIn, SockaddrIn6, connect, sendto, setsockopt, socket,
        sockopt,
    },
};

use crate::{
    NotHere, Test,
    bed::{Group, Pod, zone, zone_at},
};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        ("what_is_steered_arrives_with_where_it_was_going", arrives),
        ("an_ipv6_socket_that_speaks_ipv4_is_steered_as_ipv4", mapped),
        ("what_no_rule_is_about_goes_straight", straight),
        ("the_first_rule_that_fits_counts", first_rule),
        ("rules_are_replaced_while_they_are_in_force", replaced),
        ("without_a_listener_it_goes_straight_or_is_refused", without_listener),
        ("with_an_old_heartbeat_it_goes_straight_or_is_refused", old_heartbeat),
        ("our_own_and_exempt_sockets_are_never_steered", exempt),
        ("a_connection_in_a_pod_goes_to_the_pods_own_listener", in_a_pod),
        ("a_connection_in_another_namespace_is_none_of_our_business", elsewhere),
        ("nothing_is_steered_after_drop", after_drop),
        ("a_socket_that_is_bound_to_an_interface_goes_straight", bound),
        ("a_socket_that_connects_again_is_known_by_where_it_goes_now", again),
        ("what_connects_as_it_sends_is_steered", fast_open),
    ]
}

/// An inline path that accepts, and a server that connections were meant for.
pub(crate) struct Bed {
    pub(crate) pod: Pod,
    pub(crate) server: TcpListener,
    pub(crate) server6: TcpListener,
    pub(crate) inline: TcpListener,
    pub(crate) inline6: TcpListener,
}

impl Bed {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let pod = Pod::new()?;
        let [v4, v6] = pod.peer;
        let (server, server6) = pod
            .run(|| Ok((TcpListener::bind((v4, 0))?, TcpListener::bind((v6, 0))?)))
            .context("cannot listen in the pod")?;
        let (inline, inline6) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("[::1]:0")?);
        Ok(Self { pod, server, server6, inline, inline6 })
    }

    pub(crate) fn port(&self) -> anyhow::Result<u16> {
        Ok(self.server.local_addr()?.port())
    }

    /// To our own inline path, without a heartbeat.
    pub(crate) fn options(&self, rules: Vec<SteerRule>) -> anyhow::Result<SteerOptions> {
        let (SocketAddr::V4(inline4), SocketAddr::V6(inline6)) =
            (self.inline.local_addr()?, self.inline6.local_addr()?)
        else {
            anyhow::bail!("an address of another family");
        };
        let cgroup = cgroup::mount().context("no cgroup v2 mount")?;
        Ok(SteerOptions {
            cgroup,
            rules,
            inline4: Some(inline4),
            inline6: Some(inline6),
            own: true,
            ..SteerOptions::default()
        })
    }

    /// Connections to the servers are steered.
    pub(crate) fn steer(&self) -> anyhow::Result<Steering> {
        let ports = vec![self.port()?, self.server6.local_addr()?.port()];
        let steering = Steering::start(&self.options(vec![SteerRule { ports, ..SteerRule::default() }])?)?;
        steering.own(&self.inline)?;
        steering.own(&self.inline6)?;
        Ok(steering)
    }
}

/// Asks for `to`, and says where that came.
pub(crate) fn arrived(to: SocketAddr, inline: &TcpListener) -> anyhow::Result<Option<(TcpStream, TcpStream)>> {
    let client = TcpStream::connect_timeout(&to, Duration::from_secs(5)).with_context(|| format!("connect to {to}"))?;
    inline.set_nonblocking(true)?;
    // Its handshake is over.
    match inline.accept() {
        Ok((accepted, from)) => {
            ensure!(from == client.local_addr()?, "somebody else's connection: {from}");
            Ok(Some((client, accepted)))
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What became of connections that the rule of this name is about.
pub(crate) fn count(steering: &Steering, rule: &str, outcome: SteerOutcome) -> anyhow::Result<u64> {
    steering.counts()?.get(&(rule.into(), outcome)).copied().context("no such counter")
}

fn arrives() -> anyhow::Result<()> {
    let bed = Bed::new()?;
    let steering = bed.steer()?;
    for (server, inline) in [(&bed.server, &bed.inline), (&bed.server6, &bed.inline6)] {
        let to = server.local_addr()?;
        let (client, accepted) = arrived(to, inline)?.with_context(|| format!("{to} went straight"))?;
        ensure!(client.peer_addr()? == to, "the application sees {}", client.peer_addr()?);
        let original = steering.original(accepted.peer_addr()?, zone()?)?.context("nothing is known of it")?;
        ensure!(original.destination == Endpoint::from(to), "it was going to {to}: {original:?}");
        ensure!(original.pid == std::process::id() && original.rule.is_some() && original.cookie != 0, "{original:?}");
        ensure!(!original.command.is_empty() && original.cgroup != 0, "{original:?}");
        ensure!(steering.open() == 1);
        drop((client, accepted));
        let end = Instant::now() + Duration::from_secs(5);
        while steering.open() > 0 {
            ensure!(Instant::now() < end, "what is known of a connection stays");
            thread::sleep(Duration::from_millis(5));
        }
    }
    ensure!(count(&steering, "", SteerOutcome::Steered)? == 2);
    Ok(())
}

fn mapped() -> anyhow::Result<()> {
    let bed = Bed::new()?;
    let steering = bed.steer()?;
    let SocketAddr::V4(to) = bed.server.local_addr()? else { anyhow::bail!("not IPv4") };
    let client = socket(AddressFamily::Inet6, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    let address = SocketAddrV6::new(to.ip().to_ipv6_mapped(), to.port(), 0, 0);
    connect(client.as_raw_fd(), &SockaddrIn6::from(address))?;
    let (accepted, from) = bed.inline.accept()?;
    let client = TcpStream::from(client);
    ensure!(client.peer_addr()? == SocketAddr::V6(address), "the application sees {}", client.peer_addr()?);
    let original = steering.original(from, zone()?)?.context("nothing is known of it")?;
    ensure!(original.destination == Endpoint::from(SocketAddr::V4(to)), "{original:?}");
    drop(accepted);
    Ok(())
}

fn straight() -> anyhow::Result<()> {
    let bed = Bed::new()?;
    let port = bed.port()?;
    let elsewhere = SteerRule { networks: vec!["192.0.2.0/24".parse().unwrap()], ..SteerRule::default() };
    let group = Group::new()?;
    let others = SteerRule { ports: vec![port], cgroups: vec![cgroup::id(&group.0)?], ..SteerRule::default() };
    let other_port = SteerRule { ports: vec![port ^ 1], ..SteerRule::default() };
    let steering = Steering::start(&bed.options(vec![elsewhere, others, other_port])?)?;
    steering.own(&bed.inline)?;
    ensure!(arrived(bed.server.local_addr()?, &bed.inline)?.is_none(), "it was steered");
    // A pod's loopback is its own business.
    let local = TcpListener::bind(("127.0.0.1", port ^ 1))?;
    ensure!(arrived(local.local_addr()?, &bed.inline)?.is_none(), "what goes to loopback was steered");
    // In the cgroup that a rule names, the same is steered.
    let steered = group.run(|| arrived(bed.server.local_addr()?, &bed.inline))?;
    ensure!(steered.is_some(), "what runs in the cgroup was not steered");
    ensure!(steering.counts()?.values().sum::<u64>() == 1, "{:?}", steering.counts()?);
    Ok(())
}

fn first_rule() -> anyhow::Result<()> {
    let bed = Bed::new()?;
    let ports = vec![bed.port()?];
    let host: IpAddr = bed.server.local_addr()?.ip();
    let named = |network: String| SteerRule { networks: vec![network.parse().unwrap()], ..SteerRule::default() };
    let rules = vec![
        named("192.0.2.0/24".to_owned()),
        SteerRule { name: "second".into(), ports: ports.clone(), ..named("198.18.0.0/15".to_owned()) },
        SteerRule { ports, ..named(host.to_string()) },
    ];
    let steering = Steering::start(&bed.options(rules)?)?;
    steering.own(&bed.inline)?;
    let (_client, accepted) = arrived(bed.server.local_addr()?, &bed.inline)?.context("it went straight")?;
    let original = steering.original(accepted.peer_addr()?, zone()?)?.context("nothing is known of it")?;
    ensure!(original.rule.as_deref() == Some("second"), "{original:?}");
    Ok(())
}

/// Two rules, one for each server: what the first is about fails open, what the second is about closed.
fn open_and_closed(bed: &Bed) -> anyhow::Result<Vec<SteerRule>> {
    let open = SteerRule { name: "open".into(), ports: vec![bed.port()?], ..SteerRule::default() };
    let closed = SteerRule {
        name: "closed".into(),
        ports: vec![bed.server6.local_addr()?.port()],
        closed: true,
        ..SteerRule::default()
    };
    Ok(vec![open, closed])
}

/// The first goes straight, the second is refused, and both are counted.
fn fails(bed: &Bed, steering: &Steering, why: SteerOutcome) -> anyhow::Result<()> {
    let before = (count(steering, "open", why)?, count(steering, "closed", why)?);
    ensure!(arrived(bed.server.local_addr()?, &bed.inline)?.is_none(), "it was steered");
    let refused = TcpStream::connect_timeout(&bed.server6.local_addr()?, Duration::from_secs(5));
    match refused {
        Err(error) => ensure!(error.kind() == ErrorKind::PermissionDenied, "{error}"),
        Ok(_) => anyhow::bail!("it was not refused"),
    }
    let after = (count(steering, "open", why)?, count(steering, "closed", why)?);
    ensure!(after == (before.0 + 1, before.1 + 1), "{why:?}: {before:?} became {after:?}");
    Ok(())
}

/// Connections are made all the while that the rules before and after are about: none of them goes straight, or is not counted.
fn replaced() -> anyhow::Result<()> {
    let bed = Bed::new()?;
    let (port, host) = (bed.port()?, bed.server.local_addr()?.ip());
    let named = |name: &str, ports: Vec<u16>, network: Option<String>| SteerRule {
        name: name.into(),
        ports,
        networks: network.iter().map(|network| network.parse().expect("a network")).collect(),
        ..SteerRule::default()
    };
    let by_port = [named("port", vec![port], None)];
    let elsewhere = named("elsewhere", vec![port ^ 1], Some("192.0.2.0/24".to_owned()));
    let by_network = [elsewhere, named("network", vec![port], Some(host.to_string()))];
    let steering = Steering::start(&bed.options(by_port.to_vec())?)?;
    steering.own(&bed.inline)?;
    let (mut made, stop) = (0, AtomicBool::new(false));
    thread::scope(|scope| -> anyhow::Result<()> {
        let changing = scope.spawn(|| -> anyhow::Result<()> {
            for _ in 0..20 {
                steering.set_rules(&by_network)?;
                steering.set_rules(&by_port)?;
                if stop.load(Relaxed) {
                    break;
                }
            }
            Ok(())
        });
        let mut connecting = || -> anyhow::Result<()> {
            while !changing.is_finished() {
                let (_client, accepted) = arrived(bed.server.local_addr()?, &bed.inline)?
                    .with_context(|| format!("connection {made} went straight"))?;
                ensure!(steering.original(accepted.peer_addr()?, zone()?)?.is_some(), "nothing is known of {made}");
                made += 1;
            }
            Ok(())
        };
        let connected = connecting();
        stop.store(true, Relaxed);
        changing.join().map_err(|_| anyhow!("it panicked"))??;
        connected
    })?;
    let steered =
        count(&steering, "port", SteerOutcome::Steered)? + count(&steering, "network", SteerOutcome::Steered)?;
    ensure!(steered == made, "{made} connections, {steered} counted");
    steering.set_rules(&[])?;
    ensure!(arrived(bed.server.local_addr()?, &bed.inline)?.is_none(), "there is no rule");
    Ok(())
}

fn without_listener() -> anyhow::Result<()> {
    let mut bed = Bed::new()?;
    let steering = Steering::start(&bed.options(open_and_closed(&bed)?)?)?;
    // Somebody listens there, but not we.
    fails(&bed, &steering, SteerOutcome::NoListener)?;
    steering.own(&bed.inline)?;
    steering.own(&bed.inline6)?;
    ensure!(arrived(bed.server.local_addr()?, &bed.inline)?.is_some(), "it was not steered");
    // Both are gone, and others are there in their place that nobody is sent to.
    bed.inline = TcpListener::bind("127.0.0.1:0")?;
    bed.inline6 = TcpListener::bind("[::1]:0")?;
    fails(&bed, &steering, SteerOutcome::NoListener)
}

fn old_heartbeat() -> anyhow::Result<()> {
    const TIMEOUT: Duration = Duration::from_millis(300);
    let bed = Bed::new()?;
    let options = SteerOptions { timeout: Some(TIMEOUT), ..bed.options(open_and_closed(&bed)?)? };
    let steering = Steering::start(&options)?;
    steering.own(&bed.inline)?;
    steering.own(&bed.inline6)?;
    fails(&bed, &steering, SteerOutcome::Stale).context("before the first beat")?;
    steering.beat()?;
    ensure!(arrived(bed.server.local_addr()?, &bed.inline)?.is_some(), "it was not steered");
    thread::sleep(TIMEOUT + Duration::from_millis(20));
    fails(&bed, &steering, SteerOutcome::Stale)?;
    steering.beat()?;
    ensure!(arrived(bed.server.local_addr()?, &bed.inline)?.is_some(), "it does not come back");
    Ok(())
}

fn exempt() -> anyhow::Result<()> {
    const MARK: u32 = 0x7e57;
    let bed = Bed::new()?;
    let group = Group::new()?;
    let rule = SteerRule { ports: vec![bed.port()?], closed: true, ..SteerRule::default() };
    let on_loopback =
        SteerRule { name: "loopback".into(), networks: vec!["127.0.0.0/8".parse().unwrap()], ..SteerRule::default() };
    let options =
        SteerOptions { mark: Some(MARK), exempt: vec![group.0.clone()], ..bed.options(vec![rule, on_loopback])? };
    let steering = Steering::start(&options)?;
    steering.own(&bed.inline)?;
    bed.inline.set_nonblocking(true)?;
    let SocketAddr::V4(to) = bed.server.local_addr()? else { anyhow::bail!("not IPv4") };
    let none_came = || bed.inline.accept().is_err_and(|error| error.kind() == ErrorKind::WouldBlock);

    let own = stream()?;
    steering.own(&own)?;
    open(&own, to)?;
    ensure!(none_came(), "our own socket was steered");
    let marked = stream()?;
    setsockopt(&marked, sockopt::Mark, &MARK)?;
    open(&marked, to)?;
    ensure!(none_came(), "a marked socket was steered");
    let grouped = stream()?;
    group.run(|| open(&grouped, to))?;
    ensure!(none_came(), "what runs in an exempt cgroup was steered");
    ensure!(count(&steering, "", SteerOutcome::Exempt)? == 3, "{:?}", steering.counts()?);
    // Who connects to the inline path itself is not sent there as if on the way to somewhere.
    let (client, _accepted) = arrived(bed.inline.local_addr()?, &bed.inline)?.context("it went elsewhere")?;
    ensure!(steering.original(client.local_addr()?, zone()?)?.is_none(), "it was steered");
    ensure!(count(&steering, "loopback", SteerOutcome::Exempt)? == 1, "{:?}", steering.counts()?);
    let other = stream()?;
    setsockopt(&other, sockopt::Mark, &(MARK + 1))?;
    open(&other, to)?;
    ensure!(!none_came(), "another mark is exempt");
    Ok(())
}

fn stream() -> anyhow::Result<OwnedFd> {
    Ok(socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?)
}

fn open(socket: &OwnedFd, to: SocketAddrV4) -> anyhow::Result<()> {
    Ok(connect(socket.as_raw_fd(), &SockaddrIn::from(to))?)
}

fn in_a_pod() -> anyhow::Result<()> {
    let bed = Bed::new()?;
    // The host's servers are what the pod connects to; its own listener has the same port as ours.
    let server = TcpListener::bind((bed.pod.host[0], 0))?;
    let to = server.local_addr()?;
    let rule = SteerRule { ports: vec![to.port()], ..SteerRule::default() };
    let steering = Steering::start(&bed.options(vec![rule])?)?;
    steering.own(&bed.inline)?;
    let inside = bed.inline.local_addr()?;
    let listener = bed.pod.run(|| Ok(TcpListener::bind(inside)?))?;
    ensure!(bed.pod.run(|| arrived(to, &listener))?.is_none(), "somebody else's listener counts");
    steering.own(&listener)?;
    let (_client, accepted) = bed.pod.run(|| arrived(to, &listener))?.context("it went straight")?;
    let zone = zone_at(&bed.pod.netns())?;
    let original = steering.original(accepted.peer_addr()?, zone)?.context("nothing is known of it")?;
    ensure!(original.destination == Endpoint::from(to), "{original:?}");
    Ok(())
}

/// One inline path fails closed, in its own namespace: others, which have none, are not cut off from the world.
fn elsewhere() -> anyhow::Result<()> {
    let bed = Bed::new()?;
    let server = TcpListener::bind((bed.pod.host[0], 0))?;
    let to = server.local_addr()?;
    let rule = SteerRule { ports: vec![to.port(), bed.port()?], closed: true, ..SteerRule::default() };
    let steering = Steering::start(&SteerOptions { zone: Some(zone()?), ..bed.options(vec![rule])? })?;
    let connect = |to: SocketAddr| TcpStream::connect_timeout(&to, Duration::from_secs(5));
    ensure!(connect(bed.server.local_addr()?).is_err(), "it is not refused here, without a listener");
    bed.pod.run(|| Ok(connect(to)?)).context("refused in another namespace")?;
    steering.own(&bed.inline)?;
    ensure!(arrived(bed.server.local_addr()?, &bed.inline)?.is_some(), "not steered here");
    let all: u64 = steering.counts()?.values().sum();
    ensure!(all == 2, "{:?}", steering.counts()?);
    Ok(())
}

fn after_drop() -> anyhow::Result<()> {
    let bed = Bed::new()?;
    let steering = bed.steer()?;
    let (mut client, mut accepted) = arrived(bed.server.local_addr()?, &bed.inline)?.context("it went straight")?;
    drop(steering);
    ensure!(arrived(bed.server.local_addr()?, &bed.inline)?.is_none(), "it is still steered");
    // What was steered goes on.
    accepted.write_all(b"still here")?;
    drop(accepted);
    let mut heard = String::new();
    client.read_to_string(&mut heard)?;
    ensure!(heard == "still here");
    Ok(())
}

/// The inline path is on the loopback interface.
fn bound() -> anyhow::Result<()> {
    let bed = Bed::new()?;
    let steering = bed.steer()?;
    bed.inline.set_nonblocking(true)?;
    let SocketAddr::V4(to) = bed.server.local_addr()? else { anyhow::bail!("not IPv4") };
    let socket = stream()?;
    setsockopt(&socket, sockopt::BindToDevice, &bed.pod.outside.clone().into())?;
    open(&socket, to)?;
    ensure!(bed.inline.accept().is_err(), "it was steered");
    ensure!(count(&steering, "", SteerOutcome::Bound)? == 1, "{:?}", steering.counts()?);
    Ok(())
}

/// connect(2): an address of the family AF_UNSPEC dissolves the association. No crate has a safe call for it.
const AGAIN: &str = "
import ctypes, socket, struct, sys
host, steered, straight = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
one = socket.socket()
one.connect((host, steered))
assert one.getpeername() == (host, steered), one.getpeername()
assert ctypes.CDLL(None).connect(one.fileno(), struct.pack('H14x', socket.AF_UNSPEC), 16) == 0
one.connect((host, straight))
assert one.getpeername() == (host, straight), one.getpeername()
print(one.getsockname()[1])
";

/// TCP Fast Open (RFC 7413): sendto(2) connects, and takes the first bytes along.
fn fast_open() -> anyhow::Result<()> {
    let bed = Bed::new()?;
    let steering = bed.steer()?;
    let SocketAddr::V4(to) = bed.server.local_addr()? else { bail!("not IPv4") };
    let client = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    let sent = sendto(client.as_raw_fd(), b"first", &SockaddrIn::from(to), MsgFlags::from_bits_retain(MSG_FASTOPEN))?;
    ensure!(sent == 5, "{sent} bytes were sent");
    let mut client = TcpStream::from(client);
    let (mut accepted, from) = bed.inline.accept()?;
    let mut heard = [0; 5];
    accepted.read_exact(&mut heard)?;
    ensure!(&heard == b"first", "{heard:?}");
    let original = steering.original(from, zone()?)?.context("nothing is known of it")?;
    ensure!(original.destination == SocketAddr::from(to).into(), "{original:?}");
    ensure!(client.peer_addr()? == to.into(), "the application sees {}", client.peer_addr()?);
    accepted.write_all(b"reply")?;
    client.read_exact(&mut heard)?;
    ensure!(&heard == b"reply", "{heard:?}");
    Ok(())
}

fn again() -> anyhow::Result<()> {
    let bed = Bed::new()?;
    let steering = bed.steer()?;
    let other = bed.pod.run(|| Ok(TcpListener::bind((bed.pod.peer[0], 0))?))?;
    let ports = [bed.port()?, other.local_addr()?.port()].map(|port| port.to_string());
    let mut python = Command::new("python3");
    let python = python.args(["-c", AGAIN, &bed.pod.peer[0].to_string()]).args(ports).output();
    let Ok(output) = python else { return Err(NotHere("python3 is not installed").into()) };
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (_accepted, from) = other.accept()?;
    ensure!(steering.original(from, zone()?)?.is_none(), "it is known by where it went before");
    Ok(())
}
