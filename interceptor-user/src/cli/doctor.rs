//! `interceptor doctor`: what this machine has of what we need.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use anyhow::ensure;
use clap::ValueEnum;
use serde::Serialize;

use super::output::Color;
use crate::kernel::checks::{self, Check, Status};

const AFTER_HELP: &str = "\
Each check is made by trying, where trying is harmless: the programs are loaded for a moment, \
and none is attached. 'missing' means that nothing can be captured; 'warn' that something works less well, and what.

Examples:
  interceptor doctor
  sudo interceptor doctor -o json | jq '.[] | select(.status != \"ok\")'

Exit codes: 0 it can capture, 1 something essential is missing, 2 the command line is wrong.";

/// Arguments of `interceptor doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// A table for people, or a JSON array of checks
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
    /// When to use colours; auto: on a terminal, unless NO_COLOR is set
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    color: Color,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Format {
    #[default]
    Text,
    Json,
}

/// Prints the checks.
pub fn execute(args: &Args) -> anyhow::Result<()> {
    let checks = checks::probe();
    let mut out = io::stdout().lock();
    match args.output {
        Format::Json => json(&mut out, &checks)?,
        Format::Text => table(&mut out, &checks, args.color.applies(&io::stdout()))?,
    }
    let missing: Vec<&str> =
        checks.iter().filter(|check| check.status == Status::Missing).map(|check| check.name).collect();
    ensure!(missing.is_empty(), "cannot capture here, missing: {}; see above for what to do", missing.join(", "));
    Ok(())
}

/// As in the output.
const fn name(status: Status) -> &'static str {
    match status {
        Status::Good => "ok",
        Status::Limited => "warn",
        Status::Missing => "missing",
    }
}

fn table(out: &mut impl Write, checks: &[Check], colour: bool) -> io::Result<()> {
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    for check in checks {
        let style = match check.status {
            _ if !colour => Style::new(),
            Status::Good => AnsiColor::Green.on_default(),
            Status::Limited => AnsiColor::Yellow.on_default(),
            Status::Missing => AnsiColor::Red.on_default().bold(),
        };
        let Check { name: what, status, found, consequence, fix, log } = check;
        let status = format!("[{}]", name(*status));
        writeln!(out, "{style}{status:9}{style:#} {what:width$}  {found}")?;
        for (label, text) in [("so", consequence), ("fix", fix)] {
            if !text.is_empty() {
                writeln!(out, "{:9} {:width$}  {label}: {text}", "", "")?;
            }
        }
        // As the kernel wrote it: its lines are long, and people paste them.
        if !log.is_empty() {
            writeln!(out, "{:9} {:width$}  the verifier's log:\n{log}", "", "")?;
        }
    }
    Ok(())
}

#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    status: &'a str,
    found: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    consequence: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    fix: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    log: &'a str,
}

fn json(out: &mut impl Write, checks: &[Check]) -> anyhow::Result<()> {
    let lines = checks.iter().map(|check| Line {
        name: check.name,
        status: name(check.status),
        found: &check.found,
        consequence: check.consequence,
        fix: check.fix,
        log: &check.log,
    });
    let text = serde_json::to_string_pretty(&lines.collect::<Vec<_>>())?;
    Ok(writeln!(out, "{text}")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checks() -> [Check; 4] {
        let check = |name, status, found: &str, consequence, fix| Check {
            name,
            status,
            found: found.to_owned(),
            consequence,
            fix,
            log: String::new(),
        };
        let refused = check("sock_ops", Status::Limited, "refused", "no kernel counters", "use Linux 5.10 or later");
        [
            check("kernel", Status::Good, "6.18.5", "", ""),
            check("TCX", Status::Limited, "not here", "clsact filters are used", "use Linux 6.6 or later"),
            check("capabilities", Status::Missing, "none", "nothing can be captured", "run as root"),
            Check { log: "0: (bf) r0 = r9\nR9 !read_ok".to_owned(), ..refused },
        ]
    }

    #[test]
    fn a_table_for_people() {
        let shown = |colour| {
            let mut out = Vec::new();
            table(&mut out, &checks(), colour).expect("written");
            String::from_utf8(out).expect("UTF-8")
        };
        insta::assert_snapshot!(shown(false));
        assert_eq!(anstream::adapter::strip_str(&shown(true)).to_string(), shown(false));
    }

    #[test]
    fn an_array_for_programs() {
        let mut out = Vec::new();
        json(&mut out, &checks()).expect("written");
        let checks: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
        assert_eq!(checks[0], serde_json::json!({ "name": "kernel", "status": "ok", "found": "6.18.5" }));
        assert_eq!(checks[3]["log"], "0: (bf) r0 = r9\nR9 !read_ok");
        assert_eq!((&checks[1]["status"], &checks[2]["status"]), (&"warn".into(), &"missing".into()));
    }
}
