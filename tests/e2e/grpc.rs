//! gRPC across pods: what the client says it called is what was seen.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use interceptor::demo::pod::{INTERFACE, Pair};
use interceptor_tests::{Case, Daemon, Need, PODS, Process, Tail, until};
use nix::sys::signal::Signal;
use serde_json::Value;

const NEEDS: &[Need] = &[
    Need::Root,
    Need::Program("/usr/bin/python3", "python3"),
    Need::Program("/usr/lib/python3/dist-packages/grpc/__init__.py", "python3-grpcio"),
];
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/e2e/peers/calls.py");
const SOON: Duration = Duration::from_mins(1);

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("grpc::a_thousand_streams_are_seen_as_the_client_saw_them", NEEDS, a_thousand_streams),
        Case::new("grpc::the_ledger_balances_and_nothing_is_lost", NEEDS, the_ledger_balances),
        Case::new("grpc::a_connection_joined_in_the_middle_shows_its_calls", NEEDS, joined_in_the_middle),
    ]
}

/// A server in a pod, and how its client in the other is called.
struct Bed {
    _server: Process,
    address: String,
    pods: Pair,
}

impl Bed {
    fn new() -> Result<Self> {
        let pods = Pair::create(PODS)?;
        let address = format!("{}:50051", pods.server.ipv4);
        let server = Process::start(pods.server.command("/usr/bin/python3")?.args([SCRIPT, "serve", &address]))?;
        server.wait_stdout(SOON, |lines| lines.iter().any(|line| line == "listening").then_some(()))?;
        Ok(Self { _server: server, address, pods })
    }

    /// Calls, and gives what the client says of each.
    fn ask(&self, unary: usize, bidi: usize) -> Result<Vec<Value>> {
        let mut client = self.pods.client.command("/usr/bin/python3")?;
        client.args([SCRIPT, "ask", &self.address, &unary.to_string(), &bidi.to_string()]);
        let told = Process::start(&mut client)?.end(SOON)?.success()?.stdout;
        told.iter().filter(|line| line.starts_with('{')).map(|line| Ok(serde_json::from_str(line)?)).collect()
    }
}

/// Path, status and sizes of messages each way, as both can tell them.
fn calls(told: &[Value]) -> Vec<String> {
    let mut calls: Vec<_> = told
        .iter()
        .map(|call| format!("{} {} {} {}", call["path"], call["status"], call["request"], call["response"]))
        .collect();
    calls.sort_unstable();
    calls
}

fn seen(exchanges: &[Value]) -> Vec<String> {
    let sizes = |exchange: &Value, side: &str| {
        let messages = exchange[format!("interceptor.{side}.body.messages")].as_array();
        Value::from(messages.into_iter().flatten().map(|message| message["size"].clone()).collect::<Vec<_>>())
    };
    let mut calls: Vec<_> = exchanges
        .iter()
        .map(|exchange| {
            let (request, response) = (sizes(exchange, "request"), sizes(exchange, "response"));
            format!("{} {} {request} {response}", exchange["url.path"], exchange["rpc.response.status_code"])
        })
        .collect();
    calls.sort_unstable();
    calls
}

fn a_thousand_streams() -> Result<()> {
    let bed = Bed::new()?;
    let place = ["--netns", bed.pods.server.name(), "--iface", INTERFACE, "--body=64KiB", "--ring-size", "64MiB"];
    let tail = Tail::start(place)?;
    let told = bed.ask(900, 100)?;
    ensure!(told.len() == 1000, "the client made {} calls", told.len());
    tail.wait(told.len())?;
    let (exchanges, _) = tail.stop()?;
    let whole = exchanges.iter().all(|exchange| exchange["complete"] == true);
    ensure!(whole, "{:?}", exchanges.iter().find(|exchange| exchange["complete"] != true));
    ensure!(exchanges.iter().all(|exchange| exchange["interceptor.flow.id"] == 1), "more than one connection");
    let (expected, found) = (calls(&told), seen(&exchanges));
    let other = expected.iter().zip(&found).find(|(expected, found)| expected != found);
    ensure!(expected == found, "the client told of {} calls, {} were seen: {other:?}", expected.len(), found.len());
    Ok(())
}

/// Settings, windows and header tables were agreed on before; what was said only then is not known, all else is.
fn joined_in_the_middle() -> Result<()> {
    let bed = Bed::new()?;
    let mut client = bed.pods.client.command("/usr/bin/python3")?;
    client.args([SCRIPT, "late", &bed.address, "20", "200", "20"]);
    let client = Process::start(&mut client)?;
    client.wait_stdout(SOON, |lines| lines.iter().any(|line| line == "early calls are over").then_some(()))?;
    let tail = Tail::start(["--netns", bed.pods.server.name(), "--iface", INTERFACE, "--body=64KiB"])?;
    client.signal(Signal::SIGUSR1)?;
    let told = client.end(SOON)?.success()?.stdout;
    let told: Vec<Value> = told.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    ensure!(told.len() == 220, "the client made {} calls", told.len());
    tail.wait(told.len())?;
    let (exchanges, _) = tail.stop()?;
    let whole = exchanges.iter().all(|exchange| exchange["complete"] == true);
    ensure!(whole, "{:?}", exchanges.iter().find(|exchange| exchange["complete"] != true));
    ensure!(exchanges.iter().all(|exchange| exchange["interceptor.flow.mid_stream"] == true));
    // The path of the unary calls was said before; that of the others is new. Of a status that is OK the field was said
    // too, and of one that is not it is new at first.
    let named = |path: &str| exchanges.iter().filter(|exchange| exchange["url.path"] == path).count();
    ensure!((named("/test.Echo/Once"), named("/test.Echo/Each")) == (0, 20), "{:?}", exchanges.first());
    let sizes = |calls: &[String]| -> Vec<String> {
        let mut sizes: Vec<_> = calls.iter().filter_map(|call| Some(call.split_once('[')?.1.to_owned())).collect();
        sizes.sort_unstable();
        sizes
    };
    let (expected, found) = (sizes(&calls(&told)), sizes(&seen(&exchanges)));
    let other = expected.iter().zip(&found).find(|(expected, found)| expected != found);
    ensure!(expected == found, "{other:?}");
    Ok(())
}

fn the_ledger_balances() -> Result<()> {
    let bed = Bed::new()?;
    let cgroup = bed.pods.cgroup().display().to_string();
    let (netns, interface) = (bed.pods.server.name(), INTERFACE);
    let daemon =
        Daemon::start(["--capture-netns", netns, "--capture-interfaces", interface, "--capture-sock-ops", &cgroup])?;
    let told = bed.ask(900, 100)?;
    until(SOON, "the end of the connection", || {
        Ok((daemon.metrics()?.sum("interceptor_flows_ended_total") >= 1).then_some(()))
    })?;
    let metrics = daemon.metrics()?;
    let [_, _, _, reported, lost] = metrics.check_ledger().context("the ledger")?;
    ensure!(lost == 0 && reported == 0, "{metrics:?}");
    let complete = metrics.get("interceptor_exchanges_total{completeness=\"complete\"}")?;
    ensure!(complete == told.len() as u64, "{complete} of {}", told.len());
    Ok(())
}
