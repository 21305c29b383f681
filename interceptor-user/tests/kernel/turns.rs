//! Of each turn its first bytes, and the lengths of the others.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use interceptor::{
    capture::{Polled, Source, ring::RingSource},
    kernel::{Capture, TURN_FIRST, Way},
    model::{Event, Exchange, FlowInfo, FlowRecord, Record, Side},
    pipeline::{Leave, Options, Pipeline},
    sink::Sink,
};
use interceptor_common::DropReason;

use crate::{
    Test,
    bed::{Talk, listen, options, payload, zone},
    collect::Collected,
};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        ("of_a_turn_that_is_cut_the_first_bytes_are_captured_and_all_lengths", raw),
        ("heads_of_contents_that_nobody_wants_are_there_and_next_to_nothing_else", unwanted),
        ("where_a_cut_turn_holds_two_answers_the_loss_is_said_and_the_last", pipelined),
    ]
}

fn raw() -> anyhow::Result<()> {
    let (listener, address) = listen("127.0.0.1:0")?;
    let mut capture = Capture::start(&options("lo", address.port()))?;
    let mut source = capture.source()?;
    let mut cut_offs = capture.cut_offs()?;
    let mut talk = Talk::new(&listener, address)?;
    let (from, to) = (talk.from, talk.to);
    let body = payload(300_000, 3);
    talk.ask(b"first")?;
    let mut collected = Collected::default();
    collected.until(&mut source, |seen| seen.stream(from, to).is_ok_and(|stream| stream == b"first"))?;
    let first = collected.segments[&(from, to)].iter().find(|kept| kept.wire_len == 5).context("no payload")?.seq;
    // Nothing of the next ten bytes but where they end; then turns of many sizes.
    cut_offs.turns(talk.way()?, first.wrapping_add(15))?;
    let most = TURN_FIRST as usize;
    let turns = [10, 1, most, most + 1, 20_000, body.len(), 7];
    for len in turns {
        talk.ask(&body[..len])?;
    }
    drop(talk);
    collected.until(&mut source, |seen| seen.over(from, to))?;
    let kept = &collected.segments[&(from, to)];
    let mut at = first.wrapping_add(5);
    for (number, len) in turns.into_iter().enumerate() {
        let of_turn = kept.iter().filter(|kept| kept.seq.wrapping_sub(at) < len as u32);
        let mut all: Vec<_> = of_turn.filter(|kept| kept.wire_len > 0).collect();
        all.sort_by_key(|kept| kept.seq.wrapping_sub(at));
        // A slow machine sends some again, and is told that, too.
        all.dedup_by_key(|kept| kept.seq);
        let bytes: Vec<u8> = all.iter().flat_map(|kept| kept.payload.iter().copied()).collect();
        let expected = if number == 0 { 0 } else { len.min(most) };
        ensure!(bytes == body[..expected], "turn {number} of {len}: {} bytes", bytes.len());
        let told = all.iter().try_fold(0, |told: u32, kept| {
            let from = kept.seq.wrapping_sub(at);
            (from <= told).then(|| told.max(from + kept.wire_len))
        });
        ensure!(told == Some(len as u32), "turn {number} of {len}: {told:?} told");
        at = at.wrapping_add(len as u32);
    }
    ensure!(collected.stream(to, from)?.len() == 6 * 8, "the other direction was cut, too");
    let cut: usize = 10 + turns[1..].iter().map(|len| len.saturating_sub(most)).sum::<usize>();
    ensure!(capture.drops()?.total(DropReason::CutOff).bytes >= cut as u64);
    Ok(())
}

/// Keeps what comes of the flow.
#[derive(Default)]
struct Kept {
    exchanges: Vec<Exchange>,
    flow: Option<FlowRecord>,
}

impl Sink for Kept {
    fn record(&mut self, record: &Record) -> anyhow::Result<()> {
        match record {
            Record::Exchange(exchange) => self.exchanges.push((**exchange).clone()),
            Record::Flow(flow) => self.flow = Some((**flow).clone()),
            Record::Message(_) | Record::Drift(_) | Record::Edge(_) => {}
        }
        Ok(())
    }
}

/// What there is now, and then the end.
struct Now<'a>(&'a mut RingSource, Instant);

