//! The map in Graphviz' language, for `dot -Tsvg`.

use std::fmt;

use super::{
    chart::{Chart, ChartEdge, drawn},
    table::{rate, time},
};
use crate::sink::escape::Escaped;

/// A chart as a directed graph.
pub struct Dot<'a>(pub &'a Chart);

impl fmt::Display for Dot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (nodes, edges) = drawn(self.0);
        writeln!(f, "digraph map {{\n  rankdir=LR;\n  node [shape=box, fontname=\"sans-serif\"];")?;
        writeln!(f, "  edge [fontname=\"sans-serif\", fontsize=10];")?;
        for (place, node) in nodes.iter().enumerate() {
            writeln!(f, "  n{place} [label=\"{}\"{}];", quoted(&node.name), shape(&node.kind))?;
        }
        for (client, server, edge) in edges {
            let colour = if edge.errors > 0 { ", color=red" } else { "" };
            let lines: Vec<String> = summary(edge).iter().map(|line| quoted(line)).collect();
            writeln!(f, "  n{client} -> n{server} [label=\"{}\"{colour}];", lines.join("\\n"))?;
        }
        writeln!(f, "}}")
    }
}

/// What is not one thing has another outline.
fn shape(kind: &str) -> &'static str {
    match kind {
        "pod" | "container" => ", style=bold",
        "network" | "other" => ", style=dashed",
        _ => "",
    }
}

/// Lines of text at an edge.
pub(super) fn summary(edge: &ChartEdge) -> Vec<String> {
    let port = edge.port.map(|port| format!(" :{port}")).unwrap_or_default();
    let mut lines = vec![format!("{}{port}", edge.protocol)];
    lines.extend(edge.model.clone());
    let failed = (edge.errors > 0).then(|| format!("{} failed", edge.errors));
    let slowest = edge.p99.map(|_| format!("p99 {}", time(edge.p99)));
    let figures: Vec<String> = [Some(rate(edge)), failed, slowest].into_iter().flatten().collect();
    lines.push(figures.join(", "));
    lines
}

/// Between quotes: in DOT they end at a quote that no backslash stands before, and labels know escapes and HTML's
/// entities.
fn quoted(text: &str) -> String {
    let text = Escaped(text.as_bytes()).to_string();
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('&', "&amp;")
}
