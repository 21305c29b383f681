//! HTTP/2 as a client of the inline path sees it, in frames (RFC 9113, RFC 7541).

mod client;
mod connection;
mod fields;
mod hpack;
mod known;
mod streams;
mod windows;
mod wire;

use std::{fs, time::Duration};

use anyhow::Result;
use interceptor_tests::Process;
use tempfile::TempDir;

use self::{
    client::{Client, Wants},
    wire::{PREFACE, settings},
};
use super::{all_hold, at_once, told_in_the_docs};
use crate::enforce::{self, Bed};

const SOON: Duration = Duration::from_secs(20);
/// Streams that the server takes at a time: by this number its SETTINGS are told from the inline path's.
const SERVER_STREAMS: u32 = 77;
/// Of what `get_long` asks for. It fits a window as connections have it at first.
const LONG: usize = 40_000;

/// A requirement.
struct Row {
    section: &'static str,
    what: &'static str,
    /// Not even the preface is said by itself.
    bare: bool,
    /// What is said, and what has to come then.
    turns: Vec<(Vec<u8>, Wants)>,
}

fn row(section: &'static str, what: &'static str, says: impl IntoIterator<Item = Vec<u8>>, wants: Wants) -> Row {
    Row { section, what, bare: false, turns: vec![(says.into_iter().flatten().collect(), wants)] }
}

impl Row {
    fn then(mut self, says: impl IntoIterator<Item = Vec<u8>>, wants: Wants) -> Self {
        self.turns.push((says.into_iter().flatten().collect(), wants));
        self
    }

    fn bare(self) -> Self {
        Self { bare: true, ..self }
    }

    fn told(&self, came: &str) -> String {
        format!("{}: {}: {came}", self.section, self.what)
    }

    /// None: it holds.
    fn run(&self, bed: &Bed) -> Result<Option<String>> {
        let known = known::instead(self.section, self.what);
        let mut client = Client::new(bed.connect()?);
        if !self.bare {
            client.say(&[PREFACE, &settings(&[])].concat());
        }
        for (number, (says, wants)) in self.turns.iter().enumerate() {
            let is_last = number + 1 == self.turns.len();
            let wants = known.filter(|_| is_last).unwrap_or(*wants);
            client.say(says);
            if let Some(came) = client.hears(wants)? {
                return Ok(Some(format!("step {}: wants {wants:?}, came {came}", number + 1)));
            }
        }
        Ok(None)
    }
}

/// nghttpd, which tells of all that comes to it.
struct Server {
    process: Process,
    _files: TempDir,
}

impl Server {
    fn start(bed: &Bed) -> Result<Self> {
        let files = tempfile::tempdir()?;
        fs::write(files.path().join("index.html"), "here")?;
        fs::write(files.path().join("big"), vec![b'x'; LONG])?;
        let pod = &bed.sidecar.bed.pods.server;
        let mut command = pod.command("nghttpd")?;
        command.args(["--no-tls", "-v", "--echo-upload", "-m", &SERVER_STREAMS.to_string(), "-d"]);
        command.arg(files.path()).args(["-a", &pod.ipv4.to_string(), &enforce::PORT.to_string()]);
        let process = Process::start(&mut command)?;
        process.wait_stdout(SOON, |lines| lines.iter().any(|line| line.contains("listen ")).then_some(()))?;
        Ok(Self { process, _files: files })
    }

    /// The requests with that in a field, as it tells of them.
    fn saw(&self, text: &str) -> Vec<String> {
        let around = |lines: &[String]| {
            let at = lines.iter().enumerate().filter(|(_, line)| line.contains(text)).map(|(at, _)| at);
            let shown = at.flat_map(|at| &lines[at.saturating_sub(6)..lines.len().min(at + 4)]);
            Some(shown.cloned().collect())
        };
        self.process.wait_stdout(Duration::ZERO, around).unwrap_or_default()
    }
}

pub(super) fn test() -> Result<()> {
    let rows = [connection::rows(), streams::rows(), windows::rows(), fields::rows(), hpack::rows()];
    let rows: Vec<Row> = rows.into_iter().flatten().collect();
    let known = known::all(&rows)?;
    let bed = Bed::new()?;
    let server = Server::start(&bed)?;
    // What is sent there waits for ever: nobody accepts.
    let _stalled = bed.server(enforce::ELSEWHERE)?;
    let mut failed = at_once(&rows, |_, row| row.run(&bed).map(|came| came.map(|came| row.told(&came))));
    let saw = server.saw(wire::MARK.1);
    if !saw.is_empty() {
        failed.push(format!("malformed requests came to the server:\n{}", saw.join("\n")));
    }
    failed.extend(told_in_the_docs(rows.len(), known, "RFC 9113 and RFC 7541").err().map(|error| error.to_string()));
    all_hold(failed, rows.len())
}
