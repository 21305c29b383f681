//! A server that gives back what it gets, byte for byte, or says what a row has it say.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use anyhow::{Result, bail};

use super::Row;

/// What all connections have in common.
struct Shared {
    answers: Vec<Option<Vec<u8>>>,
    /// All that came, by connection.
    got: Mutex<Vec<String>>,
}

pub(super) struct Server(Arc<Shared>);

impl Server {
    pub(super) fn start(listener: TcpListener, rows: &[Row]) -> Self {
        let answers = rows.iter().map(|row| row.answer.clone()).collect();
        let shared = Arc::new(Shared { answers, got: Mutex::default() });
        let server = Self(Arc::clone(&shared));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                thread::spawn(move || shared.serve(stream));
            }
        });
        server
    }

    /// All that came with this in it.
    pub(super) fn got(&self, text: &str) -> impl Iterator<Item = String> {
        let got = self.0.got.lock().unwrap();
        got.iter().filter(|got| got.contains(text)).cloned().collect::<Vec<_>>().into_iter()
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) -> Result<()> {
        let mut unread = Vec::new();
        let mut buffer = [0; 1 << 14];
        loop {
            let count = stream.read(&mut buffer)?;
            unread.extend_from_slice(&buffer[..count]);
            while let Some(length) = whole(&unread) {
                let request: Vec<u8> = unread.drain(..length).collect();
                if !self.answer(&mut stream, &request)? {
                    stream.shutdown(Shutdown::Write)?;
                    stream.read_to_end(&mut unread)?;
                    return Ok(());
                }
            }
            if count == 0 {
                // What did not become a request counts as well.
                self.got.lock().unwrap().push(text(&unread));
                return Ok(());
            }
        }
    }

    /// Whether the connection goes on.
    fn answer(&self, stream: &mut TcpStream, request: &[u8]) -> Result<bool> {
        let request = text(request);
        self.got.lock().unwrap().push(request.clone());
        let row = request.split(' ').nth(1).and_then(|path| path.strip_prefix("/row")?.parse::<usize>().ok());
        if let Some(answer) = row.and_then(|row| self.answers.get(row)?.as_ref()) {
            stream.write_all(answer)?;
            return Ok(false);
        }
        let bytes: Vec<u8> = request.chars().map(|byte| byte as u8).collect();
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", bytes.len())?;
        stream.write_all(&bytes)?;
        Ok(true)
    }
}

/// As bytes are: one character each.
fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// How long the first request is, once all of it is there.
fn whole(bytes: &[u8]) -> Option<usize> {
    let at = |from: usize, text: &[u8]| bytes[from..].windows(text.len()).position(|at| at == text);
    let head = at(0, b"\r\n\r\n")? + 4;
    let fields = text(&bytes[..head]).to_ascii_lowercase();
    if fields.contains("\r\ntransfer-encoding: chunked") {
        // No content of a row has this within.
        let last = if bytes[head..].starts_with(b"0\r\n") { 0 } else { at(head, b"\r\n0\r\n")? + 2 };
        return Some(head + last + at(head + last, b"\r\n\r\n")? + 4);
    }
    let length = fields.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    let end = head + length.unwrap_or(0);
    (bytes.len() >= end).then_some(end)
}

/// What it got, of what the client got: the contents of all answers.
pub(super) fn echoed(answers: &str) -> Result<String> {
    let (mut all, mut rest) = (String::new(), answers.to_owned());
    while !rest.is_empty() {
        let Some((head, content)) = rest.split_once("\r\n\r\n") else { bail!("no head: {answers:?}") };
        let length =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let length = length.unwrap_or(0);
        all.extend(content.chars().take(length));
        rest = content.chars().skip(length).collect();
    }
    Ok(all)
}
