//! Each gRPC capture, joined at each of its packets: what of the later calls is found, and how soon they have a name.

use std::{fmt::Write as _, fs, io::Cursor, path::Path, sync::atomic::AtomicBool};

use anyhow::{Context as _, Result, bail, ensure};
use interceptor::{
    capture::pcap::PcapSource,
    model::{Anomaly, Exchange, Record, Timestamp},
    pipeline::{Options, Pipeline},
    sink::Sink,
};

/// Sizes of the headers of a classic capture file and of a packet in it.
const FILE: usize = 24;
const PACKET: usize = 16;

#[derive(Default)]
struct Found {
    exchanges: Vec<Exchange>,
    unbalanced: usize,
}

impl Sink for Found {
    fn record(&mut self, record: &Record) -> Result<()> {
        match record {
            Record::Exchange(exchange) => self.exchanges.push(Exchange::clone(exchange)),
            Record::Message(_) | Record::Drift(_) | Record::Edge(_) => {}
            Record::Flow(flow) => self.unbalanced += usize::from(!flow.ledger.balances()),
        }
        Ok(())
    }
}

/// A capture at every start, in a line of the table.
pub(crate) fn measure(capture: &Path) -> Result<String> {
    let bytes = fs::read(capture)?;
    let starts = starts(&bytes)?;
    let mut whole = replay(&bytes, FILE)?;
    whole.sort_by_key(begin);
    let (mut waits, mut never, mut checked) = (Vec::new(), 0, 0);
    for (number, start) in starts.iter().enumerate().skip(1) {
        let joined = replay(&bytes, *start).with_context(|| format!("joined at packet {number}"))?;
        let time = time(&bytes, *start)?;
        let after: Vec<_> =
            whole.iter().filter(|exchange| begin(exchange).is_some_and(|begin| begin >= time)).collect();
        let mut named = None;
        for (position, call) in after.iter().enumerate() {
            let same = |ours: &&Exchange| match call.stream {
                // Its time may be that of the bytes just before it, which were held until it was clear what they are.
                Some(_) => ours.stream == call.stream,
                None => begin(ours) == begin(call),
            };
            let ours = joined.iter().find(same);
            checked += 1;
            let ours = ours.with_context(|| format!("joined at packet {number}: {call:?} is not found"))?;
            ensure!(agrees(ours, call), "joined at packet {number}:\n{ours:?}\n is not\n{call:?}");
            if is_named(ours) {
                named = named.or(Some(position));
            }
        }
        match named {
            Some(position) => waits.push(position),
            None => never += usize::from(!after.is_empty()),
        }
    }
    waits.sort_unstable();
    let agent = whole.first().and_then(|call| call.request.as_ref()?.head.fields.get("user-agent"));
    let agent = agent.map_or("by hand".into(), String::from_utf8_lossy);
    let agent = agent.split(" (").next().unwrap_or_default();
    let at = |share: usize| {
        waits
            .get((waits.len() * share / 100).min(waits.len().saturating_sub(1)))
            .map_or_else(String::new, ToString::to_string)
    };
    let name = capture.file_stem().unwrap_or_default().to_string_lossy();
    let mut line = String::new();
    write!(
        line,
        "| {name} | {agent} | {} | {} | {} | {} | {never} | {checked} |",
        whole.len(),
        waits.len() + never,
        at(50),
        at(100)
    )?;
    Ok(line)
}

/// Where each packet begins.
fn starts(bytes: &[u8]) -> Result<Vec<usize>> {
    ensure!(bytes.starts_with(&[0xd4, 0xc3, 0xb2, 0xa1]), "no little-endian capture with microseconds");
    let (mut starts, mut at) = (Vec::new(), FILE);
    while at < bytes.len() {
        starts.push(at);
        at += PACKET + word(bytes, at + 8)? as usize;
    }
    Ok(starts)
}

fn word(bytes: &[u8], at: usize) -> Result<u32> {
    let word = bytes.get(at..at + 4).context("the capture is cut")?;
    Ok(u32::from_le_bytes(word.try_into()?))
}

fn time(bytes: &[u8], at: usize) -> Result<Timestamp> {
    let (seconds, micros) = (u64::from(word(bytes, at)?), u64::from(word(bytes, at + 4)?));
    Ok(Timestamp::from_nanos(seconds * 1_000_000_000 + micros * 1_000))
}

fn replay(bytes: &[u8], start: usize) -> Result<Vec<Exchange>> {
    let rest = [&bytes[..FILE], &bytes[start..]].concat();
    let mut source = PcapSource::read("a part of it", Cursor::new(rest))?;
    let mut pipeline = Pipeline::new(Options::default(), Found::default());
    pipeline.run(&mut source, &AtomicBool::new(false))?;
    pipeline.finish()?;
    let found = std::mem::take(pipeline.sink_mut());
    if found.unbalanced > 0 {
        bail!("{} flows whose ledger does not balance", found.unbalanced);
    }
    Ok(found.exchanges)
}

fn begin(exchange: &Exchange) -> Option<Timestamp> {
    exchange.request.as_ref().map(|request| request.first_byte)
}

fn is_named(exchange: &Exchange) -> bool {
    exchange.request.as_ref().is_some_and(|part| part.head.method().is_some() && part.target().path.is_some())
}

/// Is all that is known of a call what the whole capture tells of it? Only the status may refer to what we do not have.
fn agrees(ours: &Exchange, whole: &Exchange) -> bool {
    let known = !ours.anomalies.contains(Anomaly::UnknownField);
    let status = |exchange: &Exchange| exchange.rpc().and_then(|rpc| rpc.status);
    shape(ours) == shape(whole) && (status(ours) == status(whole) || (status(ours).is_none() && !known))
}

/// Size, and number and size of messages, of both contents.
fn shape(exchange: &Exchange) -> [Option<(u64, u64, u64)>; 2] {
    [&exchange.request, &exchange.response].map(|part| {
        let part = part.as_ref()?;
        let pieces = part.pieces.as_ref();
        Some((part.content_size(), pieces.map_or(0, |pieces| pieces.count), pieces.map_or(0, |pieces| pieces.size)))
    })
}
