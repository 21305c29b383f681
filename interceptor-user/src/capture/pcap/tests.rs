#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{Cursor, Write};

use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;

use super::*;

/// How a test's file writes numbers.
#[derive(Clone, Copy)]
struct Ends {
    big: bool,
}

impl Ends {
    fn u16(self, value: u16) -> [u8; 2] {
        if self.big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn u32(self, value: u32) -> [u8; 4] {
        if self.big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn u64(self, value: u64) -> [u8; 8] {
        if self.big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    /// A pcap file of raw IP packets: seconds, fraction, packet.
    fn pcap(self, nanos: bool, packets: &[(u32, u32, Vec<u8>)]) -> Vec<u8> {
        let magic: u32 = if nanos { 0xa1b2_3c4d } else { 0xa1b2_c3d4 };
        let mut file = [self.u32(magic).as_slice(), &self.u16(2), &self.u16(4), &[0; 8], &self.u32(65_535)].concat();
        file.extend(self.u32(101));
        for (seconds, fraction, packet) in packets {
            let len = self.u32(packet.len() as u32);
            file.extend([self.u32(*seconds), self.u32(*fraction), len, len].concat());
            file.extend(packet);
        }
        file
    }

    /// A pcapng block.
    fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let padded = body.len().next_multiple_of(4);
        let length = self.u32(padded as u32 + 12);
        let mut block = [self.u32(kind), length].concat();
        block.extend(body);
        block.resize(8 + padded, 0);
        block.extend(length);
        block
    }

    fn section(self) -> Vec<u8> {
        let body = [self.u32(0x1a2b_3c4d).as_slice(), &self.u16(1), &self.u16(0), &[0xff; 8]].concat();
        self.block(0x0a0d_0d0a, &body)
    }

    fn interface(self, link: u16, options: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = [self.u16(link).as_slice(), &[0; 2], &self.u32(0)].concat();
        for (code, value) in options {
            body.extend([self.u16(*code), self.u16(value.len() as u16)].concat());
            body.extend(*value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        self.block(1, &body)
    }

    fn packet(self, interface: u32, ticks: u64, packet: &[u8]) -> Vec<u8> {
        let len = self.u32(packet.len() as u32);
        let mut body = [self.u32(interface), self.u32((ticks >> 32) as u32), self.u32(ticks as u32), len, len].concat();
        body.extend(packet);
        self.block(6, &body)
    }
}

const LITTLE: Ends = Ends { big: false };

/// A raw IP packet with this payload.
fn ip(payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend((40 + payload.len() as u16).to_be_bytes());
    packet.extend([0, 0, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    packet.extend([0x9c, 0x40, 0, 80, 0, 0, 0, 5, 0, 0, 0, 9, 0x50, 24, 1, 0, 0, 0, 0, 0]);
    packet.extend(payload);
    packet
}

/// Times and payloads of a file, and what was counted.
fn read(file: Vec<u8>) -> (Vec<(u64, Vec<u8>)>, PcapStats) {
    let mut source = PcapSource::read("test", Cursor::new(file)).unwrap();
    let mut found = Vec::new();
    while source
        .poll(Duration::ZERO, |event| match event {
            Event::Segment(segment) => found.push((segment.time.as_nanos(), segment.payload.to_vec())),
            other => panic!("{other:?}"),
        })
        .unwrap()
        != Polled::End
    {}
    (found, source.stats().clone())
}

fn refusal(file: &[u8]) -> String {
    PcapSource::read("x.pcap", Cursor::new(file.to_vec())).err().expect("it is no capture").to_string()
}

#[test]
fn pcap_in_either_order_and_resolution() {
    for big in [false, true] {
        for (nanos, unit) in [(false, 1000), (true, 1)] {
            let file = Ends { big }.pcap(nanos, &[(1, 2, ip(b"one")), (3, 4, ip(b"two"))]);
            let (found, stats) = read(file);
            assert_eq!(
                found,
                [(1_000_000_000 + 2 * unit, b"one".to_vec()), (3_000_000_000 + 4 * unit, b"two".to_vec())]
            );
            assert_eq!((stats.packets.segments, stats.truncated, stats.damaged), (2, false, None));
        }
    }
}

#[test]
fn pcapng_with_resolutions_sections_and_other_blocks() {
    let mut file = Vec::new();
    for big in [true, false] {
        let ends = Ends { big };
        file.extend(ends.section());
        file.extend(ends.interface(101, &[(2, b"eth0"), (9, &[9])]));
        file.extend(ends.interface(101, &[(9, &[0x80 + 10]), (14, &ends.u64(100))]));
        file.extend(ends.interface(101, &[]));
        file.extend(ends.interface(147, &[]));
        file.extend(ends.block(4, &[0; 16]));
        file.extend(ends.packet(0, 5_000_000_001, &ip(b"ns")));
        file.extend(ends.packet(1, 512, &ip(b"half")));
        file.extend(ends.packet(2, 7, &ip(b"us")));
        file.extend(ends.packet(3, 0, b"user link type"));
        file.extend(ends.packet(9, 0, b"no such interface"));
        let simple = ip(b"simple");
        file.extend(ends.block(3, &[&ends.u32(simple.len() as u32), simple.as_slice()].concat()));
        file.extend(ends.block(0x0bad_cafe, b"of somebody else"));
    }
    let (found, stats) = read(file);
    let one: Vec<(u64, Vec<u8>)> = vec![
        (5_000_000_001, b"ns".to_vec()),
        (100_500_000_000, b"half".to_vec()),
        (7000, b"us".to_vec()),
        (0, b"simple".to_vec()),
    ];
    assert_eq!(found, [one.clone(), one].concat());
    assert_eq!((stats.packets.unknown_link, stats.truncated, stats.damaged), (4, false, None));
}

/// Gives so many bytes at a time.
struct Drip(Cursor<Vec<u8>>, usize);

impl std::io::Read for Drip {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let most = self.1.min(to.len());
        self.0.read(&mut to[..most])
    }
}

#[test]
fn it_does_not_matter_how_much_is_read_at_once() {
    let ends = Ends { big: false };
    let mut file = [ends.section(), ends.interface(101, &[])].concat();
    for number in 0..20 {
        file.extend(ends.packet(0, number, &ip(&[b'x'; 29][..number as usize + 5])));
    }
    let whole = read(file.clone()).0;
    assert_eq!(whole.len(), 20);
    for most in 1..200 {
        let mut source = PcapSource::read("test", Drip(Cursor::new(file.clone()), most)).unwrap();
        let mut found = Vec::new();
        let mut take = |event: Event<'_>| {
            if let Event::Segment(segment) = event {
                found.push((segment.time.as_nanos(), segment.payload.to_vec()));
            }
        };
        while source.poll(Duration::ZERO, &mut take).unwrap() != Polled::End {}
        assert_eq!((&found, source.stats().damaged.is_none()), (&whole, true), "{most} bytes at a time");
    }
}

#[test]
fn gzip_in_several_members() {
    let file = LITTLE.pcap(true, &[(1, 2, ip(b"one")), (3, 4, ip(b"two"))]);
    let mut packed = Vec::new();
    for half in file.chunks(50) {
        let mut encoder = GzEncoder::new(&mut packed, Compression::default());
        encoder.write_all(half).unwrap();
        encoder.finish().unwrap();
    }
    assert_eq!(read(packed.clone()).0, read(file).0);
    packed.truncate(packed.len() - 20);
    assert!(read(packed).1.truncated, "a compressed file that was cut short is read as far as it goes");
}

#[test]
fn zstd_in_several_frames() {
    let file = LITTLE.pcap(true, &[(1, 2, ip(b"one")), (3, 4, ip(&[b'x'; 5000]))]);
    let mut packed = vec![0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
    for half in file.chunks(70) {
        packed.extend(ruzstd::encoding::compress_to_vec(half, ruzstd::encoding::CompressionLevel::Fastest));
    }
    assert_eq!(read(packed).0, read(file).0);
}

#[test]
fn a_truncated_end_is_noted_and_all_before_it_is_read() {
    let whole = LITTLE.pcap(true, &[(1, 2, ip(b"one")), (3, 4, ip(b"two"))]);
    for cut in [1, 20, 43 + 8] {
        let (found, stats) = read(whole[..whole.len() - cut].to_vec());
        assert_eq!(found.len(), 1, "{cut}");
        assert!(stats.truncated);
    }
    let (found, stats) = read(whole[..24].to_vec());
    assert!(found.is_empty() && !stats.truncated, "an empty capture is whole");
    assert!(read(whole[..10].to_vec()).1.truncated);
}

#[test]
fn damage_is_told_with_its_place() {
    let mut file = LITTLE.pcap(true, &[(1, 2, ip(b"one"))]);
    file.extend([0xff; 16]);
    let (found, stats) = read(file);
    assert_eq!(found.len(), 1);
    assert_eq!(stats.damaged.unwrap().0, 24 + 16 + 43);
    let (_, stats) = read([LITTLE.section(), LITTLE.u32(6).to_vec(), LITTLE.u32(5).to_vec(), vec![0; 9]].concat());
    assert_eq!(stats.damaged.unwrap(), (28, "a block shorter than its header".into()));
}

#[test]
fn what_is_no_capture_is_refused_with_its_first_bytes() {
    assert_eq!(refusal(b""), "x.pcap is no capture file: it is empty");
    assert_eq!(refusal(b"GET / HTTP"), "x.pcap is no capture file: it is text; it begins with 47 45 54 20");
    assert!(refusal(b"BZh91AY\0").contains("bzip2"));
    assert!(refusal(&[0xff; 9]).contains("it begins with ff ff ff ff"));
    let missing = PcapSource::open("/nonexistent/x.pcap", &Arc::default()).err().unwrap();
    assert_eq!(missing.to_string(), "cannot open the capture file /nonexistent/x.pcap");
    assert!(PcapSource::open("/", &Arc::default()).err().unwrap().to_string().contains("is a directory"));
}

proptest! {
    #[test]
    fn any_bytes_end(kind in 0..4, bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let start = match kind {
            0 => LITTLE.pcap(false, &[]),
            1 => [LITTLE.section(), LITTLE.interface(1, &[])].concat(),
            2 => vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3],
            _ => vec![0x28, 0xb5, 0x2f, 0xfd],
        };
        if let Ok(mut source) = PcapSource::read("x", Cursor::new([start, bytes].concat())) {
            while source.poll(Duration::ZERO, |_| ()).unwrap() != Polled::End {}
        }
    }

    #[test]
    fn damage_anywhere_ends(at in 0_usize..300, value in any::<u8>()) {
        let mut file = [LITTLE.section(), LITTLE.interface(101, &[(9, &[9])]), LITTLE.packet(0, 1, &ip(b"one"))].concat();
        file.extend(LITTLE.packet(0, 2, &ip(b"two")));
        let at = at % file.len();
        file[at] = value;
        if let Ok(mut source) = PcapSource::read("x", Cursor::new(file)) {
            while source.poll(Duration::ZERO, |_| ()).unwrap() != Polled::End {}
            prop_assert!(source.input.window().len() < 1 << 20);
        }
    }
}
