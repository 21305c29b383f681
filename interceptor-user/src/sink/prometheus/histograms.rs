//! The histograms of exchanges that are over.

use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, Registry, local::LocalHistogram};

use super::{
    labels::{Labels, NAMES},
    sets::Sets,
};
use crate::model::{Exchange, Part, Side};

/// Boundaries that the OpenTelemetry conventions give for `http.*.request.duration`, in seconds.
pub(super) const DURATION_BOUNDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Boundaries of body sizes: 0, then powers of four from 64 B to 64 MiB. The conventions give none.
pub(super) const SIZE_BOUNDS: [f64; 12] = [
    0.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// The metrics of one label set.
#[derive(Clone)]
pub(super) struct Handles {
    duration: Histogram,
    request_size: Histogram,
    response_size: Histogram,
}

/// The histograms of one side, and the names of OpenTelemetry that they stand for.
struct Family {
    duration: HistogramVec,
    request_size: HistogramVec,
    response_size: HistogramVec,
}

impl Family {
    fn new(registry: &Registry, side: &str) -> prometheus::Result<Self> {
        let histogram = |name: &str, help: &str, bounds: &[f64]| {
            let opts = HistogramOpts::new(format!("http_{side}_{name}"), help).buckets(bounds.to_vec());
            let histogram = HistogramVec::new(opts, &NAMES)?;
            registry.register(Box::new(histogram.clone()))?;
            Ok::<_, prometheus::Error>(histogram)
        };
        let who = if side == "server" { "served by local sockets" } else { "made by local sockets" };
        Ok(Self {
            duration: histogram(
                "request_duration_seconds",
                &format!("Duration of HTTP requests {who}, from the request's first to the response's last byte."),
                &DURATION_BOUNDS,
            )?,
            request_size: histogram(
                "request_body_size_bytes",
                &format!("Size of the bodies of HTTP requests {who}, as transferred."),
                &SIZE_BOUNDS,
            )?,
            response_size: histogram(
                "response_body_size_bytes",
                &format!("Size of the bodies of responses to HTTP requests {who}, as transferred."),
                &SIZE_BOUNDS,
            )?,
        })
    }

    fn handles(&self, values: &[String]) -> prometheus::Result<Handles> {
        Ok(Handles {
            duration: self.duration.get_metric_with_label_values(values)?,
            request_size: self.request_size.get_metric_with_label_values(values)?,
            response_size: self.response_size.get_metric_with_label_values(values)?,
        })
    }
}

/// The histograms of both sides.
pub(super) struct Histograms {
    server: Family,
    client: Family,
    sets: Sets<Handles>,
    folded: IntCounter,
}

impl Histograms {
    pub(super) fn new(registry: &Registry, cap: usize, folded: IntCounter) -> prometheus::Result<Self> {
        Ok(Self {
            server: Family::new(registry, "server")?,
            client: Family::new(registry, "client")?,
            sets: Sets::new(cap),
            folded,
        })
    }

    /// The metrics of a label set, if there is room for it.
    pub(super) fn admit(&self, key: &[u8], labels: &Labels<'_>) -> prometheus::Result<Option<Handles>> {
        let family = if labels.side() == Side::Server { &self.server } else { &self.client };
        self.sets.admit(key, labels.fold(), || family.handles(&labels.values()))
    }

    pub(super) fn count_folded(&self) {
        self.folded.inc();
    }

    /// How many label sets there are.
    pub(super) fn len(&self) -> usize {
        self.sets.len()
    }
}

/// The metrics of one label set, as one worker counts into them: apart from the other workers', which no atomic
/// operation is needed for, until it is time to [`flush`](Self::flush).
pub(super) struct Local {
    duration: LocalHistogram,
    request_size: LocalHistogram,
    response_size: LocalHistogram,
}

impl From<Handles> for Local {
    fn from(handles: Handles) -> Self {
        Self {
            duration: handles.duration.local(),
            request_size: handles.request_size.local(),
            response_size: handles.response_size.local(),
        }
    }
}

impl Local {
    pub(super) fn observe(&self, exchange: &Exchange) {
        if let Some(duration) = exchange.duration() {
            self.duration.observe(duration.as_secs_f64());
        }
        // The size of a body that was not seen to end is not known.
        #[expect(clippy::cast_precision_loss, reason = "exact up to 8 PiB")]
        let size = |part: &Part| part.ended.then(|| (part.body_size + part.body_missing) as f64);
        if let Some(size) = exchange.request.as_ref().and_then(size) {
            self.request_size.observe(size);
        }
        if let Some(size) = exchange.response.as_ref().and_then(size) {
            self.response_size.observe(size);
        }
    }

    /// Adds what was observed to what is scraped.
    pub(super) fn flush(&self) {
        self.duration.flush();
        self.request_size.flush();
        self.response_size.flush();
    }
}
