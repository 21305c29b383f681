//! What is made of an exchange before sinks get it: its meaning, the policy's verdict, findings.
//!
//! ```text
//! heads ──► Keep: what is to be kept of it?
//! the exchange, over ──► Look: inference ─► verdict ─► inspectors ─► redaction ──► sinks
//! ```
//!
//! Both halves are borrowed apart, as a flow asks the first while it hands the second what is over.

use crate::{
    inference,
    model::{Exchange, Needs, Record, Timestamp},
    protobuf::Registry,
};

/// What is asked of each exchange.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Inferences are recognised, and so many bytes of each of their contents are kept to be read; 0 recognises none.
    pub inference: usize,
    /// How they are read.
    pub reading: inference::Options,
    /// What is known of protobuf messages.
    pub registry: Registry,
}

/// The stage between sessions and sinks, for one pipeline.
#[derive(Debug, Default)]
pub struct Stage {
    /// Asked on the heads.
    pub keep: Keep,
    /// Asked in the end.
    pub look: Look,
}

/// Decides what is kept.
#[derive(Debug, Default)]
pub struct Keep {
    inference: usize,
}

/// Looks at what is over.
#[derive(Debug, Default)]
pub struct Look {
    options: Options,
}

impl Stage {
    /// Nothing was seen yet.
    pub const fn new(options: Options) -> Self {
        Self { keep: Keep { inference: options.inference }, look: Look { options } }
    }
}

impl Keep {
    /// Is nothing wanted of any exchange?
    pub const fn is_idle(&self) -> bool {
        self.inference == 0
    }

    /// What is to be kept of an exchange of which these heads were seen.
    pub fn needs(&self, exchange: &Exchange) -> Needs {
        let head = exchange.request.as_ref().map(|part| &part.head);
        let inference = self.inference > 0 && head.and_then(inference::recognise).is_some();
        Needs::both(if inference { self.inference } else { 0 })
    }
}

impl Look {
    /// Looks at an exchange that is over, or at a message of one.
    pub fn record(&mut self, record: &mut Record) {
        match record {
            Record::Exchange(exchange) => self.exchange(exchange),
            Record::Message(_) | Record::Flow(_) | Record::Drift(_) => {}
        }
    }

    fn exchange(&mut self, exchange: &mut Exchange) {
        if self.options.inference > 0 {
            let inference = inference::read(exchange, &self.options.registry, &self.options.reading);
            exchange.inference = inference.map(Box::new);
        }
    }

    /// Time passes; with `over` nothing will come any more.
    pub fn tick(&mut self, _now: Timestamp, _over: bool, _emit: &mut dyn FnMut(Record)) {}
}
