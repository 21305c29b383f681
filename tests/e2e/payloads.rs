//! The payload log: what readers find in its files is what clients sent and got.

use std::{collections::BTreeMap, fs, net::TcpStream, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use interceptor::demo::pod::INTERFACE;
use interceptor_tests::{Case, Daemon, Need, Process, free_port, until};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::served::Served;

const NEEDS: &[Need] = &[Need::Root, Need::Program("python3", "python3-venv"), Need::Packages("payloads")];
const POLICY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/policies/payload-log.yaml");
const PORT: u16 = 8080;
const SOON: Duration = Duration::from_mins(1);

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("payloads::pandas_and_duckdb_read_what_clients_sent", NEEDS, parquet),
        Case::new("payloads::duckdb_reads_lines_of_json", NEEDS, lines),
        Case::new("payloads::a_store_that_is_killed_and_comes_back_lacks_nothing_and_has_no_double", NEEDS, store),
    ]
}

/// A chat server in a pod, and a policy that keeps all of what is said to it.
struct Bed(Served);

impl Bed {
    fn new() -> Result<Self> {
        let bed = Self(Served::start("payloads", "serve.py", &[PORT], |address, _| {
            vec![address.to_string(), PORT.to_string()]
        })?);
        // Of a hundred exchanges the policy takes one; here it takes them all.
        let policy = fs::read_to_string(POLICY)?;
        ensure!(policy.contains("rate: 0.01\n"), "{POLICY}");
        fs::write(bed.file("policy.yaml"), policy.replace("rate: 0.01\n", "rate: 0.9999999999\n"))?;
        Ok(bed)
    }

    fn file(&self, name: &str) -> String {
        self.0.files.path().join(name).display().to_string()
    }

    fn daemon(&self, variables: &[(&str, &str)], more: &[&str]) -> Result<Daemon> {
        let place = ["--capture-netns", self.0.pods.server.name(), "--capture-interfaces", INTERFACE];
        let rest = ["--inspect-policies", &self.file("policy.yaml"), "--payloads-interval", "1s"];
        Daemon::start_with(variables, place.iter().chain(&rest).chain(more))
    }

    /// Asks so often, and gives what the client sent and got, by the request's id.
    fn ask(&self, first: usize, count: usize) -> Result<Rows> {
        rows(self.0.ask("ask.py", &[self.0.address(), PORT.to_string(), first.to_string(), count.to_string()])?)
    }

    /// What a reader finds.
    fn read(&self, what: &str, place: &str) -> Result<Rows> {
        rows(self.0.outside("read.py", &[what, place])?)
    }
}

type Rows = BTreeMap<String, Value>;

fn rows(lines: Vec<String>) -> Result<Rows> {
    let count = lines.len();
    let row = |line: String| -> Result<(String, Value)> {
        let row: Value = serde_json::from_str(&line).with_context(|| line.clone())?;
        Ok((row["request_id"].as_str().context("no id")?.to_owned(), row))
    };
    let rows: Rows = lines.into_iter().map(row).collect::<Result<_>>()?;
    ensure!(rows.len() == count, "{count} rows, {} ids: there are doubles", rows.len());
    Ok(rows)
}

fn same(sent: &Rows, read: &Rows) -> Result<()> {
    ensure!(sent.keys().eq(read.keys()), "{:?}\n{:?}", sent.keys(), read.keys());
    for (id, told) in sent {
        for (name, value) in told.as_object().context("no object")? {
            ensure!(read[id][name] == *value, "{id} {name}: {value} and {}", read[id][name]);
        }
    }
    Ok(())
}

fn stop(daemon: Daemon) -> Result<Vec<String>> {
    Ok(daemon.into_process().stop(Signal::SIGTERM, SOON)?.success()?.stderr)
}

