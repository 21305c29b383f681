use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

/// A client's connection that is told each step, for what curl cannot do.
pub struct Connection(BufReader<TcpStream>);

/// A response.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status code.
    pub status: u16,
    /// Its content.
    pub body: Vec<u8>,
    /// It is the last one on its connection.
    pub last: bool,
}

impl Connection {
    /// Connects from the namespace that the calling thread is in.
    pub fn open(server: impl Into<SocketAddr>) -> Result<Self> {
        let server = server.into();
        let stream = TcpStream::connect_timeout(&server, Duration::from_secs(5));
        let stream = stream.with_context(|| format!("cannot connect to {server}"))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends a request without content.
    pub fn ask(&mut self, path: &str) -> Result<()> {
        Ok(self.0.get_mut().write_all(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes())?)
    }

    /// Takes a response that has a Content-Length.
    pub fn answer(&mut self) -> Result<Answer> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        let status = line.split(' ').nth(1).with_context(|| format!("no status line: {line:?}"))?.parse()?;
        let (mut length, mut last) = (None, false);
        loop {
            line.clear();
            if self.0.read_line(&mut line)? == 0 {
                bail!("the connection ended within a head");
            }
            match line.trim_end().split_once(": ") {
                None => break,
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = Some(value.parse()?),
                Some((name, value)) if name.eq_ignore_ascii_case("connection") => last = value == "close",
                Some(_) => {}
            }
        }
        let mut body = vec![0; length.context("a response without Content-Length")?];
        self.0.read_exact(&mut body)?;
        Ok(Answer { status, body, last })
    }

    /// Both.
    pub fn get(&mut self, path: &str) -> Result<Answer> {
        self.ask(path)?;
        self.answer()
    }
}
