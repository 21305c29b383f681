//! What rules say of one exchange, and why.

use std::fmt::{self, Write as _};

use serde_json::{Map, Value, json};

use super::found;
use crate::{
    inspect::Stage,
    model::{Exchange, Inference, Needs, SinkName, Sinks, Target, Verdict},
    policy::{
        Rule, Scene,
        expression::{Expression, Fault},
    },
    sink::escape::Escaped,
};

/// A rule's condition with its sides, each to be looked at by itself.
pub(super) struct Sides<'p> {
    pub(super) rule: &'p Rule,
    sides: Vec<Expression>,
}

impl<'p> Sides<'p> {
    pub(super) fn of(rule: &'p Rule) -> Self {
        Self { rule, sides: rule.condition.conjuncts() }
    }
}

/// An exchange that rules were asked about.
pub(super) struct Trial<'t> {
    exchange: &'t Exchange,
    inference: Option<Box<Inference>>,
    rules: Vec<Answer<'t>>,
    verdict: Verdict,
    redacted: Vec<&'static str>,
    needs: Needs,
}

/// What one rule says.
struct Answer<'t> {
    rule: &'t Rule,
    matched: bool,
    sides: Vec<(&'t str, Result<bool, Fault>)>,
}

impl<'t> Trial<'t> {
    /// Conditions are asked before anything is taken out, as the policy itself asks them.
    pub(super) fn of(sides: &'t [Sides<'t>], exchange: &'t Exchange, Stage { keep, look, .. }: &mut Stage) -> Self {
        let mut looked_at = exchange.clone();
        look.read(&mut looked_at);
        let scene = Scene::of(&looked_at, looked_at.inference.as_deref());
        let answer = |Sides { rule, sides }: &'t Sides<'t>| Answer {
            rule,
            matched: rule.condition.test(&scene) == Ok(true),
            sides: sides.iter().map(|side| (side.text(), side.test(&scene))).collect(),
        };
        let rules = sides.iter().map(answer).collect();
        look.judge(&mut looked_at);
        let redacted = redacted(exchange, &looked_at);
        let verdict = looked_at.verdict.map(|verdict| *verdict).unwrap_or_default();
        Self { exchange, inference: looked_at.inference, rules, verdict, redacted, needs: keep.needs(exchange) }
    }

    /// Names of the rules that it matches, and whether it is in their samples.
    pub(super) fn matched(&self) -> impl Iterator<Item = (&str, bool)> {
        self.verdict.rules.iter().map(|rule| (&*rule.rule, rule.sampled.is_in()))
    }

    pub(super) fn json(&self) -> Value {
        let (method, path) = (self.method(), self.path());
        let head = self.exchange.response.as_ref().and_then(|part| part.head.status());
        let rules: Vec<Value> = self.rules.iter().map(|answer| self.rule_json(answer)).collect();
        json!({
            "flow": self.exchange.flow.id,
            "exchange": self.exchange.number,
            "method": method,
            "path": path,
            "status": head,
            "inference": self.inference.as_ref().map(|inference| json!({
                "dialect": inference.dialect.name(),
                "operation": inference.operation.name(),
                "model": inference.model,
            })),
            "needs": { "request": self.needs.request, "response": self.needs.response },
            "tenant": self.verdict.tenant,
            "sinks": names(self.verdict.sinks),
            "redacted": self.redacted,
            "rules": rules,
        })
    }

    fn rule_json(&self, answer: &Answer<'_>) -> Value {
        let sides = answer.sides.iter().map(|(text, outcome)| match outcome {
            Ok(value) => json!({ "text": text, "value": value }),
            Err(fault) => json!({ "text": text, "value": null, "why": fault.to_string() }),
        });
        let mut all = json!({
            "rule": &*answer.rule.name,
            "matched": answer.matched,
            "conjuncts": sides.collect::<Vec<_>>(),
        });
        let verdict = self.verdict.rules.iter().find(|verdict| verdict.rule == answer.rule.name);
        if let (Some(verdict), Some(entries)) = (verdict, all.as_object_mut()) {
            entries.insert("sampled".to_owned(), verdict.sampled.name().into());
            let extracted: Map<String, Value> =
                verdict.extracted.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
            entries.insert("extracted".to_owned(), extracted.into());
            let rule = &*answer.rule.name;
            entries.insert("findings".to_owned(), found::findings(&self.verdict, rule).map(found::json).collect());
            let uninspected = found::uninspected(&self.verdict, rule).map(found::uninspected_json);
            entries.insert("uninspected".to_owned(), uninspected.collect());
            if let Some(would) = &verdict.would {
                entries.insert(would.name().to_owned(), json!({ "action": would.action, "detail": would.detail }));
            }
        }
        all
    }

    fn method(&self) -> Option<&'t str> {
        self.exchange.request.as_ref()?.head.method()
    }

    /// Without the query, which may hold secrets.
    fn path(&self) -> Option<&'t str> {
        Target::of(&self.exchange.request.as_ref()?.head).path
    }
}

