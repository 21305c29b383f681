//! Drift: how many values a second it takes.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::{Scale, report::Section};
use crate::project::Project;

pub(super) fn run(project: &Project, scale: &Scale) -> Result<Section> {
    let rounds = scale.rounds.to_string();
    let mut command = Command::new("cargo");
    command.current_dir(project.path("")).args(["bench", "--quiet", "-p", "interceptor-user", "--bench", "drift"]);
    let output = command.args(["--", &rounds]).output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let output = String::from_utf8_lossy(&output.stdout);
    let (what, rows) = parse(&output).with_context(|| format!("not what the benchmark prints:\n{output}"))?;
    let mut section = Section::new("drift", "Drift");
    section.paragraph(&format!(
        "Tensors that are inspected and windows that are compared, on one core ({what}): windows of 1,000 values against a \
         baseline of 1,000, unless said otherwise; large is 100,000 in the baseline, 50,000 in a window, both sketched. The \
         best round."
    ));
    section.table(["what", "million values a second"], &rows);
    Ok(section)
}

/// `features 8 … rounds 5`, then `NAME: 12.34 million values a second` for each.
fn parse(output: &str) -> Option<(String, Vec<[String; 2]>)> {
    let mut lines = output.lines().skip_while(|line| !line.starts_with("features "));
    let what = lines.next()?.to_owned();
    let row = |line: &str| {
        let (name, figure) = line.split_once(": ")?;
        Some([name.to_owned(), figure.strip_suffix(" million values a second")?.to_owned()])
    };
    Some((what, lines.map(row).collect::<Option<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_to_rows() {
        let (what, rows) = parse("\nfeatures 2 values 3\none row: 8.10 million values a second\n").unwrap();
        assert_eq!((what.as_str(), rows), ("features 2 values 3", vec![["one row", "8.10"].map(str::to_owned)]));
        assert_eq!(parse("features 2\none row: fast\n"), None);
    }
}
