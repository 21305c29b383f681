//! OTLP into a collector: what it has is what went over the wire, whatever happens to it meanwhile.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::TcpStream,
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use interceptor::demo::pod::{INTERFACE, Pair, Pod};
use interceptor_tests::{Case, Daemon, Need, PODS, Process, Python, free_port, until};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::curl;

const NEEDS: &[Need] =
    &[Need::Root, Need::Program("curl", "curl"), Need::Program("python3", "python3-venv"), Need::Packages("otlp")];
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/e2e");
const SOON: Duration = Duration::from_mins(1);
/// Other tests have pods, too: theirs are at other ports.
const PORT: u16 = 8097;
/// KiB by which memory may grow.
const SLACK: u64 = 24 << 10;
/// Each exchange with a model gives a log record: nobody has a key.
const POLICY: &str = "apiVersion: interceptor/v1alpha1
kind: Policy
metadata: { name: keys }
spec:
  rules:
    - name: key
      match: has(inference.dialect)
      inspect: { inference: {} }
      action: { deny: { status: 401, message: a key is needed } }
";

pub(crate) fn cases() -> Vec<Case> {
    let over = |name: &str, protocol| Case::new(format!("otlp::{name}"), NEEDS, move || comes_back(protocol));
    vec![
        over("a_collector_that_comes_late_hangs_and_is_killed_has_everything_over_grpc", "grpc"),
        over("a_collector_that_comes_late_hangs_and_is_killed_has_everything_over_http", "http/protobuf"),
        Case::new("otlp::two_pods_that_only_pass_headers_on_are_one_trace", NEEDS, one_trace),
    ]
}

/// The place of a collector.
struct Place {
    python: Python,
    files: TempDir,
    grpc: u16,
    http: u16,
}

impl Place {
    fn new() -> Result<Self> {
        let (grpc, http) = (free_port()?, free_port()?);
        Ok(Self { python: Python::with("otlp")?, files: tempfile::tempdir()?, grpc, http })
    }

    fn file(&self, name: &str) -> String {
        self.files.path().join(name).display().to_string()
    }

    /// What sends there, and to a file beside it.
    fn arguments(&self, protocol: &str) -> Vec<String> {
        let port = if protocol == "grpc" { self.grpc } else { self.http };
        let (endpoint, lines) = (format!("http://127.0.0.1:{port}"), self.file("lines"));
        let places = ["--otlp-endpoint", &endpoint, "--otlp-protocol", protocol, "--lines-to", &lines];
        let times = ["--otlp-timeout", "1s", "--otlp-metrics-interval", "1s", "--otlp-parent-wait", "500ms"];
        places.iter().chain(&times).map(|word| (*word).to_owned()).collect()
    }

    fn collector(&self) -> Result<Collector> {
        let mut command = Command::new(self.python.path());
        command.arg(format!("{SCRIPTS}/otlp/collect.py"));
        command.args([self.grpc.to_string(), self.http.to_string()]).arg(self.files.path());
        let collector = Process::start(&mut command)?;
        until(SOON, "the collector", || {
            ensure!(!collector.is_over(), "it ended");
            let open = |port: u16| TcpStream::connect(("127.0.0.1", port)).ok();
            Ok(open(self.grpc).and(open(self.http)))
        })?;
        Ok(Collector(collector))
    }
}

struct Collector(Process);

impl Collector {
    /// What it has got so far, once `found` is content with it.
    fn told<T>(&self, mut found: impl FnMut(&Told) -> Option<T>) -> Result<T> {
        // Not with each of its many lines.
        until(SOON, "the collector to tell", || Ok(found(&self.0.wait_stdout(SOON, |lines| Some(Told::read(lines)))?)))
    }
}

/// What a collector has got.
#[derive(Debug, Default)]
struct Told {
    spans: Vec<Span>,
    /// Traces of the log records.
    logs: Vec<String>,
    metrics: BTreeSet<String>,
}

#[derive(Clone, Debug, Default)]
struct Span {
    trace: String,
    id: String,
    parent: String,
    name: String,
    kind: String,
}

