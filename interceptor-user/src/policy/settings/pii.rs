use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Error;
use crate::model::{Entity, Role};

/// Entities of Presidio's that take a language model.
const OUT_OF_REACH: [&str; 12] = [
    "PERSON",
    "LOCATION",
    "ORGANIZATION",
    "NRP",
    "DATE_TIME",
    "AGE",
    "ID",
    "PROFESSION",
    "FACILITY",
    "GPE",
    "NORP",
    "TITLE",
];
/// Custom recognisers of one rule.
const RECOGNIZERS: usize = 64;

/// Search for personal data and secrets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Pii {
    /// Entities that are searched for, by Microsoft Presidio's names, and secrets by ours. All of them where none is named.
    pub entities: Vec<String>,
    /// Score (0 to 1) from which on something is a finding. A number with a checksum and no form of its own reaches 0.5 only
    /// where words near it speak of it.
    pub threshold: f32,
    /// Which parts of messages are searched.
    #[serde(rename = "in")]
    pub places: Vec<Place>,
    /// Which messages are searched.
    pub sides: Vec<Side>,
    /// Recognisers beside those that the program has.
    pub recognizers: Vec<Recognizer>,
    /// Values that are no findings, as they are written.
    pub allow: Vec<String>,
    /// Findings of one exchange that are told; the rest of it is not searched. Some hundred are enough to act on.
    pub max_findings: usize,
}

impl Default for Pii {
    fn default() -> Self {
        Self {
            entities: Vec::new(),
            threshold: 0.5,
            places: vec![Place::Path, Place::Query, Place::Headers, Place::Body],
            sides: vec![Side::Request, Side::Response],
            recognizers: Vec::new(),
            allow: Vec::new(),
            max_findings: 100,
        }
    }
}

/// Part of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Place {
    /// The path of the request.
    Path,
    /// Its query.
    Query,
    /// Header and trailer fields, those that are masked in output too. Not those that say where and how a message is sent.
    Headers,
    /// The content: JSON, forms, text, parts, events, gRPC, WebSocket.
    Body,
}

/// One side of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Side {
    /// What the client sends.
    Request,
    /// What the server sends.
    Response,
}

impl Side {
    /// The role of its messages.
    pub const fn role(self) -> Role {
        match self {
            Self::Request => Role::Request,
            Self::Response => Role::Response,
        }
    }
}

/// A recogniser of one's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Recognizer {
    /// Name of the entity: capital letters, digits and `_`.
    pub name: String,
    /// Regular expression, without backreferences and lookaround (syntax of the crate `regex`), so that it takes linear time.
    pub regex: String,
    /// Score of what it fits, from 0 to 1.
    pub score: f32,
    /// Words that raise the score by 0.35 where they are near.
    #[serde(default)]
    pub context: Vec<String>,
}

impl Pii {
    /// The entities that are meant.
    pub fn entities(&self) -> Result<Vec<Entity>, Error> {
        if self.entities.is_empty() {
            return Ok(Entity::ALL.to_vec());
        }
        self.entities.iter().map(|name| entity(name)).collect()
    }

    /// Says what is wrong with it, and what is allowed. That regular expressions compile is found out where they are compiled.
    pub fn validate(&self) -> Result<(), Error> {
        self.entities()?;
        let fraction = |field: &'static str, value: f32| {
            let good = (0.0..=1.0).contains(&value);
            if good { Ok(()) } else { Err(Error::new(field, format!("{value} is not a score: allowed is 0 to 1"))) }
        };
        fraction("threshold", self.threshold)?;
        if self.recognizers.len() > RECOGNIZERS {
            return Err(Error::new("recognizers", format!("more than {RECOGNIZERS}")));
        }
        for recognizer in &self.recognizers {
            fraction("recognizers.score", recognizer.score)?;
            let name = &recognizer.name;
            let letter = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
            if name.is_empty() || name.len() > 64 || !name.bytes().all(letter) {
                let message = format!("'{name}': allowed are up to 64 capital letters, digits and '_'");
                return Err(Error::new("recognizers.name", message));
            }
            if Entity::named(name).is_some() {
                let message = format!("'{name}' is an entity that the program has; give yours another name");
                return Err(Error::new("recognizers.name", message));
            }
        }
        for (field, empty) in [("in", self.places.is_empty()), ("sides", self.sides.is_empty())] {
            if empty {
                return Err(Error::new(field, "an empty list searches nothing; leave it out to search everything"));
            }
        }
        Ok(())
    }
}

fn entity(name: &str) -> Result<Entity, Error> {
    if let Some(entity) = Entity::named(name) {
        return Ok(entity);
    }
    if OUT_OF_REACH.contains(&name) {
        let message = format!(
            "{name} is out of reach: it takes a language model to find it, and this program has none; what it finds has a \
             form or a checksum"
        );
        return Err(Error::new("entities", message));
    }
    let upper = name.to_ascii_uppercase();
    let near = |entity: &Entity| strsim::jaro_winkler(entity.name(), &upper);
    let best = Entity::ALL.iter().max_by(|a, b| near(a).total_cmp(&near(b))).filter(|best| near(best) > 0.8);
    let message = best.map_or_else(
        || {
            format!(
                "'{name}' is not known: {}",
                Entity::ALL.iter().map(|entity| entity.name()).collect::<Vec<_>>().join(", ")
            )
        },
        |best| format!("'{name}' is not known; did you mean {}?", best.name()),
    );
    Err(Error::new("entities", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(json: &str) -> String {
        serde_json::from_str::<Pii>(json).unwrap().validate().unwrap_err().to_string()
    }

    #[test]
    fn default_is_everything() {
        let settings: Pii = serde_json::from_str("{}").unwrap();
        assert_eq!(settings, Pii::default());
        settings.validate().unwrap();
        assert_eq!(settings.entities().unwrap(), Entity::ALL);
    }

    #[test]
    fn errors_say_what_is_allowed() {
        assert_eq!(
            refused(r#"{"entities":["EMAIL_ADRESS"]}"#),
            "entities: 'EMAIL_ADRESS' is not known; did you mean EMAIL_ADDRESS?"
        );
        assert!(refused(r#"{"entities":["PERSON"]}"#).starts_with("entities: PERSON is out of reach"));
        assert!(refused(r#"{"entities":["xyz"]}"#).contains("US_SSN"));
        assert_eq!(refused(r#"{"threshold":2}"#), "threshold: 2 is not a score: allowed is 0 to 1");
        let own = |name: &str| format!(r#"{{"recognizers":[{{"name":"{name}","regex":"x","score":1}}]}}"#);
        assert!(refused(&own("staff id")).contains("capital letters"));
        assert!(refused(&own("US_SSN")).contains("another name"));
        assert!(refused(r#"{"sides":[]}"#).starts_with("sides: an empty list"));
        assert!(serde_json::from_str::<Pii>(r#"{"entity":[]}"#).is_err());
    }
}
