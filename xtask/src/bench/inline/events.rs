//! Server-sent events that tell when they were sent, and who reads how long they took.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::time::{ClockId, clock_gettime};

use crate::bench::load;

/// Answers each connection with an event every few milliseconds, without end.
#[derive(clap::Args)]
pub(crate) struct SendEvents {
    #[arg(long)]
    address: SocketAddr,
    /// Between two events.
    #[arg(long)]
    millis: u64,
}

/// Reads streams of events.
#[derive(clap::Args)]
pub(crate) struct ReadEvents {
    #[arg(long)]
    address: SocketAddr,
    #[arg(long)]
    streams: u32,
    #[arg(long)]
    seconds: u64,
}

/// At the beginning of a stream, this long, it is not counted: connections are made.
const WARM_UP: Duration = Duration::from_millis(500);

pub(crate) fn send(args: &SendEvents) -> Result<()> {
    let listener = TcpListener::bind(args.address).with_context(|| format!("cannot listen on {}", args.address))?;
    let interval = Duration::from_millis(args.millis);
    for stream in listener.incoming() {
        let stream = stream?;
        // It ends when its client is gone.
        thread::spawn(move || stream_of(stream, interval));
    }
    Ok(())
}

fn stream_of(mut stream: TcpStream, interval: Duration) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    while !request.ends_with(b"\r\n\r\n") {
        let count = stream.read(&mut piece)?;
        ensure!(count > 0, "no request");
        request.extend_from_slice(&piece[..count]);
    }
    stream.write_all(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n",
    )?;
    let mut due = Instant::now();
    loop {
        due += interval;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let event = format!("data: {}\n\n", nanos()?);
        stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes())?;
    }
}

pub(crate) fn read(args: &ReadEvents) -> Result<()> {
    let begin = Instant::now() + WARM_UP;
    let end = begin + Duration::from_secs(args.seconds);
    let readers: Vec<_> = (0..args.streams)
        .map(|index| {
            let address = args.address;
            // Spread over the usual interval: no bursts.
            let first = Duration::from_micros(u64::from(index) * 10_000 / u64::from(args.streams));
            thread::spawn(move || {
                thread::sleep(first);
                delays(address, begin, end)
            })
        })
        .collect();
    let mut all = Vec::new();
    for reader in readers {
        all.extend(reader.join().map_err(|_| anyhow::anyhow!("a reading thread failed"))??);
    }
    load::tell(all, begin)
}

/// How long each event of a stream took.
fn delays(address: SocketAddr, begin: Instant, end: Instant) -> Result<Vec<u64>> {
    let mut stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET /events HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n\r\n")?;
    let mut lines = Lines::default();
    let (mut delays, mut piece) = (Vec::new(), [0; 4096]);
    while Instant::now() < end {
        let count = match stream.read(&mut piece) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => bail!("no event within 5 s"),
            read => read?,
        };
        ensure!(count > 0, "the stream ended");
        let arrived = nanos()?;
        let counts = Instant::now() >= begin;
        for sent in lines.take(&piece[..count])? {
            if counts {
                delays.push(arrived.saturating_sub(sent));
            }
        }
    }
    Ok(delays)
}

/// Finds events in what comes, however it is cut. (Each was written at once, so no proxy cuts it by chunks.)
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    /// When those were sent that are whole now.
    fn take(&mut self, piece: &[u8]) -> Result<Vec<u64>> {
        self.0.extend_from_slice(piece);
        let mut sent = Vec::new();
        while let Some(at) = self.0.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.0.drain(..=at).collect();
            if line.starts_with(b"HTTP/1.1 ") {
                ensure!(line.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&line).trim());
            }
            if let Some(text) = line.strip_prefix(b"data: ") {
                let text = std::str::from_utf8(text)?.trim_end();
                sent.push(text.parse().with_context(|| format!("`{text}` is no time"))?);
            }
        }
        Ok(sent)
    }
}

/// The clock that all processes of the machine share.
fn nanos() -> Result<u64> {
    Ok(u64::try_from(Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC)?).as_nanos())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_however_they_are_cut() {
        let text = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\ndata: 123\n\n\r\nb\r\ndata: 456\n\n\r\n";
        for cut in 0..text.len() {
            let mut lines = Lines::default();
            let mut sent = lines.take(&text[..cut]).unwrap();
            sent.extend(lines.take(&text[cut..]).unwrap());
            assert_eq!(sent, [123, 456], "{cut}");
        }
        assert!(Lines::default().take(b"HTTP/1.1 502 Bad Gateway\r\n").is_err());
    }

    #[test]
    fn delays_of_a_stream_are_measured() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || stream_of(listener.accept().unwrap().0, Duration::from_millis(1)));
        let now = Instant::now();
        let delays = delays(address, now, now + Duration::from_millis(200)).unwrap();
        assert!(delays.len() > 10, "{}", delays.len());
        assert!(delays.iter().all(|delay| *delay < 1_000_000_000), "{delays:?}");
    }
}
