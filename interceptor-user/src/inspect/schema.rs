//! Contents that are not as declared: JSON texts by a JSON Schema, tensors by a signature.

use std::sync::Arc;

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use super::{
    Budget, Inspector, Report, Subject,
    pii::{self, Scanner},
};
use crate::{
    model::{Anomaly, Entity, Finding, InspectorName, Needs, Part, Role, Tensor, UninspectedReason},
    policy::settings::{self, Error, Signature, Source},
};

/// Bytes of a content that have to be kept.
const CONTENT: usize = 1 << 20;
/// Bytes that are asked for at a time.
const STEP: usize = 16 << 10;
/// Bytes that the compiled form of a pattern may take.
const PATTERN: usize = 1 << 20;

/// Characters of a member's name that is told.
const NAME: usize = 64;
/// Digits in a row, in a name that is told.
const DIGITS: usize = 6;

/// Checks contents.
#[derive(Clone, Debug)]
pub struct Schema {
    settings: settings::Schema,
    /// What is personal in names that were sent.
    scanner: Scanner,
    request: Option<Validator>,
    response: Option<Validator>,
}

impl Schema {
    /// By these settings; files are read by `read`, which gets their path as the policy has it.
    pub fn new(settings: &settings::Schema, read: impl Fn(&str) -> std::io::Result<Vec<u8>>) -> Result<Self, Error> {
        settings.validate()?;
        let compile = |field: &str, source: &Option<Source>| {
            source.as_ref().map(|source| compile(field, source, &read)).transpose()
        };
        Ok(Self {
            request: compile("request", &settings.request)?,
            response: compile("response", &settings.response)?,
            scanner: Scanner::new(Entity::ALL, pii::THRESHOLD),
            settings: settings.clone(),
        })
    }

    const fn validator(&self, role: Role) -> Option<&Validator> {
        match role {
            Role::Request => self.request.as_ref(),
            Role::Response => self.response.as_ref(),
        }
    }

    fn declared(&self, role: Role) -> &[Signature] {
        match role {
            Role::Request => &self.settings.inputs,
            Role::Response => &self.settings.outputs,
        }
    }
}

fn compile(field: &str, source: &Source, read: impl Fn(&str) -> std::io::Result<Vec<u8>>) -> Result<Validator, Error> {
    let read_value;
    let schema = match source {
        Source::Inline(value) => value,
        Source::File(path) => {
            let failed =
                |error: &dyn std::fmt::Display| Error::new(format!("{field}.file"), format!("{path}: {error}"));
            let bytes = read(path).map_err(|error| failed(&error))?;
            read_value = serde_json::from_slice(&bytes).map_err(|error| failed(&error))?;
            &read_value
        }
    };
    // References are not followed out of the schema: the crate is built without its resolvers. Patterns take linear time.
    let patterns = PatternOptions::regex().size_limit(PATTERN).dfa_size_limit(PATTERN);
    let options = jsonschema::options().with_pattern_options(patterns);
    options.build(schema).map_err(|error| Error::new(field, format!("no JSON Schema: {error}")))
}

impl Inspector for Schema {
    fn name(&self) -> InspectorName {
        InspectorName::Schema
    }

    fn needs(&self) -> Needs {
        let of = |role| {
            let wanted = self.validator(role).is_some() || !self.declared(role).is_empty();
            if wanted { CONTENT } else { 0 }
        };
        Needs { request: of(Role::Request), response: of(Role::Response) }
    }

    fn inspect(&mut self, subject: &Subject<'_>, budget: &mut Budget, report: &mut Report) {
        let last = report.findings.len().saturating_add(self.settings.max_findings);
        for role in [Role::Request, Role::Response] {
            let Some(part) = subject.exchange.part(role) else { continue };
            // Errors have a form of their own.
            if part.head.status().is_some_and(|status| !(200..300).contains(&status)) {
                continue;
            }
            let mut check = Check { role, last, scanner: &self.scanner, report };
            if let Some(validator) = self.validator(role) {
                check.content(subject, part, validator, budget);
            }
            if !self.declared(role).is_empty() {
                let tensors = subject.inference.filter(|inference| inference.unread.is_none());
                match tensors {
                    Some(inference) => {
                        check.tensors(self.declared(role), inference.tensors(role), self.settings.closed);
                    }
                    None => check.skip(reason(subject, part).unwrap_or(UninspectedReason::Unsupported)),
                }
            }
        }
    }
}

/// Why a content is not whole, if it is not.
fn reason(subject: &Subject<'_>, part: &Part) -> Option<UninspectedReason> {
    if part.body_missing > 0 || (!part.ended && subject.exchange.anomalies.contains(Anomaly::Gap)) {
        Some(UninspectedReason::Missing)
    } else if part.undecoded {
        Some(UninspectedReason::Malformed)
    } else {
        (part.body_cut() || (part.body.is_empty() && part.body_size > 0)).then_some(UninspectedReason::NotKept)
    }
}

