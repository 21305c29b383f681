//! Receivers that take everything and look at nothing: of OTLP and CloudEvents over HTTP, and a broker of Kafka.

use std::{
    io::{self, BufRead as _, BufReader, Read, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

use anyhow::{Context as _, Result, bail, ensure};

/// Takes what comes until it is ended.
#[derive(clap::Args)]
pub(crate) struct Receive {
    /// Where; without a port, at one that is free. It is printed.
    #[arg(long)]
    address: SocketAddr,
    /// As a broker of Kafka, which leads the one partition of every topic; else over HTTP.
    #[arg(long)]
    kafka: bool,
}

pub(super) fn receive(args: &Receive) -> Result<()> {
    let listener = TcpListener::bind(args.address).with_context(|| format!("cannot listen on {}", args.address))?;
    println!("{}", listener.local_addr()?);
    for stream in listener.incoming() {
        let stream = stream?;
        let serve = if args.kafka { broker } else { http };
        thread::spawn(move || serve(&stream));
    }
    Ok(())
}

/// Answers each request of a connection with an empty message: all was taken.
fn http(stream: &TcpStream) -> Result<()> {
    let mut reader = BufReader::with_capacity(64 << 10, stream);
    let mut line = String::new();
    loop {
        let mut length = 0;
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if line.trim_end().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse()?;
            }
        }
        io::copy(&mut (&mut reader).take(length), &mut io::sink())?;
        let answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";
        (&*stream).write_all(answer)?;
    }
}

/// Answers as much of Kafka's protocol as a producer speaks: `ApiVersions` 3, `Metadata` 1 and `Produce` 3.
fn broker(stream: &TcpStream) -> Result<()> {
    let address = stream.local_addr()?;
    let mut reader = BufReader::with_capacity(64 << 10, stream);
    loop {
        let mut length = [0; 4];
        if reader.read_exact(&mut length).is_err() {
            return Ok(());
        }
        let mut request = vec![0; u32::from_be_bytes(length) as usize];
        reader.read_exact(&mut request)?;
        let answer = answer(&request, address)?;
        let mut frame = u32::try_from(answer.len())?.to_be_bytes().to_vec();
        frame.extend(answer);
        (&*stream).write_all(&frame)?;
    }
}

/// To a request with its header (`api_key`, version, `correlation_id`, `client_id`).
fn answer(request: &[u8], address: SocketAddr) -> Result<Vec<u8>> {
    let mut rest = request;
    let (api, version) = (i16::from_be_bytes(take(&mut rest)?), i16::from_be_bytes(take(&mut rest)?));
    let correlation: [u8; 4] = take(&mut rest)?;
    text(&mut rest)?;
    let mut out = correlation.to_vec();
    match (api, version) {
        (18, 3) => {
            // No error; a compact array of an `api_key`, its least and greatest version; no throttling, no tags.
            out.extend([0, 0, 4]);
            for (api, version) in [(0_i16, 3_i16), (3, 1), (18, 3)] {
                out.extend([api, version, version].into_iter().flat_map(i16::to_be_bytes).chain([0]));
            }
            out.extend([0; 5]);
        }
        (3, 1) => {
            // One broker, which is number 1, without a rack, and the controller.
            out.extend(words(&[1, 1]));
            put(&mut out, address.ip().to_string().as_bytes());
            out.extend(words(&[i32::from(address.port())]));
            out.extend([0xff, 0xff]);
            out.extend(words(&[1]));
            let topics = i32::from_be_bytes(take(&mut rest)?).max(0);
            out.extend(words(&[topics]));
            for _ in 0..topics {
                out.extend([0, 0]);
                put(&mut out, text(&mut rest)?);
                // Not internal; one partition without an error, number 0, led by 1, with itself as replica and in sync.
                out.push(0);
                out.extend(words(&[1]));
                out.extend([0, 0]);
                out.extend(words(&[0, 1, 1, 1, 1, 1]));
            }
        }
        (0, 3) => {
            text(&mut rest)?;
            ensure!(take::<2>(&mut rest)? != [0, 0], "a producer that wants no answer");
            take::<4>(&mut rest)?;
            ensure!(take(&mut rest)? == 1_i32.to_be_bytes(), "not one topic");
            out.extend(words(&[1]));
            put(&mut out, text(&mut rest)?);
            ensure!(take(&mut rest)? == 1_i32.to_be_bytes(), "not one partition");
            // Partition 0, no error, offset 0, no time of its own; no throttling.
            out.extend(words(&[1, 0]));
            out.extend([0, 0]);
            out.extend(words(&[0, 0, -1, -1, 0]));
        }
        _ => bail!("request {api} of version {version} is not known"),
    }
    Ok(out)
}

fn words(words: &[i32]) -> impl Iterator<Item = u8> {
    words.iter().flat_map(|word| word.to_be_bytes())
}

fn put(out: &mut Vec<u8>, text: &[u8]) {
    out.extend((text.len() as u16).to_be_bytes());
    out.extend(text);
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N]> {
    let (head, tail) = rest.split_first_chunk().context("a request ends early")?;
    *rest = tail;
    Ok(*head)
}

/// A string, which may be null.
fn text<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8]> {
    let length = usize::from(i16::from_be_bytes(take(rest)?).max(0).unsigned_abs());
    let (text, tail) = rest.split_at_checked(length).context("a request ends early")?;
    *rest = tail;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_is_answered() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        thread::spawn(move || http(&stream));
        for _ in 0..2 {
            client.write_all(b"POST /v1/traces HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc").unwrap();
        }
        let mut answers = BufReader::new(client).lines().map_while(Result::ok);
        let found = answers.by_ref().filter(|line| line == "HTTP/1.1 200 OK").take(2).count();
        assert_eq!(found, 2);
    }

    #[test]
    fn a_broker_tells_of_its_topics_and_refuses_what_it_does_not_know() {
        let address = "127.0.0.1:9092".parse().unwrap();
        let metadata = b"\0\x03\0\x01\0\0\0\x07\xff\xff\0\0\0\x01\0\x01t";
        let told = answer(metadata, address).unwrap();
        assert!(told.starts_with(b"\0\0\0\x07\0\0\0\x01\0\0\0\x01\0\x09127.0.0.1\0\0\x23\x84"));
        assert!(answer(b"\0\x03\0\x09\0\0\0\x07\xff\xff", address).is_err());
        for end in 0..metadata.len() {
            assert!(answer(&metadata[..end], address).is_err(), "{end}");
        }
    }
}
