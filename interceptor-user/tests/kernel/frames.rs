//! Packets that no application here would send: VLAN tags, IP options, extension headers, fragments, nonsense.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    net::IpAddr,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use interceptor::{
    kernel::{Capture, CaptureOptions, Filters},
    model::Endpoint,
};
use interceptor_common::DropReason;
use nix::libc;

use crate::{Test, bed::Pod, collect::Collected};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        ("every_kind_of_frame_out_of_an_ethernet_link", out_of_ethernet),
        ("every_kind_of_frame_into_an_ethernet_link", into_ethernet),
        ("packets_of_a_link_without_ethernet_header", raw_link),
    ]
}

/// No test listens here.
const PORT: u16 = 4711;
const PAYLOAD: &[u8] = b"GET / HTTP/1.1\r\n\r\n";

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Captured,
    Dropped(DropReason),
    Ignored,
}

/// A TCP segment with `words` words of options; `offset` lies about the length of its header.
fn tcp(words: u8, offset: Option<u8>) -> Vec<u8> {
    let mut segment = Vec::new();
    segment.extend(40_000_u16.to_be_bytes());
    segment.extend(PORT.to_be_bytes());
    segment.extend(1000_u32.to_be_bytes());
    segment.extend(2000_u32.to_be_bytes());
    // ACK and PSH; window, checksum and urgent pointer do not matter here.
    segment.extend([offset.unwrap_or(5 + words) << 4, 0x18, 1, 0, 0, 0, 0, 0]);
    segment.extend(vec![1; 4 * usize::from(words)]);
    segment.extend(PAYLOAD);
    segment
}

fn ipv4(words: u8, fragment: u16, excess: u16, protocol: u8, segment: &[u8]) -> Vec<u8> {
    let total = 20 + 4 * u16::from(words) + segment.len() as u16 + excess;
    let mut packet = vec![0x45 + words, 0];
    packet.extend(total.to_be_bytes());
    packet.extend([0, 1]);
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    packet.extend(vec![1; 4 * usize::from(words)]);
    packet.extend(segment);
    packet
}

/// `extensions` come first: the type of each, and its bytes behind the "next header" field.
fn ipv6(extensions: &[(u8, &[u8])], segment: &[u8]) -> Vec<u8> {
    let mut chain = Vec::new();
    for (at, (_, body)) in extensions.iter().enumerate() {
        chain.push(extensions.get(at + 1).map_or(6, |(kind, _)| *kind));
        chain.extend(*body);
    }
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(((chain.len() + segment.len()) as u16).to_be_bytes());
    packet.extend([extensions.first().map_or(6, |(kind, _)| *kind), 64]);
    for last in [1, 2] {
        packet.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    packet.extend(chain);
    packet.extend(segment);
    packet
}

/// IP packets by name, with what should become of them.
fn packets() -> Vec<(&'static str, Vec<u8>, Fate)> {
    use Fate::{Captured, Dropped, Ignored};
    let plain = tcp(0, None);
    let fragment = Dropped(DropReason::Fragment);
    let unparseable = Dropped(DropReason::Unparseable);
    let padding: &[u8] = &[0, 1, 4, 0, 0, 0, 0];
    let authentication: &[u8] = &[4, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1];
    vec![
        ("IPv4", ipv4(0, 0, 0, 6, &plain), Captured),
        ("IPv4, Don't Fragment", ipv4(0, 0x4000, 0, 6, &plain), Captured),
        ("IPv4 with options", ipv4(10, 0, 0, 6, &plain), Captured),
        ("TCP with options", ipv4(0, 0, 0, 6, &tcp(10, None)), Captured),
        ("IPv4, first fragment", ipv4(0, 0x2000, 0, 6, &plain), fragment),
        ("IPv4, later fragment", ipv4(0, 0x00b9, 0, 6, &plain), fragment),
        ("IPv4, longer than the frame", ipv4(0, 0, 100, 6, &plain), unparseable),
        ("TCP header shorter than can be", ipv4(0, 0, 0, 6, &tcp(0, Some(4))), unparseable),
        ("TCP header longer than the packet", ipv4(0, 0, 0, 6, &tcp(0, Some(15))), unparseable),
        ("IPv4, cut within TCP", ipv4(0, 0, 0, 6, &plain[..10]), unparseable),
        ("UDP", ipv4(0, 0, 0, 17, &plain), Ignored),
        ("IPv6", ipv6(&[], &plain), Captured),
        ("IPv6 with hop-by-hop and destination options", ipv6(&[(0, padding), (60, padding)], &plain), Captured),
        ("IPv6 with routing and authentication", ipv6(&[(43, padding), (51, authentication)], &plain), Captured),
        ("IPv6, atomic fragment", ipv6(&[(44, &[0, 0, 0, 0, 0, 0, 7])], &plain), Captured),
        ("IPv6, first fragment", ipv6(&[(44, &[0, 0, 1, 0, 0, 0, 7])], &plain), fragment),
        ("IPv6, later fragment", ipv6(&[(44, &[0, 1, 0, 0, 0, 0, 7])], &plain), fragment),
        ("IPv6 without payload", ipv6(&[(59, padding)], &plain), Ignored),
    ]
}

/// With an Ethernet header, and these VLAN tags.
fn ethernet(tags: &[u16], packet: &[u8]) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 1]);
    for tag in tags {
        frame.extend(tag.to_be_bytes());
        frame.extend([0, 7]);
    }
    frame.extend(if packet[0] >> 4 == 4 { 0x0800_u16 } else { 0x86dd }.to_be_bytes());
    frame.extend(packet);
    frame
}

