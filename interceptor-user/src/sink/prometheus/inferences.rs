//! Inferences: names, units and boundaries of OpenTelemetry's conventions for generative AI, and for models of other kinds a
//! family of our own in the same style.

use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry};

use super::{
    exemplars::{self, Linked, Pending},
    labels::OTHER,
    metrics::register,
    server::Server,
    sets::{Few, Fold},
};
use crate::model::{Exchange, Head, Inference, ModelError, Operation, Side};

/// `gen_ai.client.operation.duration` and `gen_ai.server.request.duration`: seconds.
const DURATION_BOUNDS: &[f64] =
    &[0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
/// `gen_ai.client.token.usage`.
const TOKEN_BOUNDS: &[f64] = &[
    1.0,
    4.0,
    16.0,
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
/// `gen_ai.server.time_to_first_token`: seconds.
const FIRST_TOKEN_BOUNDS: &[f64] =
    &[0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// `gen_ai.server.time_per_output_token`: seconds.
const PER_TOKEN_BOUNDS: &[f64] = &[0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5];
/// Rows of a batch.
const BATCH_BOUNDS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0];

/// Labels of inferences.
pub(super) const LABELS: [&str; 7] = [
    "gen_ai_operation_name",
    "gen_ai_provider_name",
    "gen_ai_request_model",
    "gen_ai_response_model",
    "error_type",
    "server_address",
    "server_port",
];
/// Of these, those that there are too many of.
const MODELS: std::ops::Range<usize> = 2..LABELS.len();
/// Bytes of a model's name at the most: names come from the wire.
const NAME_MAX: usize = 128;

/// An inference as one side sees it.
pub(super) struct Seen<'a> {
    pub(super) exchange: &'a Exchange,
    pub(super) request: &'a Head,
    pub(super) inference: &'a Inference,
    pub(super) side: Side,
    pub(super) link: &'a Linked<'a>,
}

/// A histogram.
struct Family {
    name: &'static str,
    labels: Vec<&'static str>,
    histograms: HistogramVec,
}

impl Family {
    fn observe(&self, labels: &[&str], value: f64, link: &Linked<'_>, pending: &mut Pending) -> prometheus::Result<()> {
        self.histograms.get_metric_with_label_values(labels)?.observe(value);
        if let Some(exemplar) = link.exemplar(value) {
            let series = exemplars::series(self.labels.iter().copied().zip(labels.iter().copied()));
            pending.put(self.name, series, exemplar);
        }
        Ok(())
    }
}

/// Metrics of inferences.
pub(super) struct Inferences {
    /// Of a server's, then of a client's.
    generative: [Family; 2],
    other: [Family; 2],
    tokens: Family,
    first_token: Family,
    per_token: Family,
    batch: Family,
    wasted: IntCounterVec,
    /// Sets of labels in use.
    sets: Few<[String; LABELS.len()]>,
}

impl Inferences {
    pub(super) fn new(registry: &Registry, cap: usize, folded: IntCounter) -> prometheus::Result<Self> {
        let histogram = |name: &'static str, help: &str, bounds: &[f64], more: &[&'static str]| {
            let labels = [&LABELS[..], more].concat();
            let opts = HistogramOpts::new(name, help).buckets(bounds.to_vec());
            let histograms = register(registry, HistogramVec::new(opts, &labels))?;
            Ok::<_, prometheus::Error>(Family { name, labels, histograms })
        };
        let duration = |name, who| {
            let help =
                format!("Duration of requests to models {who}, from the request's first to the response's last byte.");
            histogram(name, &help, DURATION_BOUNDS, &[])
        };
        let (served, made) = ("served by local sockets", "made by local sockets");
        let wasted = Opts::new(
            "inference_wasted_bytes_total",
            "Content bytes of answers that were still sent after the client had gone.",
        );
        Ok(Self {
            generative: [
                duration("gen_ai_server_request_duration_seconds", served)?,
                duration("gen_ai_client_operation_duration_seconds", made)?,
            ],
            other: [
                duration("inference_server_request_duration_seconds", served)?,
                duration("inference_client_request_duration_seconds", made)?,
            ],
            tokens: histogram(
                "gen_ai_client_token_usage",
                "Tokens of a request and of its answer, as the answer counts them.",
                TOKEN_BOUNDS,
                &["gen_ai_token_type"],
            )?,
            first_token: histogram(
                "gen_ai_server_time_to_first_token_seconds",
                "Time from a request's last byte to the first message of its answer that carries something generated.",
                FIRST_TOKEN_BOUNDS,
                &[],
            )?,
            per_token: histogram(
                "gen_ai_server_time_per_output_token_seconds",
                "Time for each output token of a streamed answer but the first.",
                PER_TOKEN_BOUNDS,
                &[],
            )?,
            batch: histogram("inference_batch_size", "Rows that a model works on together.", BATCH_BOUNDS, &[])?,
            wasted: register(registry, IntCounterVec::new(wasted, &LABELS))?,
            sets: Few::new(cap, folded),
        })
    }

    /// Counts an inference that is over; with `answer`, also what does not depend on whose side it is seen from.
    pub(super) fn count(&self, seen: &Seen<'_>, answer: bool, pending: &mut Pending) -> prometheus::Result<()> {
        let labels = self.admitted(labels(seen));
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        let durations = if is_generative(seen.inference.operation) { &self.generative } else { &self.other };
        if let (Some(duration), [server, client]) = (seen.exchange.duration(), durations) {
            let of = if seen.side == Side::Server { server } else { client };
            of.observe(&labels, duration.as_secs_f64(), seen.link, pending)?;
        }
        if answer { self.count_answer(seen, &labels, pending) } else { Ok(()) }
    }

    fn count_answer(&self, seen: &Seen<'_>, labels: &[&str], pending: &mut Pending) -> prometheus::Result<()> {
        let Seen { inference: Inference { usage, timing, operation, batch, .. }, link, .. } = seen;
        // What is estimated is not among what was measured.
        let stated = |tokens: Option<u64>| tokens.filter(|_| !usage.estimated);
        for (kind, tokens) in [("input", stated(usage.input)), ("output", stated(usage.output))] {
            if let Some(tokens) = tokens {
                let labels = [labels, &[kind]].concat();
                #[expect(clippy::cast_precision_loss, reason = "nobody counts 2^53 tokens")]
                self.tokens.observe(&labels, tokens as f64, link, pending)?;
            }
        }
        let times = [(&self.first_token, timing.first_token), (&self.per_token, timing.per_output_token)];
        for (histogram, time) in times {
            if let Some(time) = time {
                histogram.observe(labels, time.as_secs_f64(), link, pending)?;
            }
        }
        if let (Some(batch), false) = (*batch, is_generative(*operation)) {
            #[expect(clippy::cast_precision_loss, reason = "no batch has 2^53 rows")]
            self.batch.observe(labels, batch as f64, link, pending)?;
        }
        if timing.wasted_bytes > 0 {
            self.wasted.get_metric_with_label_values(labels)?.inc_by(timing.wasted_bytes);
        }
        Ok(())
    }

    /// The labels, if there is room for another set; without the model's, if not.
    fn admitted(&self, mut labels: [String; LABELS.len()]) -> [String; LABELS.len()] {
        if !self.sets.admits(&labels) {
            for label in &mut labels[MODELS] {
                OTHER.clone_into(label);
            }
        }
        labels
    }
}

