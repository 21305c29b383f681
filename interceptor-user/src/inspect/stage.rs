//! What is made of an exchange before sinks get it: its meaning, the policy's verdict, findings.
//!
//! ```text
//! heads ──────────────► Keep: what is to be kept of it?
//! an exchange, over ──► Look: inference ─► verdict ─► inspectors ─► redaction ──► sinks
//! ```
//!
//! Both halves are borrowed apart, as a flow asks the first while it hands the second what is over.

use std::{sync::Arc, time::Duration};

use super::{
    Budget, Inspector, Plan, Policies, Report, Subject,
    redact::{self, Search},
};
use crate::{
    inference,
    model::{DriftRecord, Exchange, Needs, Record, Sinks, Timestamp},
    policy::{Asked, Enforcement, Rule, Scene},
    protobuf::Registry,
};

/// What is asked of each exchange.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where there is no policy: inferences are recognised, and so many bytes of each of their contents are kept to be read;
    /// 0 recognises none.
    pub inference: usize,
    /// How they are read.
    pub reading: inference::Options,
    /// What is known of protobuf messages.
    pub registry: Registry,
    /// The policy, if there is one.
    pub policies: Option<Arc<Policies>>,
    /// Bytes of each content that all sinks get; more may be kept to be read here.
    pub shown: usize,
    /// Sinks that get contents: as much as the rules keep that send them there, or `inference` where there is no policy.
    pub contents: Sinks,
    /// Bytes that all inspectors together may look at, of one exchange.
    pub budget_bytes: usize,
    /// Time that they may take for it.
    pub budget_time: Option<Duration>,
    /// Whoever gets what is over looks at it by himself ([`Look`]); here it is decided only what is kept of it.
    pub keep_only: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            inference: 0,
            reading: inference::Options::default(),
            registry: Registry::default(),
            policies: None,
            shown: 0,
            contents: Sinks::NONE,
            budget_bytes: 4 << 20,
            budget_time: Some(Duration::from_millis(100)),
            keep_only: false,
        }
    }
}

/// The stage between sessions and sinks, for one pipeline.
pub struct Stage {
    /// Asked on the heads.
    pub keep: Keep,
    /// Asked in the end.
    pub look: Look,
    /// Bytes that may be kept of an exchange, by what is in force.
    pub most: usize,
    /// As much as a rule may want of an exchange. Without a policy contents are wanted of inferences, which are seldom met where others
    /// are, and that is not counted.
    pub may_want: Needs,
    /// The version of the policies that is in force here.
    version: u64,
}

/// Decides what is kept.
pub struct Keep {
    inference: usize,
    contents: Sinks,
    plan: Option<Arc<Plan>>,
}

/// Looks at what is over.
pub struct Look {
    options: Options,
    plan: Option<Arc<Plan>>,
    /// Of each rule.
    inspectors: Vec<Vec<Box<dyn Inspector>>>,
    drift: Vec<DriftRecord>,
}

impl Stage {
    /// Nothing was seen yet.
    pub fn new(options: Options) -> Self {
        let mut stage = Self {
            keep: Keep { inference: options.inference, contents: options.contents, plan: None },
            look: Look { options, plan: None, inspectors: Vec::new(), drift: Vec::new() },
            most: 0,
            may_want: Needs::default(),
            version: 0,
        };
        stage.most = stage.keep.most();
        stage.renew();
        stage
    }

    /// Time passes; with `over` nothing will come any more.
    pub fn tick(&mut self, now: Timestamp, over: bool) {
        self.look.tick(now, over);
    }

    /// Another policy takes force, if there is one: to be asked before each event, so that what happens after it was put
    /// in force is under it. Says whether contents may be wanted that were not before.
    #[inline]
    pub fn renew(&mut self) -> bool {
        let newer = self.look.options.policies.as_ref().and_then(|policies| policies.newer(&mut self.version));
        newer.is_some_and(|plan| self.put_in_force(plan))
    }

    #[cold]
    fn put_in_force(&mut self, plan: Arc<Plan>) -> bool {
        // Windows of the old policy end here: they are not the new one's.
        self.look.tick(Timestamp::default(), true);
        self.look.inspectors = plan.inspectors();
        self.look.plan = Some(Arc::clone(&plan));
        let before = std::mem::replace(&mut self.may_want, plan.most(self.keep.contents));
        self.keep.plan = Some(plan);
        self.most = self.keep.most();
        self.may_want.request > before.request || self.may_want.response > before.response
    }
}

