//! Personal data taken out of texts, for rules that redact before a record is told.

use super::{
    Match, Scanner,
    conceal::{masked, replaced},
    json::{LeafKind, Next, Walk},
};

/// What stands in place of a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Replacement {
    /// The name of what it is: `<EMAIL_ADDRESS>`, as Presidio's anonymizer writes it.
    #[default]
    Entity,
    /// Its masked form.
    Masked,
}

impl Scanner {
    fn stand_in(&self, found: &Match, value: &str, replacement: Replacement) -> String {
        match replacement {
            Replacement::Entity => format!("<{}>", self.name(found.kind)),
            Replacement::Masked => masked(found.kind, value),
        }
    }

    /// A text, sent under this name, without what is found in it; None where nothing is.
    pub fn redact(&self, text: &[u8], name: &str, replacement: Replacement) -> Option<Vec<u8>> {
        replaced(text, &self.scan(text, name), |found, value| self.stand_in(found, value, replacement))
    }

    /// The same of a JSON text, which stays one: numbers become strings. What is no JSON is redacted as text.
    pub fn redact_json(&self, text: &[u8], replacement: Replacement) -> Option<Vec<u8>> {
        let mut walk = Walk::new(text);
        walk.go_on_to(text.len());
        let (mut out, mut at) = (Vec::new(), 0);
        loop {
            let leaf = match walk.next() {
                Next::Leaf(leaf) => leaf,
                Next::Malformed(from) => {
                    let from = from.max(at);
                    let rest = text.get(from..)?;
                    if let Some(rest) = self.redact(rest, "", replacement) {
                        out.extend_from_slice(text.get(at..from)?);
                        out.extend_from_slice(&rest);
                        return Some(out);
                    }
                    break;
                }
                Next::Pause | Next::End => break,
            };
            let name = if leaf.kind == LeafKind::Name { "".into() } else { walk.name() };
            let Some(clean) = self.redact(&leaf.value, &name, replacement) else { continue };
            let quoted = serde_json::to_string(&String::from_utf8_lossy(&clean)).ok()?;
            let inner = quoted.get(1..quoted.len() - 1)?;
            out.extend_from_slice(text.get(at..leaf.raw.start)?);
            out.extend_from_slice(if leaf.kind == LeafKind::Number { &quoted } else { inner }.as_bytes());
            at = leaf.raw.end;
        }
        out.extend_from_slice(text.get(at..)?);
        (at > 0).then_some(out)
    }
}
