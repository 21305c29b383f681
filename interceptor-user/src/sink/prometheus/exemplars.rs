//! Exemplars: which trace a value of a histogram is of.
//!
//! Each series has one at the most: the largest value with a sampled trace in the last poll of a worker that saw one. So
//! whoever looks at a slow minute finds a slow trace, memory is bounded by the series, and a trace is looked for only where
//! a value is larger than those before it.

use std::{
    cell::OnceCell,
    collections::HashMap,
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
};

use foldhash::fast::RandomState;
use prometheus::proto::{Metric, MetricFamily};

use crate::model::{Exchange, Side, Timestamp};

/// A span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Of the trace.
    pub trace_id: [u8; 16],
    /// Of the span in it.
    pub span_id: [u8; 8],
}

/// The span that a side of an exchange is shown as, if its trace is sampled.
pub type Linker = Arc<dyn Fn(&Exchange, Side) -> Option<Link> + Send + Sync>;

/// A value, and what it is of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exemplar {
    /// The span.
    pub link: Link,
    /// The value that was observed.
    pub value: f64,
    /// When it was.
    pub time: Timestamp,
}

/// The span of one side of an exchange, which is looked for when it is first asked for.
pub(super) struct Linked<'a> {
    linker: &'a Linker,
    exchange: &'a Exchange,
    side: Side,
    link: OnceCell<Option<Link>>,
}

impl<'a> Linked<'a> {
    pub(super) const fn new(linker: &'a Linker, exchange: &'a Exchange, side: Side) -> Self {
        Self { linker, exchange, side, link: OnceCell::new() }
    }

    /// With this value.
    pub(super) fn exemplar(&self, value: f64) -> Option<Exemplar> {
        let link = (*self.link.get_or_init(|| (self.linker)(self.exchange, self.side)))?;
        let part = self.exchange.response.as_ref().or(self.exchange.request.as_ref())?;
        Some(Exemplar { link, value, time: part.last_byte })
    }
}

/// Label values in the order of the labels' names: what tells a series of a histogram from the others. Each is preceded by
/// its length, because it may hold anything.
pub(super) type Series = Arc<str>;

/// Of labels, in any order.
pub(super) fn series<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> Series {
    let mut labels: Vec<_> = labels.collect();
    labels.sort_unstable();
    let mut series = String::new();
    for (_, value) in labels {
        // Writing to a string does not fail.
        let _ = write!(series, "{}:{value}", value.len());
    }
    series.into()
}

type ByName = HashMap<Box<str>, HashMap<Series, Exemplar, RandomState>, RandomState>;

/// The last exemplar of each series. Workers come here as they flush, scrapes as they read.
#[derive(Default)]
pub(super) struct Exemplars(Mutex<ByName>);

impl Exemplars {
    pub(super) fn put(&self, name: &str, series: &Series, exemplar: Exemplar) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains_key(name) {
            all.insert(name.into(), HashMap::default());
        }
        if let Some(of_name) = all.get_mut(name) {
            of_name.insert(Arc::clone(series), exemplar);
        }
    }

    pub(super) fn all(&self) -> ByName {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Those of one worker that are not flushed yet, of histograms that it shares with others.
#[derive(Default)]
pub(super) struct Pending(HashMap<(&'static str, Series), Exemplar, RandomState>);

impl Pending {
    /// Keeps it if it is the largest.
    pub(super) fn put(&mut self, name: &'static str, series: Series, exemplar: Exemplar) {
        let kept = self.0.entry((name, series)).or_insert(exemplar);
        if kept.value < exemplar.value {
            *kept = exemplar;
        }
    }

    pub(super) fn flush(&mut self, to: &Exemplars) {
        for ((name, series), exemplar) in self.0.drain() {
            to.put(name, &series, exemplar);
        }
    }
}

/// All metrics at one moment.
pub struct Gathered {
    /// By name.
    pub families: Vec<MetricFamily>,
    pub(super) exemplars: ByName,
}

impl Gathered {
    /// The exemplar of a series of one of the histograms.
    pub fn exemplar(&self, family: &MetricFamily, metric: &Metric) -> Option<&Exemplar> {
        let of_name = self.exemplars.get(family.name())?;
        let labels = metric.get_label().iter().map(|label| (label.name(), label.value()));
        of_name.get(&series(labels))
    }
}
