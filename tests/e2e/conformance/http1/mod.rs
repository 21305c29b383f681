//! HTTP/1 as a client of the inline path sees it, and as a server behind it does (RFC 9112, RFC 9110).

mod framing;
mod known;
mod requests;
mod responses;
mod server;

use std::io::{ErrorKind, Read as _, Write as _};

use anyhow::{Result, bail};

use self::server::Server;
use super::{all_hold, at_once, told_in_the_docs};
use crate::enforce::{self, Bed};

/// What no server may get has this somewhere.
const MARK: &str = "never";

/// A requirement.
pub(super) struct Row {
    section: &'static str,
    what: &'static str,
    /// What the client says. `ROW` stands for a path that is the row's own.
    says: Vec<u8>,
    /// What the server answers, where it does not give back what it gets; it ends the connection then.
    answer: Option<Vec<u8>>,
    wants: Wants,
}

/// What has to come of it.
#[derive(Clone, Debug)]
pub(super) enum Wants {
    /// One answer with this status, and the end. No server gets anything.
    Refused(u16),
    /// The server gets exactly this, and its answer comes.
    Arrives(String),
    /// The client gets exactly this, and then an end in order.
    Hears(String),
    /// It gets this, which is not whole, and an end.
    Cut(String),
    /// It gets this, which may seem whole, and a reset.
    Reset(String),
    /// No answer of a server, as the request never came to one whole.
    Broken,
    /// An answer of this status of our own: the server's was none.
    Failed(u16),
}

/// What came back to the client.
#[derive(Debug)]
struct Heard {
    text: String,
    reset: bool,
}

/// A request, and what has to come of it.
fn asks(section: &'static str, what: &'static str, says: impl AsRef<[u8]>, wants: Wants) -> Row {
    Row { section, what, says: says.as_ref().to_vec(), answer: None, wants }
}

/// A server's answer to a GET, and what has to come of it.
fn answers(section: &'static str, what: &'static str, answer: impl AsRef<[u8]>, wants: Wants) -> Row {
    asks(section, what, get("ROW", ""), wants).answered(answer)
}

/// What the server gets of a GET.
fn arrives(path: &str, fields: &str) -> Wants {
    Wants::Arrives(format!("GET {path} HTTP/1.1\r\nHost: model\r\n{fields}\r\n"))
}

/// A request after which the connection ends.
fn get(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: model\r\n{fields}Connection: close\r\n\r\n")
}

impl Row {
    fn answered(self, answer: impl AsRef<[u8]>) -> Self {
        Self { answer: Some(answer.as_ref().to_vec()), ..self }
    }

    /// None: it holds.
    fn run(&self, number: usize, bed: &Bed) -> Result<Option<String>> {
        let wants = known::instead(self.section, self.what).unwrap_or_else(|| self.wants.clone());
        let mut stream = bed.connect()?;
        let says = String::from_utf8_lossy(&self.says).contains("ROW").then(|| {
            let text = String::from_utf8_lossy(&self.says).replace("ROW", &format!("/row{number}"));
            text.into_bytes()
        });
        // What is not taken is told by what comes.
        let _ = stream.write_all(says.as_deref().unwrap_or(&self.says));
        let mut bytes = Vec::new();
        let reset = match stream.read_to_end(&mut bytes) {
            Ok(_) => false,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => true,
            Err(error) => bail!("{error}, after {:?}", String::from_utf8_lossy(&bytes)),
        };
        let heard = Heard { text: bytes.iter().map(|byte| char::from(*byte)).collect(), reset };
        let holds = heard.is(&wants)?;
        Ok((!holds).then(|| format!("wants {wants:?}, came {heard:?}")))
    }
}

impl Heard {
    fn is(&self, wants: &Wants) -> Result<bool> {
        Ok(match wants {
            // What was not read of the request makes the end a reset.
            Wants::Refused(status) => self.is_one(*status),
            Wants::Broken => !self.text.contains("HTTP/1.1 200 "),
            Wants::Failed(status) => self.is_one(*status) && !self.reset,
            Wants::Hears(text) => self.says(text) && !self.reset,
            Wants::Cut(text) => self.says(text),
            Wants::Reset(text) => self.says(text) && self.reset,
            Wants::Arrives(text) => server::echoed(&self.text)? == *text && !self.reset,
        })
    }

    fn says(&self, text: &str) -> bool {
        framed_last(&self.text) == framed_last(text)
    }

    /// One answer of ours.
    fn is_one(&self, status: u16) -> bool {
        self.text.starts_with(&format!("HTTP/1.1 {status} ")) && self.text.matches("HTTP/1.1 ").count() == 1
    }
}

/// A head with what is about the connection at its end, in small letters: the library has it where and how it likes.
fn framed_last(text: &str) -> String {
    let (head, rest) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
    let ours = ["connection: close", "transfer-encoding: chunked"];
    let (last, fields): (Vec<_>, Vec<_>) =
        head.split("\r\n").partition(|line| ours.contains(&line.to_ascii_lowercase().as_str()));
    let mut last: Vec<String> = last.into_iter().map(str::to_ascii_lowercase).collect();
    last.sort();
    format!("{}\r\n{}\r\n\r\n{rest}", fields.join("\r\n"), last.join("\r\n"))
}

pub(super) fn test() -> Result<()> {
    let rows: Vec<Row> = [requests::rows(), framing::rows(), responses::rows()].into_iter().flatten().collect();
    let known = known::all(&rows)?;
    let bed = Bed::new()?;
    let server = Server::start(bed.server(enforce::PORT)?, &rows);
    let mut failed = at_once(&rows, |number, row| {
        let came = row.run(number, &bed).map_err(|error| error.context(row.what))?;
        Ok(came.map(|came| format!("{}: {}: {came}", row.section, row.what)))
    });
    failed.extend(server.got(MARK).map(|got| format!("this came to the server: {got:?}")));
    failed.extend(told_in_the_docs(rows.len(), known, "RFC 9112 and RFC 9110").err().map(|error| error.to_string()));
    all_hold(failed, rows.len())
}
