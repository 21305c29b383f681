//! Those that records are sent to: brokers of Kafka, receivers of CloudEvents. What they have is what clients sent and got,
//! whatever happens to them meanwhile.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::TcpStream,
    path::Path,
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use interceptor::demo::pod::INTERFACE;
use interceptor_tests::{Case, Daemon, Need, Process, free_port, until};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::served::Served;

const NEEDS: &[Need] = &[Need::Root, Need::Program("python3", "python3-venv"), Need::Packages("receivers")];
const SOON: Duration = Duration::from_mins(1);
const MODELS: [&str; 3] = ["iris", "wine", "größe"];
const POLICY: &str = "apiVersion: interceptor/v1alpha1
kind: Policy
metadata: { name: all }
spec:
  rules:
    - name: all
      inspect: { inference: {} }
      keep: { request: 1MiB, response: 1MiB }
      sinks: [lines, metrics, traces, payloads, kafka, cloudevents]
";

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("receivers::a_broker_that_is_killed_and_comes_back_has_every_record", NEEDS, broker),
        Case::new("receivers::a_cluster_of_brokers_has_every_record_in_its_place", NEEDS, cluster),
        Case::new("receivers::the_sdk_of_cloudevents_reads_what_was_said_to_models", NEEDS, events),
        Case::new("receivers::each_fails_alone_and_what_was_kept_arrives", NEEDS, alone),
    ]
}

/// What a client sent and got, by the request's id.
type Rows = BTreeMap<String, Value>;

/// Models in a pod.
struct Bed(Served);

impl Bed {
    fn new() -> Result<Self> {
        let bed = Self(Served::start("receivers", "model.py", &[8080], |address, _| vec![address.to_string()])?);
        fs::write(bed.file("policy.yaml"), POLICY)?;
        Ok(bed)
    }

    fn file(&self, name: &str) -> String {
        self.0.files.path().join(name).display().to_string()
    }

    fn daemon<S: AsRef<str>>(&self, more: &[S]) -> Result<Daemon> {
        let place = ["--capture-netns", self.0.pods.server.name(), "--capture-interfaces", INTERFACE];
        let policy = ["--inspect-policies", &self.file("policy.yaml")];
        Daemon::start(place.into_iter().chain(policy).chain(more.iter().map(AsRef::as_ref)))
    }

    fn ask(&self, first: usize, count: usize) -> Result<Rows> {
        let arguments = [self.0.address(), first.to_string(), count.to_string()];
        let told = self.0.ask("ask.py", &[&arguments[..], &MODELS.map(str::to_owned)].concat())?;
        let row = |line: &String| -> Result<(String, Value)> {
            let row: Value = serde_json::from_str(line).with_context(|| line.clone())?;
            Ok((text(&row["id"])?.to_owned(), row))
        };
        told.iter().map(row).collect()
    }

    /// Tansu, which forgets all as it ends.
    fn tansu(&self, port: u16) -> Result<Process> {
        let broker = self.listen("tansu", port)?;
        self.0.outside("broker.py", &["topic", &port.to_string(), "3"])?;
        Ok(broker)
    }

    fn listen(&self, what: &str, port: u16) -> Result<Process> {
        let mut command = match what {
            "tansu" => self.command("broker.py", &["tansu", &port.to_string()]),
            _ => self.command("events.py", &[&port.to_string(), &self.file("mood")]),
        };
        let server = Process::start(&mut command)?;
        until(SOON, what, || {
            ensure!(!server.is_over(), "it ended");
            Ok(TcpStream::connect(("127.0.0.1", port)).ok())
        })?;
        Ok(server)
    }

    fn command(&self, script: &str, arguments: &[&str]) -> Command {
        let mut command = self.0.script(script);
        command.args(arguments);
        command
    }

    /// The topic's records, at least so many.
    fn consumed(&self, brokers: &str, least: usize) -> Result<Vec<Value>> {
        let told = self.0.outside("consume.py", &[brokers, &least.to_string()])?;
        told.iter().map(|line| serde_json::from_str(line).with_context(|| line.clone())).collect()
    }
}

fn text(value: &Value) -> Result<&str> {
    value.as_str().with_context(|| format!("{value} is no string"))
}

fn kafka(brokers: &str) -> [String; 6] {
    ["--kafka-brokers", brokers, "--kafka-topic", "interceptor", "--kafka-contents", "true"].map(str::to_owned)
}

/// Nothing waits for it any more, and it delivers.
fn wait_for_none(daemon: &Daemon, sink: &str) -> Result<()> {
    until(SOON, &format!("{sink} to deliver"), || {
        let done = daemon.of_sink(sink, "queue_records")? == 0 && daemon.of_sink(sink, "failing")? == 0;
        Ok(done.then_some(()))
    })
}