impl Told {
    fn read(lines: &[String]) -> Self {
        let (mut told, mut block) = (Self::default(), "");
        for line in lines {
            let line = line.trim();
            if line.starts_with("Span #") {
                told.spans.push(Span::default());
            }
            if let Some((name, _)) = line.split_once(" #") {
                block = if ["Span", "Metric", "LogRecord"].contains(&name) { name } else { block };
                continue;
            }
            let Some((name, value)) = line.split_once(':') else { continue };
            let (name, value) = (name.trim_start_matches("-> ").trim(), value.trim().to_owned());
            match (block, name, told.spans.last_mut()) {
                ("Span", "Trace ID", Some(span)) => span.trace = value,
                ("Span", "Parent ID", Some(span)) => span.parent = value,
                ("Span", "ID", Some(span)) => span.id = value,
                ("Span", "Name", Some(span)) => span.name = value,
                ("Span", "Kind", Some(span)) => span.kind = value,
                ("LogRecord", "Trace ID", _) => told.logs.push(value),
                ("Metric", "Name", _) => drop(told.metrics.insert(value)),
                _ => {}
            }
        }
        told
    }

    /// Those of the requests (each a trace and a parent) that have both a span and a log record.
    fn asked_for(&self, asked: &BTreeSet<String>) -> BTreeSet<String> {
        let logs: BTreeSet<_> = self.logs.iter().map(String::as_str).collect();
        let both = self.spans.iter().filter(|span| logs.contains(&*span.trace));
        let ids: BTreeSet<_> = both.map(|span| format!("{} {}", span.trace, span.parent)).collect();
        asked.intersection(&ids).cloned().collect()
    }
}

fn script(pod: &Pod, name: &str, arguments: &[&str]) -> Result<Process> {
    let mut command = pod.command("python3")?;
    Process::start(command.arg(format!("{SCRIPTS}/{name}")).args(arguments))
}

fn listening(server: Process) -> Result<Process> {
    server.wait_stdout(SOON, |lines| lines.iter().any(|line| line == "listening").then_some(()))?;
    Ok(server)
}

/// Spans and log records of each sink have arrived, and the file beside them has not waited.
fn settled(daemon: &Daemon, asked: u64) -> Result<()> {
    for sink in ["lines", "traces", "logs"] {
        daemon.wait_for_sink(sink, "delivered_records_total", asked)?;
    }
    daemon.wait_for_sums()
}

fn comes_back(protocol: &str) -> Result<()> {
    const COUNT: usize = 60;
    let (pods, place) = (Pair::create(PODS)?, Place::new()?);
    let (address, port) = (pods.server.ipv4.to_string(), PORT.to_string());
    let _server = listening(script(&pods.server, "peers/chat.py", &["serve", &address, &port])?)?;
    fs::write(place.file("policy.yaml"), POLICY)?;
    let policy = ["--inspect-policies".to_owned(), place.file("policy.yaml")];
    let on = ["--capture-netns", pods.server.name(), "--capture-interfaces", INTERFACE].map(str::to_owned);
    let daemon = Daemon::start(on.into_iter().chain(policy).chain(place.arguments(protocol)))?;
    let mut asked = BTreeSet::new();
    // While nobody takes what is sent, the file has it all the same.
    let ask_in_vain = |asked: &mut BTreeSet<String>| -> Result<u64> {
        let ended = script(&pods.client, "peers/chat.py", &["ask", &address, &port, &COUNT.to_string()])?.end(SOON)?;
        asked.extend(ended.success()?.stdout);
        let count = asked.len() as u64;
        daemon.wait_for_sink("lines", "delivered_records_total", count)?;
        for sink in ["traces", "logs", "metrics"] {
            daemon.wait_for_sink(sink, "failing", 1)?;
        }
        Ok(count)
    };
    let count = ask_in_vain(&mut asked)?;
    let first = place.collector()?;
    settled(&daemon, count)?;
    let early = daemon.process().anonymous_kib()?;
    first.0.signal(Signal::SIGSTOP)?;
    let count = ask_in_vain(&mut asked)?;
    first.0.signal(Signal::SIGCONT)?;
    settled(&daemon, count)?;
    // It takes things before it tells them, and does not tell what it has not told when it is killed.
    let mut arrived = BTreeSet::new();
    first.told(|told| {
        arrived = told.asked_for(&asked);
        (arrived.len() == asked.len()).then_some(())
    })?;
    drop(first);
    let count = ask_in_vain(&mut asked)?;
    let second = place.collector()?;
    settled(&daemon, count)?;
    let late = daemon.process().anonymous_kib()?;
    second
        .told(|told| {
            let all = asked.difference(&arrived).count() == told.asked_for(&asked).difference(&arrived).count();
            (all && told.metrics.contains("gen_ai.server.request.duration")).then_some(())
        })
        .with_context(|| format!("{} requests, of which the first collector had {}", asked.len(), arrived.len()))?;
    let metrics = daemon.metrics()?;
    for sink in ["traces", "logs", "lines"] {
        let [offered, delivered] =
            ["offered_records_total", "delivered_records_total"].map(|what| metrics.of_sink(sink, what));
        ensure!(offered == count && delivered == count, "{sink}: {offered} offered, {delivered} delivered");
    }
    ensure!(metrics.sum("interceptor_lost_bytes_total") == 0, "{metrics:?}");
    metrics.check_ledger()?;
    ensure!(late < early + SLACK, "{early} KiB, then {late} KiB");
    Ok(())
}

