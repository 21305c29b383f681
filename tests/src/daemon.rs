use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::File,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use interceptor::demo::pod::Pod;
use nix::sched::{CloneFlags, setns};

use super::{Answer, Connection, Process, free_port, process::until, tail::interceptor};

const SOON: Duration = Duration::from_mins(1);

/// `interceptor run`.
pub struct Daemon {
    process: Process,
    address: SocketAddr,
    /// Where that is, if not in our own network namespace.
    netns: Option<File>,
}

impl Daemon {
    /// Starts it and waits until it is ready.
    pub fn start<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Result<Self> {
        Self::begin(interceptor()?, arguments)
    }

    /// The same, with these variables.
    pub fn start_with<S: AsRef<OsStr>>(
        variables: &[(&str, &str)],
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<Self> {
        let mut command = interceptor()?;
        command.envs(variables.iter().copied());
        Self::begin(command, arguments)
    }

    /// The same, with its standard output in this file.
    pub fn start_writing_to<S: AsRef<OsStr>>(file: &str, arguments: impl IntoIterator<Item = S>) -> Result<Self> {
        let program = interceptor()?;
        let mut shell = Command::new("sh");
        shell.args(["-c", "file=$1 program=$2; shift 2; exec \"$program\" \"$@\" > \"$file\"", "sh", file]);
        shell.arg(program.get_program());
        forget(&program, &mut shell);
        Self::begin(shell, arguments)
    }

    /// The same, inside a pod, as its sidecar.
    pub fn start_in<S: AsRef<OsStr>>(pod: &Pod, arguments: impl IntoIterator<Item = S>) -> Result<Self> {
        let program = interceptor()?;
        let mut command = pod.command(program.get_program())?;
        forget(&program, &mut command);
        Self::begin_at(command, arguments, Some(pod.namespace().file().try_clone()?))
    }

    fn begin<S: AsRef<OsStr>>(command: Command, arguments: impl IntoIterator<Item = S>) -> Result<Self> {
        Self::begin_at(command, arguments, None)
    }

    fn begin_at<S: AsRef<OsStr>>(
        mut command: Command,
        arguments: impl IntoIterator<Item = S>,
        netns: Option<File>,
    ) -> Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        command.args(["run", "--metrics-address", &address.to_string()]).args(arguments);
        let daemon = Self { process: Process::start(&mut command)?, address, netns };
        let ready = until(Duration::from_secs(30), "/readyz", || {
            ensure!(!daemon.process.is_over(), "it ended");
            Ok(daemon.get("/readyz").is_ok_and(|answer| answer.status == 200).then_some(()))
        });
        match ready {
            Ok(()) => Ok(daemon),
            Err(error) => {
                let ended = daemon.process.stop(nix::sys::signal::Signal::SIGKILL, Duration::from_secs(5))?;
                Err(error).with_context(|| format!("interceptor run is not ready: {}", ended.stderr.join("\n")))
            }
        }
    }

    /// The process.
    pub const fn process(&self) -> &Process {
        &self.process
    }

    /// The process, to end it.
    pub fn into_process(self) -> Process {
        self.process
    }

    /// Where it serves metrics.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks its own server.
    pub fn get(&self, path: &str) -> Result<Answer> {
        let ask = || Connection::open(self.address)?.get(path);
        let Some(netns) = &self.netns else { return ask() };
        let inside = || {
            setns(netns, CloneFlags::CLONE_NEWNET)?;
            ask()
        };
        thread::scope(|scope| scope.spawn(inside).join())
            .map_err(|_| anyhow!("the thread in the namespace panicked"))?
    }

    /// Samples of `/metrics` by name and labels, as they are written there.
    pub fn metrics(&self) -> Result<Metrics> {
        let answer = self.get("/metrics")?;
        let lines = BufReader::new(&answer.body[..]).lines().collect::<std::io::Result<Vec<_>>>()?;
        let samples = lines.iter().filter(|line| !line.starts_with('#')).filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Ok(Metrics(samples.collect()))
    }

