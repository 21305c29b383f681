//! `docs/kernels.md`: for people what was proved where, and for `cargo xtask vm` what has to stay so.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Write as _},
};

use super::report::{Cells, Outcome, Report};

/// A series of kernels, then a program or a test.
type Key = (String, String);

/// What the file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Expected {
    /// Version and number of tests that passed, by series. To be read; not compared.
    kernels: BTreeMap<String, [String; 2]>,
    programs: BTreeMap<Key, Cells>,
    /// Tests that do not run on a kernel, and why.
    ignored: BTreeMap<Key, String>,
}

/// What differs from what was expected.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    pub(crate) failures: Vec<String>,
    pub(crate) notes: Vec<String>,
}

const INTRODUCTION: &str = "\
# Kernels

Written by `cargo xtask vm --update`, which boots each kernel in an emulated machine and runs the kernel tests there;
`cargo xtask vm` does the same and fails if something got worse. The kernels are the newest of their series in Debian, as
built for virtual machines.

";

const PROGRAMS: &str = "
## Programs
A program works if real traffic showed its effect: every byte of both directions, the kernel's counters of a connection,
the process that opened it. `instructions` is the size of the program as loaded, `verified` how many instructions the
verifier went through (the kernel tells from 5.16 on; it gives up at 1,000,000). Both are counts of the kernel,
`bpf_prog_info`.

";

const IGNORED: &str = "
## Tests that do not run
";

impl Expected {
    /// Each table by the first word of its head.
    pub(crate) fn parse(text: &str) -> Self {
        let mut expected = Self::default();
        let mut table = "";
        for line in text.lines().filter(|line| line.starts_with('|') && !line.starts_with("|---")) {
            let words: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
            match (table, words.as_slice()) {
                (_, [head @ ("kernel" | "program" | "test"), ..]) => table = head,
                ("kernel", [series, version, passed]) => {
                    expected.kernels.insert((*series).to_owned(), [*version, *passed].map(str::to_owned));
                }
                ("test", [test, series, why]) => {
                    expected.ignored.insert(((*series).to_owned(), (*test).to_owned()), (*why).to_owned());
                }
                ("program", [program, series, cells @ ..]) => {
                    let key = ((*series).to_owned(), (*program).to_owned());
                    expected.programs.extend(Cells::from_words(cells).map(|cells| (key, cells)));
                }
                _ => {}
            }
        }
        expected
    }

    /// Puts what was found in place of what was expected of these kernels.
    pub(crate) fn update(&mut self, reports: &[Report]) {
        for report in reports {
            let other = |series: &str| series != report.series;
            self.programs.retain(|(series, _), _| other(series));
            self.ignored.retain(|(series, _), _| other(series));
            let passed = format!("{} of {}", report.passed(), report.tests.len());
            self.kernels.insert(report.series.clone(), [report.version.clone(), passed]);
            let key = |name: &String| (report.series.clone(), name.clone());
            self.programs.extend(report.programs.iter().map(|(name, cells)| (key(name), cells.clone())));
            self.ignored.extend(report.tests.iter().filter_map(|(name, outcome)| match outcome {
                Outcome::Ignored(why) => Some((key(name), why.clone())),
                Outcome::Passed | Outcome::Failed(_) => None,
            }));
        }
    }

    pub(crate) fn compare(&self, reports: &[Report]) -> Comparison {
        let mut comparison = Comparison::default();
        for report in reports {
            let failures = &mut comparison.failures;
            let series = &report.series;
            if let Some(last) = &report.cut_short {
                failures.push(format!("{series}: the tests did not end; the last lines are\n        {last}"));
            }
            if !self.kernels.contains_key(series) {
                failures.push(format!("{series}: not in the file: `cargo xtask vm --update {series}` adds it"));
                continue;
            }
            for (test, outcome) in &report.tests {
                let known = self.ignored.contains_key(&(series.clone(), test.clone()));
                match outcome {
                    Outcome::Failed(message) => failures.push(format!("{series}: {test}: {message}")),
                    Outcome::Ignored(why) if !known => failures.push(format!("{series}: {test} did not run: {why}")),
                    Outcome::Ignored(_) | Outcome::Passed => {}
                }
            }
            let of_series = self.programs.keys().filter(|(of, _)| of == series).map(|(_, program)| program);
            let programs: BTreeSet<&String> = of_series.chain(report.programs.keys()).collect();
            for program in programs {
                let expected = self.programs.get(&(series.clone(), program.clone()));
                let name = format!("{series}: {program}");
                match (expected, report.programs.get(program)) {
                    (Some(expected), Some(found)) => comparison.cells(&name, expected, found),
                    (Some(_), None) => comparison.failures.push(format!("{name}: nothing was found out about it")),
                    (None, _) => comparison.failures.push(format!("{name}: new; `cargo xtask vm --update` adds it")),
                }
            }
        }
        comparison
    }
}

