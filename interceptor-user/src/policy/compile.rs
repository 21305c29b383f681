//! From the text of policies to rules that can be applied: all of it is right, or it is refused.

use std::{collections::HashSet, sync::Arc};

use serde_json_path::JsonPath;

use super::{
    Error,
    document::{self, At, Document, Keep, Sink, inside},
    expression::{Expression, Type},
    extract::{Extraction, FieldPath, Place},
    rule::{Inspect, Redact, Rule},
    sample::Sample,
    steer::{self, Steer},
    tenant::Tenant,
};
use crate::{
    config::closest,
    model::{Needs, Reach, Role, SinkName, Sinks},
};

/// Bytes that are kept of a content at the most.
const KEEP: u64 = 64 << 20;
/// Bytes of a policy's file at the most, and rules in force.
const FILE: usize = 1 << 20;
const RULES: usize = 1000;

/// Everything that is in force.
#[derive(Clone, Debug)]
pub struct Policy {
    rules: Vec<Rule>,
    steer: Vec<Steer>,
    unmatched: Sinks,
    disabled: Vec<Arc<str>>,
}

impl Policy {
    /// From files: their names, which errors tell, and their texts. All of them are right, or none is taken.
    pub fn parse(files: &[(&str, &str)]) -> Result<Self, Error> {
        let mut policy = Self { rules: Vec::new(), steer: Vec::new(), unmatched: Sinks::NONE, disabled: Vec::new() };
        let mut said = false;
        let mut names = HashSet::new();
        for (name, text) in files {
            let file = File { name, text };
            if text.len() > FILE {
                return Err(file.error((1, 1), format!("a policy's file has {FILE} bytes at the most")));
            }
            let documents = Document::parse(name, text)?;
            if documents.is_empty() {
                return Err(file.error((1, 1), "there is no policy in it"));
            }
            for document in documents {
                let name = document.metadata.name.clone();
                file.name(&name)?;
                if !names.insert(name.value.clone()) {
                    return Err(file.error(name.place, format!("there is another policy of the name `{}`", *name)));
                }
                let (rules, steer) = (file.rules(&name, &document)?, file.steer(&name, &document)?);
                if !document.spec.enabled {
                    policy.disabled.push(name.value.into());
                    continue;
                }
                if let Some(unmatched) = &document.spec.unmatched {
                    said = true;
                    policy.unmatched = policy.unmatched.or(sinks(&unmatched.sinks));
                }
                policy.rules.extend(rules);
                policy.steer.extend(steer);
                if let Some(why) = steer::too_many(&policy.steer) {
                    return Err(file.error(name.place, why));
                }
                if policy.rules.len() > RULES {
                    return Err(file.error(name.place, format!("there are more than {RULES} rules")));
                }
            }
        }
        if !said {
            policy.unmatched = Sinks::ALL;
        }
        Ok(policy)
    }

    /// Rules in force, in the order of files, documents and rules.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Connections that go by the inline path, in the same order.
    pub fn steer(&self) -> &[Steer] {
        &self.steer
    }

    /// Sinks of exchanges that no rule matches.
    pub const fn unmatched(&self) -> Sinks {
        self.unmatched
    }

    /// Connections whose exchanges some sink may get: all where one gets those that no rule matches.
    pub fn reach(&self) -> Reach {
        if self.unmatched != Sinks::NONE {
            return Reach::all();
        }
        let reported = self.rules.iter().filter(|rule| rule.sinks != Sinks::NONE);
        reported.map(|rule| rule.condition.reach()).fold(Reach::none(), Reach::or)
    }

    /// Does a rule ask for tokens to be estimated?
    pub fn estimates_tokens(&self) -> bool {
        self.rules.iter().any(|rule| rule.inspect.inference.is_some_and(|inference| inference.estimate_tokens))
    }

    /// Names of policies that are not in force.
    pub fn disabled(&self) -> &[Arc<str>] {
        &self.disabled
    }
}

/// A file that is read.
#[derive(Clone, Copy)]
struct File<'f> {
    name: &'f str,
    text: &'f str,
}

