//! Collects events and puts streams together by sequence number, independently of the flow table.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use interceptor::{
    capture::{Source as _, ring::RingSource},
    model::{Endpoint, Event, LossReport, Owner, SocketChange, SocketReport, TcpFlags},
};

/// A segment, kept.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) seq: u32,
    pub(crate) flags: TcpFlags,
    pub(crate) payload: Vec<u8>,
    pub(crate) wire_len: u32,
    pub(crate) socket: Option<(Owner, u64, u64)>,
    pub(crate) interface: u32,
    pub(crate) zone: u32,
}

/// Everything that came out of a source.
#[derive(Default)]
pub(crate) struct Collected {
    pub(crate) segments: HashMap<(Endpoint, Endpoint), Vec<Kept>>,
    pub(crate) sockets: Vec<SocketReport>,
    pub(crate) losses: Vec<LossReport>,
}

impl Collected {
    pub(crate) fn take(&mut self, event: &Event<'_>) {
        match event {
            Event::Segment(segment) => {
                let kept = Kept {
                    seq: segment.seq,
                    flags: segment.flags,
                    payload: segment.payload.to_vec(),
                    wire_len: segment.wire_len,
                    socket: segment.socket,
                    interface: segment.interface,
                    zone: segment.zone,
                };
                self.segments.entry((segment.source, segment.destination)).or_default().push(kept);
            }
            Event::Socket(report) => self.sockets.push(report.clone()),
            Event::Loss(report) => self.losses.push(*report),
        }
    }

    /// Polls until `done`, for half a minute at the most: processors may be emulated.
    pub(crate) fn until(&mut self, source: &mut RingSource, done: impl Fn(&Self) -> bool) -> anyhow::Result<()> {
        let end = Instant::now() + Duration::from_secs(30);
        while !done(self) {
            if Instant::now() > end {
                let flows: Vec<_> = self.segments.iter().map(|(key, kept)| (key, kept.len())).collect();
                bail!("not seen within 30 seconds; segments: {flows:?}, sockets: {:?}", self.sockets);
            }
            source.poll(Duration::from_millis(50), |event| self.take(&event))?;
        }
        Ok(())
    }

    /// Polls for some time.
    pub(crate) fn for_a_while(&mut self, source: &mut RingSource, time: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            source.poll(Duration::from_millis(20), |event| self.take(&event))?;
        }
        Ok(())
    }

    /// Did both sides of a connection send FIN or RST?
    pub(crate) fn over(&self, a: Endpoint, b: Endpoint) -> bool {
        let end = |kept: &Kept| kept.flags.has(TcpFlags::FIN) || kept.flags.has(TcpFlags::RST);
        [(a, b), (b, a)].iter().all(|key| self.segments.get(key).is_some_and(|kept| kept.iter().any(end)))
    }

    /// The stream from `source` to `destination`: contiguous from its SYN on.
    pub(crate) fn stream(&self, source: Endpoint, destination: Endpoint) -> anyhow::Result<Vec<u8>> {
        let kept = self.segments.get(&(source, destination)).context("no segment of this direction")?;
        let syn = kept.iter().find(|kept| kept.flags.has(TcpFlags::SYN)).context("no SYN")?;
        self.stream_from(source, destination, syn.seq.wrapping_add(1))
    }

    /// The stream from its SYN on or, where none was captured, from the first byte that was.
    pub(crate) fn stream_from_start(&self, source: Endpoint, destination: Endpoint) -> anyhow::Result<Vec<u8>> {
        let kept = self.segments.get(&(source, destination)).context("no segment of this direction")?;
        if kept.iter().any(|kept| kept.flags.has(TcpFlags::SYN)) {
            return self.stream(source, destination);
        }
        let first = kept.first().context("no segment of this direction")?;
        self.stream_from(source, destination, first.seq)
    }

    /// The stream from a sequence number on. Holes are errors, differing copies too.
    pub(crate) fn stream_from(&self, source: Endpoint, destination: Endpoint, first: u32) -> anyhow::Result<Vec<u8>> {
        let kept = self.segments.get(&(source, destination)).context("no segment of this direction")?;
        let mut pieces: Vec<(u32, &[u8])> = kept
            .iter()
            .filter(|kept| !kept.payload.is_empty())
            .map(|kept| {
                let syn = u32::from(kept.flags.has(TcpFlags::SYN));
                (kept.seq.wrapping_add(syn).wrapping_sub(first), kept.payload.as_slice())
            })
            .filter(|(at, _)| *at < 1 << 31)
            .collect();
        pieces.sort_by_key(|(at, _)| *at);
        let mut stream = Vec::new();
        for (at, payload) in pieces {
            let at = at as usize;
            ensure!(at <= stream.len(), "bytes {}..{at} are missing", stream.len());
            let known = (stream.len() - at).min(payload.len());
            ensure!(stream[at..at + known] == payload[..known], "a second copy at {at} differs");
            stream.extend_from_slice(&payload[known..]);
        }
        Ok(stream)
    }

    /// The final report of a socket.
    pub(crate) fn closed(&self, local: Endpoint, remote: Endpoint) -> Option<&SocketReport> {
        self.reported(SocketChange::Closed, local, remote)
    }

    /// A report of a socket.
    pub(crate) fn reported(&self, change: SocketChange, local: Endpoint, remote: Endpoint) -> Option<&SocketReport> {
        let fits = |report: &&SocketReport| report.change == change && report.local == local && report.remote == remote;
        self.sockets.iter().find(fits)
    }
}
