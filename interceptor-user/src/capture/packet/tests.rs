#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

const TIME: Timestamp = Timestamp::from_nanos(7);

/// A TCP header from port 40000 to 80 with `options` bytes of options, then `payload`.
fn tcp(options: usize, payload: &[u8]) -> Vec<u8> {
    let mut tcp = vec![0x9c, 0x40, 0, 80, 0, 0, 0, 5, 0, 0, 0, 9, 0, 24, 1, 0, 0, 0, 0, 0];
    tcp[12] = ((20 + options) / 4) as u8 * 16;
    tcp.extend(vec![1; options]);
    tcp.extend(payload);
    tcp
}

fn v4(options: usize, body: &[u8]) -> Vec<u8> {
    let total = (20 + options + body.len()) as u16;
    let mut ip = vec![0x45 + (options / 4) as u8, 0];
    ip.extend(total.to_be_bytes());
    ip.extend([0, 0, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    ip.extend(vec![1; options]);
    ip.extend(body);
    ip
}

fn v6(next: u8, body: &[u8]) -> Vec<u8> {
    let mut ip = vec![0x60, 0, 0, 0];
    ip.extend((body.len() as u16).to_be_bytes());
    ip.extend([next, 64]);
    let address = |last: u8| [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
    ip.extend(address(1));
    ip.extend(address(2));
    ip.extend(body);
    ip
}

fn ether(tags: &[u16], ether_type: u16, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![2; 12];
    for tag in tags {
        frame.extend(tag.to_be_bytes());
        frame.extend([0, 5]);
    }
    frame.extend(ether_type.to_be_bytes());
    frame.extend(body);
    frame
}

/// Payload and length on the wire.
fn payload(link: Link, packet: &[u8]) -> Option<(Vec<u8>, u32)> {
    let mut stats = PacketStats::default();
    let segment = segment(link, packet, packet.len() as u32, TIME, &mut stats)?;
    assert_eq!((segment.source.port(), segment.destination.port()), (40_000, 80));
    assert_eq!((segment.seq, segment.ack, segment.flags, segment.window), (5, 9, TcpFlags(24), 256));
    Some((segment.payload.to_vec(), segment.wire_len))
}

#[test]
fn every_link_layer_is_read() {
    let ip = v4(0, &tcp(12, b"hello"));
    let six = v6(6, &tcp(12, b"hello"));
    let prefixed = |prefix: &[u8], ip: &[u8]| [prefix, ip].concat();
    let mut cooked = vec![0; 14];
    cooked.extend([8, 0]);
    let mut cooked2 = vec![0x86, 0xdd];
    cooked2.extend([0; 18]);
    for (link, packet) in [
        (Link::Ip, ip.clone()),
        (Link::Ip, six.clone()),
        (Link::Ethernet, ether(&[], 0x800, &ip)),
        (Link::Ethernet, ether(&[], 0x86dd, &six)),
        (Link::Ethernet, ether(&[0x8100], 0x800, &ip)),
        (Link::Ethernet, ether(&[0x88a8, 0x8100], 0x86dd, &six)),
        (Link::Cooked, prefixed(&cooked, &ip)),
        (Link::Cooked2, prefixed(&cooked2, &six)),
        (Link::Loopback, prefixed(&[2, 0, 0, 0], &ip)),
        (Link::Loopback, prefixed(&[0, 0, 0, 30], &six)),
    ] {
        assert_eq!(payload(link, &packet), Some((b"hello".to_vec(), 5)), "{link:?}");
    }
}

#[test]
fn addresses_and_interface_come_through() {
    let mut cooked2 = vec![8, 0, 0, 0, 0, 0, 0, 42];
    cooked2.extend([0; 12]);
    cooked2.extend(v4(0, &tcp(0, b"")));
    let found = segment(Link::Cooked2, &cooked2, 0, TIME, &mut PacketStats::default()).unwrap();
    assert_eq!(found.source.to_string(), "192.0.2.1:40000");
    assert_eq!((found.interface, found.time), (42, TIME));
    let six = v6(6, &tcp(0, b""));
    let found = segment(Link::Ip, &six, 0, TIME, &mut PacketStats::default()).unwrap();
    assert_eq!(found.destination.to_string(), "[2001:db8::2]:80");
}

#[test]
fn options_and_extension_headers_are_passed_over() {
    assert_eq!(payload(Link::Ip, &v4(40, &tcp(40, b"x"))), Some((b"x".to_vec(), 1)));
    let chain = [[60, 0, 1, 4, 0, 0, 0, 0], [43, 0, 1, 4, 0, 0, 0, 0], [6, 0, 1, 4, 0, 0, 0, 0]].concat();
    assert_eq!(payload(Link::Ip, &v6(0, &[chain, tcp(0, b"x")].concat())), Some((b"x".to_vec(), 1)));
    let atomic = [6, 0, 0, 0, 1, 2, 3, 4];
    assert_eq!(payload(Link::Ip, &v6(44, &[&atomic, tcp(0, b"x").as_slice()].concat())), Some((b"x".to_vec(), 1)));
    let authentication = [6, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(
        payload(Link::Ip, &v6(51, &[&authentication, tcp(0, b"x").as_slice()].concat())),
        Some((b"x".to_vec(), 1))
    );
}

#[test]
fn padding_is_no_payload() {
    let mut frame = ether(&[], 0x800, &v4(0, &tcp(0, b"x")));
    frame.resize(60, 0);
    assert_eq!(payload(Link::Ethernet, &frame), Some((b"x".to_vec(), 1)));
}

#[test]
fn snap_length_leaves_the_length_on_the_wire() {
    let packet = v4(0, &tcp(0, b"0123456789"));
    let found = segment(Link::Ip, &packet[..44], 50, TIME, &mut PacketStats::default()).unwrap();
    assert_eq!((found.payload, found.wire_len, found.cut), (b"0123".as_slice(), 10, Some(LossReason::PayloadLimit)));
    // The headers only.
    let found = segment(Link::Ip, &packet[..40], 50, TIME, &mut PacketStats::default()).unwrap();
    assert_eq!((found.payload, found.wire_len), (b"".as_slice(), 10));
}

#[test]
fn lengths_that_the_header_cannot_say_come_from_the_record() {
    let mut offloaded = v4(0, &tcp(0, &[b'x'; 300]));
    offloaded[2..4].fill(0);
    assert_eq!(payload(Link::Ip, &offloaded).unwrap().1, 300);
    let mut big = v6(6, &tcp(0, &[b'x'; 300]));
    big[4..6].fill(0);
    assert_eq!(payload(Link::Ip, &big).unwrap().1, 300);
    // A jumbogram says it in an option: here 70,000 bytes of which few were captured.
    let option = [&[6, 0, 0xc2, 4], 70_028_u32.to_be_bytes().as_slice()].concat();
    let mut jumbo = v6(0, &[option, tcp(0, b"x")].concat());
    jumbo[4..6].fill(0);
    let found = segment(Link::Ip, &jumbo, 0, TIME, &mut PacketStats::default()).unwrap();
    assert_eq!((found.payload, found.wire_len), (b"x".as_slice(), 70_000));
}

#[test]
fn what_is_no_segment_is_counted_by_reason() {
    let mut stats = PacketStats::default();
    let whole = v4(0, &tcp(0, b"x"));
    let mut count = |link, packet: &[u8]| assert!(segment(link, packet, 100, TIME, &mut stats).is_none());
    count(Link::Ethernet, &ether(&[], 0x806, &[0; 28]));
    count(Link::Ip, &[0x15; 40]);
    let mut udp = whole.clone();
    udp[9] = 17;
    count(Link::Ip, &udp);
    let mut fragment = whole.clone();
    fragment[6] = 0x20;
    count(Link::Ip, &fragment);
    count(Link::Ip, &v6(44, &[&[6, 0, 0, 1, 1, 2, 3, 4], tcp(0, b"x").as_slice()].concat()));
    count(Link::Ip, &whole[..30]);
    count(Link::Ip, b"");
    let mut short = whole.clone();
    short[32] = 0x10;
    count(Link::Ip, &short);
    let mut beyond = whole;
    beyond[32] = 0xf0;
    count(Link::Ip, &beyond);
    let expected =
        PacketStats { not_ip: 2, not_tcp: 1, fragments: 2, headers_cut: 2, malformed: 2, ..PacketStats::default() };
    assert_eq!(stats, expected);
}

proptest! {
    #[test]
    fn any_bytes_are_a_segment_or_counted(
        link in prop::sample::select(vec![Link::Ethernet, Link::Ip, Link::Cooked, Link::Cooked2, Link::Loopback]),
        mut packet in prop::collection::vec(any::<u8>(), 0..200),
        start in prop::sample::select(vec![0x45_u8, 0x4f, 0x60, 0]),
        wire_len in any::<u32>(),
    ) {
        if let Some(first) = packet.first_mut() {
            *first = start;
        }
        let mut stats = PacketStats::default();
        let found = segment(link, &packet, wire_len, TIME, &mut stats);
        if let Some(found) = &found {
            prop_assert!(found.payload.len() <= found.wire_len as usize);
        }
        let PacketStats { segments, not_ip, not_tcp, fragments, headers_cut, malformed, unknown_link } = stats;
        prop_assert_eq!(segments, u64::from(found.is_some()));
        prop_assert_eq!(segments + not_ip + not_tcp + fragments + headers_cut + malformed + unknown_link, 1);
    }
}
