//! The map as a flowchart of Mermaid, which Markdown pages show.

use std::fmt::{self, Write as _};

use super::{
    chart::{Chart, drawn},
    dot::summary,
};
use crate::sink::escape::Escaped;

/// A chart as a flowchart.
pub struct Mermaid<'a>(pub &'a Chart);

impl fmt::Display for Mermaid<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (nodes, edges) = drawn(self.0);
        writeln!(f, "flowchart LR")?;
        for (place, node) in nodes.iter().enumerate() {
            writeln!(f, "  n{place}[\"{}\"]", quoted(&node.name))?;
        }
        for (client, server, edge) in edges {
            let lines: Vec<String> = summary(edge).iter().map(|line| quoted(line)).collect();
            writeln!(f, "  n{client} -->|\"{}\"| n{server}", lines.join("<br/>"))?;
        }
        Ok(())
    }
}

/// Between quotes, where Mermaid reads entities (`#35;`), HTML, Markdown and, everywhere, directives: what is no letter,
/// digit or plain mark becomes an entity.
fn quoted(text: &str) -> String {
    let mut out = String::new();
    for c in Escaped(text.as_bytes()).to_string().chars() {
        if c.is_alphanumeric() || matches!(c, ' ' | '.' | ',' | ':' | '/' | '-') {
            out.push(c);
        } else {
            // Writing to a string cannot fail.
            let _written = write!(out, "#{};", u32::from(c));
        }
    }
    out
}
