//! What a pipeline tells of itself.

mod carried;
mod delays;
mod reload;

use super::*;
use crate::{
    capture::memory::{Conversation, MemorySource, OwnedEvent, OwnedSegment},
    model::{Container, Owner, SocketChange, SocketReport},
};

/// Forgets the records.
struct Nowhere;

impl Sink for Nowhere {
    fn record(&mut self, _: &Record) -> anyhow::Result<()> {
        Ok(())
    }
}

fn run(options: Options, segments: Vec<OwnedSegment>) -> Pipeline<Nowhere> {
    let mut pipeline = Pipeline::new(options, Nowhere);
    pipeline.run(&mut MemorySource::new(segments), &AtomicBool::new(false)).expect("nothing can fail");
    pipeline.finish().expect("nothing can fail");
    pipeline
}

#[test]
fn what_is_in_no_ledger_is_published() {
    let connection = |port: u16| Conversation::new(([192, 0, 2, 1], port).into(), ([192, 0, 2, 2], 80).into());
    let mut segments = connection(40_000).ack(crate::model::Side::Client).segments();
    segments.extend(connection(40_001).open().client("ask").segments());
    let mut wild = connection(40_002).open().client("ask").segments();
    wild[3].seq = wild[3].seq.wrapping_add(0x7000_0000);
    segments.extend(wild);
    let mut options = Options::default();
    options.flow.flows = 1;
    let pipeline = run(options, segments);
    let counts = pipeline.counts();
    assert_eq!(counts.strangers.load(Relaxed), 1, "an ACK of no flow");
    assert_eq!(counts.evicted.load(Relaxed), 1);
    assert_eq!((counts.out_of_window.load(Relaxed), counts.out_of_window_bytes.load(Relaxed)), (1, 3));
    assert_eq!(counts.beyond_end_bytes.load(Relaxed), 0);
    let forged = Conversation::http().isns(1_000, 0x3000_0000).open().client("ask").segments().pop().expect("asks");
    let mut honest = Conversation::http().open().client("ask").segments();
    honest.insert(3, forged);
    let pipeline = run(Options::default(), honest);
    assert!(pipeline.counts().set_aside().segments.contains(&("ack_ignored", 1)));
}

/// Keeps what exchanges came to.
#[derive(Default)]
struct Exchanges(Vec<crate::model::Exchange>);

impl Sink for Exchanges {
    fn record(&mut self, record: &Record) -> anyhow::Result<()> {
        if let Record::Exchange(exchange) = record {
            self.0.push((**exchange).clone());
        }
        Ok(())
    }
}

fn exchanges(events: impl IntoIterator<Item = OwnedEvent>) -> Vec<crate::model::Exchange> {
    let mut pipeline = Pipeline::new(Options::default(), Exchanges::default());
    pipeline.run(&mut MemorySource::new(events), &AtomicBool::new(false)).expect("nothing can fail");
    pipeline.finish().expect("nothing can fail");
    std::mem::take(&mut pipeline.sink_mut().0)
}

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

#[test]
fn a_flow_whose_beginning_was_lost_is_decoded_from_its_next_request_on() {
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let segments = Conversation::http().open().client(GET).server("rest of a body").client(GET).server(ok).segments();
    // The ring was full from the handshake to the middle of the first response; the socket's report got through.
    let mut events = vec![OwnedEvent::Socket(segments[0].report(SocketChange::OpenedActive))];
    events.extend(segments[4..].iter().cloned().map(OwnedEvent::from));
    let exchanges = exchanges(events);
    assert_eq!(exchanges.len(), 1);
    assert!(exchanges[0].complete(), "{:?}", exchanges[0]);
    assert!(!exchanges[0].flow.joined, "a socket reported the handshake");
}

#[test]
fn content_whose_tail_and_fin_were_lost_is_not_complete() {
    let answer = "HTTP/1.0 200 OK\r\n\r\nthe first part";
    let segments = Conversation::http().open().client(GET).server(answer).segments();
    let sent = answer.len() as u64;
    for (lost, missing) in [(5, 5), (0, 0)] {
        let mut events: Vec<OwnedEvent> = segments.iter().cloned().map(OwnedEvent::from).collect();
        events.push(OwnedEvent::Socket(segments[0].closed(GET.len() as u64, sent + lost)));
        let exchanges = exchanges(events);
        assert_eq!(exchanges.len(), 1);
        let response = exchanges[0].response.as_ref().expect("was seen");
        assert_eq!((response.body_size, response.body_missing, response.ended), (14, missing, false));
        assert!(!exchanges[0].complete());
    }
}

/// What comes in so many flows, one after the other.
fn flows(count: u16, client: &str, server: Option<&str>) -> Vec<OwnedSegment> {
    let flow = |port| {
        let flow = Conversation::new(([192, 0, 2, 1], port).into(), ([192, 0, 2, 2], 8080).into()).open();
        let flow = flow.client(client);
        server.map_or(flow.clone(), |server| flow.server(server)).segments()
    };
    (1..=count).flat_map(flow).collect()
}

