use std::{
    fmt::Write as _,
    fs::File,
    io::{self, Read as _, Write as _},
    path::PathBuf,
};

use anyhow::{Context as _, ensure};

use crate::{
    inspect::drift::baseline::{Baseline, Categories, Feature, Numbers, Values},
    model::Role,
};

const AFTER_HELP: &str = "\
Examples:
  interceptor baseline show iris.json

Exit codes: 0 done, 1 the file cannot be read or is no baseline, 2 the command line is wrong.";

/// Bytes of a baseline; the largest that is written is far smaller.
const LARGEST: u64 = 1 << 30;

/// Categories that are named in a line.
const NAMED: usize = 3;

/// Arguments of `interceptor baseline show`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// A file that 'interceptor baseline learn' wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Prints a line a feature.
pub(super) fn execute(args: &Args) -> anyhow::Result<()> {
    let cannot = || format!("cannot read the baseline {}", args.file.display());
    let file = File::open(&args.file).with_context(cannot)?;
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).with_context(cannot)?;
    ensure!(bytes.len() as u64 <= LARGEST, "{}: it has more than 1 GiB", cannot());
    let baseline = Baseline::read(&bytes).with_context(cannot)?;
    Ok(io::stdout().lock().write_all(table(&baseline).as_bytes())?)
}

fn table(baseline: &Baseline) -> String {
    let heading = ["MODEL", "ROLE", "FEATURE", "VALUES", "MISSING", "DISTRIBUTION"].map(str::to_owned);
    let rows: Vec<[String; 6]> = [heading].into_iter().chain(baseline.features.iter().map(row)).collect();
    let widths: [usize; 6] = std::array::from_fn(|column| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or_default()
    });
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for ((cell, width), column) in row.iter().zip(widths).zip(0..) {
            // Numbers end where the others do.
            let _ = if matches!(column, 3 | 4) {
                write!(line, "{cell:>width$}  ")
            } else {
                write!(line, "{cell:<width$}  ")
            };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn row(feature: &Feature) -> [String; 6] {
    let Feature { model, role, name, count, missing, values } = feature;
    let role = if *role == Role::Request { "input" } else { "output" };
    let model = model.as_deref().map_or_else(|| "-".to_owned(), shown);
    [model, role.to_owned(), shown(name), count.to_string(), missing.to_string(), distribution(values)]
}

fn distribution(values: &Values) -> String {
    match values {
        Values::Numbers(Numbers { minimum, maximum, mean, deviation, distinct, sample }) => {
            let least = if sample.is_sketched() { " or more" } else { "" };
            format!("{minimum} to {maximum}, mean {mean:.6}, deviation {deviation:.6}; {distinct}{least} different")
        }
        Values::Categories(Categories { counts, other }) => {
            let mut most: Vec<(&String, &u64)> = counts.iter().collect();
            most.sort_by(|a, b| b.1.cmp(a.1));
            let named: Vec<String> =
                most.iter().take(NAMED).map(|(name, count)| format!("{} {count}", shown(name))).collect();
            let rest = if *other > 0 { format!(", {other} values of others") } else { String::new() };
            format!(
                "{} categories: {}{}{rest}",
                counts.len(),
                named.join(", "),
                if counts.len() > NAMED { ", …" } else { "" }
            )
        }
    }
}

/// A name from the data, which may hold anything.
fn shown(name: &str) -> String {
    name.escape_debug().to_string()
}
