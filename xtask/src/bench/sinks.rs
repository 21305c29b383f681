//! What a record costs in each sink, in the daemon itself: the CPU time of the sink's own thread.

use std::{
    fs,
    path::Path,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use super::{
    Scale,
    child::{Running, cpu_nanos, thread_nanos},
    lab::{Interceptor, Lab, MODEL, Wire},
    load, median,
    report::Section,
};

const RATE: f64 = 2_000.0;
const CONTENT: &str = "1024";

/// Keeps contents whole for the sinks that have them.
const POLICY: &str = "\
apiVersion: interceptor/v1alpha1
kind: Policy
metadata: {name: bench}
spec:
  rules:
  - name: all
    inspect: {inference: {}}
    keep: {request: 64KiB, response: 64KiB}
";

/// What is shown, the thread's name, and what it is asked for with; an argument may hold `{file}`, `{http}` and
/// `{kafka}`: a folder, and the addresses of the receivers.
const SINKS: [(&str, &str, &[&str]); 7] = [
    ("none but metrics", "", &[]),
    ("lines, to a file", "lines", &["--lines-to", "{file}/lines.jsonl"]),
    (
        "traces, OTLP over HTTP",
        "traces",
        &["--otlp-signals", "traces", "--otlp-protocol", "http/protobuf", "--otlp-endpoint", "http://{http}"],
    ),
    ("payloads, Parquet (zstd)", "payloads", &["--payloads-interval", "3s", "--payloads-to", "{file}/parquet"]),
    (
        "payloads, lines of JSON (zstd)",
        "payloads",
        &["--payloads-format", "jsonl", "--payloads-interval", "3s", "--payloads-to", "{file}/jsonl"],
    ),
    (
        "Kafka, with contents",
        "kafka",
        &["--kafka-contents", "true", "--kafka-topic", "bench", "--kafka-brokers", "{kafka}"],
    ),
    ("CloudEvents", "cloudevents", &["--cloudevents-url", "http://{http}/"]),
];

#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    /// Of the sink's thread, each record.
    own_micros: f64,
    /// Of the whole process, each exchange.
    process_micros: f64,
    delivered: f64,
    dropped: f64,
}

pub(super) fn run(binary: &Path, scale: &Scale) -> Result<Section> {
    let lab = Lab::new(Wire::Veth, 1)?;
    let policy = lab.file("policy.yaml");
    fs::write(&policy, POLICY).with_context(|| format!("cannot write {}", policy.display()))?;
    let ((http, at_http), (kafka, at_kafka)) = (lab.receiver(&[])?, lab.receiver(&["--kafka"])?);
    let mut receivers = [http, kafka];
    let directory = lab.file("sinks");
    let file = directory.display().to_string();
    let mut rounds = Vec::new();
    for round in 0..scale.rounds.min(3) {
        let mut samples = [Sample::default(); SINKS.len()];
        for step in 0..SINKS.len() {
            // Each is first in turn: whatever drifts hits all of them.
            let index = (step + round) % SINKS.len();
            for receiver in &mut receivers {
                receiver.still_there()?;
            }
            let place = |argument: &&str| {
                argument.replace("{file}", &file).replace("{http}", &at_http).replace("{kafka}", &at_kafka)
            };
            let mut more = vec!["--inspect-policies".to_owned(), policy.display().to_string()];
            more.extend(SINKS[index].2.iter().map(place));
            fs::create_dir_all(&directory)?;
            samples[index] = measure(&lab, binary, scale, index, &more)?;
            fs::remove_dir_all(&directory).ok();
            eprintln!("    round {} {:<32} {:.1?}", round + 1, SINKS[index].0, samples[index]);
        }
        rounds.push(samples);
    }
    receivers.into_iter().for_each(Running::stop);
    Ok(describe(&rounds, scale))
}

