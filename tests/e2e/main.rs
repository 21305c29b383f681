//! End to end: real servers and clients in pods, the real program in between.

mod capture;
mod conformance;
mod containers;
mod daemon;
mod demo;
mod enforce;
mod errors;
mod grpc;
mod inline;
mod interop;
mod ledger;
mod lifecycle;
mod map;
mod models;
mod node;
mod otlp;
mod packets;
mod payloads;
mod pods;
mod policy;
mod prometheus;
mod receivers;
mod served;
mod stream;
mod upgrade;
mod upstream;
mod volume;

use std::process::ExitCode;

use anyhow::Result;
use interceptor::demo::pod::{INTERFACE, Pair, Pod};
use interceptor_tests::{Connection, Ended, Need, Nginx, PODS, Process, Tail};

/// What most tests need.
const NEEDS: &[Need] = &[Need::Root, Need::Program("nginx", "nginx-light"), Need::Program("curl", "curl")];

fn main() -> ExitCode {
    let cases = [
        pods::cases(),
        capture::cases(),
        containers::cases(),
        volume::cases(),
        ledger::cases(),
        lifecycle::cases(),
        errors::cases(),
        daemon::cases(),
        policy::cases(),
        node::cases(),
        packets::cases(),
        grpc::cases(),
        stream::cases(),
        models::cases(),
        payloads::cases(),
        prometheus::cases(),
        receivers::cases(),
        otlp::cases(),
        map::cases(),
        inline::cases(),
        enforce::cases(),
        upgrade::cases(),
        upstream::cases(),
        conformance::cases(),
        interop::cases(),
        demo::cases(),
    ];
    interceptor_tests::run(cases.into_iter().flatten().collect())
}

/// Two pods with nginx in one.
struct Bed {
    // Before the pods: it ends in order.
    nginx: Nginx,
    pods: Pair,
}

impl Bed {
    fn new() -> Result<Self> {
        let pods = Pair::create(PODS)?;
        Ok(Self { nginx: Nginx::start(&pods.server)?, pods })
    }

    /// Arguments that capture the server pod's interface.
    fn on_veth(&self) -> Vec<String> {
        self.on(INTERFACE)
    }

    /// Arguments that capture an interface of the server pod.
    fn on(&self, interface: &str) -> Vec<String> {
        ["--netns", self.pods.server.name(), "--iface", interface].map(str::to_owned).to_vec()
    }

    /// `interceptor tail` on the server pod's interface.
    fn tail(&self, more: &[&str]) -> Result<Tail> {
        Tail::start(self.on_veth().into_iter().chain(more.iter().map(|word| (*word).to_owned())))
    }

    /// A URL of nginx, as the client pod sees it.
    fn url(&self, path: &str) -> String {
        format!("http://{}:{}{path}", self.pods.server.ipv4, Nginx::PORT)
    }

    /// A connection from the client pod.
    fn connect(&self) -> Result<Connection> {
        let server = (self.pods.server.ipv4, Nginx::PORT);
        self.pods.client.namespace().enter(|| Ok(Connection::open(server)))?
    }
}

/// Runs curl in a pod.
fn curl(pod: &Pod, arguments: &[&str]) -> Result<Ended> {
    let mut command = pod.command("curl")?;
    command.args(["-sS", "-g", "--max-time", "60"]).args(arguments);
    Process::start(&mut command)?.end(std::time::Duration::from_mins(1))?.success()
}
