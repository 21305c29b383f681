//! The metrics page before those who read it: promtool, a strict parser of OpenMetrics, Prometheus itself.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use interceptor::demo::pod::{INTERFACE, Pair};
use interceptor_tests::{Case, Daemon, Ended, Need, PODS, Process, free_port, until};
use serde_json::Value;
use tempfile::TempDir;

const NEEDS: &[Need] = &[
    Need::Root,
    Need::Program("curl", "curl"),
    Need::Program("/usr/bin/python3", "python3"),
    Need::Program("/usr/lib/python3/dist-packages/grpc/__init__.py", "python3-grpcio"),
    Need::Program("/usr/lib/python3/dist-packages/prometheus_client/__init__.py", "python3-prometheus-client"),
    Need::Program("promtool", "prometheus"),
    Need::Program("prometheus", "prometheus"),
];
const PEERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/e2e/peers");
const SOON: Duration = Duration::from_mins(1);
const OPEN_METRICS: &str = "application/openmetrics-text;version=1.0.0";

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("prometheus::both_pages_are_as_their_formats_say", NEEDS, both_pages),
        Case::new("prometheus::every_query_of_dashboards_and_alerts_is_answered", NEEDS, queries),
        Case::new("prometheus::alerts_say_what_they_are_to_and_nothing_else", NEEDS, alerts),
        Case::new("prometheus::a_query_for_exemplars_names_the_traces_that_were_sent", NEEDS, exemplars),
    ]
}

/// A language model and a gRPC server in a pod, asked and watched.
struct Bed {
    // Before the pods: they end in order.
    daemon: Daemon,
    _servers: [Process; 2],
    files: TempDir,
    /// Trace and span of each request.
    asked: BTreeSet<String>,
    _pods: Pair,
}

impl Bed {
    fn new() -> Result<Self> {
        let pods = Pair::create(PODS)?;
        let (address, calls, chat) = (pods.server.ipv4.to_string(), "calls.py", "chat.py");
        let grpc = format!("{address}:50051");
        let server = |script: &str, arguments: &[&str]| -> Result<Process> {
            let mut command = pods.server.command("/usr/bin/python3")?;
            let server = Process::start(command.arg(format!("{PEERS}/{script}")).arg("serve").args(arguments))?;
            server.wait_stdout(SOON, |lines| lines.iter().any(|line| line == "listening").then_some(()))?;
            Ok(server)
        };
        let servers = [server(calls, &[&grpc])?, server(chat, &[&address, "8080"])?];
        let files = tempfile::tempdir()?;
        let (policies, lines) = (format!("{DEPLOY}/policies"), files.path().join("lines").display().to_string());
        let place = ["--capture-netns", pods.server.name(), "--capture-interfaces", INTERFACE];
        let more = ["--inspect-policies", &policies, "--lines-to", &lines];
        let daemon = Daemon::start(place.into_iter().chain(more))?;
        let ask = |script: &str, arguments: &[&str]| -> Result<Ended> {
            let mut command = pods.client.command("/usr/bin/python3")?;
            Process::start(command.arg(format!("{PEERS}/{script}")).arg("ask").args(arguments))?.end(SOON)?.success()
        };
        ask(calls, &[&grpc, "20", "5"])?;
        let asked = ask(chat, &[&address, "8080", "20"])?.stdout.into_iter().collect();
        until(SOON, "all in the metrics", || {
            let metrics = daemon.metrics()?;
            let count = |name: &str| metrics.sum(&format!("{name}_count"));
            let (rpc, chat) = ("rpc_server_call_duration_seconds", "gen_ai_server_request_duration_seconds");
            Ok((count(rpc) == 25 && count(chat) == 20).then_some(()))
        })?;
        Ok(Self { daemon, _servers: servers, files, asked, _pods: pods })
    }

    /// The page, as a file.
    fn page(&self, accept: &str) -> Result<PathBuf> {
        let file = self.files.path().join("page");
        let url = format!("http://{}/metrics", self.daemon.address());
        let accept = format!("Accept: {accept}");
        let mut curl = Command::new("curl");
        curl.args(["-sSf", "-H", &accept, "-o"]).arg(&file).arg(url);
        Process::start(&mut curl)?.end(SOON)?.success()?;
        Ok(file)
    }
}

