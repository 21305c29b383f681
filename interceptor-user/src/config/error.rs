//! What is wrong with a configuration, where, and what would be right.

use std::{fmt, path::Path};

use serde_saphyr::Error;

use super::keys::KEYS;

/// What is wrong with a configuration. Prints as `where: what`, for files followed by the line in question.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError {
    /// `FILE:LINE:COLUMN`, a flag, a variable, or a file.
    place: String,
    problem: String,
    snippet: Option<Snippet>,
}

#[derive(Debug)]
struct Snippet {
    line: String,
    /// Counted in characters, from 1.
    column: usize,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)?;
        if let Some(Snippet { line, column }) = &self.snippet {
            write!(f, "\n  | {line}\n  | {:>column$}", "^")?;
        }
        Ok(())
    }
}

impl ConfigError {
    pub(crate) fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        Self { place: path.display().to_string(), problem: format!("cannot be read: {error}"), snippet: None }
    }

    /// What a rule names is not what it has to be; `rule` says which one is meant.
    pub(crate) const fn in_rule(rule: String, problem: String) -> Self {
        Self { place: rule, problem, snippet: None }
    }

    pub(super) fn in_argument(origin: &str, problem: &str) -> Self {
        Self { place: origin.to_owned(), problem: problem.to_owned(), snippet: None }
    }

    pub(super) fn in_file(name: &str, text: &str, error: &Error) -> Self {
        Self::in_yaml(name, text, error, unknown_key)
    }

    /// What the YAML library says of a file; `unknown_key` says it of a key, where these are expected.
    pub(crate) fn in_yaml(
        name: &str,
        text: &str,
        error: &Error,
        unknown_key: impl FnOnce(&str, &[&str]) -> String,
    ) -> Self {
        let error = error.without_snippet();
        let problem = explain(error, unknown_key);
        match error.location() {
            Some(location) => Self::at(name, text, (location.line(), location.column()), problem),
            None => Self { place: name.to_owned(), problem, snippet: None },
        }
    }

    /// At this line and column of a file, both from 1.
    pub(crate) fn at(name: &str, text: &str, (line, column): (u64, u64), problem: String) -> Self {
        let index = usize::try_from(line).unwrap_or(usize::MAX).saturating_sub(1);
        let snippet = text.lines().nth(index).filter(|line| line.chars().count() <= 120).map(|line| Snippet {
            // A tab would put the marker elsewhere.
            line: line.replace('\t', " "),
            column: usize::try_from(column).unwrap_or(1),
        });
        Self { place: format!("{name}:{line}:{column}"), problem, snippet }
    }
}

fn explain(error: &Error, unknown_key: impl FnOnce(&str, &[&str]) -> String) -> String {
    match error {
        Error::SerdeUnknownField { field, expected, .. } => unknown_key(field, expected),
        Error::SerdeUnknownVariant { variant, expected, .. } => not_allowed(variant, expected),
        Error::SerdeMissingField { field, .. } => format!("the key `{field}` is missing"),
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("the key `{key}` is given twice"),
        other => {
            let rendered = other.render_with_formatter(&serde_saphyr::UserMessageFormatter);
            // The place goes before the message here; the library puts it behind.
            in_words(rendered.split(" at line ").next().unwrap_or_default()).to_owned()
        }
    }
}

/// What the YAML library says in a parser's terms, in those of someone who writes a file.
fn in_words(problem: &str) -> &str {
    match problem {
        "expected sequence start" => "expected a list, such as [a, b]",
        "expected string scalar" => "expected text",
        "expected mapping start" => "expected keys with their values, one `key: value` a line",
        "invalid type: unit value, expected a single value" => "the value is missing",
        "invalid type: map, expected a single value" => "expected a single value, found keys",
        "invalid type: sequence, expected a single value" => "expected a single value, found a list",
        other => other,
    }
}

fn unknown_key(key: &str, expected: &[&str]) -> String {
    // One key may be in several sections; all keys of a section are in one.
    let is_expected = |section: &str| {
        KEYS.iter().filter(|known| known.section == section).all(|known| expected.contains(&known.name.as_str()))
    };
    let section = KEYS.iter().find(|known| is_expected(&known.section));
    let place = section.map_or_else(String::new, |known| format!(" in `{}`", known.section));
    if let Some(meant) = closest(key, expected.iter().copied()) {
        return format!("unknown key `{key}`{place}; did you mean `{meant}`?");
    }
    match KEYS.iter().find(|known| known.name == key) {
        Some(known) => format!("unknown key `{key}`{place}; it belongs in `{}`", known.section),
        None => format!("unknown key `{key}`{place}; expected one of {}", list(expected)),
    }
}

/// A value outside a closed set.
pub(crate) fn not_allowed(value: &str, allowed: &[impl AsRef<str>]) -> String {
    let meant = closest(value, allowed.iter().map(AsRef::as_ref));
    let suggestion = meant.map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
    format!("`{value}`: expected one of {}{suggestion}", list(allowed))
}

pub(crate) fn list(names: &[impl AsRef<str>]) -> String {
    names.iter().map(|name| format!("`{}`", name.as_ref())).collect::<Vec<_>>().join(", ")
}

/// What was probably meant.
pub(crate) fn closest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|known| (strsim::jaro_winkler(&name.to_lowercase(), &known.to_lowercase()), known))
        .filter(|(likeness, _)| *likeness > 0.85)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}