impl Comparison {
    fn cells(&mut self, name: &str, expected: &Cells, found: &Cells) {
        for ((what, expected), found) in Cells::CAN.iter().zip(expected.can).zip(found.can) {
            if expected && !found {
                self.failures.push(format!("{name}: {what} no more"));
            }
        }
        for ((what, expected), found) in Cells::COUNTS.iter().zip(expected.counts).zip(found.counts) {
            if let (Some(expected), Some(found)) = (expected, found)
                && u64::from(found) * 10 > u64::from(expected) * 11
            {
                self.notes.push(format!("{name}: {what} grew from {expected} to {found}"));
            }
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(INTRODUCTION)?;
        writeln!(f, "| kernel | version | tests passed |\n|---|---|---|")?;
        let mut kernels: Vec<_> = self.kernels.iter().collect();
        kernels.sort_by_key(|(series, _)| order(series));
        for (series, [version, passed]) in kernels {
            writeln!(f, "| {series} | {version} | {passed} |")?;
        }
        f.write_str(PROGRAMS)?;
        write_programs(f, &self.programs)?;
        f.write_str(IGNORED)?;
        writeln!(f, "| test | kernel | why |\n|---|---|---|")?;
        let mut ignored: Vec<_> = self.ignored.iter().collect();
        ignored.sort_by_key(|((series, test), _)| (test, order(series)));
        for ((series, test), why) in ignored {
            writeln!(f, "| {test} | {series} | {why} |")?;
        }
        Ok(())
    }
}

/// 6.12 comes after 6.1.
fn order(series: &str) -> Vec<u32> {
    series.split('.').map(|number| number.parse().unwrap_or(u32::MAX)).collect()
}

fn write_programs(f: &mut impl fmt::Write, programs: &BTreeMap<Key, Cells>) -> fmt::Result {
    let names = ["program", "kernel"].into_iter().chain(Cells::CAN).chain(Cells::COUNTS);
    let head: Vec<_> = names.collect();
    writeln!(f, "| {} |\n{}|", head.join(" | "), "|---".repeat(head.len()))?;
    let mut rows: Vec<_> = programs.iter().collect();
    rows.sort_by_key(|((series, program), _)| (program, order(series)));
    for ((series, program), cells) in rows {
        let can = cells.can.map(|can| if can { "yes" } else { "no" }.to_owned());
        let counts = cells.counts.map(|count| count.map_or_else(|| "-".to_owned(), |count| count.to_string()));
        let words: Vec<_> = can.into_iter().chain(counts).collect();
        writeln!(f, "| {program} | {series} | {} |", words.join(" | "))?;
    }
    Ok(())
}

/// The matrix that was found, for a terminal.
pub(crate) fn table(reports: &[Report]) -> String {
    let mut found = Expected::default();
    found.update(reports);
    let mut text = String::new();
    write_programs(&mut text, &found.programs).ok();
    for report in reports {
        let Report { series, version, tests, .. } = report;
        writeln!(text, "{series} ({version}): {} of {} tests passed", report.passed(), tests.len()).ok();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::report::tests::LOG;

    fn expected() -> Expected {
        let mut expected = Expected::default();
        expected.update(&[Report::read("6.1", LOG), Report::read("6.12", LOG)]);
        expected
    }

    fn worse(change: impl Fn(&mut Report)) -> Comparison {
        let mut report = Report::read("6.1", LOG);
        report.tests.remove("three");
        change(&mut report);
        expected().compare(&[report])
    }

    #[test]
    fn the_file_says_what_was_found() {
        let expected = expected();
        assert_eq!(Expected::parse(&expected.to_string()), expected);
    }

    #[test]
    fn the_same_again_is_as_expected() {
        let same = worse(|report| report.version = "6.1.0-51-cloud-amd64".to_owned());
        assert!(same.failures.is_empty() && same.notes.is_empty(), "{same:?}");
    }

    #[test]
    fn what_got_worse_is_a_failure() {
        type Change = fn(&mut Report);
        fn put(report: &mut Report, outcome: Outcome) {
            report.tests.insert("one".to_owned(), outcome);
        }
        let cases: [(&str, Change); 7] = [
            ("intercept_in: attaches no more", |report| {
                report.programs.get_mut("intercept_in").into_iter().for_each(|cells| cells.can[1] = false);
            }),
            ("intercept_in: nothing was found", |report| report.programs.retain(|name, _| name != "intercept_in")),
            ("new: new;", |report| report.programs.extend([("new".to_owned(), Cells::default())])),
            ("one: no", |report| put(report, Outcome::Failed("no".to_owned()))),
            ("one did not run", |report| put(report, Outcome::Ignored(String::new()))),
            ("did not end", |report| report.cut_short = Some("panic".to_owned())),
            ("6.6: not in the file", |report| "6.6".clone_into(&mut report.series)),
        ];
        for (expected, change) in cases {
            let comparison = worse(change);
            assert!(comparison.failures.len() == 1 && comparison.failures[0].contains(expected), "{comparison:?}");
        }
    }

    #[test]
    fn growth_is_told() {
        let grown = |count| {
            let comparison = worse(move |report| {
                report.programs.get_mut("intercept_in").into_iter().for_each(|cells| cells.counts[1] = Some(count));
            });
            comparison.notes.len()
        };
        assert_eq!((grown(50_000), grown(55_000), grown(55_001), grown(40_000)), (0, 0, 1, 0));
    }
}
