//! Capture files of small exchanges, the same bytes each time.
//!
//! What they are like: clients of model servers with keep-alive, 48 connections at a time, 40 exchanges on each; every
//! response is acknowledged by a segment of its own; handshakes and closes as Linux makes them. Checksums are right, as some
//! readers check them.

mod http1;
mod http2;

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::Path,
};

use anyhow::{Context as _, Result};

use super::packet::{ACK, End, FIN, HEADERS, PSH, SYN, headers};

/// Connections at a time.
const OPEN: usize = 48;
/// Exchanges on a connection.
const EXCHANGES: u32 = 40;

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speech {
    /// JSON questions and answers of some hundred bytes, 6 to 8 header fields each way.
    Http1,
    /// The same, with answers of some KB.
    Http2,
    /// Unary calls with messages of some ten bytes.
    Grpc,
}

impl Speech {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Http1 => "http1",
            Self::Http2 => "http2",
            Self::Grpc => "grpc",
        }
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) bytes: u64,
    pub(super) exchanges: u64,
}

/// Writes about `size` bytes to `path`, or takes what an earlier run left there.
pub(super) fn provide(path: &Path, speech: Speech, size: u64) -> Result<Written> {
    let note = path.with_extension("count");
    let kept = || -> Option<Written> {
        let exchanges = fs::read_to_string(&note).ok()?.trim().parse().ok()?;
        Some(Written { bytes: fs::metadata(path).ok()?.len(), exchanges })
    };
    if let Some(written) = kept() {
        return Ok(written);
    }
    eprintln!("==> Writing a capture of {} MB to {}", size / 1_000_000, path.display());
    fs::create_dir_all(path.parent().context("no parent directory")?)?;
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    let written = write(BufWriter::with_capacity(1 << 20, file), speech, size)?;
    // Last: a run that was interrupted leaves no note, and the file is written anew.
    fs::write(&note, format!("{}\n", written.exchanges))?;
    Ok(written)
}

/// Writes a capture of at least `size` bytes, every connection closed.
fn write(output: impl Write, speech: Speech, size: u64) -> io::Result<Written> {
    let mut capture = Capture { output, bytes: 0, nanos: 1_700_000_000_000_000_000, random: Random(42) };
    capture.header()?;
    let mut exchanges = 0;
    let mut next = 0;
    let mut open: Vec<Connection> = Vec::with_capacity(OPEN);
    loop {
        while open.len() < OPEN && capture.bytes < size {
            open.push(Connection::open(&mut capture, speech, next)?);
            next += 1;
        }
        if open.is_empty() {
            capture.output.flush()?;
            return Ok(Written { bytes: capture.bytes, exchanges });
        }
        let at = capture.random.below(open.len() as u64) as usize;
        if open[at].left == 0 {
            open.swap_remove(at).close(&mut capture)?;
        } else {
            open[at].exchange(&mut capture)?;
            exchanges += 1;
        }
    }
}

/// SplitMix64: good enough to vary, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// A classic pcap file with nanoseconds, link type Ethernet.
struct Capture<W> {
    output: W,
    bytes: u64,
    nanos: u64,
    random: Random,
}

impl<W: Write> Capture<W> {
    fn header(&mut self) -> io::Result<()> {
        let fields: [u32; 6] = [0xa1b2_3c4d, 2 | (4 << 16), 0, 0, 262_144, 1];
        for field in fields {
            self.output.write_all(&field.to_le_bytes())?;
        }
        self.bytes += 24;
        Ok(())
    }

    fn packet(&mut self, from: End, to: End, seq: u32, ack: u32, flags: u8, payload: &[u8]) -> io::Result<()> {
        self.nanos += 500 + self.random.below(3_000);
        let length = (HEADERS + payload.len()) as u32;
        let seconds = (self.nanos / 1_000_000_000) as u32;
        let fraction = (self.nanos % 1_000_000_000) as u32;
        for field in [seconds, fraction, length, length] {
            self.output.write_all(&field.to_le_bytes())?;
        }
        let headers = headers(from, to, (seq, ack), flags, (self.nanos / 1_000_000) as u32, payload);
        self.output.write_all(&headers)?;
        self.output.write_all(payload)?;
        self.bytes += 16 + u64::from(length);
        Ok(())
    }
}

/// A keep-alive connection.
struct Connection {
    client: End,
    server: End,
    client_seq: u32,
    server_seq: u32,
    number: u32,
    left: u32,
    speech: Speech,
    request: Vec<u8>,
    response: Vec<u8>,
}