impl Keep {
    /// Bytes that may be kept of an exchange: memory that a flow needs beside what its heads do.
    fn most(&self) -> usize {
        let Needs { request, response } =
            self.plan.as_ref().map_or(Needs::both(self.inference), |plan| plan.most(self.contents));
        request + response
    }

    /// Is nothing wanted of any exchange?
    pub const fn is_idle(&self) -> bool {
        self.inference == 0 && self.plan.is_none()
    }

    /// Does a rule have the inline path do something?
    pub fn enforces(&self) -> bool {
        self.plan.as_ref().is_some_and(|plan| plan.policy().enforces())
    }

    /// What the inline path is to do with an exchange of which the request's head was seen; with `whole`, all of the request.
    pub fn enforce(&self, exchange: &Exchange, whole: bool) -> Enforcement {
        let Some(plan) = &self.plan else { return Enforcement::default() };
        let scene = scene(exchange, plan.reads_inference());
        if !whole {
            return plan.policy().enforce(&scene);
        }
        let inference = scene.recognised.and_then(|_| inference::read(exchange, &inference::Options::default()));
        let asked = Some(Asked { exchange, inference: inference.as_ref() });
        plan.policy().enforce(&Scene { asked, ..scene })
    }

    /// What is to be kept of an exchange of which these heads were seen.
    pub fn needs(&self, exchange: &Exchange) -> Needs {
        let scene = scene(exchange, self.plan.as_ref().is_none_or(|plan| plan.reads_inference()));
        match &self.plan {
            Some(plan) => plan.policy().needs(&scene, plan.needs(), self.contents),
            None => Needs::both(if scene.recognised.is_some() { self.inference } else { 0 }),
        }
    }
}

/// What is known of an exchange that goes on; with `recognise`, what it may ask of a model server too.
fn scene(exchange: &Exchange, recognise: bool) -> Scene<'_> {
    let [request, response] = [&exchange.request, &exchange.response].map(|part| part.as_ref().map(|part| &part.head));
    Scene {
        flow: &exchange.flow,
        number: exchange.number,
        request,
        response,
        recognised: request.filter(|_| recognise).and_then(inference::recognise),
        over: None,
        inference: None,
        asked: None,
    }
}

/// What the connection tells of an answer's timing.
fn note_connection(exchange: &mut Exchange) {
    let (wasted, round_trip) = (exchange.wasted(), exchange.flow.round_trip);
    let delays = exchange.response.as_ref().map(|response| response.delays).unwrap_or_default();
    let Some(inference) = &mut exchange.inference else { return };
    inference.timing.round_trip = round_trip;
    (inference.timing.stalled, inference.timing.waited) = (delays.stalled, delays.waited);
    (inference.timing.wasted_bytes, inference.timing.wasted_chunks) = wasted.unwrap_or_default();
}

/// The windows that a rule's inspectors report go to the rule's sinks.
fn of_rule(report: &mut Report, rule: &Rule) -> impl Iterator<Item = DriftRecord> {
    let sinks = rule.sinks;
    std::mem::take(&mut report.drift).into_iter().map(move |drift| DriftRecord { sinks, ..drift })
}

impl Look {
    /// Looks at an exchange that is over, or takes out of a message what is not to be shown.
    pub fn record(&mut self, record: &mut Record) {
        if self.options.keep_only {
            return;
        }
        match record {
            Record::Exchange(exchange) => {
                self.read(exchange);
                self.judge(exchange);
                self.trim(exchange);
            }
            Record::Message(message) => {
                self.message(&mut message.exchange);
                self.trim(&mut message.exchange);
            }
            Record::Flow(_) | Record::Drift(_) | Record::Edge(_) => {}
        }
    }

    /// Windows that were over with what was looked at last.
    pub fn take_drift(&mut self) -> Vec<DriftRecord> {
        std::mem::take(&mut self.drift)
    }

    /// Sinks get no more of contents than was asked for them. Descriptors that a server tells are of use as a whole only.
    fn trim(&self, exchange: &mut Exchange) {
        if exchange.request.as_ref().is_some_and(|part| part.head.asks_reflection()) {
            return;
        }
        let shown = Needs::both(self.options.shown).max(self.shown(exchange));
        let Exchange { request, response, .. } = exchange;
        for (part, most) in [(request, shown.request), (response, shown.response)] {
            if let Some(part) = part {
                part.trim(most);
            }
        }
    }