/// Text of all files below a directory.
fn contains(directory: &Path, text: &str) -> Result<bool> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let found = if path.is_dir() {
            contains(&path, text)?
        } else {
            fs::read(&path)?.windows(text.len()).any(|window| window == text.as_bytes())
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

fn parquet() -> Result<()> {
    let bed = Bed::new()?;
    let place = bed.file("log");
    let daemon = bed.daemon(&[], &["--payloads-to", &place, "--payloads-compression", "none"])?;
    let mut sent = bed.ask(0, 40)?;
    daemon.wait_for_sink("payloads", "delivered_records_total", 40)?;
    // Written as the daemon ends, without waiting for the interval.
    sent.extend(bed.ask(40, 20)?);
    let told = stop(daemon)?;
    ensure!(!told.iter().any(|line| line.contains("cannot deliver")), "{told:#?}");
    let (pandas, duckdb) = (bed.read("pandas", &place)?, bed.read("duckdb", &place)?);
    same(&sent, &pandas)?;
    same(&sent, &duckdb)?;
    // Both take the names of models out of the paths.
    let models = |rows: &Rows| rows.values().all(|row| row["model"] == row["model_name"]);
    ensure!(models(&pandas) && models(&duckdb), "{pandas:#?}");
    let log = Path::new(&place);
    ensure!(contains(log, "number 7, d")? && !contains(log, "ann7")? && !contains(log, "hunter2")?, "secrets");
    Ok(())
}

fn lines() -> Result<()> {
    let bed = Bed::new()?;
    let place = bed.file("log");
    let daemon = bed.daemon(&[], &["--payloads-to", &place, "--payloads-format", "jsonl"])?;
    let sent = bed.ask(0, 30)?;
    stop(daemon)?;
    same(&sent, &bed.read("jsonl", &place)?)
}

/// moto, a server of S3's protocol; it forgets its objects as it ends.
fn moto(bed: &Bed, port: u16) -> Result<Process> {
    let server =
        Process::start(bed.0.python().args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()]))?;
    until(SOON, "the store", || {
        ensure!(!server.is_over(), "it ended");
        Ok(TcpStream::connect(("127.0.0.1", port)).ok())
    })?;
    bed.read("bucket", &format!("http://127.0.0.1:{port}"))?;
    Ok(server)
}

fn store() -> Result<()> {
    let bed = Bed::new()?;
    let port = free_port()?;
    let endpoint = format!("http://127.0.0.1:{port}");
    let variables = [("AWS_ENDPOINT", &*endpoint), ("AWS_ACCESS_KEY_ID", "k"), ("AWS_SECRET_ACCESS_KEY", "s")];
    // It is not there yet: that is no reason not to start.
    let daemon = bed.daemon(&variables, &["--payloads-to", "s3://bucket/log"])?;
    let mut sent = bed.ask(0, 30)?;
    daemon.wait_for_sink("payloads", "failing", 1)?;
    let server = moto(&bed, port)?;
    daemon.wait_for_sink("payloads", "delivered_records_total", 30)?;
    let mut stored = bed.read("s3", &endpoint)?;
    same(&sent, &stored)?;
    server.stop(Signal::SIGKILL, SOON)?;
    sent.extend(bed.ask(30, 30)?);
    daemon.wait_for_sink("payloads", "failing", 1)?;
    let server = moto(&bed, port)?;
    daemon.wait_for_sink("payloads", "delivered_records_total", 60)?;
    sent.extend(bed.ask(60, 30)?);
    daemon.wait_for_sink("payloads", "delivered_records_total", 90)?;
    let again = bed.read("s3", &endpoint)?;
    ensure!(again.len() == 60 && !again.keys().any(|id| stored.contains_key(id)), "{:?}", again.keys());
    stored.extend(again);
    same(&sent, &stored)?;
    let metrics = daemon.metrics()?;
    ensure!(metrics.sum("interceptor_sink_dropped_records_total") == 0, "{metrics:?}");
    ensure!(
        daemon.of_sink("payloads", "offered_records_total")? == 90 && daemon.of_sink("payloads", "retries_total")? > 0
    );
    metrics.check_ledger()?;
    let told = stop(daemon)?;
    ensure!(told.iter().any(|line| line.contains("cannot be reached now")), "{told:#?}");
    drop(server);
    Ok(())
}