/// With the file as its standard input.
fn read_by(program: &[&str], file: &std::path::Path) -> Result<Ended> {
    let mut shell = Command::new("sh");
    shell.args(["-c", "file=$1; shift; exec \"$@\" < \"$file\"", "sh"]).arg(file).args(program);
    Process::start(&mut shell)?.end(SOON)
}

fn both_pages() -> Result<()> {
    let bed = Bed::new()?;
    let text = bed.page("text/plain")?;
    let checked = read_by(&["promtool", "check", "metrics"], &text)?;
    let complaints: Vec<_> = checked.stdout.iter().chain(&checked.stderr).collect();
    ensure!(checked.status.success() && complaints.is_empty(), "{complaints:#?}");

    let open = bed.page(OPEN_METRICS)?;
    let script = format!("{PEERS}/openmetrics.py");
    let told = read_by(&["/usr/bin/python3", &script], &open)?.success()?.stdout;
    for name in ["http_server_request_duration_seconds", "gen_ai_server_request_duration_seconds"] {
        let of_name: Vec<_> = told.iter().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).collect();
        ensure!(!of_name.is_empty(), "no exemplar of {name}: {told:?}");
        ensure!(of_name.iter().all(|ids| bed.asked.contains(*ids)), "{of_name:?}: not among {:?}", bed.asked);
    }
    // Those without a context on the wire have nothing to name.
    ensure!(!told.iter().any(|line| line.starts_with("rpc_")), "{told:?}");
    Ok(())
}

/// Prometheus that scrapes the daemon.
struct Server {
    process: Process,
    address: String,
}

impl Server {
    fn start(bed: &Bed) -> Result<Self> {
        let address = format!("127.0.0.1:{}", free_port()?);
        let directory = bed.files.path();
        let configuration = directory.join("prometheus.yml");
        let targets = format!("static_configs: [{{ targets: ['{}'] }}]", bed.daemon.address());
        let scrape = format!(
            "scrape_configs: [{{ job_name: interceptor, scrape_interval: 1s, scrape_timeout: 1s, {targets} }}]"
        );
        let rules = format!("rule_files: ['{DEPLOY}/prometheus/alerts.yaml']\n");
        fs::write(&configuration, rules + &scrape)?;
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", configuration.display()));
        command.arg(format!("--storage.tsdb.path={}", directory.join("data").display()));
        command.args([&format!("--web.listen-address={address}"), "--enable-feature=exemplar-storage"]);
        Ok(Self { process: Process::start(&mut command)?, address })
    }

    /// What a query says, once it says something.
    fn ask(&self, path: &str, found: impl Fn(&Value) -> bool) -> Result<Value> {
        let url = format!("http://{}/api/v1/{path}", self.address);
        until(SOON, path, || {
            ensure!(!self.process.is_over(), "prometheus ended");
            let asked = Process::start(Command::new("curl").args(["-sSg", "--max-time", "5", &url]))?.end(SOON)?;
            let answer: Option<Value> = serde_json::from_str(&asked.stdout.join("\n")).ok();
            Ok(answer.map(|mut answer| answer["data"].take()).filter(&found))
        })
    }
}

fn exemplars() -> Result<()> {
    let bed = Bed::new()?;
    let server = Server::start(&bed)?;
    let count = "query?query=sum(gen_ai_server_request_duration_seconds_count{gen_ai_request_model=\"parrot\"})";
    let answer = server.ask(count, |data| data["result"][0].is_object())?;
    ensure!(answer["result"][0]["value"][1] == "20", "{answer}");
    let up = server.ask("query?query=up", |data| data["result"][0].is_object())?;
    ensure!(up["result"][0]["value"][1] == "1", "{up}");
    let metric = "http_server_request_duration_seconds_bucket";
    let path = format!("query_exemplars?query={metric}&start=2020-01-01T00:00:00Z&end=2100-01-01T00:00:00Z");
    let answer = server.ask(&path, |data| data[0].is_object())?;
    let first = &answer[0]["exemplars"][0];
    let [trace, span] = ["trace_id", "span_id"].map(|name| first["labels"][name].as_str());
    let ids = format!("{} {}", trace.context("no trace")?, span.context("no span")?);
    ensure!(bed.asked.contains(&ids), "{answer:#}");
    ensure!(answer[0]["seriesLabels"]["http_route"] == "/v1/chat/completions", "{answer:#}");
    Ok(())
}

