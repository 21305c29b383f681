//! Time in each kernel program, by the kernel's own statistics.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, bail};

use super::{
    Scale,
    lab::{Lab, Wire},
    report::Section,
};

const SWITCH: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// The kernel measures programs while it lives.
struct Statistics(String);

impl Statistics {
    fn on() -> Result<Self> {
        let before = fs::read_to_string(SWITCH).with_context(|| format!("{SWITCH} (Linux 5.1 has it)"))?;
        fs::write(SWITCH, "1").with_context(|| format!("cannot write {SWITCH}"))?;
        Ok(Self(before))
    }
}

impl Drop for Statistics {
    fn drop(&mut self) {
        fs::write(SWITCH, self.0.trim()).ok();
    }
}

#[derive(Debug, PartialEq)]
struct Program {
    id: u64,
    name: String,
    kind: String,
    runs: u64,
    nanos: u64,
}

pub(super) fn run(binary: &Path, scale: &Scale) -> Result<Section> {
    let lab = Lab::new(Wire::Veth, 1)?;
    let _statistics = Statistics::on()?;
    let before = programs()?;
    let interceptor = lab.interceptor(binary, &[])?;
    let mut command = lab.load_client()?;
    command.args(["load", "--connections", "16", "--rate", "2000", "--address", lab.address()]);
    command.args(["--seconds", &scale.seconds.to_string()]);
    let output = command.output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let report = super::load::Report::parse(&String::from_utf8_lossy(&output.stdout))?;
    let new = |program: &Program| before.iter().all(|old| old.id != program.id) && program.runs > 0;
    let programs: Vec<_> = programs()?.into_iter().filter(new).collect();
    interceptor.running.stop();
    if programs.is_empty() {
        bail!("no program of the interceptor ran");
    }
    let total: u64 = programs.iter().map(|program| program.nanos).sum();
    let mut section = Section::new("micro", "Kernel programs");
    section.paragraph(&format!(
        "Two namespaces joined by veth, 2,000 requests a second for {} s. All programs together: {:.0} ns an exchange \
         (measuring included, which is some 20 ns a run).",
        scale.seconds,
        total as f64 / report.completed
    ));
    let row = |program: &Program| {
        [
            program.name.clone(),
            program.kind.clone(),
            format!("{:.1}", program.runs as f64 / report.completed),
            format!("{:.0}", program.nanos as f64 / program.runs as f64),
        ]
    };
    section.table(["program", "kind", "runs an exchange", "ns a run"], &programs.iter().map(row).collect::<Vec<_>>());
    Ok(section)
}

fn programs() -> Result<Vec<Program>> {
    let output = Command::new("bpftool").args(["--json", "prog", "show"]).output().context("cannot start bpftool")?;
    parse(&output.stdout)
}

fn parse(json: &[u8]) -> Result<Vec<Program>> {
    let list: Vec<serde_json::Value> = serde_json::from_slice(json).context("bpftool's list of programs")?;
    let number = |program: &serde_json::Value, field: &str| program[field].as_u64().unwrap_or_default();
    let text = |program: &serde_json::Value, field: &str| program[field].as_str().unwrap_or("?").to_owned();
    let program = |program: &serde_json::Value| Program {
        id: number(program, "id"),
        name: text(program, "name"),
        kind: text(program, "type"),
        runs: number(program, "run_cnt"),
        nanos: number(program, "run_time_ns"),
    };
    Ok(list.iter().map(program).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_that_never_ran_have_no_counters() {
        let json = br#"[{"id":7,"type":"sched_cls","name":"ingress","run_time_ns":300,"run_cnt":3},{"id":8,"type":"sock_ops"}]"#;
        let programs = parse(json).unwrap();
        assert_eq!(
            programs[0],
            Program { id: 7, name: "ingress".into(), kind: "sched_cls".into(), runs: 3, nanos: 300 }
        );
        assert_eq!((programs[1].runs, programs[1].name.as_str()), (0, "?"));
    }
}