impl Source for Now<'_> {
    fn poll<F: FnMut(Event<'_>)>(&mut self, _: Duration, take: F) -> anyhow::Result<Polled> {
        match self.0.poll(Duration::from_millis(10), take)? {
            Polled::Idle { .. } if Instant::now() > self.1 => Ok(Polled::End),
            polled => Ok(polled),
        }
    }
}

const ANSWER: usize = 100_000;

/// Exchanges over one connection; a round of `requests[n]` requests at once, and their answers.
fn talk(requests: &[usize]) -> anyhow::Result<Kept> {
    let (listener, address) = listen("127.0.0.1:0")?;
    let mut capture = Capture::start(&options("lo", address.port()))?;
    let mut source = capture.source()?;
    let mut cut_offs = capture.cut_offs()?;
    let zone = zone()?;
    let skip = move |flow: &FlowInfo, side: Side, leave: Leave| {
        let (source, destination) = match side {
            Side::Client => (flow.client.endpoint, flow.server.endpoint),
            Side::Server => (flow.server.endpoint, flow.client.endpoint),
        };
        let way = Way { zone, source, destination };
        match leave {
            Leave::Until(until) => cut_offs.until(way, until).expect("there is room"),
            Leave::Turns(until) => cut_offs.turns(way, until).expect("there is room"),
            Leave::Nothing => cut_offs.lift(way),
        }
    };
    let mut pipeline = Pipeline::new(Options::default(), Kept::default()).with_skip(Box::new(skip));
    let mut client = TcpStream::connect(address)?;
    let (mut server, _) = listener.accept()?;
    let request = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {ANSWER}\r\n\r\n").into_bytes();
    answer.extend(payload(ANSWER, 5));
    for count in requests {
        client.write_all(&request.repeat(*count))?;
        server.read_exact(&mut vec![0; request.len() * count])?;
        let answers = answer.repeat(*count);
        std::thread::scope(|scope| {
            scope.spawn(|| server.write_all(&answers));
            client.read_exact(&mut vec![0; answers.len()])
        })?;
        let mut now = Now(&mut source, Instant::now() + Duration::from_millis(50));
        pipeline.run(&mut now, &AtomicBool::new(false))?;
    }
    drop(client);
    drop(server);
    let mut now = Now(&mut source, Instant::now() + Duration::from_millis(300));
    pipeline.run(&mut now, &AtomicBool::new(false))?;
    pipeline.finish()?;
    Ok(pipeline.into_sink())
}

fn unwanted() -> anyhow::Result<()> {
    let kept = talk(&[1; 50])?;
    let flow = kept.flow.context("no flow")?;
    let ledger = flow.ledger.server;
    ensure!(kept.exchanges.len() == 50 && kept.exchanges.iter().all(Exchange::complete), "{:?}", kept.exchanges.len());
    ensure!(flow.ledger.balances() && ledger.kernel && ledger.lost_total() == 0, "{ledger:?}");
    // What was copied before turns were cut, and the first bytes of each turn since; a turn may be split by what the client says.
    let most = 8 * (ANSWER as u64 + 100) + 42 * 2 * u64::from(TURN_FIRST);
    ensure!(ledger.captured <= most, "{ledger:?}");
    for exchange in &kept.exchanges {
        let part = exchange.response.as_ref().context("no response")?;
        ensure!(part.body_size + part.body_skipped == ANSWER as u64, "{part:?}");
    }
    Ok(())
}

fn pipelined() -> anyhow::Result<()> {
    let requests: Vec<usize> = [1; 10].into_iter().chain([3]).chain([1; 5]).collect();
    let kept = talk(&requests)?;
    let flow = kept.flow.context("no flow")?;
    let ledger = flow.ledger.server;
    ensure!(flow.ledger.balances() && ledger.lost_total() > 0, "{ledger:?}");
    let complete: Vec<bool> = kept.exchanges.iter().map(Exchange::complete).collect();
    ensure!(complete.len() == 18, "{complete:?}");
    // The first of the three has its head; of the others at least one does not, and says so. Then all is as before.
    ensure!(complete[..11].iter().all(|complete| *complete) && complete[13..].iter().all(|complete| *complete));
    ensure!(complete[11..13].iter().any(|complete| !complete), "{complete:?}");
    Ok(())
}
