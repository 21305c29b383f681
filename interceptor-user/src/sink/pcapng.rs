//! The segments of flows as packets in a capture file (pcapng), with what is known of a flow's ends as comments.
//!
//! It is of what was captured, not of the wire: the kernel programs leave out bare acknowledgements (but those of a full window), link-layer headers and
//! options are not kept, and what the network card cut up later is one packet, or several where it is over 64 KiB.

mod block;
mod comment;
mod headers;

use std::{collections::HashMap, io::Write};

use self::{
    block::Packet,
    comment::{Known, Lost},
    headers::{Headers, PAYLOAD_MAX},
};
use super::{Sink, output::Output};
use crate::model::{Event, FlowInfo, Record, Segment, TcpFlags};

/// What the file says beside the packets.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Operating system, with its version.
    pub os: String,
    /// Names of interfaces, by zone and index.
    pub interfaces: HashMap<(u32, u32), String>,
}

/// Writes a block per packet.
pub struct PcapngSink<W> {
    options: Options,
    /// Numbers of the interfaces in the file, by zone and index.
    interfaces: HashMap<(u32, u32), u32>,
    /// Of the flows that are not over, what the file says.
    flows: HashMap<u64, Told>,
    /// Kept for its memory.
    headers: Vec<u8>,
    out: Output<W>,
}

/// What the file says of a flow, and has yet to say.
#[derive(Debug, Default)]
struct Told {
    known: Known,
    lost: Lost,
    interface: u32,
}

impl<W: Write> PcapngSink<W> {
    /// Writes to `out`, which need not be buffered.
    pub fn new(out: W, options: Options) -> Self {
        let mut out = Output::new(out);
        block::section(out.buffer(), &options.os);
        Self { options, interfaces: HashMap::new(), flows: HashMap::new(), headers: Vec::new(), out }
    }

    fn segment(&mut self, flow: &FlowInfo, segment: &Segment<'_>) -> anyhow::Result<()> {
        let interface = self.interface(segment.zone, segment.interface);
        let told = self.flows.entry(flow.id).or_default();
        told.interface = interface;
        let mut comment = told.known.news(flow);
        told.lost.tell(flow, &mut comment);
        let len = segment.payload.len().max(segment.wire_len as usize);
        let mut start = 0;
        loop {
            let end = len.min(start + PAYLOAD_MAX);
            let captured = segment.payload.len();
            let payload = &segment.payload[start.min(captured)..end.min(captured)];
            let headers = Headers {
                source: segment.source,
                destination: segment.destination,
                // A SYN comes before its payload.
                seq: segment.seq.wrapping_add(start as u32 + u32::from(start > 0 && segment.flags.has(TcpFlags::SYN))),
                ack: segment.ack,
                flags: piece_flags(segment.flags, start == 0, end == len),
                window: segment.window,
            };
            headers.write(&mut self.headers, payload, end - start);
            let packet = Packet {
                interface,
                time: segment.time.as_nanos(),
                headers: &self.headers,
                payload,
                payload_len: end - start,
                comment: &comment,
            };
            block::packet(self.out.buffer(), &packet);
            self.out.end_block()?;
            comment.clear();
            start = end;
            if start == len {
                return Ok(());
            }
        }
    }

    /// The interface's number in the file, which describes it before its first packet.
    fn interface(&mut self, zone: u32, index: u32) -> u32 {
        let next = self.interfaces.len() as u32;
        *self.interfaces.entry((zone, index)).or_insert_with(|| {
            let name = self.options.interfaces.get(&(zone, index)).map(String::as_str);
            let description = match (zone, index) {
                (0, 0) => None,
                (0, index) => Some(format!("interface {index}")),
                (zone, 0) => Some(format!("cgroups of network namespace {zone}")),
                (zone, index) => Some(format!("interface {index} of network namespace {zone}")),
            };
            block::interface(self.out.buffer(), name, description.as_deref());
            next
        })
    }
}

/// The flags of one piece of a segment: the first opens, the last ends.
const fn piece_flags(flags: TcpFlags, first: bool, last: bool) -> TcpFlags {
    const PUSH: u8 = 8;
    let mut flags = flags.0;
    if !first {
        flags &= !TcpFlags::SYN.0;
    }
    if !last {
        flags &= !(TcpFlags::FIN.0 | TcpFlags::RST.0 | PUSH);
    }
    TcpFlags(flags)
}

impl<W: Write> Sink for PcapngSink<W> {
    fn record(&mut self, record: &Record) -> anyhow::Result<()> {
        let Record::Flow(over) = record else { return Ok(()) };
        let Some(mut told) = self.flows.remove(&over.flow.id) else { return Ok(()) };
        let mut comment = String::new();
        told.lost.tell(&over.flow, &mut comment);
        if !comment.is_empty() {
            block::statistics(self.out.buffer(), told.interface, over.time.as_nanos(), &comment);
            self.out.end_block()?;
        }
        Ok(())
    }

    fn wants_events(&self) -> bool {
        true
    }

    fn event(&mut self, flow: &FlowInfo, event: &Event<'_>) -> anyhow::Result<()> {
        match event {
            Event::Segment(segment) => self.segment(flow, segment),
            Event::Loss(report) => {
                if let Some(told) = self.flows.get_mut(&flow.id) {
                    told.lost.add(flow, report);
                }
                Ok(())
            }
            Event::Socket(_) => Ok(()),
        }
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests;
