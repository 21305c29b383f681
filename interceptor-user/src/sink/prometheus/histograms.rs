//! The histograms of exchanges that are over, of a protocol: of the duration, and of something of request and response.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, Registry, local::LocalHistogram};

use super::{
    labels, rpc,
    sets::{Fold, Sets},
};
use crate::model::Side;

/// Boundaries that the OpenTelemetry conventions give for `http.*.request.duration` and `rpc.*.call.duration`, in seconds.
pub(super) const DURATION_BOUNDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Boundaries of body sizes: 0, then powers of four from 64 B to 64 MiB. The conventions give none.
const SIZE_BOUNDS: &[f64] = &[
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

/// Boundaries of numbers of messages: none, one as in unary calls, then about a stream's order of magnitude.
const COUNT_BOUNDS: &[f64] = &[0.0, 1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 10_000.0];

/// Which histograms a protocol has.
pub(super) struct Family {
    labels: &'static [&'static str],
    /// Of duration, request and response, each with `{side}` and `{who}` in the place of what differs.
    of: [(&'static str, &'static str, &'static [f64]); 3],
}

pub(super) const HTTP: Family = Family {
    labels: &labels::NAMES,
    of: [
        (
            "http_{side}_request_duration_seconds",
            "Duration of HTTP requests {who}, from the request's first to the response's last byte.",
            DURATION_BOUNDS,
        ),
        (
            "http_{side}_request_body_size_bytes",
            "Size of the bodies of HTTP requests {who}, as transferred.",
            SIZE_BOUNDS,
        ),
        (
            "http_{side}_response_body_size_bytes",
            "Size of the bodies of responses to HTTP requests {who}, as transferred.",
            SIZE_BOUNDS,
        ),
    ],
};

pub(super) const RPC: Family = Family {
    labels: &rpc::NAMES,
    of: [
        (
            "rpc_{side}_call_duration_seconds",
            "Duration of gRPC calls {who}, from the request's first to the response's last byte.",
            DURATION_BOUNDS,
        ),
        (
            "interceptor_rpc_{side}_request_messages",
            "Messages that the client sent in a gRPC call {who}.",
            COUNT_BOUNDS,
        ),
        (
            "interceptor_rpc_{side}_response_messages",
            "Messages that the server sent in a gRPC call {who}.",
            COUNT_BOUNDS,
        ),
    ],
};

/// The metrics of one label set.
#[derive(Clone)]
pub(super) struct Handles([Histogram; 3]);

/// The histograms of one side.
struct Vecs([HistogramVec; 3]);

impl Vecs {
    fn new(registry: &Registry, family: &Family, side: &str, who: &str) -> prometheus::Result<Self> {
        let [duration, request, response] = family.of.map(|(name, help, bounds)| {
            let (name, help) = (name.replace("{side}", side), help.replace("{who}", who));
            let histogram = HistogramVec::new(HistogramOpts::new(name, help).buckets(bounds.to_vec()), family.labels)?;
            registry.register(Box::new(histogram.clone()))?;
            Ok::<_, prometheus::Error>(histogram)
        });
        Ok(Self([duration?, request?, response?]))
    }

    fn handles(&self, values: &[String]) -> prometheus::Result<Handles> {
        let [duration, request, response] = self.0.each_ref().map(|vec| vec.get_metric_with_label_values(values));
        Ok(Handles([duration?, request?, response?]))
    }
}

/// The histograms of both sides.
pub(super) struct Histograms {
    server: Vecs,
    client: Vecs,
    sets: Sets<Handles>,
    folded: IntCounter,
}

impl Histograms {
    pub(super) fn new(
        registry: &Registry,
        family: &Family,
        cap: usize,
        folded: IntCounter,
    ) -> prometheus::Result<Self> {
        Ok(Self {
            server: Vecs::new(registry, family, "server", "served by local sockets")?,
            client: Vecs::new(registry, family, "client", "made by local sockets")?,
            sets: Sets::new(cap),
            folded,
        })
    }

    /// The metrics of a label set, if there is room for it.
    pub(super) fn admit(
        &self,
        key: &[u8],
        side: Side,
        fold: Fold,
        values: impl FnOnce() -> Vec<String>,
    ) -> prometheus::Result<Option<Local>> {
        let vecs = if side == Side::Server { &self.server } else { &self.client };
        Ok(self.sets.admit(key, fold, || vecs.handles(&values()))?.map(Local::from))
    }

    pub(super) fn count_folded(&self) {
        self.folded.inc();
    }

    /// How many label sets there are.
    pub(super) fn len(&self) -> usize {
        self.sets.len()
    }
}

/// What one exchange adds, as far as it is known.
pub(super) struct Observed {
    pub(super) duration: Option<Duration>,
    pub(super) request: Option<u64>,
    pub(super) response: Option<u64>,
}

/// The metrics of one label set, as one worker counts into them: apart from the other workers', which no atomic
/// operation is needed for, until it is time to [`flush`](Self::flush).
pub(super) struct Local([LocalHistogram; 3]);

impl From<Handles> for Local {
    fn from(handles: Handles) -> Self {
        Self(handles.0.map(|histogram| histogram.local()))
    }
}

impl Local {
    pub(super) fn observe(&self, observed: &Observed) {
        #[expect(clippy::cast_precision_loss, reason = "exact up to 8 PiB")]
        let number = |number: Option<u64>| number.map(|number| number as f64);
        let duration = observed.duration.map(|duration| duration.as_secs_f64());
        let values = [duration, number(observed.request), number(observed.response)];
        for (histogram, value) in self.0.iter().zip(values) {
            if let Some(value) = value {
                histogram.observe(value);
            }
        }
    }

    /// Adds what was observed to what is scraped.
    pub(super) fn flush(&self) {
        self.0.iter().for_each(LocalHistogram::flush);
    }
}