#[test]
fn all_flows_of_all_pipelines_together_keep_no_more_than_the_total_and_one_message() {
    let padding = "p".repeat(1000);
    let head = format!("GET / HTTP/1.1\r\nHost: h\r\nPadding: {padding}\r\n\r\n");
    let answer = format!("HTTP/1.1 200 OK\r\nPadding: {padding}\r\nContent-Length: 9\r\n\r\n");
    let total = 64 * 1024;
    for (client, server) in [
        (head.as_str(), None),
        (&head[..900], None),
        (&head, Some(answer.as_str())),
        (&head, Some(&answer[..900])),
        ("GET", None),
    ] {
        let memory = Arc::new(Budget::new(total));
        let options = Options { memory: Arc::clone(&memory), ..Options::default() };
        let mut pipelines = [(); 2].map(|()| Pipeline::new(options.clone(), Exchanges::default()));
        let stop = AtomicBool::new(false);
        let mut given_up = 0;
        for segments in flows(1000, client, server).chunks(10) {
            for pipeline in &mut pipelines {
                pipeline.run(&mut MemorySource::new(segments.to_vec()), &stop).expect("nothing can fail");
            }
            let kept: u64 = pipelines.iter().map(|one| one.counts().session_bytes.load(Relaxed)).sum();
            assert!(kept as usize <= total + 2 * 3000, "{kept} bytes are kept");
            given_up = pipelines.iter().map(|one| one.counts().session_given_up.load(Relaxed)).sum();
        }
        assert!(given_up > 0 || client == "GET", "{client} {server:?}");
        for pipeline in &mut pipelines {
            pipeline.finish().expect("nothing can fail");
            assert_eq!((pipeline.downstream.share.used(), pipeline.downstream.open_exchanges), (0, 0));
        }
    }
}

#[test]
fn who_is_behind_a_flow_is_asked_again_once_its_sockets_are_known() {
    let mut segments = Conversation::http().open().client(GET).server("HTTP/1.1 204 OK\r\n\r\n").segments();
    // As on the host's side of a pod's veth: the answer to the SYN is the first packet of the pod's socket.
    segments[1].socket = Some((Owner::Source, 5, 77));
    let container = Arc::new(Container { id: "c".into(), namespace: None, pod: None });
    let asked = Arc::clone(&container);
    let mut pipeline = Pipeline::new(Options::default(), Exchanges::default()).with_identify(Box::new(move |info| {
        info.server.container = info.server.cgroup.map(|_| Arc::clone(&asked));
    }));
    pipeline.run(&mut MemorySource::new(segments), &AtomicBool::new(false)).expect("nothing can fail");
    pipeline.finish().expect("nothing can fail");
    assert_eq!(pipeline.sink().0[0].flow.server.container.as_ref(), Some(&container));
}

/// Keeps what it was told is open: the targets, and whether the server's socket was known.
#[derive(Default)]
struct Opened(Vec<Vec<(String, bool)>>);

impl Sink for Opened {
    fn record(&mut self, _: &Record) -> anyhow::Result<()> {
        Ok(())
    }

    fn open(&mut self, exchanges: &mut dyn Iterator<Item = &Exchange>) -> anyhow::Result<()> {
        let told = exchanges.map(|exchange| {
            let target = exchange.request.as_ref().and_then(|request| request.head.target());
            (target.unwrap_or_default().to_owned(), exchange.flow.server.cookie.is_some())
        });
        self.0.push(told.collect());
        Ok(())
    }
}

#[test]
fn a_sink_is_told_of_what_is_open_with_what_is_known_by_then_and_of_its_end() {
    let mut pipeline = Pipeline::new(Options::default(), Opened::default());
    let stop = AtomicBool::new(false);
    let told = |pipeline: &mut Pipeline<Opened>, events: Vec<OwnedEvent>| {
        pipeline.run(&mut MemorySource::new(events), &stop).expect("nothing can fail");
        pipeline.sink_mut().0.drain(..).next_back()
    };
    let slow = Conversation::http().open().client(GET).segments();
    let ask = |segments: &[OwnedSegment]| segments.iter().cloned().map(OwnedEvent::from).collect::<Vec<_>>();
    assert_eq!(told(&mut pipeline, ask(&slow)), Some(vec![("/".to_owned(), false)]));
    assert_eq!(told(&mut pipeline, ask(&slow[3..])), None, "not twice in a second");
    let opened = slow[1].report(SocketChange::OpenedPassive);
    let later = SocketReport { time: slow[3].time + TELL_OPEN, cookie: 7, ..opened };
    assert_eq!(told(&mut pipeline, vec![OwnedEvent::Socket(later)]), Some(vec![("/".to_owned(), true)]));
    pipeline.finish().expect("nothing can fail");
    assert_eq!(pipeline.sink().0, [vec![]], "nothing is open at the end");
}
