//! Flags and environment variables, read off the JSON Schema of [`Config`].

use std::{ffi::OsStr, sync::LazyLock};

use clap::{
    Arg, ArgAction, ArgMatches, Command,
    builder::{PossibleValue, StringValueParser, TypedValueParser},
    parser::ValueSource,
};
use serde_json::{Map, Value};

use super::{Config, ConfigError, error, schema};

/// One key of the configuration.
pub(super) struct Key {
    /// With a dot before each section that is in another.
    pub(super) section: String,
    pub(super) name: String,
    /// `section.name`, also the id of its argument.
    path: String,
    /// The flag, without the dashes.
    flag: String,
    pub(super) variable: String,
    help: String,
    heading: String,
    value_name: String,
    list: bool,
    /// What is allowed, where that is a closed set.
    allowed: Vec<String>,
}

/// Every key, in the schema's order.
pub(super) static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| {
    let schema = schema();
    let mut keys = Vec::new();
    for (section, inner) in properties(schema.as_value()) {
        add(&mut keys, section, inner, inner);
    }
    keys
});

/// The keys of a section and of those in it; in the help they stand under the outermost one.
fn add(keys: &mut Vec<Key>, section: &str, outermost: &Value, inner: &Value) {
    for (name, leaf) in properties(inner) {
        if leaf.get("properties").is_some() {
            add(keys, &format!("{section}.{name}"), outermost, leaf);
        } else {
            keys.push(Key::new(section, outermost, name, leaf));
        }
    }
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

impl Key {
    fn new(section: &str, inner: &Value, name: &str, leaf: &Value) -> Self {
        let text =
            |schema: &Value, field: &str| schema.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let list = leaf.get("type").and_then(Value::as_str) == Some("array");
        let value = if list { leaf.get("items").unwrap_or(leaf) } else { leaf };
        let allowed: Vec<String> = value
            .get("enum")
            .and_then(Value::as_array)
            .map(|values| values.iter().filter_map(Value::as_str).map(str::to_owned).collect())
            .unwrap_or_default();
        let format = if allowed.is_empty() { text(value, "format") } else { name.to_owned() };
        let default = match leaf.get("default") {
            Some(Value::String(default)) => format!(" [default: {default}]"),
            Some(default @ (Value::Number(_) | Value::Bool(_))) => format!(" [default: {default}]"),
            _ => String::new(),
        };
        // Rust's doc comments are wrapped; help is wrapped anew to the terminal.
        let help = text(leaf, "description").replace('\n', " ") + &default;
        let flag = format!("{section}-{name}").replace(['_', '.'], "-");
        Self {
            path: format!("{section}.{name}"),
            variable: format!("INTERCEPTOR_{}", flag.replace('-', "_").to_uppercase()),
            flag,
            help,
            heading: text(inner, "description").trim_end_matches('.').replace('\n', " "),
            value_name: format.to_uppercase(),
            list,
            allowed,
            section: section.to_owned(),
            name: name.to_owned(),
        }
    }

    fn argument(&'static self) -> Arg {
        let parser = StringValueParser::new();
        let arg = Arg::new(self.path.as_str())
            .long(self.flag.as_str())
            .env(self.variable.as_str())
            .hide_env_values(true)
            .help(self.help.as_str())
            .help_heading(self.heading.as_str())
            .value_name(self.value_name.as_str())
            .action(if self.list { ArgAction::Append } else { ArgAction::Set });
        let arg = if self.list { arg.value_delimiter(',') } else { arg };
        if self.allowed.is_empty() { arg.value_parser(parser) } else { arg.value_parser(OneOf(parser, &self.allowed)) }
    }
}

/// Lists the allowed values in help and completions, and leaves refusing others to [`Overrides::lay_over`], which knows
/// whether a flag or a variable held them.
#[derive(Clone)]
struct OneOf(StringValueParser, &'static [String]);

impl TypedValueParser for OneOf {
    type Value = String;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<String, clap::Error> {
        self.0.parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.1.iter().map(|value| PossibleValue::new(value.as_str()))))
    }
}

/// What flags and environment variables say. A flag wins over the variable of the same key.
#[derive(Clone, Debug, Default)]
pub struct Overrides(Vec<Override>);

#[derive(Clone, Debug)]
struct Override {
    /// Index into [`KEYS`].
    key: usize,
    variable: bool,
    values: Vec<String>,
}

impl Overrides {
    /// The configuration with these laid over it.
    pub(super) fn lay_over(&self, config: &Config) -> Result<Config, ConfigError> {
        let mut config = config.clone();
        for Override { key, variable, values } in &self.0 {
            let Some(key) = KEYS.get(*key) else { continue };
            let origin = if *variable { key.variable.clone() } else { format!("--{}", key.flag) };
            config = key.set(&config, values).map_err(|problem| ConfigError::in_argument(&origin, &problem))?;
        }
        Ok(config)
    }
}

impl Key {
    /// The configuration with this key set.
    pub(super) fn set(&self, config: &Config, values: &[String]) -> Result<Config, String> {
        for value in values {
            if !self.allowed.is_empty() && !self.allowed.contains(value) {
                return Err(error::not_allowed(value, &self.allowed));
            }
        }
        let mut texts = values.iter().filter(|text| !self.list || !text.is_empty()).cloned().map(Value::String);
        let value = if self.list { Value::Array(texts.collect()) } else { texts.next().unwrap_or_default() };
        let mut tree = serde_json::to_value(config).map_err(|error| error.to_string())?;
        let section = self.section.split('.').try_fold(&mut tree, |outer, name| outer.get_mut(name));
        section.and_then(Value::as_object_mut).unwrap_or(&mut Map::new()).insert(self.name.clone(), value);
        serde_json::from_value(tree).map_err(|error| error.to_string())
    }
}

impl clap::Args for Overrides {
    fn augment_args(command: Command) -> Command {
        KEYS.iter().fold(command, |command, key| command.arg(key.argument()))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Overrides {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut overrides = Self::default();
        overrides.update_from_arg_matches(matches)?;
        Ok(overrides)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.clear();
        for (index, key) in KEYS.iter().enumerate() {
            if let Some(values) = matches.get_many::<String>(&key.path) {
                let variable = matches.value_source(&key.path) == Some(ValueSource::EnvVariable);
                self.0.push(Override { key: index, variable, values: values.cloned().collect() });
            }
        }
        Ok(())
    }
}

/// Environment variables that look like ours and are not, each with the one that was probably meant. They are only worth
/// a warning: Kubernetes itself sets `INTERCEPTOR_SERVICE_HOST` and the like where a service is called interceptor.
pub fn unknown_variables(names: impl Iterator<Item = String>) -> Vec<(String, &'static str)> {
    let meant = |name: &String| {
        let known = KEYS.iter().map(|key| (strsim::osa_distance(name, &key.variable), key.variable.as_str()));
        known.min().filter(|(distance, _)| (1..=2).contains(distance)).map(|(_, known)| known)
    };
    names
        .filter(|name| name.starts_with("INTERCEPTOR_"))
        .filter_map(|name| meant(&name).map(|meant| (name, meant)))
        .collect()
}