impl Connection {
    fn open(capture: &mut Capture<impl Write>, speech: Speech, number: u32) -> io::Result<Self> {
        let [_, _, high, low] = (number / 50_000).to_be_bytes();
        let mut connection = Self {
            client: End { address: [10, 1, high, low], port: (number % 50_000) as u16 + 10_000 },
            server: End { address: [10, 2, 0, (number % 8) as u8 + 1], port: 8080 },
            client_seq: capture.random.next() as u32,
            server_seq: capture.random.next() as u32,
            number,
            left: EXCHANGES,
            speech,
            request: Vec::new(),
            response: Vec::new(),
        };
        connection.client(capture, SYN, &[])?;
        connection.client_seq = connection.client_seq.wrapping_add(1);
        connection.server(capture, SYN | ACK, &[])?;
        connection.server_seq = connection.server_seq.wrapping_add(1);
        connection.client(capture, ACK, &[])?;
        if speech != Speech::Http1 {
            connection.client(capture, PSH | ACK, http2::PREFACE)?;
            connection.server(capture, PSH | ACK, http2::SETTINGS)?;
            connection.client(capture, PSH | ACK, http2::ACKNOWLEDGED)?;
        }
        Ok(connection)
    }

    fn client(&mut self, capture: &mut Capture<impl Write>, flags: u8, payload: &[u8]) -> io::Result<()> {
        let ack = if flags & ACK == 0 { 0 } else { self.server_seq };
        capture.packet(self.client, self.server, self.client_seq, ack, flags, payload)?;
        self.client_seq = self.client_seq.wrapping_add(payload.len() as u32);
        Ok(())
    }

    fn server(&mut self, capture: &mut Capture<impl Write>, flags: u8, payload: &[u8]) -> io::Result<()> {
        capture.packet(self.server, self.client, self.server_seq, self.client_seq, flags, payload)?;
        self.server_seq = self.server_seq.wrapping_add(payload.len() as u32);
        Ok(())
    }

    fn exchange(&mut self, capture: &mut Capture<impl Write>) -> io::Result<()> {
        self.left -= 1;
        let (mut request, mut response) = (std::mem::take(&mut self.request), std::mem::take(&mut self.response));
        self.compose(&mut capture.random, &mut request, &mut response)?;
        self.client(capture, PSH | ACK, &request)?;
        self.server(capture, PSH | ACK, &response)?;
        self.client(capture, ACK, &[])?;
        (self.request, self.response) = (request, response);
        Ok(())
    }

    fn compose(&self, random: &mut Random, request: &mut Vec<u8>, response: &mut Vec<u8>) -> io::Result<()> {
        request.clear();
        response.clear();
        let id = random.next();
        // From 0.
        let number = EXCHANGES - 1 - self.left;
        match self.speech {
            Speech::Http1 => http1::compose(self.number, id, request, response),
            Speech::Http2 => http2::json(self.number, number, id, request, response),
            Speech::Grpc => {
                http2::call(number, id, request, response);
                Ok(())
            }
        }
    }

    fn close(mut self, capture: &mut Capture<impl Write>) -> io::Result<()> {
        self.client(capture, FIN | ACK, &[])?;
        self.client_seq = self.client_seq.wrapping_add(1);
        self.server(capture, FIN | ACK, &[])?;
        self.server_seq = self.server_seq.wrapping_add(1);
        self.client(capture, ACK, &[])
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::packet::{checksum, ones},
        *,
    };

    #[test]
    fn the_same_bytes_each_time_and_about_as_many_as_asked_for() {
        let capture = || {
            let mut bytes = Vec::new();
            let written = write(&mut bytes, Speech::Http1, 3_000_000).unwrap();
            (bytes, written)
        };
        let (bytes, written) = capture();
        assert_eq!((bytes.clone(), written), capture());
        assert_eq!(written.bytes, bytes.len() as u64);
        // What was open at the limit is finished.
        assert!((3_000_000..6_000_000).contains(&written.bytes), "{written:?}");
        assert!((900..1300).contains(&(written.bytes / written.exchanges)), "{written:?}");
    }

    #[test]
    fn packets_follow_each_other_and_checksums_are_right() {
        let mut bytes = Vec::new();
        let written = write(&mut bytes, Speech::Http1, 200_000).unwrap();
        let mut at = 24;
        let mut requests = 0;
        while at < bytes.len() {
            let length = u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
            let packet = &bytes[at + 16..at + 16 + length];
            let (ip, tcp) = packet[14..].split_at(20);
            assert_eq!(checksum(0, ip), 0);
            assert_eq!(checksum(ones(&ip[12..20]) + 6 + tcp.len() as u64, tcp), 0);
            assert_eq!(usize::from(u16::from_be_bytes([ip[2], ip[3]])), length - 14);
            requests += u64::from(tcp[32..].starts_with(b"POST ") || tcp[32..].starts_with(b"GET "));
            at += 16 + length;
        }
        assert_eq!(at, bytes.len());
        assert_eq!(requests, written.exchanges);
    }
}
