//! Recognisers of the policy's, and the scanner that settings ask for.

use regex::bytes::RegexBuilder;

use super::{Scanner, scan::Custom};
use crate::policy::settings::{Error, Pii};

/// Bytes that a compiled expression, and its cache for one text, may take.
const SIZE: usize = 1 << 20;

impl Scanner {
    /// By these settings; says what is wrong with them.
    pub fn of(settings: &Pii) -> Result<Self, Error> {
        settings.validate()?;
        let mut scanner = Self::new(&settings.entities()?, settings.threshold).allowing(settings.allow.iter().cloned());
        for (index, recognizer) in settings.recognizers.iter().enumerate() {
            let regex = RegexBuilder::new(&recognizer.regex).size_limit(SIZE).dfa_size_limit(SIZE).build();
            let regex = regex.map_err(|error| Error::new(format!("recognizers[{index}].regex"), error.to_string()))?;
            scanner.custom.push(Custom {
                name: recognizer.name.clone().into(),
                regex,
                score: recognizer.score,
                context: recognizer.context.iter().map(|word| word.to_lowercase()).collect(),
            });
        }
        Ok(scanner)
    }
}
