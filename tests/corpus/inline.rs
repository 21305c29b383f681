//! What passes through sockets of ours gives the records and the verdicts that its packets give.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use interceptor::{
    capture::{Polled, Source as _, pcap::PcapSource},
    flow,
    inspect::{self, Plan, Policies, pii::Key},
    model::{Chunk, Exchange, FlowEvent, FlowInfo, Record},
    pipeline::{CarriedId, Options, Pipeline},
    policy::Policy,
    sink::Sink,
};

/// What a flow was told of.
#[derive(Default)]
struct Told {
    exchanges: Vec<Exchange>,
}

impl Sink for Told {
    fn record(&mut self, record: &Record) -> Result<()> {
        if let Record::Exchange(exchange) = record {
            self.exchanges.push(Exchange::clone(exchange));
        }
        Ok(())
    }
}

/// One of the flows that is carried.
#[derive(Default)]
struct Carried {
    id: Option<CarriedId>,
    /// Its packets lack something, which sockets never do.
    gap: bool,
}

/// Compares, and gives how many exchanges were the same.
pub(crate) fn compare(capture: &Path, policies: &[PathBuf]) -> Result<usize> {
    let mut passive = Pipeline::new(options(policies)?, Told::default());
    let stop = Arc::new(AtomicBool::new(false));
    passive.run(&mut PcapSource::open(capture, &stop)?, &stop)?;
    passive.finish()?;
    let (mut inline, gaps) = carry(capture, policies)?;
    inline.finish()?;
    let (mut packets, mut sockets) = (passive.into_sink().exchanges, inline.into_sink().exchanges);
    for all in [&mut packets, &mut sockets] {
        all.retain(|exchange| !gaps.iter().any(|gap| gap.key == exchange.flow.key && gap.start == exchange.flow.start));
        // Packets tell it of their own connection.
        let timings = all.iter_mut().filter_map(|exchange| exchange.inference.as_mut());
        timings.for_each(|inference| inference.timing.round_trip = None);
        all.sort_by_key(|exchange| (exchange.flow.start, exchange.flow.client.endpoint, exchange.number));
    }
    ensure!(packets.len() == sockets.len(), "{} by packets, {} by sockets", packets.len(), sockets.len());
    for (packet, socket) in packets.iter().zip(&sockets) {
        let socket = Exchange { flow: Arc::clone(&packet.flow), ..socket.clone() };
        ensure!(*packet == socket, "{}", difference(&format!("{packet:?}"), &format!("{socket:?}")));
    }
    Ok(packets.len())
}

/// Where two texts begin to differ.
fn difference(packets: &str, sockets: &str) -> String {
    let at = packets.bytes().zip(sockets.bytes()).position(|(one, other)| one != other).unwrap_or_default();
    let around = |text: &str| text.chars().skip(at.saturating_sub(80)).take(160).collect::<String>();
    format!("by packets {}\nby sockets {}", around(packets), around(sockets))
}

fn options(policies: &[PathBuf]) -> Result<Options> {
    let texts = policies.iter().map(|path| Ok((path.to_string_lossy(), fs::read_to_string(path)?)));
    let texts: Vec<_> = texts.collect::<Result<_>>()?;
    let texts: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (&**name, &**text)).collect();
    let plan = Plan::new(Policy::parse(&texts)?, &|path| fs::read(path), &Key::new(b"the corpus"))?;
    let policies = Some(Arc::new(Policies::new(plan)));
    Ok(Options {
        inspect: inspect::Options { policies, budget_time: None, ..inspect::Options::default() },
        ..Options::default()
    })
}

/// Has sockets say what the packets have, in the same order; gives the flows of which these lack something, too.
fn carry(capture: &Path, policies: &[PathBuf]) -> Result<(Pipeline<Told>, Vec<FlowInfo>)> {
    let mut pipeline = Pipeline::new(options(policies)?, Told::default());
    let mut flows: flow::Table<Carried> = flow::Table::new(flow::Limits::default());
    let mut gaps = Vec::new();
    let stop = Arc::new(AtomicBool::new(false));
    let mut source = PcapSource::open(capture, &stop)?;
    let mut deliver = |info: &mut Arc<FlowInfo>, carried: &mut Carried, event: FlowEvent<'_>| match (event, carried.id)
    {
        (FlowEvent::Opened { late }, _) => {
            carried.gap |= late;
            carried.id = Some(pipeline.open(FlowInfo::clone(info), false));
        }
        (FlowEvent::Chunk { side, time, chunk: Chunk::Data(data), .. }, Some(id)) => {
            pipeline.carry(id, side, time, data);
        }
        (FlowEvent::Chunk { .. }, _) => carried.gap = true,
        (FlowEvent::Finished { side, time }, Some(id)) => pipeline.finished(id, side, time),
        (FlowEvent::Ended { end, time, .. }, Some(id)) => {
            if carried.gap {
                gaps.push(FlowInfo::clone(info));
            }
            pipeline.close(id, end, time);
        }
        _ => {}
    };
    loop {
        let polled = source.poll(Duration::ZERO, |event| flows.event(&event, &mut deliver))?;
        match polled {
            Polled::Events { now } | Polled::Idle { now } => flows.tick(now, &mut deliver),
            Polled::End => break,
        }
    }
    flows.finish(&mut deliver);
    Ok((pipeline, gaps))
}

/// All captures, and that there were enough to tell.
pub(crate) fn compare_all(captures: &[PathBuf], policies: &[PathBuf]) -> Result<()> {
    let mut same = 0;
    for capture in captures {
        same += compare(capture, policies).with_context(|| capture.display().to_string())?;
    }
    ensure!(same > 500, "{same} exchanges are not the whole corpus");
    Ok(())
}