/// Sends a frame as it is.
fn send(interface: &str, frame: &[u8]) -> anyhow::Result<()> {
    let index = nix::net::if_::if_nametoindex(interface)?.cast_signed();
    let protocol = u16::from_ne_bytes([frame[12], frame[13]]);
    // SAFETY: no pointers; the descriptor is owned from here on.
    #[expect(unsafe_code, reason = "nix cannot make packet socket addresses")]
    let socket = unsafe {
        let socket = libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0);
        ensure!(socket >= 0, io::Error::last_os_error());
        OwnedFd::from_raw_fd(socket)
    };
    // SAFETY: all zero is a value of this plain struct; the pointers are to live memory of the lengths given.
    #[expect(unsafe_code, reason = "as above")]
    let sent = unsafe {
        let mut address: libc::sockaddr_ll = std::mem::zeroed();
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = protocol;
        address.sll_ifindex = index;
        let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        libc::sendto(socket.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0, (&raw const address).cast(), length)
    };
    ensure!(sent.cast_unsigned() == frame.len(), io::Error::last_os_error());
    Ok(())
}

/// Sends each packet in turn and looks at what became of it.
fn check(interface: &str, send: impl Fn(&[u8]) -> anyhow::Result<()>, tags: &str) -> anyhow::Result<()> {
    let options = CaptureOptions {
        interfaces: vec![interface.to_owned()],
        filters: Filters { ports: vec![PORT], ..Filters::default() },
        ..CaptureOptions::default()
    };
    let mut capture = Capture::start(&options)?;
    let mut source = capture.source()?;
    let reasons = [DropReason::Fragment, DropReason::Unparseable];
    for (name, packet, fate) in packets() {
        let name = format!("{name}{tags}");
        let count = || anyhow::Ok(capture.drops()?).map(|drops| reasons.map(|reason| drops.total(reason).packets));
        let before = count()?;
        send(&packet).with_context(|| name.clone())?;
        let mut collected = Collected::default();
        if fate == Fate::Captured {
            collected.until(&mut source, |seen| !seen.segments.is_empty()).with_context(|| name.clone())?;
        } else {
            collected.for_a_while(&mut source, Duration::from_millis(60))?;
        }
        let expected = reasons.map(|reason| u64::from(fate == Fate::Dropped(reason)));
        let after = count()?;
        let counted = [after[0] - before[0], after[1] - before[1]];
        ensure!(counted == expected, "{name}: {counted:?} fragments and unparseable packets counted, not {expected:?}");
        if fate != Fate::Captured {
            ensure!(collected.segments.is_empty(), "{name} was captured");
            continue;
        }
        let (from, to): (IpAddr, IpAddr) = if packet[0] >> 4 == 4 {
            ([192, 0, 2, 1].into(), [192, 0, 2, 2].into())
        } else {
            ("2001:db8::1".parse()?, "2001:db8::2".parse()?)
        };
        let key = (Endpoint::new(from, 40_000), Endpoint::new(to, PORT));
        let kept = collected.segments.get(&key).with_context(|| format!("{name}: other addresses"))?;
        ensure!(kept.len() == 1 && kept[0].payload == PAYLOAD, "{name}: {kept:?}");
        ensure!((kept[0].seq, kept[0].flags.0) == (1000, 0x18), "{name}: {kept:?}");
    }
    Ok(())
}

const TAGS: [(&str, &[u16]); 3] =
    [("", &[]), (", in a VLAN", &[0x8100]), (", in a VLAN within a provider's", &[0x88a8, 0x8100])];

fn out_of_ethernet() -> anyhow::Result<()> {
    let pod = Pod::new()?;
    for (name, tags) in TAGS {
        check(&pod.outside, |packet| send(&pod.outside, &ethernet(tags, packet)), name)?;
    }
    // Short frames are filled up: the trailer is no payload.
    let trailer = |packet: &[u8]| send(&pod.outside, &[ethernet(&[], packet), vec![0xee; 9]].concat());
    let options = CaptureOptions { interfaces: vec![pod.outside.clone()], ..CaptureOptions::default() };
    let mut capture = Capture::start(&options)?;
    let mut source = capture.source()?;
    trailer(&packets()[0].1)?;
    let mut collected = Collected::default();
    collected.until(&mut source, |seen| !seen.segments.is_empty())?;
    ensure!(collected.segments.values().flatten().all(|kept| kept.payload == PAYLOAD), "{:?}", collected.segments);
    Ok(())
}

fn into_ethernet() -> anyhow::Result<()> {
    let pod = Pod::new()?;
    for (name, tags) in TAGS {
        let inside = |packet: &[u8]| pod.run(|| send(&pod.inside, &ethernet(tags, packet)));
        check(&pod.outside, inside, name)?;
    }
    Ok(())
}

/// A tun interface: what is written to it comes in, beginning with the IP header.
pub(crate) fn tun(name: &str) -> anyhow::Result<File> {
    let file = OpenOptions::new().read(true).write(true).open("/dev/net/tun").context("no /dev/net/tun")?;
    // SAFETY: all zero is a value of this plain struct, which the request reads; the name fits and ends in NUL.
    #[expect(unsafe_code, reason = "no crate wraps this ioctl")]
    let result = unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes().take(libc::IFNAMSIZ - 1)) {
            *to = from.cast_signed();
        }
        request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as i16;
        libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request)
    };
    ensure!(result == 0, "cannot make a tun interface: {}", io::Error::last_os_error());
    let up = Command::new("ip").args(["link", "set", name, "up"]).status()?;
    ensure!(up.success(), "cannot bring {name} up");
    Ok(file)
}

fn raw_link() -> anyhow::Result<()> {
    let name = format!("ikt{}", std::process::id());
    let file = tun(&name)?;
    check(&name, |packet| Ok((&file).write_all(packet)?), ", on a tun interface")
}
