//! The search for personal data: how fast, and how well.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::{Scale, report::Section};
use crate::project::Project;

pub(super) fn run(project: &Project, scale: &Scale) -> Result<Section> {
    let rounds = (scale.rounds * 4).to_string();
    let mut command = Command::new("cargo");
    command.current_dir(project.path("")).args(["bench", "--quiet", "-p", "interceptor-user", "--bench", "pii"]);
    let output = command.args(["--", &rounds]).output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let output = String::from_utf8_lossy(&output.stdout);
    let (rows, quality) = parse(&output).with_context(|| format!("not what the benchmark prints:\n{output}"))?;
    let mut section = Section::new("pii", "Search for personal data");
    section.paragraph(&format!(
        "Requests with JSON contents, inspected on one core with every entity enabled; the best round. On the {quality} \
         ([pii.md](pii.md) has them by entity)."
    ));
    section.table(["content", "MB/s", "findings"], &rows);
    Ok(section)
}

/// `NAME: 400 MB/s, 3 findings in 100 bytes` for each, then `labelled texts N: precision P, recall R`.
fn parse(output: &str) -> Option<(Vec<[String; 3]>, String)> {
    let quality = output.lines().find(|line| line.starts_with("labelled texts "))?.to_owned();
    let row = |line: &str| {
        let (name, figures) = line.split_once(": ")?;
        let (rate, found) = figures.split_once(" MB/s, ")?;
        Some([name.to_owned(), rate.to_owned(), found.split_once(" findings")?.0.to_owned()])
    };
    let rows: Vec<_> = output.lines().filter_map(row).collect();
    (!rows.is_empty()).then_some((rows, quality))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_to_rows() {
        let quality = "labelled texts 9: precision 0.990, recall 0.980";
        let (rows, found) = parse(&format!("\na b: 410 MB/s, 3 findings in 10 bytes\n{quality}\n")).unwrap();
        assert_eq!((rows, found.as_str()), (vec![["a b", "410", "3"].map(str::to_owned)], quality));
        assert_eq!(parse("a: fast\n"), None);
    }
}
