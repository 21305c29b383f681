//! Results as Markdown: printed, and kept in `docs/benchmarks.md`, a section for each part.

use std::{fmt::Write as _, fs, process::Command};

use anyhow::{Context as _, Result};

use crate::project::Project;

const FILE: &str = "docs/benchmarks.md";
const TITLE: &str = "# Benchmarks

Written by `cargo xtask bench`, each section by one run on one machine. Ratios compare what ran alternately within that
run; absolute numbers belong to that machine.
";

/// What one part of the benchmark found.
pub(super) struct Section {
    name: &'static str,
    title: &'static str,
    text: String,
}

impl Section {
    pub(super) fn new(name: &'static str, title: &'static str) -> Self {
        Self { name, title, text: String::new() }
    }

    pub(super) fn paragraph(&mut self, text: &str) {
        writeln!(self.text, "\n{text}").ok();
    }

    pub(super) fn table<const N: usize>(&mut self, head: [&str; N], rows: &[[String; N]]) {
        let line = |cells: &[&str]| format!("| {} |", cells.join(" | "));
        writeln!(self.text, "\n{}\n{}", line(&head), line(&["---"; N])).ok();
        for row in rows {
            writeln!(self.text, "{}", line(&row.each_ref().map(String::as_str))).ok();
        }
    }

    pub(super) fn markdown(&self) -> String {
        let Self { name, title, text } = self;
        format!("## {title}\n\n`cargo xtask bench {name}` on {}.\n{text}", machine())
    }

    /// Puts it in place of its predecessor.
    pub(super) fn keep(&self, project: &Project) -> Result<()> {
        let path = project.path(FILE);
        let old = fs::read_to_string(&path).unwrap_or_else(|_| TITLE.to_owned());
        fs::create_dir_all(path.parent().context("no parent directory")?)?;
        fs::write(&path, replace(&old, self.name, &self.markdown()))
            .with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("kept in {FILE}");
        Ok(())
    }
}

fn replace(document: &str, name: &str, section: &str) -> String {
    let (begin, end) = (format!("<!-- begin {name} -->\n"), format!("<!-- end {name} -->\n"));
    let section = format!("{begin}{section}{end}");
    if let Some((before, rest)) = document.split_once(&begin)
        && let Some((_, after)) = rest.split_once(&end)
    {
        return format!("{before}{section}{after}");
    }
    format!("{}\n\n{section}", document.trim_end())
}

/// Processor, kernel and day.
fn machine() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let model = model.trim_start_matches([' ', '\t', ':']).trim();
    let count = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let day = Command::new("date").arg("+%Y-%m-%d").output().map(|output| output.stdout).unwrap_or_default();
    let day = String::from_utf8_lossy(&day).trim().to_owned();
    format!("{count} CPUs of {model}, Linux {}, {day}", kernel.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_takes_the_place_of_its_predecessor() {
        let once = replace("# Title\n", "live", "one\n");
        assert_eq!(once, "# Title\n\n<!-- begin live -->\none\n<!-- end live -->\n");
        let twice = replace(&replace(&once, "memory", "two\n"), "live", "three\n");
        assert!(twice.contains("three") && twice.contains("two") && !twice.contains("one"), "{twice}");
        assert_eq!(replace(&twice, "live", "three\n"), twice);
    }

    #[test]
    fn tables_have_a_rule_under_the_head() {
        let mut section = Section::new("x", "X");
        section.table(["a", "b"], &[["1".to_owned(), "2".to_owned()]]);
        assert_eq!(section.text, "\n| a | b |\n| --- | --- |\n| 1 | 2 |\n");
    }
}