struct Check<'a> {
    role: Role,
    /// How many findings there may be.
    last: usize,
    scanner: &'a Scanner,
    report: &'a mut Report,
}

impl Check<'_> {
    fn content(&mut self, subject: &Subject<'_>, part: &Part, validator: &Validator, budget: &mut Budget) {
        if let Some(reason) = reason(subject, part) {
            return self.skip(reason);
        }
        if part.pieces.is_some() {
            return self.skip(UninspectedReason::Unsupported);
        }
        let mut left = part.body.len();
        while left > 0 {
            let wanted = left.min(STEP);
            match budget.take(wanted) {
                Ok(taken) if taken == wanted => left -= taken,
                Ok(_) => return self.skip(UninspectedReason::Bytes),
                Err(reason) => return self.skip(reason),
            }
        }
        let Ok(value) = serde_json::from_slice::<Value>(&part.body) else {
            return self.tell("json", "$", "the content is not JSON".to_owned());
        };
        for error in validator.iter_errors(&value) {
            if self.report.findings.len() >= self.last {
                return self.skip(UninspectedReason::Bytes);
            }
            let place = normalised(error.instance_path(), &value, self.scanner);
            // The crate's own words with the value in them replaced hold names that were sent; the keyword's place does not.
            self.tell(error.kind().keyword(), &place, format!("violates {}", error.schema_path()));
        }
    }

    fn tensors(&mut self, declared: &[Signature], sent: &[Tensor], closed: bool) {
        for signature in declared {
            let place = format!("tensor:{}", signature.name);
            let Some(tensor) = sent.iter().find(|tensor| tensor.name == signature.name) else {
                if signature.required {
                    self.tell("required", &place, "it is not there".to_owned());
                }
                continue;
            };
            let datatype = tensor.datatype.map(crate::model::Datatype::name);
            if let (Some(wanted), Some(is)) = (&signature.datatype, datatype)
                && wanted != is
            {
                self.tell("datatype", &place, format!("{is} instead of {wanted}"));
            }
            if let Some(shape) = &signature.shape {
                let fits = shape.len() == tensor.shape.len()
                    && shape.iter().zip(&tensor.shape).all(|(wanted, is)| *wanted == -1 || wanted == is);
                if !fits {
                    self.tell("shape", &place, format!("{:?} instead of {shape:?}", tensor.shape));
                }
            }
        }
        let unknown = |tensor: &&Tensor| !declared.iter().any(|signature| signature.name == tensor.name);
        for tensor in sent.iter().filter(|_| closed).filter(unknown) {
            let place = format!("tensor:{}", shown(&tensor.name, self.scanner));
            self.tell("additional", &place, "it is not declared".to_owned());
        }
    }

    fn tell(&mut self, kind: &str, place: &str, text: String) {
        if self.report.findings.len() >= self.last {
            return self.skip(UninspectedReason::Bytes);
        }
        self.report.findings.push(Finding {
            inspector: InspectorName::Schema,
            kind: kind.to_owned().into(),
            role: Some(self.role),
            place: place.to_owned(),
            score: 1.0,
            value: None,
            text,
            count: 1,
            rule: Arc::clone(&self.report.rule),
        });
    }

    fn skip(&mut self, reason: UninspectedReason) {
        self.report.skip(InspectorName::Schema, Some(self.role), reason);
    }
}

/// A name that was sent, as it may be told. One that is not like an identifier may be anything, a value that serves as a key
/// too; in others what is personal is masked.
fn shown(name: &str, scanner: &Scanner) -> String {
    let identifier = |letter: char| letter.is_alphanumeric() || "_-.$@:/".contains(letter);
    let digits = |letter: char| !letter.is_ascii_digit();
    let told = !name.is_empty()
        && name.chars().count() <= NAME
        && name.chars().all(identifier)
        && name.split(digits).all(|run| run.len() <= DIGITS);
    if told { pii::shown(scanner, name) } else { "***".to_owned() }
}

/// A JSON Pointer (RFC 6901) as a normalised JSONPath (RFC 9535 section 2.7), in the value that it points into.
fn normalised(pointer: &jsonschema::paths::Location, value: &Value, scanner: &Scanner) -> String {
    let (mut path, mut at) = ("$".to_owned(), Some(value));
    for token in pointer.as_str().split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        match at {
            Some(Value::Array(_)) => path.extend(["[", &token, "]"]),
            _ => super::path::push_member(&mut path, &shown(&token, scanner)),
        }
        at = at.and_then(|value| match value {
            Value::Array(array) => array.get(token.parse::<usize>().ok()?),
            value => value.get(&token),
        });
    }
    path
}

#[cfg(test)]
mod tests;
