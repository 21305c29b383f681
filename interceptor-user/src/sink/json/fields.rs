use std::fmt::{self, Write};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};
use smallvec::SmallVec;

use crate::{model::Fields, sink::mask::Mask};

/// Field lines as attributes: the name in lower case after a prefix, and all its values in an array.
pub(super) struct FieldAttributes<'a> {
    groups: SmallVec<[Group<'a>; 4]>,
}

struct Group<'a> {
    prefix: &'static str,
    fields: &'a Fields,
    mask: &'a Mask,
}

/// Prefixes of field attributes.
pub(super) const PREFIXES: [&str; 4] =
    ["http.request.header.", "http.response.header.", "interceptor.request.trailer.", "interceptor.response.trailer."];

impl<'a> FieldAttributes<'a> {
    pub(super) const fn none() -> Self {
        Self { groups: SmallVec::new_const() }
    }

    pub(super) fn push(&mut self, prefix: &'static str, fields: &'a Fields, mask: &'a Mask) {
        if !fields.is_empty() {
            self.groups.push(Group { prefix, fields, mask });
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }
}

impl Serialize for FieldAttributes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for Group { prefix, fields, mask } in &self.groups {
            // By name, so that a repeated name is one key; the sort keeps the order of its values.
            // What a pseudo-header field says has attributes of its own.
            let mut lines: SmallVec<[(&str, &[u8]); 32]> =
                fields.iter().filter(|(name, _)| !name.starts_with(':')).collect();
            lines.sort_by(|(a, _), (b, _)| lower(a).cmp(lower(b)));
            for same in lines.chunk_by(|(a, _), (b, _)| a.eq_ignore_ascii_case(b)) {
                let name = same.first().map_or("", |(name, _)| name);
                map.serialize_entry(&Key { prefix, name }, &Values { name, lines: same, mask })?;
            }
        }
        map.end()
    }
}

impl JsonSchema for FieldAttributes<'_> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FieldAttributes".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let values = json_schema!({
            "type": "array", "items": { "type": "string" }, "minItems": 1,
            "description": "Values of a field, in order; a secret is '[masked]' unless asked for by name. A name '?N' and a value \
                            '?' are not known: HTTP/2 referred to what was sent before the capture, the same N each time."
        });
        let patterns = PREFIXES.map(|prefix| (format!("^{}", prefix.replace('.', "\\.")), values.clone().to_value()));
        json_schema!({
            "type": "object",
            "patternProperties": serde_json::Map::from_iter(patterns)
        })
    }
}

fn lower(name: &str) -> impl Iterator<Item = u8> {
    name.bytes().map(|byte| byte.to_ascii_lowercase())
}

struct Key<'a> {
    prefix: &'a str,
    name: &'a str,
}

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.prefix)?;
        if self.name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return self.name.chars().try_for_each(|c| f.write_char(c.to_ascii_lowercase()));
        }
        f.write_str(self.name)
    }
}

impl Serialize for Key<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

struct Values<'a> {
    name: &'a str,
    lines: &'a [(&'a str, &'a [u8])],
    mask: &'a Mask,
}

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut values = serializer.serialize_seq(Some(self.lines.len()))?;
        for (_, value) in self.lines {
            values.serialize_element(&self.mask.field(self.name, value))?;
        }
        values.end()
    }
}
