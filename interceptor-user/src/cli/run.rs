//! `interceptor run`: the composition root of the daemon.

mod drain;
mod inline;
mod logging;
mod outputs;
mod plan;
mod reload;
mod sinks;
mod worker;

use std::{
    env,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use anyhow::Context as _;

use self::{inline::Listeners, reload::Reload, sinks::Sinks, worker::Shared};
use super::signal;
use crate::{
    admin::{Phase, Server, State},
    config::{self, Capture, Config, Overrides, Pods, SockOps},
    kernel::{cgroup, features::Features},
    model::{Ports, Reach},
    pipeline::Budget,
    policy::Steer,
    privilege::{self, Give, Needs},
    sink::{map, prometheus::Metrics},
};

/// How soon the end of a worker is noticed. A signal ends the wait.
const WATCH: Duration = Duration::from_secs(1);

const AFTER_HELP: &str = "\
A flag wins over its environment variable, a variable over the file, the file over the default. Lists are given by \
repeating a flag or with commas; in the file, `metrics.address` is the key `address` in the section `metrics`.

Examples:
  interceptor run
  interceptor run --config /etc/interceptor/config.yaml
  interceptor run --capture-interfaces eth0 --metrics-address '[::]:9464' --log-format json
  interceptor run --config config.yaml --check

Exit codes: 0 asked to end by SIGTERM or Ctrl-C, and drained (a second one ends it at once); 1 it cannot capture or \
serve; 2 the command line or the configuration is wrong.";

/// Arguments of `interceptor run`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// YAML file with the configuration
    #[arg(long, value_name = "FILE", env = "INTERCEPTOR_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
    /// Check the configuration, print it as it takes effect, and exit
    #[arg(long)]
    check: bool,
    /// Print the JSON Schema of the configuration file, and exit
    #[arg(long)]
    print_config_schema: bool,
    #[command(flatten)]
    overrides: Overrides,
}

/// Captures and serves metrics until it is told to stop.
pub fn execute(args: &Args) -> anyhow::Result<()> {
    if args.print_config_schema {
        return Ok(io::stdout().lock().write_all(config::schema_text().as_bytes())?);
    }
    let config = Config::load(args.config.as_deref(), &args.overrides)?;
    let paths: Vec<PathBuf> = config.inspect.policies.iter().map(|path| path.0.clone()).collect();
    if args.check {
        let text = serde_saphyr::to_string(&config.masked()).context("cannot print the configuration")?;
        return Ok(io::stdout().lock().write_all(text.as_bytes())?);
    }
    logging::start(&config.log);
    let names = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for (name, meant) in config::unknown_variables(names) {
        tracing::warn!("the environment variable {name} is not known and was ignored; did you mean {meant}?");
    }
    tracing::info!("{}", Features::get().line());
    let metrics = Arc::new(Metrics::new(config.metrics.max_label_sets.0 as usize)?);
    let ports = plan::ports(&config.capture);
    let captured = if ports.is_empty() { Ports::all() } else { ports.into_iter().collect() };
    let reload = Reload::start(paths, captured, &metrics)?;
    // Before any thread is started, so that all threads have given up what nothing takes.
    let give = Give { capabilities: config.privileges.drop.0, sandbox: config.privileges.sandbox.0 };
    privilege::begin(give, &needs(&config, args.config.as_deref())?);
    // Likewise, so that all threads leave signals to the one that waits for them.
    let stop = signal::stop_flag()?;
    run(&config, &stop, &metrics, reload)
}