const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy");

/// Panels that may be without data, because this traffic has none for one of their queries.
const WITHOUT_DATA: &[&str] = &[
    // Nothing failed, nobody went away, and nobody asked from here.
    "models: Errors",
    "models: Sent for nobody",
    "traffic: Errors",
    "traffic: Their errors",
    // No request was open when Prometheus looked.
    "traffic: Active requests",
    // The model is none of tables.
    "models: Drift, by feature",
    "models: Duration, p95",
    "models: Features that have drifted",
    "models: Rows of a request, mean",
    "policies: Windows of drift",
    // Nobody said anything personal, and all was inspected.
    "policies: Findings",
    "policies: In the last hour",
    "policies: Not inspected",
];

/// What the panels of a dashboard ask, each with its place.
fn panels(file: &Path) -> Result<Vec<(String, String)>> {
    let board: Value = serde_json::from_str(&fs::read_to_string(file)?)?;
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let variables = board["templating"]["list"].as_array().context("no variables")?;
    let mut queries = Vec::new();
    for panel in board["panels"].as_array().context("no panels")? {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let mut query = target["expr"].as_str().context("no query")?.replace("$__rate_interval", "1m");
            for variable in variables {
                query = query.replace(&format!("${}", variable["name"].as_str().unwrap_or_default()), ".*");
            }
            ensure!(!query.contains('$'), "{query}");
            queries.push((format!("{name}: {}", panel["title"].as_str().unwrap_or_default()), query));
        }
    }
    Ok(queries)
}

/// What Prometheus says that the rules of the file ask.
fn rules(server: &Server) -> Result<Vec<(String, String)>> {
    let answer = server.ask("rules", |data| data["groups"][0].is_object())?;
    let groups = answer["groups"].as_array().into_iter().flatten();
    let rules = groups.flat_map(|group| group["rules"].as_array().into_iter().flatten());
    let text = |rule: &Value, field: &str| rule[field].as_str().unwrap_or_default().to_owned();
    Ok(rules.map(|rule| (format!("alerts: {}", text(rule, "name")), text(rule, "query"))).collect())
}

fn queries() -> Result<()> {
    let bed = Bed::new()?;
    let server = Server::start(&bed)?;
    let twice = "query?query=count_over_time(up[1m])>=5";
    server.ask(twice, |data| data["result"][0].is_object())?;
    let mut all = rules(&server)?;
    ensure!(all.len() >= 12, "{} rules", all.len());
    let mut boards: Vec<_> = fs::read_dir(format!("{DEPLOY}/grafana"))?.collect::<std::io::Result<Vec<_>>>()?;
    boards.sort_by_key(std::fs::DirEntry::path);
    for board in boards {
        all.extend(panels(&board.path())?);
    }
    let url = format!("http://{}/api/v1/query", server.address);
    let mut without = BTreeSet::new();
    for (place, query) in &all {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--max-time", "10", "--data-urlencode", &format!("query={query}"), &url]);
        let answer = Process::start(&mut curl)?.end(SOON)?.stdout.join("\n");
        let answer: Value = serde_json::from_str(&answer)?;
        ensure!(answer["status"] == "success", "{place}: {query}: {answer}");
        // An alert that is well has no data.
        if answer["data"]["result"].as_array().is_none_or(Vec::is_empty) && !place.starts_with("alerts") {
            without.insert(place.as_str());
        }
    }
    let unexpected: Vec<_> = without.iter().filter(|place| !WITHOUT_DATA.contains(place)).collect();
    ensure!(unexpected.is_empty(), "without data: {unexpected:#?}");
    Ok(())
}

fn alerts() -> Result<()> {
    let promtool = |arguments: [&str; 3]| {
        let mut command = Command::new("promtool");
        Process::start(command.args(arguments).current_dir(format!("{DEPLOY}/prometheus")))?.end(SOON)?.success()
    };
    promtool(["check", "rules", "alerts.yaml"])?;
    promtool(["test", "rules", "alerts.test.yaml"])?;
    Ok(())
}