/// What the conventions for generative AI are about.
const fn is_generative(operation: Operation) -> bool {
    match operation {
        Operation::Chat
        | Operation::TextCompletion
        | Operation::Embeddings
        | Operation::Rerank
        | Operation::Classify
        | Operation::Tokenize => true,
        Operation::Infer | Operation::Explain | Operation::Metadata | Operation::Statistics | Operation::Manage => {
            false
        }
    }
}

fn labels(seen: &Seen<'_>) -> [String; LABELS.len()] {
    let Seen { exchange, request, inference, side, .. } = *seen;
    let name = |name: &Option<String>| {
        let fits = |name: &&String| name.len() <= NAME_MAX && !name.chars().any(char::is_control);
        name.as_ref().map_or_else(String::new, |name| if fits(&name) { name.clone() } else { OTHER.to_owned() })
    };
    let status = exchange.response.as_ref().and_then(|part| part.head.status());
    let error = match (&inference.error, status) {
        (Some(error), _) => error_kind(error),
        (None, Some(status @ 400..)) => status.to_string(),
        (None, None) => "no_response".to_owned(),
        (None, Some(_)) => String::new(),
    };
    let [address, port] = Server::of(&exchange.flow, request, side, Fold::Nothing).values();
    let (operation, dialect) = (inference.operation.name().to_owned(), inference.dialect.name().to_owned());
    [operation, dialect, name(&inference.model), name(&inference.response_model), error, address, port]
}

/// `error.type` of an error that the content tells.
pub(super) fn error_kind(error: &ModelError) -> String {
    error.kind.clone().filter(|kind| is_word(kind)).unwrap_or_else(|| "error".to_owned())
}

/// A code or kind, not a sentence.
fn is_word(kind: &str) -> bool {
    kind.len() <= 64
        && !kind.is_empty()
        && kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}