/// A file, or a directory of them, is replaced in the directory that it is in.
fn directory_of(path: &Path) -> PathBuf {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

/// What capturing takes once everything is attached.
fn needs(config: &Config, file: Option<&Path>) -> anyhow::Result<Needs> {
    let Capture { netns, pods, cgroups, sock_ops, .. } = &config.capture;
    let pods = *pods == Pods::All;
    let sock_ops = if let SockOps::Cgroup(cgroup) = sock_ops { Some(cgroup) } else { None };
    let cgroups = cgroups.iter().chain(sock_ops).map(|cgroup| cgroup::resolve(&cgroup.0));
    // Policies, and what they name beside them, are read anew when they change.
    let policies = config.inspect.policies.iter().map(|path| directory_of(&path.0));
    // Policies that are read anew may name other cgroups.
    let steered = if config.inline.enabled.0 { cgroup::mount() } else { None };
    // Names come and go in their directory, which may not be there yet.
    let names =
        netns.iter().filter_map(|netns| netns.0.ancestors().skip(1).find(|above| above.is_dir())).map(Path::to_owned);
    Ok(Needs {
        // To attach there, and to take away what is attached.
        namespaces: pods || !netns.is_empty(),
        // Namespaces without a name are found by their processes.
        processes: pods || netns.iter().any(|netns| netns.0.starts_with("/proc")),
        // Policies may route to hosts by name.
        outbound: sinks::outbound(config) || config.inline.enabled.0,
        written: sinks::written(config)?,
        files: cgroups
            .chain(names)
            .chain(policies)
            .chain(steered)
            .chain(file.map(Path::to_owned))
            .chain(sinks::read(config))
            .collect(),
    })
}

/// The map of all workers.
fn service_map(config: &Config, metrics: &Metrics) -> anyhow::Result<Arc<map::Shared>> {
    let interval = config.map.records.0.then_some(config.map.interval.0);
    let map = Arc::new(map::Shared::new((&config.map).into(), interval));
    if config.map.metrics.0 {
        metrics.show_map(Arc::clone(&map))?;
    }
    Ok(map)
}

fn run(
    config: &Config,
    stop: &Arc<AtomicBool>,
    metrics: &Arc<Metrics>,
    mut reload: Option<Reload>,
) -> anyhow::Result<()> {
    let map = service_map(config, metrics)?;
    let state = Arc::new(State::new(Arc::clone(metrics), Arc::clone(&map)));
    // First, so that an address in use is noticed before anything is attached, and probes see the start.
    let server = Server::start(config.metrics.address.0, Arc::clone(&state))?;
    tracing::info!(address = %server.address(), "serving /metrics, /healthz, /readyz, /status and /map");

    let memory = Arc::new(Budget::new(config.session.memory_total.to_usize()));
    let policies = reload.as_ref().map(|reload| Arc::clone(reload.policies()));
    let sinks = Sinks::start(config, metrics)?;
    let shared =
        Shared { memory: &memory, metrics, map: &map, policies: policies.as_ref(), state: &state, sinks: &sinks };
    let mut running = Running::default();
    let started = running.start(config, reload.as_ref(), shared, stop);
    if started.is_err() {
        // Those that run detach what they attached before we end: clsact filters would outlive us.
        stop.store(true, Relaxed);
    }
    privilege::settle();
    if started.is_ok() {
        tracing::info!("{}", privilege::report());
        state.enter(Phase::Running);
        tracing::info!(version = env!("CARGO_PKG_VERSION"), workers = running.workers.len(), "capturing");
    }

    while !stop.load(Relaxed) && !running.is_over() {
        thread::park_timeout(WATCH);
        if let Some(reload) = &mut reload {
            reload.look(|reach| running.set_reach(reach), |steer| running.steer(steer));
        }
    }
    state.enter(Phase::Draining);
    tracing::info!("draining");
    // One worker's end is that of all: metrics that lack a namespace would mislead.
    stop.store(true, Relaxed);
    let ended = running.join();
    sinks.end();
    tracing::info!(ledger = %metrics.ledger(), "ended");
    drop(server);
    started.and(ended)
}

/// What has threads of its own.
#[derive(Default)]
struct Running {
    workers: Vec<worker::Running>,
    inline: Option<inline::Running>,
}

impl Running {
    /// Workers first: the inline path tells them what to leave out.
    fn start(
        &mut self,
        config: &Config,
        reload: Option<&Reload>,
        shared: Shared<'_>,
        stop: &Arc<AtomicBool>,
    ) -> anyhow::Result<()> {
        let listeners = Listeners::open(&config.inline)?;
        let steer = reload.map(Reload::steer).unwrap_or_default();
        if listeners.is_none() && !steer.is_empty() {
            tracing::warn!("policies steer connections, and `inline.enabled` is false: nothing is steered");
        }
        for mut plan in plan::plans(&config.capture) {
            if stop.load(Relaxed) {
                return Ok(());
            }
            if let Some(reload) = reload {
                plan.options.reach = reload.reach().clone();
            }
            plan.options.inline = listeners.as_ref().map(Listeners::ports).transpose()?;
            self.workers.push(worker::start(&plan, config, shared, stop)?);
        }
        if let Some(listeners) = listeners {
            let captures = self.workers.iter().map(worker::Running::capture).collect();
            self.inline = Some(inline::start(listeners, &steer, captures, config, shared, stop)?);
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.workers.iter().any(worker::Running::is_over) || self.inline.as_ref().is_some_and(inline::Running::is_over)
    }

    fn set_reach(&self, reach: &Reach) {
        self.workers.iter().for_each(|worker| worker.set_reach(reach));
    }

    fn steer(&self, steer: &[Steer]) -> anyhow::Result<()> {
        self.inline.as_ref().map_or(Ok(()), |inline| inline.steer(steer))
    }

    /// Waits for all of them; tells the first error.
    fn join(self) -> anyhow::Result<()> {
        let workers: Vec<_> = self.workers.into_iter().map(worker::Running::join).collect();
        let inline = self.inline.map_or(Ok(()), inline::Running::join);
        workers.into_iter().chain([inline]).collect()
    }
}