    /// What the rules that it matches keep for sinks with contents.
    fn shown(&self, exchange: &Exchange) -> Needs {
        let Options { contents, inference, .. } = self.options;
        let is_inference = exchange.inference.is_some();
        let (Some(plan), Some(verdict)) = (&self.plan, &exchange.verdict) else {
            let shows = self.plan.is_none() && is_inference && contents != Sinks::NONE;
            return if shows { Needs::both(inference) } else { Needs::default() };
        };
        let rules = plan.policy().rules().iter().filter(|rule| verdict.has(&rule.name));
        rules.map(|rule| rule.shows(contents, is_inference)).fold(Needs::default(), Needs::max)
    }

    /// What it means to a model server.
    pub fn read(&self, exchange: &mut Exchange) {
        let Options { inference, reading, .. } = &self.options;
        let (reads, estimates) = match &self.plan {
            Some(plan) => (plan.reads_inference(), plan.estimates_tokens()),
            None => (*inference > 0, false),
        };
        if reads {
            let reading = inference::Options { estimate_tokens: reading.estimate_tokens || estimates };
            exchange.inference = inference::read(exchange, &reading).map(Box::new);
            note_connection(exchange);
        }
    }

    /// What a rule may turn out to be about is treated as if it were.
    fn message(&self, exchange: &mut Exchange) {
        let Some(plan) = &self.plan else { return };
        // All are asked before anything is taken out: a rule may be about what another one redacts.
        let scene = scene(exchange, plan.reads_inference());
        let rules = plan.policy().rules().iter().zip(plan.searches());
        let wanted = rules.filter_map(|(rule, search)| {
            let redact = rule.redact.as_ref()?;
            rule.condition.is_possible(&scene).then_some((redact, search))
        });
        let wanted: Vec<_> = wanted.collect();
        for (redact, search) in wanted {
            redact::apply_to_message(exchange, redact, search);
        }
    }

    /// The policy's verdict, what the inspectors of the rules that it matches see, and then what they redact.
    pub fn judge(&mut self, exchange: &mut Exchange) {
        let Some(plan) = self.plan.clone() else { return };
        let registry = &self.options.registry;
        let mut verdict = plan.policy().verdict(exchange, exchange.inference.as_deref(), registry);
        if let (Some(inference), Some(tenant)) = (&mut exchange.inference, &verdict.tenant) {
            inference.tenant = Some(tenant.clone());
        }
        let subject = Subject { exchange, inference: exchange.inference.as_deref(), registry };
        let mut budget = Budget::new(self.options.budget_bytes, self.options.budget_time);
        let rules = plan.policy().rules().iter().zip(&mut self.inspectors);
        for (rule, inspectors) in rules.filter(|(_, inspectors)| !inspectors.is_empty()) {
            if !verdict.has(&rule.name) {
                continue;
            }
            let mut report = Report::new(Arc::clone(&rule.name));
            for inspector in inspectors {
                inspector.inspect(&subject, &mut budget, &mut report);
            }
            verdict.findings.append(&mut report.findings);
            verdict.uninspected.append(&mut report.uninspected);
            self.drift.extend(of_rule(&mut report, rule));
        }
        let mut redacted = false;
        for (rule, search) in plan.policy().rules().iter().zip(plan.searches()) {
            let Some(redact) = &rule.redact else { continue };
            let Some(said) = verdict.rules.iter().find(|said| Arc::ptr_eq(&said.rule, &rule.name)) else { continue };
            redact::apply(exchange, redact);
            redacted = true;
            if let Some(pii) = search {
                let seen = (verdict.findings.as_slice(), verdict.uninspected.as_slice());
                redact::apply_pii(exchange, Search { pii, seen: said.sampled.is_in().then_some(seen) });
            }
        }
        if redacted {
            // What was taken out before is as it was sent.
            plan.policy().extract(exchange, registry, &mut verdict);
            if let Some(inference) = &mut exchange.inference {
                inference.tenant.clone_from(&verdict.tenant);
            }
        }
        exchange.verdict = Some(Box::new(verdict));
    }

    fn tick(&mut self, now: Timestamp, over: bool) {
        let Some(plan) = &self.plan else { return };
        for (rule, inspectors) in plan.policy().rules().iter().zip(&mut self.inspectors) {
            let mut report = Report::new(Arc::clone(&rule.name));
            for inspector in inspectors {
                inspector.tick(now, over, &mut report);
            }
            self.drift.extend(of_rule(&mut report, rule));
        }
    }
}

#[cfg(test)]
mod tests;