impl File<'_> {
    fn error(self, place: (u64, u64), problem: impl Into<String>) -> Error {
        Error::at(self.name, self.text, place, problem.into())
    }

    /// As names of resources in Kubernetes.
    fn name(self, name: &At<String>) -> Result<(), Error> {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        if name.len() <= 63 && name.starts_with(ends) && name.ends_with(ends) && name.chars().all(inner) {
            return Ok(());
        }
        let allowed = "a name has lower-case letters, digits, `-` and `.`, begins and ends with one of the first two, 63 at the most";
        Err(self.error(name.place, format!("`{}`: {allowed}", **name)))
    }

    /// Of its kind there is no other one of this name among those before.
    fn only<'n>(self, name: &'n At<String>, kind: &str, names: &mut HashSet<&'n str>) -> Result<(), Error> {
        self.name(name)?;
        if names.insert(name.value.as_str()) {
            return Ok(());
        }
        Err(self.error(name.place, format!("there is another {kind} of the name `{}` in this policy", **name)))
    }

    fn steer(self, policy: &str, document: &Document) -> Result<Vec<Steer>, Error> {
        let Some(list) = &document.spec.steer else { return Ok(Vec::new()) };
        if list.is_empty() {
            return Err(self.error(list.place, "nothing is steered; leave `steer` out, or add an entry"));
        }
        let (tenants, mut names) = (&document.spec.tenants, HashSet::new());
        for tenant in tenants {
            self.only(&tenant.name, "tenant", &mut names)?;
        }
        let mut names = HashSet::new();
        let mut all = Vec::new();
        for steer in list.iter() {
            self.only(&steer.name, "entry", &mut names)?;
            if let Some((place, text)) = steer::problem(steer) {
                return Err(self.error(place, text));
            }
            all.push(Steer::new(policy, steer, tenants).map_err(|(place, text)| self.error(place, text))?);
        }
        Ok(all)
    }

    fn rules(self, policy: &str, document: &Document) -> Result<Vec<Rule>, Error> {
        let none = At { value: Vec::new(), place: document.metadata.name.place };
        let rules = document.spec.rules.as_ref().unwrap_or(&none);
        if rules.is_empty() && document.spec.steer.is_none() {
            return Err(self.error(rules.place, "a policy has at least one rule"));
        }
        let mut names = HashSet::new();
        let mut all = Vec::new();
        for rule in rules.iter() {
            self.only(&rule.name, "rule", &mut names)?;
            all.push(self.rule(policy, rule)?);
        }
        Ok(all)
    }

    fn rule(self, policy: &str, rule: &document::Rule) -> Result<Rule, Error> {
        let condition = match &rule.condition {
            Some(text) => self.expression(text, Type::Bool)?,
            None => Expression::always(),
        };
        let keep = self.keep(rule.keep.as_ref())?;
        let compiled = Rule {
            name: format!("{policy}/{}", *rule.name).into(),
            file: self.name.into(),
            condition,
            sample: rule.sample.as_ref().map(|sample| self.sample(sample)).transpose()?,
            extract: self.extractions(&rule.extract)?,
            inspect: Inspect {
                inference: rule.inspect.inference,
                pii: rule.inspect.pii.clone(),
                drift: rule.inspect.drift.clone(),
                schema: rule.inspect.schema.clone(),
                transport: rule.inspect.transport.clone(),
            },
            redact: rule.redact.as_ref().map(|redact| self.redact(rule, redact)).transpose()?,
            sinks: rule.sinks.as_ref().map_or(Sinks::ALL, |list| sinks(list)),
            keep,
            tenant: rule.tenant.as_ref().map(|tenant| self.tenant(tenant)).transpose()?,
            action: rule.action.as_ref().map(|action| self.action(action)).transpose()?,
        };
        self.contradictions(rule, &compiled)?;
        Ok(compiled)
    }

    /// What is right each by itself, and makes no sense together.
    fn contradictions(self, rule: &document::Rule, compiled: &Rule) -> Result<(), Error> {
        let inspects = compiled.inspect != Inspect::default();
        if let Some(list) = &rule.sinks
            && list.is_empty()
            && (inspects || !compiled.extract.is_empty() || compiled.action.is_some())
        {
            let text = "no sink gets what this rule finds; name one, or leave out what it looks for";
            return Err(self.error(list.place, text));
        }
        let none_kept = |extraction: &&At<document::Extract>| {
            let content = extraction.json_path.as_ref().or(extraction.protobuf.as_ref());
            let kept = match extraction.from {
                document::From::Request => compiled.keep.request,
                document::From::Response => compiled.keep.response,
            };
            content.is_some() && kept == 0
        };
        if let Some(extraction) = rule.extract.iter().find(none_kept) {
            return Err(self.error(extraction.place, "this is in a content of which `keep` keeps nothing"));
        }
        if let Some(keep) = &rule.keep
            && !inspects
            && !compiled.holds()
            && compiled.own_needs(true) == Needs::default()
            && compiled.shows(Sinks::CONTENTS, false) == Needs::default()
            && compiled.keep != Needs::default()
        {
            let text = "nothing in this rule looks at content, so none is kept; leave it out, or add what needs it";
            return Err(self.error(keep.place, text));
        }
        Ok(())
    }

    fn expression(self, text: &At<String>, wanted: Type) -> Result<Expression, Error> {
        let compiled = Expression::compile(text).map_err(|problem| {
            let place = inside(self.text, text.place, text, problem.offset);
            self.error(place, problem.text)
        })?;
        let kind = compiled.kind();
        if kind == wanted || kind == Type::Dyn {
            return Ok(compiled);
        }
        let hint = if wanted == Type::String && kind.is_number() { "; string() converts" } else { "" };
        Err(self.error(text.place, format!("this gives {}, expected one that gives {}{hint}", kind.a(), wanted.a())))
    }

    fn sample(self, sample: &At<document::Sample>) -> Result<Sample, Error> {
        if let (1.0, Some(always)) = (sample.rate.0, &sample.always) {
            return Err(self.error(always.place, "all are in the sample anyway: `rate` is 1"));
        }
        Ok(Sample {
            rate: sample.rate.0,
            key: sample.key.as_ref().map(|key| self.expression(key, Type::String)).transpose()?,
            always: sample.always.as_ref().map(|always| self.expression(always, Type::Bool)).transpose()?,
        })
    }

    fn keep(self, keep: Option<&At<Keep>>) -> Result<Needs, Error> {
        let (sizes, place) = keep.map_or((Keep::default(), (0, 0)), |keep| (keep.value, keep.place));
        if sizes.request.0 > KEEP || sizes.response.0 > KEEP {
            return Err(self.error(place, "64MiB are kept of a content at the most"));
        }
        Ok(Needs { request: sizes.request.to_usize(), response: sizes.response.to_usize() })
    }

    fn extractions(self, list: &[At<document::Extract>]) -> Result<Vec<Extraction>, Error> {
        let mut names = HashSet::new();
        let mut all = Vec::new();
        for extract in list {
            if extract.name.is_empty() || extract.name.len() > 63 {
                return Err(self.error(extract.name.place, "a name has 1 to 63 bytes"));
            }
            if !names.insert(extract.name.value.as_str()) {
                let text = format!("this rule takes out another value of the name `{}`", *extract.name);
                return Err(self.error(extract.name.place, text));
            }
            all.push(self.extraction(extract)?);
        }
        Ok(all)
    }

    fn extraction(self, extract: &At<document::Extract>) -> Result<Extraction, Error> {
        let document::Extract { name, from, header, trailer, query, json_path, protobuf, tensor } = &**extract;
        let from = match from {
            document::From::Request => Role::Request,
            document::From::Response => Role::Response,
        };
        let given = [header, trailer, query, json_path, protobuf, tensor].into_iter().flatten();
        if given.clone().count() != 1 {
            let text =
                "one of `header`, `trailer`, `query`, `jsonPath`, `protobuf` and `tensor` says where the value is";
            return Err(self.error(extract.place, text));
        }
        let place = match (header, trailer, query, json_path, protobuf, tensor) {
            (Some(name), ..) => Place::Header(self.field(name)?),
            (_, Some(name), ..) => Place::Trailer(self.field(name)?),
            (_, _, Some(name), ..) if from == Role::Response => {
                return Err(self.error(name.place, "a response has no query; leave out `from: response`"));
            }
            (_, _, Some(name), ..) => Place::Query(name.value.clone()),
            (_, _, _, Some(path), ..) => Place::JsonPath(Box::new(self.json_path(path)?)),
            (_, _, _, _, Some(path), _) => Place::Protobuf(FieldPath::parse(path).ok_or_else(|| {
                self.error(path.place, format!("`{}`: expected a path to a field, such as inputs[0].name", **path))
            })?),
            (.., Some(name)) => Place::Tensor(name.value.clone()),
            _ => return Err(self.error(extract.place, "nothing says where the value is")),
        };
        Ok(Extraction { name: name.value.as_str().into(), from, place })
    }

    /// A field's name (RFC 9110 section 5.1), in lower case.
    fn field(self, name: &At<String>) -> Result<String, Error> {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(token) {
            let hint = closest(name, ["authorization", "content-type", "user-agent", "x-request-id"].into_iter());
            let hint = hint.map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default();
            return Err(self.error(name.place, format!("`{}` is no name of a header field{hint}", **name)));
        }
        Ok(name.to_ascii_lowercase())
    }

    fn json_path(self, path: &At<String>) -> Result<JsonPath, Error> {
        let compiled = JsonPath::parse(path).map_err(|error| {
            let place = inside(self.text, path.place, path, error.position());
            let why = error.message().to_owned();
            self.error(place, format!("this is no JSONPath (RFC 9535): {why}; such as $.messages[*].content"))
        })?;
        match costly(path) {
            Some(why) => Err(self.error(path.place, why)),
            None => Ok(compiled),
        }
    }

    fn redact(self, rule: &document::Rule, redact: &At<document::Redact>) -> Result<Redact, Error> {
        if redact.pii && rule.inspect.pii.is_none() {
            return Err(self
                .error(redact.place, "`pii: true` is about what `inspect.pii` finds, which this rule does not have"));
        }
        Ok(Redact {
            headers: redact.headers.iter().map(|name| self.field(name)).collect::<Result<_, _>>()?,
            query: redact.query.iter().map(|name| name.value.clone()).collect(),
            json_path: redact.json_path.iter().map(|path| self.json_path(path)).collect::<Result<_, _>>()?,
            pii: redact.pii,
        })
    }

    fn tenant(self, tenant: &At<document::Tenant>) -> Result<Tenant, Error> {
        match (&tenant.header, &tenant.jwt_claim) {
            (Some(name), None) => Ok(Tenant::Header(self.field(name)?)),
            (None, Some(claim)) => Ok(Tenant::JwtClaim(claim.value.clone())),
            _ => Err(self.error(tenant.place, "one of `header` and `jwtClaim` says who it is")),
        }
    }

    fn action(self, action: &At<document::Action>) -> Result<document::Action, Error> {
        let document::Action { deny, route, rewrite, trace, breaker } = &**action;
        let given = [deny.is_some(), route.is_some(), rewrite.is_some(), trace.is_some(), breaker.is_some()];
        if given.into_iter().filter(|given| *given).count() != 1 {
            return Err(self.error(action.place, "an action is one of `deny`, `route`, `rewrite`, `trace` and `break`"));
        }
        if let Some(deny) = deny
            && !(400..600).contains(&*deny.status)
        {
            let text = format!("`{}`: expected a status code from 400 to 599", *deny.status);
            return Err(self.error(deny.status.place, text));
        }
        if let Some(route) = route
            && (route.backend_refs.is_empty() || route.backend_refs.iter().all(|backend| backend.weight == 0))
        {
            return Err(
                self.error(route.backend_refs.place, "no backend is left: there is none, or each has the weight 0")
            );
        }
        if let Some(rewrite) = rewrite
            && action.would().is_some_and(|would| would.detail.is_empty())
        {
            return Err(self.error(rewrite.place, "nothing is changed: give `urlRewrite` or `requestHeaderModifier`"));
        }
        Ok(action.value.clone())
    }
}