fn measure(lab: &Lab, binary: &Path, scale: &Scale, index: usize, more: &[String]) -> Result<Sample> {
    let (name, thread, _) = SINKS[index];
    let mut interceptor = lab.interceptor(binary, &more.iter().map(String::as_str).collect::<Vec<_>>())?;
    let pid = interceptor.running.pid();
    let before = (cpu_nanos(&[pid]), thread_nanos(pid, thread));
    let mut command = lab.load_client()?;
    command.args(["load", "--connections", "16", "--content", CONTENT, "--path", MODEL]);
    command.args(["--address", lab.address(), "--rate", &RATE.to_string(), "--seconds", &scale.seconds.to_string()]);
    let output = command.stderr(Stdio::inherit()).output()?;
    let report = load::Report::parse(&String::from_utf8_lossy(&output.stdout))?;
    let counted = if thread.is_empty() { None } else { Some(drained(&interceptor, thread)?) };
    let after = (cpu_nanos(&[pid]), thread_nanos(pid, thread));
    interceptor.running.still_there()?;
    interceptor.running.stop();
    let (delivered, dropped) = counted.unwrap_or_default();
    ensure!(thread.is_empty() || delivered > 0.0, "{name}: nothing was delivered");
    Ok(Sample {
        own_micros: if delivered > 0.0 { (after.1 - before.1) as f64 / delivered / 1e3 } else { 0.0 },
        process_micros: (after.0 - before.0) as f64 / report.completed / 1e3,
        delivered: delivered / report.completed,
        dropped: dropped / report.completed,
    })
}

/// What was delivered and what was dropped, once nothing waits.
fn drained(interceptor: &Interceptor<'_>, sink: &str) -> Result<(f64, f64)> {
    let label = format!("sink=\"{sink}\"");
    // Some may be lost where the machine is busy.
    let exchanges = interceptor.settled()?.sum("interceptor_exchanges_total", "completeness=\"complete\"");
    let began = Instant::now();
    loop {
        let metrics = interceptor.metrics()?;
        let of = |what: &str| metrics.sum(&format!("interceptor_sink_{what}_records_total"), &label);
        let (offered, delivered, dropped) = (of("offered"), of("delivered"), of("dropped"));
        if offered >= exchanges && delivered + dropped >= offered {
            return Ok((delivered, dropped));
        }
        if began.elapsed() > Duration::from_secs(20) {
            bail!("{sink}: of {exchanges} exchanges {offered} were offered, {delivered} delivered, {dropped} dropped");
        }
        thread::sleep(Duration::from_millis(100));
    }
}

fn describe(rounds: &[[Sample; SINKS.len()]], scale: &Scale) -> Section {
    let mut section = Section::new("sinks", "Sinks");
    section.paragraph(&format!(
        "Inferences of the Open Inference Protocol with {CONTENT} bytes in and out, {RATE:.0} a second for {} s, through the whole daemon \
         with one sink; a policy keeps contents. A sink's own CPU is that of its thread, encoding, compression and sending \
         included, for each record that it delivered; records/s is what that allows on one core. The receivers (HTTP, a broker of \
         Kafka) are this benchmark's own, look at nothing and are not counted. Metrics are counted in the workers; the first row is \
         what all sinks have in common. Median of {} alternating rounds.",
        scale.seconds,
        rounds.len(),
    ));
    let row = |index: usize| {
        let of = |value: fn(&Sample) -> f64| median(rounds.iter().map(|round| value(&round[index])));
        let added = median(rounds.iter().map(|round| round[index].process_micros - round[0].process_micros));
        let own = of(|sample| sample.own_micros);
        let [own, rate, added, delivered, dropped] = if index == 0 {
            [const { String::new() }; 5]
        } else {
            [
                format!("{own:.1}"),
                format!("{:.0}", 1e6 / own),
                format!("{added:+.1}"),
                format!("{:.2} %", 100.0 * of(|sample| sample.delivered)),
                format!("{:.2} %", 100.0 * of(|sample| sample.dropped)),
            ]
        };
        [SINKS[index].0.to_owned(), own, rate, format!("{:.1}", of(|s| s.process_micros)), added, delivered, dropped]
    };
    let rows: Vec<_> = (0..SINKS.len()).map(row).collect();
    section.table(
        [
            "sink",
            "own CPU, µs a record",
            "records/s on a core",
            "process, µs an exchange",
            "added",
            "delivered",
            "dropped",
        ],
        &rows,
    );
    section
}