impl fmt::Display for Trial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flow = &self.exchange.flow;
        let (method, path) = (self.method().unwrap_or("?"), self.path().unwrap_or("?"));
        let status = self.exchange.response.as_ref().and_then(|part| part.head.status());
        let status = status.map_or_else(|| "no response".to_owned(), |status| status.to_string());
        let (method, path) = (Escaped(method.as_bytes()), Escaped(path.as_bytes()));
        let (id, number) = (flow.id, self.exchange.number);
        writeln!(f, "{id}.{number} {} > {} {method} {path} {status}", flow.client.endpoint, flow.server.endpoint)?;
        if let Some(inference) = &self.inference {
            let model = inference.model.as_deref().unwrap_or("?");
            let (dialect, operation) = (inference.dialect.name(), inference.operation.name());
            writeln!(f, "  inference: {dialect} {operation} {}", Escaped(model.as_bytes()))?;
        }
        self.rules.iter().try_for_each(|answer| self.write_rule(answer, f))?;
        if let Some(tenant) = &self.verdict.tenant {
            writeln!(f, "  tenant: {}", Escaped(tenant.as_bytes()))?;
        }
        if !self.redacted.is_empty() {
            writeln!(f, "  redacted: {}", self.redacted.join(", "))?;
        }
        let Needs { request, response } = self.needs;
        writeln!(
            f,
            "  sinks: {}; needs {request} bytes of the request, {response} of the response",
            names(self.verdict.sinks).join(", ")
        )
    }
}

impl Trial<'_> {
    fn write_rule(&self, answer: &Answer<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = self.verdict.rules.iter().find(|verdict| verdict.rule == answer.rule.name);
        let sampled =
            verdict.map_or("no match".to_owned(), |verdict| format!("match, sampled: {}", verdict.sampled.name()));
        writeln!(f, "  {}: {sampled}", answer.rule.name)?;
        for (text, outcome) in &answer.sides {
            let text = super::check::one_line(text);
            match outcome {
                Ok(value) => writeln!(f, "    {value:<5} {text}")?,
                Err(fault) => {
                    let kind = if matches!(fault, Fault::Failed(_)) { "error" } else { "none" };
                    writeln!(f, "    {kind:<5} {text}\n          {fault}")?;
                }
            }
        }
        for (name, value) in verdict.iter().flat_map(|verdict| &verdict.extracted) {
            let mut shown = String::new();
            write!(shown, "{value}")?;
            writeln!(f, "    extracted {name}: {}", Escaped(shown.as_bytes()))?;
        }
        found::write(&self.verdict, &answer.rule.name, f)?;
        match verdict.and_then(|verdict| verdict.would.as_ref()) {
            Some(would) => writeln!(f, "    {} {} {}", would.name(), would.action, Escaped(would.detail.as_bytes())),
            None => Ok(()),
        }
    }
}

/// In which parts something else stands than what was sent.
fn redacted(sent: &Exchange, shown: &Exchange) -> Vec<&'static str> {
    let parts = [
        (&sent.request, &shown.request, ["head of the request", "content of the request"]),
        (&sent.response, &shown.response, ["head of the response", "content of the response"]),
    ];
    let mut all = Vec::new();
    for (sent, shown, [head, content]) in parts {
        let (Some(sent), Some(shown)) = (sent, shown) else { continue };
        let same = sent.head.target() == shown.head.target()
            && sent.head.fields == shown.head.fields
            && sent.trailers == shown.trailers;
        all.extend((!same).then_some(head));
        all.extend(shown.redacted.then_some(content));
    }
    all
}

fn names(sinks: Sinks) -> Vec<&'static str> {
    sinks.iter().map(SinkName::name).collect()
}
