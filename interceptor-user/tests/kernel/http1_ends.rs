//! A server of HTTP/1 that does as it is told, and a client.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, ensure};

/// A request, as a server sees it.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Which one it is on its connection; from 0.
    pub(crate) number: usize,
    pub(crate) line: String,
}

/// What it does.
pub(crate) enum Reply {
    /// An answer with this status, and these fields.
    Answer(u16, &'static str),
    /// It closes the connection.
    Close,
    /// It says nothing more, and waits for the other side's end.
    Hang,
    /// The same, after a head and a part of the content.
    Half,
}

pub(crate) struct Server {
    pub(crate) connections: Arc<AtomicUsize>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// Serves until the process ends.
    pub(crate) fn start(
        listener: &TcpListener,
        reply: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let (connections, asked, reply) = (Arc::default(), Arc::default(), Arc::new(reply));
        let server = Self { connections: Arc::clone(&connections), asked: Arc::clone(&asked) };
        let listener = listener.try_clone()?;
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let connection = connections.fetch_add(1, Relaxed);
                let (asked, reply) = (Arc::clone(&asked), Arc::clone(&reply));
                // Its error is the client's end.
                thread::spawn(move || serve(stream, connection, &asked, &*reply));
            }
        });
        Ok(server)
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How often it was asked by this line.
    pub(crate) fn count(&self, line: &str) -> usize {
        self.asked().iter().filter(|asked| asked.line == line).count()
    }

    pub(crate) fn opened(&self) -> usize {
        self.connections.load(Relaxed)
    }
}

fn serve(
    stream: TcpStream,
    connection: usize,
    asked: &Mutex<Vec<Asked>>,
    reply: &dyn Fn(&Asked) -> Reply,
) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    for number in 0.. {
        let head = head(&mut stream)?;
        content(&mut stream, &head)?;
        let line = head.lines().next().context("no line")?.trim_end_matches(" HTTP/1.1").to_owned();
        let request = Asked { number, line };
        asked.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
        match reply(&request) {
            Reply::Answer(status, fields) => {
                let text = connection.to_string();
                let answer = format!("HTTP/1.1 {status} Said\r\n{fields}Content-Length: {}\r\n\r\n{text}", text.len());
                stream.get_mut().write_all(answer.as_bytes())?;
            }
            Reply::Close => return Ok(()),
            Reply::Half => {
                stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")?;
                stream.read_to_end(&mut Vec::new())?;
            }
            Reply::Hang => _ = stream.read_to_end(&mut Vec::new())?,
        }
    }
    Ok(())
}

/// A head; its absence is an error.
pub(crate) fn head(stream: &mut BufReader<TcpStream>) -> anyhow::Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        ensure!(stream.read_line(&mut head)? > 0, "it is over: {head}");
    }
    Ok(head)
}

pub(crate) fn content(stream: &mut BufReader<TcpStream>, head: &str) -> anyhow::Result<Vec<u8>> {
    let length =
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    let mut content = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut content)?;
    Ok(content)
}

pub(crate) struct Client(BufReader<TcpStream>);

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    /// The number of the server's connection.
    pub(crate) text: String,
}

impl Client {
    pub(crate) fn open(to: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect_timeout(&to, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    pub(crate) fn get(&mut self, path: &str) -> anyhow::Result<Answer> {
        self.ask(&format!("GET {path}"), "")
    }

    pub(crate) fn post(&mut self, path: &str) -> anyhow::Result<Answer> {
        self.ask(&format!("POST {path}"), "Content-Length: 0\r\n")
    }

    pub(crate) fn ask(&mut self, line: &str, fields: &str) -> anyhow::Result<Answer> {
        self.send(line, fields)?;
        self.answer()
    }

    pub(crate) fn send(&mut self, line: &str, fields: &str) -> anyhow::Result<()> {
        Ok(self.0.get_mut().write_all(format!("{line} HTTP/1.1\r\nHost: model\r\n{fields}\r\n").as_bytes())?)
    }

    /// Of a content.
    pub(crate) fn more(&mut self, content: &[u8]) -> anyhow::Result<()> {
        Ok(self.0.get_mut().write_all(content)?)
    }

    pub(crate) fn answer(&mut self) -> anyhow::Result<Answer> {
        let head = head(&mut self.0)?.to_ascii_lowercase();
        let status = head.get(9..12).context("no status")?.parse()?;
        let text = String::from_utf8(content(&mut self.0, &head)?)?;
        Ok(Answer { status, head, text })
    }

    /// Waits until the other side ends the connection in order.
    pub(crate) fn ended(&mut self) -> anyhow::Result<()> {
        let left = self.0.read_to_end(&mut Vec::new())?;
        ensure!(left == 0, "{left} bytes come before the end");
        Ok(())
    }
}

/// Asks on a connection of its own.
pub(crate) fn get(to: SocketAddr, path: &str) -> anyhow::Result<Answer> {
    Client::open(to)?.get(path)
}