/// Records are what was said, keyed by their models, each model's in order. Some may be there twice.
fn same(sent: &Rows, records: &[Value]) -> Result<()> {
    let mut ids = BTreeSet::new();
    let mut places: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for record in records {
        let request = text(&record["value"]["interceptor.request.body.content"])?;
        let (id, row) =
            sent.iter().find(|(_, row)| row["request"] == request).with_context(|| format!("nobody sent {record}"))?;
        for (ours, theirs) in [
            (&record["key"], &row["model"]),
            (&record["value"]["gen_ai.request.model"], &row["model"]),
            (&record["value"]["interceptor.response.body.content"], &row["response"]),
        ] {
            ensure!(ours == theirs, "{ours} and {theirs} in {record:#}");
        }
        ensure!(record["headers"]["interceptor-record"] == "exchange", "{record:#}");
        let (partition, offset) = (record["partition"].as_u64(), record["offset"].as_u64());
        let (partition, offset) = (partition.context("no partition")?, offset.context("no offset")?);
        let expected = &record["expected"];
        ensure!(expected.is_null() || *expected == partition, "librdkafka puts it elsewhere: {record:#}");
        let before = places.insert(text(&record["key"])?, (partition, offset));
        ensure!(before.is_none_or(|(place, last)| place == partition && last < offset), "{record:#}");
        ids.insert(id.to_owned());
    }
    ensure!(ids.iter().eq(sent.keys()), "{ids:?} of {:?}", sent.keys());
    Ok(())
}

fn broker() -> Result<()> {
    let bed = Bed::new()?;
    let port = free_port()?;
    let address = format!("127.0.0.1:{port}");
    // It is not there yet: that is no reason not to start.
    let daemon = bed.daemon(&kafka(&address))?;
    let first = bed.ask(0, 30)?;
    daemon.wait_for_sink("kafka", "failing", 1)?;
    let tansu = bed.tansu(port)?;
    daemon.wait_for_sink("kafka", "delivered_records_total", 30)?;
    same(&first, &bed.consumed(&address, 30)?)?;
    tansu.stop(Signal::SIGKILL, SOON)?;
    let second = bed.ask(30, 30)?;
    daemon.wait_for_sink("kafka", "failing", 1)?;
    let tansu = bed.tansu(port)?;
    daemon.wait_for_sink("kafka", "delivered_records_total", 60)?;
    same(&second, &bed.consumed(&address, 30)?)?;
    bed.0.outside("broker.py", &["delete", &port.to_string()])?;
    let third = bed.ask(60, 30)?;
    bed.0.outside("broker.py", &["topic", &port.to_string(), "3"])?;
    daemon.wait_for_sink("kafka", "delivered_records_total", 90)?;
    // Those may have gone to the topic that was deleted; what is said now arrives in the new one.
    let fourth = bed.ask(90, 30)?;
    daemon.wait_for_sink("kafka", "delivered_records_total", 120)?;
    let stored = bed.consumed(&address, 30)?;
    let is_of = |rows: &Rows, record: &Value| {
        rows.values().any(|row| row["request"] == record["value"]["interceptor.request.body.content"])
    };
    let (late, early): (Vec<_>, Vec<_>) = stored.into_iter().partition(|record| is_of(&fourth, record));
    same(&fourth, &late)?;
    ensure!(early.iter().all(|record| is_of(&third, record)), "of a topic that was made anew: {early:#?}");
    daemon.wait_for_sums()?;
    let metrics = daemon.metrics()?;
    ensure!(metrics.sum("interceptor_sink_dropped_records_total") == 0, "{metrics:?}");
    metrics.check_ledger()?;
    drop(tansu);
    Ok(())
}

fn cluster() -> Result<()> {
    let bed = Bed::new()?;
    let mock = Process::start(&mut bed.command("broker.py", &["mock", "3"]))?;
    let brokers = mock.wait_stdout(SOON, |lines| lines.first().cloned())?;
    let daemon = bed.daemon(&kafka(&brokers))?;
    let sent = bed.ask(0, 60)?;
    daemon.wait_for_sink("kafka", "delivered_records_total", 60)?;
    same(&sent, &bed.consumed(&brokers, 60)?)?;
    daemon.wait_for_sums()
}

/// What the receiver printed: bodies of requests and of responses, by the requests' ids.
fn said(receiver: &Process, count: usize) -> Result<Vec<Value>> {
    let lines = receiver.wait_stdout(SOON, |lines| (lines.len() >= count).then(|| lines.to_vec()))?;
    lines.iter().map(|line| serde_json::from_str(line).with_context(|| line.clone())).collect()
}

