//! What a machine wrote to its console: the lines of the matrix, and the outcomes of the tests.

use std::collections::BTreeMap;

/// What became of a program on a kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cells {
    /// Loads, attaches, works.
    pub(crate) can: [bool; 3],
    /// Instructions of the program; those that the verifier went through. Not every kernel tells.
    pub(crate) counts: [Option<u32>; 2],
}

impl Cells {
    pub(crate) const CAN: [&'static str; 3] = ["loads", "attaches", "works"];
    pub(crate) const COUNTS: [&'static str; 2] = ["instructions", "verified"];

    /// In the order of [`Self::CAN`] and [`Self::COUNTS`].
    pub(crate) fn from_words(words: &[&str]) -> Option<Self> {
        let &[loads, attaches, works, instructions, verified] = words else { return None };
        Some(Self {
            can: [loads, attaches, works].map(|word| word == "yes"),
            counts: [instructions, verified].map(|word| word.parse().ok()),
        })
    }
}

/// How a test ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Failed(String),
    /// It does not run there, and why.
    Ignored(String),
}

impl Outcome {
    /// As libtest-mimic writes it.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        match text {
            "ok" => Some(Self::Passed),
            "FAILED" => Some(Self::Failed("no message".to_owned())),
            _ => {
                let reason = text.strip_prefix("ignored")?.trim();
                let reason = reason.strip_prefix('(').and_then(|reason| reason.strip_suffix(')')).unwrap_or(reason);
                Some(Self::Ignored(reason.to_owned()))
            }
        }
    }
}

/// All of one machine.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) series: String,
    /// As the kernel calls itself.
    pub(crate) version: String,
    pub(crate) programs: BTreeMap<String, Cells>,
    pub(crate) tests: BTreeMap<String, Outcome>,
    /// Why the tests did not come to their end.
    pub(crate) cut_short: Option<String>,
}

impl Report {
    pub(crate) fn read(series: &str, log: &str) -> Self {
        let mut report = Self { series: series.to_owned(), ..Self::default() };
        // A test may write lines of its own before its outcome; messages of failures come at the end.
        let (mut running, mut failed, mut ended) = (None, None, false);
        for line in log.lines() {
            if let Some((name, rest)) = line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... ")) {
                running = Some(name.trim().to_owned());
                report.outcome(&mut running, rest);
            } else if running.is_some() && report.outcome(&mut running, line) {
            } else if let Some(version) = line.strip_prefix("kernel ") {
                version.clone_into(&mut report.version);
            } else if let Some(row) = line.strip_prefix("matrix ") {
                report.row(row);
            } else if let Some(name) = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" ----")) {
                failed = Some(name.to_owned());
            } else if let Some(name) = failed.take() {
                report.tests.insert(name, Outcome::Failed(line.to_owned()));
            }
            ended |= line.starts_with("test result: ");
        }
        if !ended {
            let mut last: Vec<_> = log.lines().rev().filter(|line| !line.trim().is_empty()).take(12).collect();
            last.reverse();
            report.cut_short = Some(last.join("\n        "));
        }
        report
    }

    fn outcome(&mut self, running: &mut Option<String>, text: &str) -> bool {
        let Some(outcome) = Outcome::parse(text) else { return false };
        self.tests.extend(running.take().map(|name| (name, outcome)));
        true
    }

    /// `NAME loads=yes attaches=no …`
    fn row(&mut self, row: &str) {
        let mut words = row.split_whitespace();
        let Some(name) = words.next() else { return };
        let values: Vec<_> = words.filter_map(|word| word.split_once('=')).map(|(_, value)| value).collect();
        self.programs.extend(Cells::from_words(&values).map(|cells| (name.to_owned(), cells)));
    }

    pub(crate) fn passed(&self) -> usize {
        self.tests.values().filter(|outcome| **outcome == Outcome::Passed).count()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const LOG: &str = "\
kernel 6.1.0-50-cloud-amd64

running 4 tests
test every_program  ... 
matrix intercept_in loads=yes attaches=yes works=no instructions=1200 verified=50000
matrix intercept_out loads=yes attaches=yes works=yes instructions=1300 verified=-
ok
test one            ... 4 records
ok
test two            ... ignored (big TCP (Linux 5.19))
test three          ... FAILED

failures:

---- three ----
it broke

test result: FAILED. 2 passed; 1 failed; 1 ignored;
ended 101
";

    #[test]
    fn a_console_is_read() {
        let report = Report::read("6.1", LOG);
        assert_eq!(report.version, "6.1.0-50-cloud-amd64");
        let cells = &report.programs["intercept_in"];
        assert_eq!((cells.can, cells.counts), ([true, true, false], [Some(1200), Some(50000)]));
        assert_eq!(report.programs["intercept_out"].counts, [Some(1300), None]);
        assert_eq!(report.tests["every_program"], Outcome::Passed);
        assert_eq!(report.tests["one"], Outcome::Passed);
        assert_eq!(report.tests["two"], Outcome::Ignored("big TCP (Linux 5.19)".to_owned()));
        assert_eq!(report.tests["three"], Outcome::Failed("it broke".to_owned()));
        assert!(report.cut_short.is_none() && report.passed() == 2);
    }

    #[test]
    fn a_machine_that_dies_is_noticed() {
        let report = Report::read("6.1", "kernel 6.1\ntest one ... ok\ntest two ... \nKernel panic - not syncing\n");
        assert!(report.cut_short.unwrap().contains("Kernel panic"));
    }
}
