use std::sync::Arc;

use serde_json_path::JsonPath;

use super::{
    document::{Action, Inference},
    expression::{Expression, Stage},
    extract::Extraction,
    sample::Sample,
    settings::{Drift, Pii, Schema, Transport},
    tenant::Tenant,
};
use crate::model::{Needs, Sinks};

/// A rule, ready to be applied.
#[derive(Clone, Debug)]
pub struct Rule {
    /// `policy/rule`.
    pub name: Arc<str>,
    /// The file that it is in, as it was named; files that its inspectors read are beside it.
    pub file: Arc<str>,
    /// Which exchanges it is about.
    pub condition: Expression,
    /// Which part of them is looked at; None for all.
    pub sample: Option<Sample>,
    /// Values that are taken out.
    pub extract: Vec<Extraction>,
    /// What looks at them.
    pub inspect: Inspect,
    /// What is not shown of them.
    pub redact: Option<Redact>,
    /// Sinks that get them.
    pub sinks: Sinks,
    /// Bytes of content that are kept at the most.
    pub keep: Needs,
    /// On whose behalf they are made.
    pub tenant: Option<Tenant>,
    /// What becomes of them on the inline path.
    pub action: Option<Action>,
}

impl Rule {
    /// Content that it needs itself, inspectors apart: of an inference, to know what was asked of the model server, and of
    /// any exchange to take values out.
    pub fn own_needs(&self, is_inference: bool) -> Needs {
        if is_inference && self.reads_inference() {
            return self.keep;
        }
        self.extract.iter().map(|extraction| extraction.needs(self.keep)).fold(Needs::default(), Needs::max)
    }

    /// What it and its inspectors need, as far as it may be kept.
    pub fn wants(&self, is_inference: bool, inspectors: Needs) -> Needs {
        let Needs { request, response } = self.own_needs(is_inference).max(inspectors);
        Needs { request: request.min(self.keep.request), response: response.min(self.keep.response) }
    }

    /// Content that is for these sinks: of any exchange where it names one of them, of inferences where it names none at all.
    pub fn shows(&self, sinks: Sinks, is_inference: bool) -> Needs {
        let named = self.sinks != Sinks::ALL;
        let shows = self.sinks.and(sinks) != Sinks::NONE && (named || is_inference);
        if shows { self.keep } else { Needs::default() }
    }

    /// Does something look at content that is no inference's?
    pub const fn inspects_any(&self) -> bool {
        self.inspect.pii.is_some() || self.inspect.schema.is_some()
    }

    /// Does it need what is asked of a model server, and how that answered?
    pub fn reads_inference(&self) -> bool {
        self.inspect.inference.is_some()
            || self.inspect.drift.is_some()
            || self.extract.iter().any(Extraction::is_tensor)
            || self.expressions().any(|expression| expression.stage() == Stage::Content)
    }

    /// Does it ask whether there is an inference at all? That takes no content, but somebody to look.
    pub fn recognises_inference(&self) -> bool {
        self.reads_inference() || self.expressions().any(|expression| expression.asks_of(Stage::Recognised))
    }

    fn expressions(&self) -> impl Iterator<Item = &Expression> {
        [&self.condition].into_iter().chain(self.sample.iter().flat_map(Sample::expressions))
    }
}

/// What looks at exchanges, with its settings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inspect {
    /// Inferences are read, for their own sake.
    pub inference: Option<Inference>,
    /// Personal data and secrets.
    pub pii: Option<Pii>,
    /// Features compared with a baseline.
    pub drift: Option<Drift>,
    /// Contents compared with what is declared.
    pub schema: Option<Schema>,
    /// What is odd about how exchanges were carried.
    pub transport: Option<Transport>,
}

/// What is not shown.
#[derive(Clone, Debug, Default)]
pub struct Redact {
    /// Header and trailer fields, by their names in lower case.
    pub headers: Vec<String>,
    /// Parameters of the query, by their names.
    pub query: Vec<String>,
    /// Places in contents that are JSON.
    pub json_path: Vec<JsonPath>,
    /// What `inspect.pii` finds.
    pub pii: bool,
}
