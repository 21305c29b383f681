use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::anyhow;
use opentelemetry_proto::tonic::{
    collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse},
    resource::v1::Resource,
};
use prost::Message as _;
use tokio::{
    sync::watch,
    time::{self, Instant, MissedTickBehavior},
};

use super::points::{self, Export, Span};
use crate::sink::{
    delivery::{Counts, Reason},
    http::Refusal,
    otlp::{Client, METRICS, Target},
    prometheus::Metrics,
};

/// Sends what the metrics are, again and again.
pub(super) struct Push {
    client: Client<ExportMetricsServiceRequest, ExportMetricsServiceResponse>,
    timeout: Duration,
    metrics: Arc<Metrics>,
    resource: Resource,
    counts: Arc<Counts>,
}

impl Push {
    /// Of what `metrics` are then.
    pub(super) fn new(
        target: &Target,
        metrics: Arc<Metrics>,
        resource: Resource,
        counts: Arc<Counts>,
    ) -> anyhow::Result<Self> {
        Ok(Self { client: Client::new(&METRICS, target)?, timeout: target.timeout, metrics, resource, counts })
    }

    /// Until it is told to end; then once more.
    pub(super) async fn run(self, interval: Duration, grace: Duration, mut ended: watch::Receiver<bool>) {
        let interval = interval.max(Duration::from_millis(1));
        let mut ticks = time::interval_at(Instant::now() + interval, interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let push = async {
                ticks.tick().await;
                self.push(Reason::Expired).await;
            };
            tokio::select! {
                () = push => {}
                // What is on its way is superseded by the last one.
                _ = ended.changed() => break,
            }
        }
        if time::timeout(grace, self.push(Reason::Shutdown)).await.is_err() {
            self.counts.note(Some(&anyhow!("the last metrics were not taken in time")));
        }
    }

    /// Sends all metrics once. What does not arrive is counted under `why`.
    async fn push(&self, why: Reason) {
        let mut left = Left::new(&self.counts, self.exports(), why);
        while let Some(export) = left.exports.last() {
            let sent = time::timeout(self.timeout, self.client.send(&export.request)).await;
            let sent = sent.unwrap_or_else(|_| Err(Refusal::Later(anyhow!("no answer in time"), None)));
            match sent {
                Ok(sent) => {
                    left.settle(sent.refused);
                    let refused = || anyhow!("the other side refuses {}: {}", sent.refused, sent.message);
                    self.counts.note((sent.refused > 0).then(refused).as_ref());
                }
                Err(Refusal::Never(error)) => {
                    left.settle(u64::MAX);
                    self.counts.note(Some(&error));
                }
                Err(Refusal::Later(error, _)) => return self.counts.note(Some(&error)),
            }
        }
    }

    fn exports(&self) -> Vec<Export> {
        let nanos = |time: SystemTime| {
            u64::try_from(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
        };
        let gathered = self.metrics.gather();
        let span = Span { start: nanos(self.metrics.started()), now: nanos(SystemTime::now()) };
        points::exports(&gathered, &self.resource, span)
    }
}

/// Exports that were not sent yet. Those that are left in the end are lost.
struct Left<'a> {
    counts: &'a Counts,
    exports: Vec<Export>,
    why: Reason,
}

impl<'a> Left<'a> {
    fn new(counts: &'a Counts, exports: Vec<Export>, why: Reason) -> Self {
        for export in &exports {
            counts.offer(export.points, size(export));
        }
        Self { counts, exports, why }
    }

    /// The last one was taken, but for so many points.
    fn settle(&mut self, refused: u64) {
        let Some(export) = self.exports.pop() else { return };
        let refused = refused.min(export.points);
        self.counts.deliver(export.points - refused);
        self.counts.lose(Reason::Refused, refused);
        self.counts.leave(export.points, size(&export));
    }
}

impl Drop for Left<'_> {
    fn drop(&mut self) {
        for export in &self.exports {
            self.counts.lose(self.why, export.points);
            self.counts.leave(export.points, size(export));
        }
    }
}

fn size(export: &Export) -> u64 {
    export.request.encoded_len() as u64
}