    /// What it counts of a sink now: see [`Metrics::of_sink`].
    pub fn of_sink(&self, sink: &str, what: &str) -> Result<u64> {
        Ok(self.metrics()?.of_sink(sink, what))
    }

    /// Waits until that is at least so much.
    pub fn wait_for_sink(&self, sink: &str, what: &str, least: u64) -> Result<()> {
        until(SOON, &format!("{sink} {what} {least}"), || Ok((self.of_sink(sink, what)? >= least).then_some(())))
    }

    /// Waits until what was offered to each sink was delivered, was dropped or waits.
    pub fn wait_for_sums(&self) -> Result<()> {
        until(SOON, "sums", || {
            let metrics = self.metrics()?;
            let adds_up = |sink: &&str| {
                let of = |what: &str| metrics.of_sink(sink, what);
                let known = of("delivered_records_total") + of("dropped_records_total") + of("queue_records");
                of("offered_records_total") == known
            };
            Ok(metrics.sinks().iter().all(adds_up).then_some(()))
        })
    }
}

/// Whatever starts the program lacks the variables that it is to lack.
fn forget(program: &Command, starter: &mut Command) {
    program.get_envs().filter(|(_, value)| value.is_none()).for_each(|(name, _)| {
        starter.env_remove(name);
    });
}

/// What `/metrics` said.
#[derive(Debug)]
pub struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// One sample: `name` or `name{label="value"}`.
    pub fn get(&self, name: &str) -> Result<u64> {
        let value = self.0.get(name).with_context(|| format!("no {name} in /metrics"))?;
        #[expect(clippy::cast_sign_loss, reason = "counters and sizes")]
        Ok(*value as u64)
    }

    /// The sum over all labels.
    pub fn sum(&self, name: &str) -> u64 {
        let of = |key: &str| key == name || key.strip_prefix(name).is_some_and(|rest| rest.starts_with('{'));
        #[expect(clippy::cast_sign_loss, reason = "counters and sizes")]
        self.0.iter().filter(|(key, _)| of(key)).map(|(_, value)| *value as u64).sum()
    }

    /// `interceptor_sink_WHAT` of this sink, the sum over all other labels; 0 where it is not there.
    pub fn of_sink(&self, sink: &str, what: &str) -> u64 {
        let (name, label) = (format!("interceptor_sink_{what}{{"), format!("sink=\"{sink}\""));
        let of = |key: &str| key.starts_with(&name) && key.contains(&label);
        #[expect(clippy::cast_sign_loss, reason = "counters and sizes")]
        self.0.iter().filter(|(key, _)| of(key)).map(|(_, value)| *value as u64).sum()
    }

    /// Sinks that were offered something, or may be.
    fn sinks(&self) -> Vec<&str> {
        let label = "interceptor_sink_offered_records_total{sink=\"";
        self.0.keys().filter_map(|key| key.strip_prefix(label)?.split('"').next()).collect()
    }

    /// Bytes that nobody wanted, so that the kernel left them out.
    pub fn skipped(&self) -> Result<u64> {
        self.get("interceptor_flow_bytes_total{state=\"skipped_by_policy\"}")
    }

    /// The ledger: carried, captured, parsed, reported, lost.
    pub fn ledger(&self) -> Result<[u64; 5]> {
        let state = |state: &str| self.get(&format!("interceptor_flow_bytes_total{{state=\"{state}\"}}"));
        let lost = self.sum("interceptor_lost_bytes_total");
        Ok([state("carried")?, state("captured")?, state("parsed")?, state("reported")?, lost])
    }

    /// Both equations hold, on every connection and in total.
    pub fn check_ledger(&self) -> Result<[u64; 5]> {
        let ledger @ [carried, captured, parsed, reported, lost] = self.ledger()?;
        ensure!(self.get("interceptor_flows_unbalanced_total")? == 0, "connections that do not balance: {self:?}");
        let skipped = self.skipped()?;
        ensure!(
            carried == captured + skipped + lost && captured == parsed + reported,
            "out of balance: {ledger:?}, {skipped} skipped"
        );
        Ok(ledger)
    }
}