/// The spans of a trace, by their ids. One that is there twice is the same both times.
fn trace_of(spans: &[Span], trace: &str) -> Result<BTreeMap<String, Span>> {
    let mut found = BTreeMap::<String, Span>::new();
    for span in spans.iter().filter(|span| span.trace == trace) {
        let other = found.insert(span.id.clone(), span.clone());
        ensure!(other.is_none_or(|other| other.parent == span.parent && other.kind == span.kind), "{spans:#?}");
    }
    Ok(found)
}

fn one_trace() -> Result<()> {
    let (pods, place) = (Pair::create(PODS)?, Place::new()?);
    let [back, front] = [&pods.server, &pods.client].map(|pod| pod.ipv4.to_string());
    let port = PORT.to_string();
    let _back = listening(script(&pods.server, "otlp/app.py", &[&back, &port])?)?;
    let _front = listening(script(&pods.client, "otlp/app.py", &[&front, &port, &back])?)?;
    let collector = place.collector()?;
    let on = ["--capture-pods", "all", "--capture-ports", &port].map(str::to_owned);
    let daemon = Daemon::start(on.into_iter().chain(place.arguments("grpc")))?;
    let (named, url) = ("b7ad6b7169203331", format!("http://{front}:{port}/front"));
    for (number, fields) in
        ["traceparent: 00-TRACE-SPAN-01", "b3: TRACE-SPAN-1", "X-B3-TraceId: TRACE|X-B3-SpanId: SPAN"]
            .into_iter()
            .enumerate()
    {
        let trace = format!("0af7651916cd43dd8448eb211c80319{number}");
        let fields = fields.replace("TRACE", &trace).replace("SPAN", named);
        let mut arguments: Vec<_> = fields.split('|').flat_map(|field| ["-H", field]).collect();
        arguments.push(&url);
        let said = curl(&pods.server, &arguments)?.stdout;
        ensure!(said == ["front, back"], "{said:?}");
        let spans = collector.told(|told| {
            let spans = trace_of(&told.spans, &trace).unwrap_or_default();
            (spans.len() >= 4).then(|| told.spans.clone())
        })?;
        let spans = trace_of(&spans, &trace)?;
        ensure!(spans.len() == 4, "{spans:#?}");
        // From the one that the caller named down, each has one below it.
        let (mut parent, mut chain) = (named.to_owned(), Vec::new());
        while let Some(span) = spans.values().find(|span| span.parent == parent) {
            chain.push((span.kind.trim_start_matches("SPAN_KIND_"), &*span.name));
            parent.clone_from(&span.id);
        }
        let expected =
            [("CLIENT", "GET /front"), ("SERVER", "GET /front"), ("CLIENT", "GET /back"), ("SERVER", "GET /back")];
        ensure!(chain == expected, "{chain:?} of {spans:#?}");
    }
    let metrics = daemon.metrics()?;
    ensure!(metrics.sum("interceptor_sink_dropped_records_total") == 0, "{metrics:?}");
    Ok(())
}
