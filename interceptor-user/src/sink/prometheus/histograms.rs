//! The histograms of exchanges that are over, of a protocol: of the duration, and of something of request and response.

use std::{cell::Cell, sync::Arc, time::Duration};

use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, Registry, local::LocalHistogram};

use super::{
    exemplars::{self, Exemplar, Exemplars, Linked, Series},
    labels,
    metrics::register,
    rpc,
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
pub(super) struct Handles {
    histograms: [Histogram; 3],
    names: Arc<[String; 3]>,
    series: Series,
}

/// The histograms of one side.
struct Vecs {
    histograms: [HistogramVec; 3],
    names: Arc<[String; 3]>,
    labels: &'static [&'static str],
}

impl Vecs {
    fn new(registry: &Registry, family: &Family, side: &str, who: &str) -> prometheus::Result<Self> {
        let names = family.of.map(|(name, ..)| name.replace("{side}", side));
        let histogram = |(name, (_, help, bounds)): (&String, (_, &str, &[f64]))| {
            let opts = HistogramOpts::new(name, help.replace("{who}", who)).buckets(bounds.to_vec());
            register(registry, HistogramVec::new(opts, family.labels))
        };
        let [duration, request, response] = &names;
        let [of_duration, of_request, of_response] = family.of;
        let histograms = [
            histogram((duration, of_duration))?,
            histogram((request, of_request))?,
            histogram((response, of_response))?,
        ];
        Ok(Self { histograms, names: Arc::new(names), labels: family.labels })
    }

    fn handles(&self, values: &[String]) -> prometheus::Result<Handles> {
        let [duration, request, response] =
            self.histograms.each_ref().map(|vec| vec.get_metric_with_label_values(values));
        let values = values.iter().map(String::as_str);
        let series = exemplars::series(self.labels.iter().copied().zip(values));
        Ok(Handles { histograms: [duration?, request?, response?], names: Arc::clone(&self.names), series })
    }
}

/// The histograms of both sides.
pub(super) struct Histograms {
    server: Vecs,
    client: Vecs,
    sets: Sets<Handles>,
    folded: IntCounter,
    exemplars: Arc<Exemplars>,
}

impl Histograms {
    pub(super) fn new(
        registry: &Registry,
        family: &Family,
        cap: usize,
        folded: IntCounter,
        exemplars: &Arc<Exemplars>,
    ) -> prometheus::Result<Self> {
        Ok(Self {
            server: Vecs::new(registry, family, "server", "served by local sockets")?,
            client: Vecs::new(registry, family, "client", "made by local sockets")?,
            sets: Sets::new(cap),
            folded,
            exemplars: Arc::clone(exemplars),
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
        let handles = self.sets.admit(key, fold, || vecs.handles(&values()))?;
        Ok(handles.map(|handles| Local::new(handles, Arc::clone(&self.exemplars))))
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
pub(super) struct Local {
    histograms: [LocalHistogram; 3],
    /// The largest value that a trace is known of, since the last flush.
    linked: [Cell<Option<Exemplar>>; 3],
    names: Arc<[String; 3]>,
    series: Series,
    exemplars: Arc<Exemplars>,
}

impl Local {
    fn new(handles: Handles, exemplars: Arc<Exemplars>) -> Self {
        let Handles { histograms, names, series } = handles;
        let histograms = histograms.map(|histogram| histogram.local());
        Self { histograms, linked: Default::default(), names, series, exemplars }
    }

    /// `link` gives the trace, if there is one; it is asked only where the value is to be remembered.
    pub(super) fn observe(&self, observed: &Observed, link: &Linked<'_>) {
        #[expect(clippy::cast_precision_loss, reason = "exact up to 8 PiB")]
        let number = |number: Option<u64>| number.map(|number| number as f64);
        let duration = observed.duration.map(|duration| duration.as_secs_f64());
        let values = [duration, number(observed.request), number(observed.response)];
        for ((histogram, kept), value) in self.histograms.iter().zip(&self.linked).zip(values) {
            let Some(value) = value else { continue };
            histogram.observe(value);
            if kept.get().is_none_or(|kept| kept.value < value) {
                kept.set(link.exemplar(value).or(kept.get()));
            }
        }
    }

    /// Adds what was observed to what is scraped.
    pub(super) fn flush(&self) {
        for ((histogram, kept), name) in self.histograms.iter().zip(&self.linked).zip(&*self.names) {
            histogram.flush();
            if let Some(exemplar) = kept.take() {
                self.exemplars.put(name, &self.series, exemplar);
            }
        }
    }
}
