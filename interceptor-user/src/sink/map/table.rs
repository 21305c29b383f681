//! The map as a table, a line an edge.

use std::fmt;

use anstyle::{AnsiColor, Style};

use super::chart::{Chart, ChartEdge};
use crate::sink::escape::Escaped;

/// A chart for people.
pub struct Table<'a> {
    /// What is shown.
    pub chart: &'a Chart,
    /// With colours?
    pub colour: bool,
}

const HEADINGS: [&str; 9] = ["CLIENT", "SERVER", "PROTOCOL", "MODEL", "RATE", "ERRORS", "P50", "P99", "BYTES"];
/// Columns from this one on are numbers, which end in one line.
const NUMBERS: usize = 4;
const ERRORS: usize = 5;

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Chart { edges, folded, seconds, .. } = self.chart;
        if edges.is_empty() {
            return writeln!(f, "nothing was seen");
        }
        let rows: Vec<[String; 9]> = edges.iter().map(cells).collect();
        let widths: [usize; 9] = std::array::from_fn(|column| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or(0).max(HEADINGS[column].len())
        });
        let (bold, red) = if self.colour {
            (Style::new().bold(), AnsiColor::Red.on_default().bold())
        } else {
            (Style::new(), Style::new())
        };
        write!(f, "{bold}")?;
        line(f, &HEADINGS.map(str::to_owned), &widths, Style::new())?;
        write!(f, "{bold:#}")?;
        for (row, edge) in rows.iter().zip(edges) {
            line(f, row, &widths, if edge.errors > 0 { red } else { Style::new() })?;
        }
        let nodes = super::chart::drawn(self.chart).0.len();
        write!(f, "\n{} between {}, in {}", count(edges.len(), "edge"), count(nodes, "node"), time(Some(*seconds)))?;
        if *folded > 0 {
            write!(f, "; {folded} exchanges or connections found no room of their own")?;
        }
        writeln!(f)
    }
}

fn count(number: usize, of: &str) -> String {
    format!("{number} {of}{}", if number == 1 { "" } else { "s" })
}

fn line(f: &mut fmt::Formatter<'_>, cells: &[String; 9], widths: &[usize; 9], errors: Style) -> fmt::Result {
    for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let gap = if column == 0 { "" } else { "  " };
        match column {
            ERRORS => write!(f, "{gap}{errors}{cell:>width$}{errors:#}")?,
            NUMBERS.. => write!(f, "{gap}{cell:>width$}")?,
            _ => write!(f, "{gap}{cell:width$}")?,
        }
    }
    writeln!(f)
}

fn cells(edge: &ChartEdge) -> [String; 9] {
    let shown = |name: &str| Escaped(name.as_bytes()).to_string();
    let model = edge.model.as_deref().map_or_else(|| "-".to_owned(), shown);
    let errors = if edge.exchanges == 0 { "-".to_owned() } else { errors(edge) };
    [
        shown(&edge.client.name),
        shown(&edge.server_with_port()),
        edge.protocol.clone(),
        model,
        rate(edge),
        errors,
        time(edge.p50),
        time(edge.p99),
        format!("{} / {}", bytes(edge.client_bytes), bytes(edge.server_bytes)),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "a percentage of which two digits are read")]
fn errors(edge: &ChartEdge) -> String {
    match edge.errors {
        0 => "0".to_owned(),
        errors => format!("{errors} ({:.1}%)", errors as f64 * 100.0 / edge.exchanges.max(1) as f64),
    }
}

/// Of connections it is said that they are.
pub(super) fn rate(edge: &ChartEdge) -> String {
    let unit = if edge.exchanges == 0 { " conn/s" } else { "/s" };
    match edge.rate {
        None => "-".to_owned(),
        Some(rate) if rate < 0.005 => format!("<0.01{unit}"),
        Some(rate) => format!("{}{unit}", significant(rate)),
    }
}

/// Three digits of a number of seconds.
pub(super) fn time(seconds: Option<f64>) -> String {
    match seconds {
        None => "-".to_owned(),
        Some(seconds) if seconds >= 0.9995 => format!("{} s", significant(seconds)),
        Some(seconds) if seconds >= 0.000_999_5 => format!("{} ms", significant(seconds * 1e3)),
        Some(seconds) => format!("{} us", significant(seconds * 1e6)),
    }
}

fn significant(number: f64) -> String {
    match number {
        number if number >= 99.95 => format!("{number:.0}"),
        number if number >= 9.995 => format!("{number:.1}"),
        number => format!("{number:.2}"),
    }
}

#[expect(clippy::cast_precision_loss, reason = "three digits are read")]
fn bytes(count: u64) -> String {
    let count = count as f64;
    match count {
        count if count >= 999.5e6 => format!("{} GB", significant(count / 1e9)),
        count if count >= 999.5e3 => format!("{} MB", significant(count / 1e6)),
        count if count >= 999.5 => format!("{} kB", significant(count / 1e3)),
        count => format!("{count:.0} B"),
    }
}
