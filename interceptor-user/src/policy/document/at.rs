use std::{borrow::Cow, iter, ops::Deref};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, de::value::MapDeserializer};
use serde_saphyr::Spanned;

/// A value, with the place where it stands in its file.
#[derive(Clone, Debug)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Line and column of its beginning, from 1; zeros where they are not known.
    pub place: (u64, u64),
}

impl<T> Deref for At<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, defined, .. } = Spanned::deserialize(deserializer)?;
        Ok(Self { value, place: (defined.line(), defined.column()) })
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// A key that is there without a value means its defaults: `pii:` is `pii: {}`.
pub(super) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    let nothing = MapDeserializer::<_, D::Error>::new(iter::empty::<(&str, &str)>());
    Option::deserialize(deserializer)?.map_or_else(|| T::deserialize(nothing), Ok).map(Some)
}

/// Where the character at `offset` of a value stands in its file, the value beginning at `place`.
///
/// YAML folds lines and takes away indentation and quotes; all of that but the quotes is white space. So the characters that are
/// none are counted on both sides. Behind an escape in double quotes the column is less than exact.
pub(in crate::policy) fn inside(file: &str, place: (u64, u64), value: &str, offset: usize) -> (u64, u64) {
    let solid = value.chars().take(offset).filter(|c| !c.is_whitespace()).count();
    let first = usize::try_from(place.0).unwrap_or(usize::MAX).saturating_sub(1);
    let skipped = usize::try_from(place.1).unwrap_or(usize::MAX).saturating_sub(1);
    let Some(line) = file.lines().nth(first) else { return place };
    let begin = line.chars().nth(skipped);
    let block = matches!(begin, Some('|' | '>'));
    let quoted = matches!(begin, Some('\'' | '"'));
    let mut left = solid;
    let mut end = place;
    for (index, line) in file.lines().enumerate().skip(if block { first + 1 } else { first }) {
        let skip = if index == first { skipped + usize::from(quoted) } else { 0 };
        for (column, character) in line.chars().enumerate().skip(skip) {
            if character.is_whitespace() {
                continue;
            }
            if left == 0 {
                return (index as u64 + 1, column as u64 + 1);
            }
            left -= 1;
            end = (index as u64 + 1, column as u64 + 2);
            if left == 0 && offset >= value.trim_end().chars().count() {
                return end;
            }
        }
    }
    end
}
