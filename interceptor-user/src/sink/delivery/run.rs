use std::{collections::VecDeque, hash::BuildHasher as _, pin::pin, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    time::{self, Instant},
};

use super::{Attempt, Counts, Deliver, Limits, Reason, backoff::Backoff, outlet::Waiting};
use crate::model::Record;

/// One sink's thread: from its queue to its place.
pub(super) struct Runner<D> {
    limits: Limits,
    counts: Arc<Counts>,
    queue: mpsc::UnboundedReceiver<Waiting>,
    end: watch::Receiver<bool>,
    /// When what is left is dropped, once the end has begun.
    deadline: Option<Instant>,
    /// Taken from the queue, and in no batch yet.
    next: VecDeque<Waiting>,
    /// So many of those are weighed, and so heavy they are.
    weighed: usize,
    next_bytes: u64,
    /// When the sink wants to be asked for what it keeps back.
    ask: Option<Instant>,
    backoff: Backoff,
    to: D,
}

/// Records on their way, and what they hold.
struct Batch {
    records: Vec<Arc<Record>>,
    bytes: u64,
    count: u64,
}

impl<D: Deliver> Runner<D> {
    pub(super) fn new(
        limits: Limits,
        counts: Arc<Counts>,
        queue: mpsc::UnboundedReceiver<Waiting>,
        end: watch::Receiver<bool>,
        to: D,
    ) -> Self {
        let seed = foldhash::fast::RandomState::default().hash_one(counts.name());
        Self {
            limits,
            counts,
            queue,
            end,
            deadline: None,
            next: VecDeque::new(),
            weighed: 0,
            next_bytes: 0,
            ask: None,
            backoff: Backoff::new(seed),
            to,
        }
    }

    pub(super) async fn run(mut self) {
        while let Some(batch) = self.batch().await {
            self.through(batch).await;
        }
        self.to.close().await;
    }

    /// The next batch: full, or as much as came in time. None once all is done.
    async fn batch(&mut self) -> Option<Batch> {
        let mut wait = (!self.next.is_empty()).then(|| Instant::now() + self.limits.batch_wait);
        loop {
            if self.is_full() || (!self.next.is_empty() && self.deadline.is_some() && self.queue.is_empty()) {
                break;
            }
            let room = self.limits.batch_records.saturating_sub(self.next.len());
            let mut taken = Vec::new();
            let ending = self.deadline.is_some();
            tokio::select! {
                biased;
                count = self.queue.recv_many(&mut taken, room) => {
                    self.line_up(taken, count == 0);
                    if count == 0 {
                        break;
                    }
                }
                () = at(wait) => break,
                () = at(self.ask) => self.line_up(Vec::new(), false),
                _ = self.end.changed(), if !ending => self.begin_to_end(),
            }
            if !self.next.is_empty() {
                wait.get_or_insert_with(|| Instant::now() + self.limits.batch_wait);
            }
        }
        self.cut()
    }

    fn line_up(&mut self, came: Vec<Waiting>, ending: bool) {
        self.ask = self.to.line_up(came, &mut self.next, ending).map(Instant::from_std);
    }

    /// From here on nothing is put into the queue, and what is in it is delivered if it can be in time.
    fn begin_to_end(&mut self) {
        self.deadline = Some(Instant::now() + self.limits.grace);
        self.queue.close();
    }

    /// What has been added to the line since is weighed; it only grows at its end, but for [`Self::cut`].
    fn is_full(&mut self) -> bool {
        self.next_bytes += self.next.iter().skip(self.weighed).map(|waiting| waiting.bytes).sum::<u64>();
        self.weighed = self.next.len();
        self.next.len() >= self.limits.batch_records || self.next_bytes >= self.limits.batch_bytes as u64
    }

    /// As many of those that wait as make a batch.
    fn cut(&mut self) -> Option<Batch> {
        let mut batch = Batch { records: Vec::new(), bytes: 0, count: 0 };
        while let Some(waiting) = self.next.pop_front() {
            batch.bytes += waiting.bytes;
            batch.records.push(waiting.record);
            if batch.bytes >= self.limits.batch_bytes as u64 || batch.records.len() >= self.limits.batch_records {
                break;
            }
        }
        (self.weighed, self.next_bytes) = (0, 0);
        batch.count = batch.records.len() as u64;
        (batch.count > 0).then_some(batch)
    }

    /// Tries until nothing is left of it, or its time is over.
    async fn through(&mut self, batch: Batch) {
        let began = Instant::now();
        let mut left = batch.records;
        loop {
            let tried = left.len() as u64;
            // An attempt that hangs is one that failed; what it holds goes with it.
            let Some(attempt) = self.attempt(left, began).await else {
                self.counts.note(Some(&anyhow::anyhow!("an attempt took longer than is allowed")));
                self.counts.lose(self.why(), tried);
                break;
            };
            let Attempt { delivered, refused, left: again, error, wait } = attempt;
            self.counts.deliver(delivered);
            self.counts.lose(Reason::Refused, refused);
            self.counts.note(error.as_ref());
            left = again;
            if left.is_empty() {
                self.backoff.reset();
                break;
            }
            if delivered > 0 {
                self.backoff.reset();
            }
            let pause = self.backoff.wait(wait);
            if !self.pause(pause, began).await {
                self.counts.lose(self.why(), left.len() as u64);
                break;
            }
            self.counts.retry();
        }
        self.counts.leave(batch.count, batch.bytes);
    }

    /// Tries once; None if its time is over before it is.
    async fn attempt(&mut self, batch: Vec<Arc<Record>>, began: Instant) -> Option<Attempt> {
        let Self { to, end, deadline, queue, limits, .. } = self;
        let expires = began + limits.retry_for;
        let mut trying = pin!(to.deliver(batch));
        loop {
            let until = deadline.map_or(expires, |deadline| deadline.min(expires));
            tokio::select! {
                attempt = &mut trying => return Some(attempt),
                () = time::sleep_until(until) => return None,
                _ = end.changed(), if deadline.is_none() => {
                    *deadline = Some(Instant::now() + limits.grace);
                    queue.close();
                }
            }
        }
    }

    /// When a batch that was begun then is given up.
    fn until(&self, began: Instant) -> Instant {
        let expires = began + self.limits.retry_for;
        self.deadline.map_or(expires, |deadline| deadline.min(expires))
    }

    const fn why(&self) -> Reason {
        if self.deadline.is_some() { Reason::Shutdown } else { Reason::Expired }
    }

    /// Waits before the next attempt; false if there is to be none.
    async fn pause(&mut self, pause: Duration, began: Instant) -> bool {
        let resume = Instant::now() + pause;
        if self.deadline.is_none() {
            tokio::select! {
                () = time::sleep_until(resume.min(self.until(began))) => {}
                // One more attempt at once: it may be the last that there is time for.
                _ = self.end.changed() => {
                    self.begin_to_end();
                    return true;
                }
            }
        } else {
            time::sleep_until(resume.min(self.until(began))).await;
        }
        Instant::now() < self.until(began)
    }
}

/// Waits until then; for ever without a time.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
