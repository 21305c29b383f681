use std::{
    io::Write as _,
    process::Command,
    sync::{Arc, atomic::AtomicBool},
};

use super::*;
use crate::{
    capture::{
        memory::{Conversation, MemorySource, OwnedEvent, OwnedSegment},
        packet::PacketStats,
        pcap::PcapSource,
    },
    model::{Container, Exchange, LossReason, LossReport, Owner, Process, SocketChange, SocketReport},
    pipeline::{self, Pipeline},
};

/// A file of these events, of which it is known who is behind both ends.
fn written(events: impl IntoIterator<Item = OwnedEvent>) -> Vec<u8> {
    let mut file = Vec::new();
    let interfaces = HashMap::from([((7, 3), "eth0".to_owned())]);
    let sink = PcapngSink::new(&mut file, Options { os: "Linux 6.18".to_owned(), interfaces });
    let mut pipeline = Pipeline::new(pipeline::Options::default(), sink).with_identify(Box::new(|flow| {
        flow.client.process = Some(Process { pid: 321, command: "curl".into() });
        let container = Container { id: "0123456789ab".into(), namespace: None, pod: None };
        flow.server.container = flow.server.cgroup.map(|_| Arc::new(container));
    }));
    pipeline.run(&mut MemorySource::new(events), &AtomicBool::new(false)).expect("nothing can fail");
    pipeline.finish().expect("nothing can fail");
    drop(pipeline);
    file
}

fn saved(file: &[u8]) -> tempfile::NamedTempFile {
    let mut saved = tempfile::NamedTempFile::new().expect("a file");
    saved.write_all(file).expect("written");
    saved
}

#[derive(Default)]
struct Exchanges(Vec<Exchange>);

impl Sink for Exchanges {
    fn record(&mut self, record: &Record) -> anyhow::Result<()> {
        if let Record::Exchange(exchange) = record {
            self.0.push((**exchange).clone());
        }
        Ok(())
    }
}

fn exchanges(source: &mut impl crate::capture::Source) -> Vec<Exchange> {
    let mut options = pipeline::Options::default();
    options.session.body = 1 << 20;
    let mut pipeline = Pipeline::new(options, Exchanges::default());
    pipeline.run(source, &AtomicBool::new(false)).expect("nothing can fail");
    pipeline.finish().expect("nothing can fail");
    std::mem::take(&mut pipeline.sink_mut().0)
}

fn read_back(file: &[u8]) -> (Vec<Exchange>, PacketStats) {
    let saved = saved(file);
    let mut source = PcapSource::open(saved.path(), &Arc::default()).expect("a capture file");
    (exchanges(&mut source), source.stats().packets)
}

/// Two connections with what is hard: IPv6, a segment over 64 KiB, one that was cut, an odd length.
fn segments() -> Vec<OwnedSegment> {
    let get = "GET /large HTTP/1.1\r\nHost: h\r\n\r\n";
    let large = format!("HTTP/1.1 200 OK\r\nContent-Length: 150001\r\n\r\n{}", "x".repeat(150_001));
    let four = Conversation::http().mss(1 << 20).open().client(get).server(&large).close().segments();
    let six =
        Conversation::new(([0xfd00, 0, 0, 0, 0, 0, 0, 1], 40_001).into(), ([0xfd00, 0, 0, 0, 0, 0, 0, 2], 81).into());
    let mut six = six.open().client(get).server("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nnot all").segments();
    let last = six.last_mut().expect("a segment");
    last.payload.truncate(40);
    last.cut = Some(LossReason::PayloadLimit);
    [four, six].concat()
}

fn in_zone(mut segments: Vec<OwnedSegment>) -> Vec<OwnedSegment> {
    for segment in &mut segments {
        (segment.zone, segment.interface) = (7, 3);
    }
    segments
}

#[test]
fn what_is_read_back_gives_the_same_exchanges() {
    let segments = segments();
    let (found, packets) = read_back(&written(segments.iter().cloned().map(OwnedEvent::from)));
    let expected = exchanges(&mut MemorySource::new(segments.clone()));
    assert_eq!(expected.len(), 2);
    assert_eq!(found, expected);
    // 150 KB are three packets.
    assert_eq!(packets, PacketStats { segments: segments.len() as u64 + 2, ..PacketStats::default() });
}

/// The kernel names the server's cgroup late, loses some bytes, and some more at the end.
fn told_late() -> Vec<OwnedEvent> {
    let mut segments = in_zone(segments());
    segments[3].socket = Some((Owner::Source, 5, 4242));
    segments[4].socket = Some((Owner::Source, 6, 99));
    let loss = |segment: &OwnedSegment, bytes| {
        OwnedEvent::Loss(LossReport {
            zone: segment.zone,
            source: segment.source,
            destination: segment.destination,
            bytes,
            reason: LossReason::RingFull,
        })
    };
    let report = SocketReport { cgroup: Some(4242), ..segments[0].report(SocketChange::OpenedActive) };
    let mut events: Vec<OwnedEvent> = segments.iter().cloned().map(OwnedEvent::from).collect();
    let end = events.len();
    events.insert(end, loss(&segments[end - 1], 7));
    events.insert(5, loss(&segments[4], 1000));
    events.insert(1, OwnedEvent::Socket(report));
    events
}

#[test]
fn comments_say_who_is_behind_a_flow_once_it_is_known_and_what_is_missing() {
    let file = written(told_late());
    let text = String::from_utf8_lossy(&file);
    let once = |needle: &str| assert_eq!(text.matches(needle).count(), 1, "{needle}");
    once("flow 1; client: curl[321]\0");
    once("flow 1; client: curl[321] cgroup 4242\0");
    once("server: cgroup 99 container 0123456789ab");
    once("not captured before: 1000 bytes from 192.0.2.2:80, ring_full");
    once("not captured before: 7 bytes from [fd00::2]:81, ring_full");
    once("eth0");
    once("Linux 6.18");
}

#[test]
fn wireshark_reads_it_and_finds_nothing_wrong() {
    let Ok(version) = Command::new("tshark").arg("--version").output() else {
        eprintln!("SKIPPED: tshark is not installed (apt-get install tshark)");
        return;
    };
    assert!(version.status.success());
    let file = saved(&written(told_late()));
    let fields = ["frame.interface_name", "frame.time_epoch", "frame.len", "frame.cap_len", "tcp.len", "tcp.seq_raw"];
    let checks = ["tcp.checksum.status", "ip.checksum.status", "_ws.malformed", "frame.comment"];
    let mut command = Command::new("tshark");
    command.args(["-n", "-r"]).arg(file.path()).args(["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"]);
    command.args(["-T", "fields", "-E", "separator=|"]);
    for field in fields.iter().chain(&checks) {
        command.args(["-e", field]);
    }
    let output = command.output().expect("tshark runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    insta::assert_snapshot!(String::from_utf8_lossy(&output.stdout));
}
