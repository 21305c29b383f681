//! A receiver of OTLP over HTTP that takes everything and looks at nothing.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

use anyhow::{Context as _, Result};

/// Takes requests with a content until it is ended.
#[derive(clap::Args)]
pub(crate) struct Receive {
    #[arg(long)]
    address: SocketAddr,
}

pub(super) fn receive(args: &Receive) -> Result<()> {
    let listener = TcpListener::bind(args.address).with_context(|| format!("cannot listen on {}", args.address))?;
    for stream in listener.incoming() {
        let stream = stream?;
        thread::spawn(move || serve(&stream));
    }
    Ok(())
}

/// Answers each request of a connection with an empty message: all was taken.
fn serve(stream: &TcpStream) -> Result<()> {
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
        std::io::copy(&mut (&mut reader).take(length), &mut std::io::sink())?;
        let answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";
        (&*stream).write_all(answer)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_is_answered() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        thread::spawn(move || serve(&stream));
        for _ in 0..2 {
            client.write_all(b"POST /v1/traces HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc").unwrap();
        }
        let mut answers = BufReader::new(client).lines().map_while(Result::ok);
        let found = answers.by_ref().filter(|line| line == "HTTP/1.1 200 OK").take(2).count();
        assert_eq!(found, 2);
    }
}
