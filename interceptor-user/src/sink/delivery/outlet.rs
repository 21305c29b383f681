use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
    time::Duration,
};

use anyhow::Context as _;
use tokio::{
    runtime::{self, Runtime},
    sync::{mpsc, watch},
};

use super::{Counts, Deliver, Limits, Reason, run::Runner};
use crate::model::{Record, SinkName};

/// What waits in a queue.
#[derive(Debug)]
pub struct Waiting {
    /// The record.
    pub record: Arc<Record>,
    /// Bytes of memory that it holds.
    pub bytes: u64,
}

/// The end of a sink that records are put into; each worker has one.
#[derive(Clone)]
pub struct Outlet {
    name: SinkName,
    wants: Arc<dyn Fn(&Record) -> bool + Send + Sync>,
    limits: Limits,
    counts: Arc<Counts>,
    queue: mpsc::UnboundedSender<Waiting>,
}

impl Outlet {
    /// Does the policy send it there, and is it something that the sink is for?
    pub fn wants(&self, record: &Record) -> bool {
        record.sinks().has(self.name) && (self.wants)(record)
    }

    /// Puts it into the queue, or drops and counts it. `bytes` is [`Record::memory`].
    pub fn offer(&self, record: Arc<Record>, bytes: usize) {
        let bytes = bytes as u64;
        let counts = &self.counts;
        let (records, before) = counts.offer(1, bytes);
        let total = before + bytes;
        // One that alone is larger than the queue passes an empty one.
        let room =
            records < self.limits.queue_records as u64 && (total <= self.limits.queue_bytes as u64 || records == 0);
        if !room {
            counts.leave(1, bytes);
            counts.lose(Reason::QueueFull, 1);
        } else if self.queue.send(Waiting { record, bytes }).is_err() {
            counts.leave(1, bytes);
            counts.lose(Reason::Shutdown, 1);
        }
    }
}

/// A sink that was started.
pub struct Running {
    counts: Arc<Counts>,
    grace: Duration,
    /// Told when it is to end.
    end: watch::Sender<bool>,
    /// Dropped by the thread at its end.
    over: std::sync::mpsc::Receiver<()>,
}

impl Running {
    /// What became of its records.
    pub const fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    /// Has it begin to end: it delivers what is queued, for as long as its grace.
    pub fn end(&self) {
        self.end.send_replace(true);
    }

    /// Waits for its end. A thread that hangs in a system call is left behind: the process ends anyway.
    pub fn join(self) {
        self.end();
        // The thread drops what it cannot deliver in time itself; this is for one that cannot even do that.
        let late = self
            .over
            .recv_timeout(self.grace + Duration::from_secs(1))
            .is_err_and(|error| matches!(error, std::sync::mpsc::RecvTimeoutError::Timeout));
        if late {
            let left = self.counts.queued_records.load(Relaxed);
            self.counts.lose(Reason::Shutdown, left);
            self.counts.leave(left, self.counts.queued_bytes.load(Relaxed));
            tracing::error!(sink = self.counts.name(), records = left, "does not end; what it was to deliver is lost");
        }
    }
}

/// Starts a sink's thread, which calls `begin` first. `wants` says which records it is for.
pub fn start<D: Deliver>(
    name: SinkName,
    wants: impl Fn(&Record) -> bool + Send + Sync + 'static,
    limits: Limits,
    begin: fn(),
    to: D,
) -> anyhow::Result<(Outlet, Running)> {
    let counts = Arc::new(Counts::new(name.name()));
    let (queue, waiting) = mpsc::unbounded_channel();
    let work = {
        let counts = Arc::clone(&counts);
        move |ended| Runner::new(limits, counts, waiting, ended, to).run()
    };
    let running = spawn(&counts, limits.grace, runtime()?, begin, work)?;
    Ok((Outlet { name, wants: Arc::new(wants), limits, counts, queue }, running))
}

/// If a sink's thread panics, says so, and counts what it was to deliver.
struct Guard(Arc<Counts>);

impl Drop for Guard {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.note(Some(&anyhow::anyhow!("it panicked, which is a defect: please report it")));
            let (records, bytes) = (&self.0.queued_records, &self.0.queued_bytes);
            let (records, bytes) = (records.load(Relaxed), bytes.load(Relaxed));
            self.0.lose(Reason::Shutdown, records);
            self.0.leave(records, bytes);
        }
    }
}

/// Of a sink's thread.
pub(in crate::sink) fn runtime() -> anyhow::Result<Runtime> {
    runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")
}

/// Starts a thread that calls `begin`, and works until it is told to end, and then not for longer than `grace`.
pub(in crate::sink) fn spawn<F: Future<Output = ()>>(
    counts: &Arc<Counts>,
    grace: Duration,
    runtime: Runtime,
    begin: fn(),
    work: impl FnOnce(watch::Receiver<bool>) -> F + Send + 'static,
) -> anyhow::Result<Running> {
    let (end, ended) = watch::channel(false);
    let (running, over) = std::sync::mpsc::channel::<()>();
    let guard = Guard(Arc::clone(counts));
    let work = move || {
        let _guard = guard;
        begin();
        runtime.block_on(work(ended));
        // What the sink left to other threads (looking up a name) is not waited for.
        runtime.shutdown_background();
        drop(running);
    };
    thread::Builder::new().name(counts.name().to_owned()).spawn(work).context("cannot start a thread")?;
    Ok(Running { counts: Arc::clone(counts), grace, end, over })
}