fn sinks(list: &[Sink]) -> Sinks {
    let name = |sink: &Sink| match sink {
        Sink::Lines => SinkName::Lines,
        Sink::Metrics => SinkName::Metrics,
        Sink::Traces => SinkName::Traces,
        Sink::Logs => SinkName::Logs,
        Sink::Payloads => SinkName::Payloads,
        Sink::Kafka => SinkName::Kafka,
        Sink::Cloudevents => SinkName::Cloudevents,
    };
    list.iter().map(name).collect()
}

/// Why a path could take more than linear time, if it could.
fn costly(path: &str) -> Option<&'static str> {
    let mut quote = None;
    let mut plain = String::new();
    let mut escaped = false;
    for c in path.chars() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '\'' || c == '"' => quote = Some(c),
            None => plain.push(c),
        }
    }
    if path.len() > 1024 {
        Some("a path has 1024 bytes at the most")
    } else if plain.matches("..").count() > 1 {
        Some("`..` more than once could take too long; name what is between")
    } else if plain.matches('$').count() > 1 || plain.matches('?').count() > 1 {
        Some("a filter more than once, or one that looks at the whole content, could take too long")
    } else if plain.matches(',').count() > 8 {
        Some("more than 8 commas could take too long")
    } else {
        None
    }
}