fn events() -> Result<()> {
    let bed = Bed::new()?;
    let port = free_port()?;
    let url = format!("http://127.0.0.1:{port}/events");
    let receiver = bed.listen("events", port)?;
    let options = ["--cloudevents-url", &url, "--cloudevents-namespace", "ml"];
    let daemon = bed.daemon(&options)?;
    let mut sent = bed.ask(0, 20)?;
    daemon.wait_for_sink("cloudevents", "delivered_records_total", 20)?;
    fs::write(bed.file("mood"), "refuse")?;
    sent.extend(bed.ask(20, 20)?);
    daemon.wait_for_sink("cloudevents", "failing", 1)?;
    fs::remove_file(bed.file("mood"))?;
    daemon.wait_for_sink("cloudevents", "delivered_records_total", 40)?;
    let before = said(&receiver, 80)?;
    receiver.stop(Signal::SIGKILL, SOON)?;
    sent.extend(bed.ask(40, 20)?);
    daemon.wait_for_sink("cloudevents", "failing", 1)?;
    let receiver = bed.listen("events", port)?;
    daemon.wait_for_sink("cloudevents", "delivered_records_total", 60)?;
    let after = said(&receiver, 40)?;
    daemon.wait_for_sums()?;
    ensure!(daemon.metrics()?.sum("interceptor_sink_dropped_records_total") == 0);
    let mut seen: BTreeMap<(String, bool), BTreeSet<String>> = BTreeMap::new();
    for event in before.iter().chain(&after) {
        let attributes = &event["attributes"];
        let answer = match text(&attributes["type"])? {
            "org.kubeflow.serving.inference.request" => false,
            "org.kubeflow.serving.inference.response" => true,
            other => anyhow::bail!("{other}"),
        };
        let id = text(&event["data"]["id"])?;
        let row = sent.get(id).with_context(|| format!("nobody sent {event}"))?;
        ensure!(event["body"] == row[if answer { "response" } else { "request" }], "{event:#}\n{row:#}");
        ensure!(attributes["inferenceservicename"] == row["model"] && attributes["namespace"] == "ml", "{event:#}");
        ensure!(attributes["specversion"] == "1.0" && attributes["component"] == "predictor", "{event:#}");
        seen.entry((id.to_owned(), answer)).or_default().insert(text(&attributes["id"])?.to_owned());
    }
    ensure!(seen.len() == 2 * sent.len(), "{} of {}", seen.len(), 2 * sent.len());
    // However often it came, an event has one id; a request and its response share it.
    for id in sent.keys() {
        let (request, response) = (&seen[&(id.clone(), false)], &seen[&(id.clone(), true)]);
        ensure!(request.len() == 1 && request == response, "{id}: {request:?}, {response:?}");
    }
    Ok(())
}

/// A file system of this size, until it is dropped.
struct Disk(String);

impl Disk {
    fn new(place: String, size: &str) -> Result<Self> {
        fs::create_dir_all(&place)?;
        let disk = Self(place);
        disk.mount(&format!("size={size}"))?;
        Ok(disk)
    }

    fn mount(&self, options: &str) -> Result<()> {
        let mut command = Command::new("mount");
        let status = command.args(["-t", "tmpfs", "-o", options, "interceptor-test", &self.0]).status()?;
        ensure!(status.success(), "mount {}: {status}", self.0);
        Ok(())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(Command::new("umount").args(["--lazy", &self.0]).status());
    }
}

/// KiB that a queue may hold (`delivery.queue_size`), and as much as a batch on its way may be, encoded.
const QUEUE: u64 = 4 << 10;
/// KiB that the pipeline and the allocator take beside.
const SLACK: u64 = 8 << 10;

/// Those that come back.
const SINKS: [&str; 4] = ["lines", "kafka", "payloads", "cloudevents"];

/// What each delivered, and what it dropped.
fn counted(daemon: &Daemon) -> Result<[[u64; 4]; 2]> {
    let metrics = daemon.metrics()?;
    Ok(["delivered_records_total", "dropped_records_total"].map(|what| SINKS.map(|sink| metrics.of_sink(sink, what))))
}

/// Lines of all files with this ending below a directory.
fn lines_below(directory: &Path, ending: &str) -> Result<u64> {
    let mut lines = 0;
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            lines += lines_below(&path, ending)?;
        } else if path.extension().is_some_and(|found| found == ending) {
            lines += fs::read_to_string(&path)?.lines().count() as u64;
        }
    }
    Ok(lines)
}

