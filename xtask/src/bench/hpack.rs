//! Header compression against the `h2` crate's, on the same blocks.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::{Scale, report::Section};
use crate::project::Project;

pub(super) fn run(project: &Project, scale: &Scale) -> Result<Section> {
    let rounds = (scale.rounds * 4).to_string();
    let mut command = Command::new("cargo");
    command.current_dir(project.path("")).args(["bench", "--quiet", "-p", "interceptor-user", "--bench", "hpack"]);
    let output = command.args(["--", &rounds]).output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let output = String::from_utf8_lossy(&output.stdout);
    let (what, rows) = parse(&output).with_context(|| format!("not what the benchmark prints:\n{output}"))?;
    let mut section = Section::new("hpack", "Header compression");
    section.paragraph(&format!(
        "The field blocks of published stories of HPACK encoders (`tests/corpus/hpack`; {what}), alternating. h2's decoder cannot \
         be called by itself, so h2 and we read HEADERS frames and make heads of them; the best round, and the median of the \
         ratios within a round."
    ));
    section.table(["decoder", "ns a block", "time against ours"], &rows);
    Ok(section)
}

/// `stories 288 blocks … rounds 20`, then `NAME: 811 ns a block, 1.00 times ours` for each.
fn parse(output: &str) -> Option<(String, Vec<[String; 3]>)> {
    let mut lines = output.lines().skip_while(|line| !line.starts_with("stories "));
    let what = lines.next()?.to_owned();
    let row = |line: &str| {
        let (name, figures) = line.split_once(": ")?;
        let (nanos, ratio) = figures.split_once(" ns a block, ")?;
        Some([name.to_owned(), nanos.to_owned(), ratio.strip_suffix(" times ours")?.to_owned()])
    };
    Some((what, lines.map(row).collect::<Option<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_to_rows() {
        let (what, rows) = parse("\nstories 2 blocks 3\nours: 81 ns a block, 1.00 times ours\n").unwrap();
        assert_eq!((what.as_str(), rows), ("stories 2 blocks 3", vec![["ours", "81", "1.00"].map(str::to_owned)]));
        assert_eq!(parse("stories 2\nours: fast\n"), None);
    }
}
