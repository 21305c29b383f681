//! One worker: one capture, its pipeline, its sink, on a thread of their own.

use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
};

use anyhow::{Context as _, anyhow};
use interceptor_common::{DropCount, DropReason};

use super::{
    drain::Drain,
    outputs::Outputs,
    plan::Plan,
    sinks::{self, Sinks},
};
use crate::cli::skip::skip;
use crate::{
    admin::State,
    config::Config,
    inference,
    inspect::{self, Policies},
    kernel::{Capture, Drops, Identity},
    model::{Counts, Reach},
    pipeline::{Budget, Options, Pipeline},
    privilege,
    sink::{
        map,
        prometheus::{Metrics, Totals, Worker},
    },
};

/// A worker that was started.
pub(super) struct Running {
    name: &'static str,
    /// It ends with the thread: whoever captures decides when to detach.
    capture: Weak<Capture>,
    thread: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    /// It ended, though nobody may have asked it to.
    pub(super) fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// Has the kernel leave out what no policy is about.
    pub(super) fn set_reach(&self, reach: &Reach) {
        if let Some(capture) = self.capture.upgrade()
            && let Err(error) = capture.set_reach(reach)
        {
            tracing::error!("{}: {error:#}", self.name);
        }
    }

    /// Its capture, while there is one.
    pub(super) fn capture(&self) -> Weak<Capture> {
        Weak::clone(&self.capture)
    }

    /// Waits for its end. A panic has detached what was attached, by unwinding.
    pub(super) fn join(self) -> anyhow::Result<()> {
        match self.thread.join() {
            Ok(result) => result.with_context(|| format!("capturing ({}) failed", self.name)),
            Err(_) => Err(anyhow!("the thread that captures ({}) panicked: a defect, please report it", self.name)),
        }
    }
}

/// What all workers have in common.
#[derive(Clone, Copy)]
pub(super) struct Shared<'a> {
    pub(super) memory: &'a Arc<Budget>,
    pub(super) metrics: &'a Arc<Metrics>,
    pub(super) map: &'a Arc<map::Shared>,
    pub(super) policies: Option<&'a Arc<Policies>>,
    pub(super) state: &'a State,
    pub(super) sinks: &'a Sinks,
}

/// Attaches, and starts to read on a new thread.
pub(super) fn start(
    plan: &Plan,
    config: &Config,
    shared: Shared<'_>,
    stop: &Arc<AtomicBool>,
) -> anyhow::Result<Running> {
    let mut capture = Capture::start(&plan.options)?;
    let mut source = capture.source()?;
    for attachment in capture.attached() {
        tracing::info!(worker = plan.name, "attached {} {}", attachment.hook.name(), attachment.place);
    }
    capture.follow(privilege::settle)?;
    let ring_size = capture.rings_size();
    let skip = skip(capture.cut_offs()?);
    let capture = Arc::new(capture);
    let mut pipeline = pipeline(config, shared).with_skip(skip);
    let counts = Arc::clone(pipeline.counts());
    let totals = Box::new(totals(counts, Arc::downgrade(&capture), ring_size));
    let attachments = Box::new(attachments(Arc::downgrade(&capture)));
    shared.state.watch(Worker { name: plan.name.to_owned(), attachments, totals });

    let (stop, watched) = (Arc::clone(stop), Arc::downgrade(&capture));
    let work = move || {
        privilege::settle();
        let run = pipeline.run(&mut source, &stop);
        // Programs are detached first, so that the ring runs dry. If reading failed, what is in it cannot be read.
        drop(capture);
        run?;
        pipeline.run(&mut Drain::new(&mut source), &AtomicBool::new(false))?;
        pipeline.finish()
    };
    let thread =
        thread::Builder::new().name(format!("capture {}", plan.name)).spawn(work).context("cannot start a thread")?;
    Ok(Running { name: plan.name, capture: watched, thread })
}

/// From connections to the sinks that the configuration names.
pub(super) fn pipeline(config: &Config, shared: Shared<'_>) -> Pipeline<Outputs> {
    let Shared { memory, metrics, map, policies, sinks, .. } = shared;
    let options = Options {
        flow: (&config.flow).into(),
        session: (&config.session).into(),
        inspect: inspect(config, policies),
        memory: Arc::clone(memory),
    };
    Pipeline::new(options, Outputs::new(metrics, map, config, sinks)).with_identify(Box::new(Identity::containers()))
}

/// What is asked of exchanges.
fn inspect(config: &Config, policies: Option<&Arc<Policies>>) -> inspect::Options {
    inspect::Options {
        policies: policies.cloned(),
        inference: config.inspect.inference_body.to_usize(),
        reading: inference::Options { estimate_tokens: config.inspect.estimate_tokens.0 },
        contents: sinks::contents(config),
        ..inspect::Options::default()
    }
}

/// Where programs are attached, while they are.
fn attachments(capture: Weak<Capture>) -> impl Fn() -> Vec<String> + Send + Sync {
    move || {
        let attached = capture.upgrade().map(|capture| capture.attached()).unwrap_or_default();
        attached.iter().map(|attachment| format!("{} {}", attachment.hook.name(), attachment.place)).collect()
    }
}

/// Reads what the pipeline publishes, and the kernel's counters while the capture lives; afterwards it gives what was
/// read of them last. It does not keep the capture alive: whoever captures decides when to detach.
fn totals(counts: Arc<Counts>, capture: Weak<Capture>, ring_size: u64) -> impl Fn() -> Totals + Send + Sync {
    let last = Mutex::new(Totals { ring_size, ..Totals::default() });
    move || {
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        let Totals { dropped, taken, ring_size, .. } = std::mem::take(&mut *last);
        *last = Totals { dropped, taken, ring_size, ..published(&counts) };
        match capture.upgrade().map(|capture| capture.drops()) {
            Some(Ok(drops)) => {
                last.taken = drops.taken_total();
                last.dropped = by_cpu(&drops);
            }
            Some(Err(error)) => tracing::warn!(error = format!("{error:#}"), "cannot read the kernel's counters"),
            None => {}
        }
        last.clone()
    }
}

/// What a pipeline publishes.
pub(super) fn published(counts: &Counts) -> Totals {
    Totals {
        open_flows: counts.open_flows.load(Relaxed),
        open_exchanges: counts.open_exchanges.load(Relaxed),
        flows_opened: counts.flows_opened.load(Relaxed),
        session_bytes: counts.session_bytes.load(Relaxed),
        session_given_up: counts.session_given_up.load(Relaxed),
        polls: counts.polls.load(Relaxed),
        set_aside: counts.set_aside(),
        ..Totals::default()
    }
}

fn by_cpu(drops: &Drops) -> Vec<[DropCount; DropReason::COUNT]> {
    let cpus = drops.by_reason.iter().map(|(_, cpus)| cpus.len()).max().unwrap_or_default();
    let mut by_cpu = vec![[DropCount::default(); DropReason::COUNT]; cpus];
    for (reason, counts) in &drops.by_reason {
        by_cpu.iter_mut().zip(counts).for_each(|(cpu, count)| cpu[*reason as usize] = *count);
    }
    by_cpu
}