/// What sends to these places.
fn all(brokers: &str, [url, log, lines, traces]: [&str; 4]) -> Vec<String> {
    let mut options = kafka(brokers).to_vec();
    let more = [
        ["--cloudevents-url", url],
        ["--payloads-to", log],
        ["--payloads-format", "jsonl"],
        ["--payloads-compression", "none"],
        ["--payloads-interval", "1s"],
        ["--payloads-max-size", "2MiB"],
        ["--lines-to", lines],
        ["--otlp-endpoint", traces],
        ["--otlp-signals", "traces"],
        ["--delivery-queue-size", "4MiB"],
    ];
    options.extend(more.iter().flatten().map(|word| (*word).to_owned()));
    options
}

fn alone() -> Result<()> {
    const COUNT: usize = 1_000;
    let bed = Bed::new()?;
    let (broker, receiver) = (free_port()?, free_port()?);
    let disk = Disk::new(bed.file("disk"), "16k")?;
    let events = bed.listen("events", receiver)?;
    let tansu = bed.tansu(broker)?;
    let (url, log, lines) = (format!("http://127.0.0.1:{receiver}/"), bed.file("disk/log"), bed.file("lines.jsonl"));
    // Nobody is there to take spans.
    let traces = format!("http://127.0.0.1:{}", free_port()?);
    let options = all(&format!("127.0.0.1:{broker}"), [&url, &log, &lines, &traces]);
    let daemon = bed.daemon(&options)?;
    let mut kept = vec![daemon.process().anonymous_kib()?];
    let mut asked = 0;
    let mut ask = || -> Result<()> {
        bed.ask(asked, COUNT)?;
        asked += COUNT;
        // Whatever becomes of the others, files get theirs.
        daemon.wait_for_sink("lines", "delivered_records_total", asked as u64)?;
        kept.push(daemon.process().anonymous_kib()?);
        daemon.wait_for_sums()
    };
    // The disk is full soon, and nobody takes spans; the others get all.
    ask()?;
    daemon.wait_for_sink("payloads", "failing", 1)?;
    daemon.wait_for_sink("traces", "failing", 1)?;
    for sink in ["kafka", "cloudevents"] {
        daemon.wait_for_sink(sink, "delivered_records_total", COUNT as u64)?;
    }
    tansu.signal(Signal::SIGSTOP)?;
    ask()?;
    tansu.signal(Signal::SIGCONT)?;
    wait_for_none(&daemon, "kafka")?;
    fs::write(bed.file("mood"), "refuse")?;
    ask()?;
    daemon.wait_for_sink("cloudevents", "failing", 1)?;
    fs::write(bed.file("mood"), "wait")?;
    ask()?;
    ensure!(daemon.of_sink("cloudevents", "queue_records")? > 0, "it waits");
    fs::remove_file(bed.file("mood"))?;
    disk.mount("remount,size=64m")?;
    for sink in SINKS {
        wait_for_none(&daemon, sink)?;
    }
    // Each delivers again all that it is given.
    let [before, dropped] = counted(&daemon)?;
    ask()?;
    for (sink, before) in SINKS.into_iter().zip(before) {
        daemon.wait_for_sink(sink, "delivered_records_total", before + COUNT as u64)?;
        wait_for_none(&daemon, sink)?;
    }
    daemon.wait_for_sums()?;
    let metrics = daemon.metrics()?;
    let [delivered, late] = counted(&daemon)?;
    ensure!(late == dropped, "dropped, though nothing fails: {late:?} after {dropped:?}");
    let known = delivered.iter().zip(dropped).map(|(delivered, dropped)| delivered + dropped);
    ensure!(known.eq([asked as u64; 4]), "{asked}: {delivered:?} delivered, {dropped:?} dropped");
    // Twice may be; never is one missing that is said to be delivered. Each is two events.
    let stored = [
        fs::read_to_string(&lines)?.lines().count() as u64,
        bed.consumed(&format!("127.0.0.1:{broker}"), usize::try_from(delivered[1])?)?.len() as u64,
        lines_below(Path::new(&log), "jsonl")?,
        said(&events, usize::try_from(2 * delivered[3])?)?.len() as u64 / 2,
    ];
    ensure!(stored.iter().zip(&delivered).all(|(stored, told)| stored >= told), "{stored:?} of {delivered:?}");
    metrics.check_ledger()?;
    ensure!(metrics.sum("interceptor_lost_bytes_total") == 0, "capture lost something: {metrics:?}");
    ensure!(metrics.sum("interceptor_exchanges_total") == asked as u64, "{metrics:?}");
    eprintln!("KiB of memory: {kept:?}");
    // Four of the five sinks may be full, and each has a batch on its way.
    ensure!(kept.iter().all(|kib| *kib < kept[0] + (4 + 5) * QUEUE + SLACK), "{kept:?} KiB");
    drop(events);
    Ok(())
}
