//! A program that the verifier refuses: what is said, and that the others go on.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Command};

use anyhow::{Context as _, ensure};
use interceptor::kernel::features::release;
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, read::elf::ElfFile64};
use tempfile::TempDir;

use crate::{Test, bed::binary, program::Running};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        ("a_refusal_is_told_in_one_line_and_then_in_full", told),
        ("what_is_refused_switches_off_only_what_depends_on_it", others_go_on),
        ("the_doctor_shows_the_log_of_a_refusal", doctor),
    ]
}

/// `r0 = r9`, first in a program, where r9 was never written: no verifier lets that pass.
const BROKEN: [u8; 8] = [0xbf, 0x90, 0, 0, 0, 0, 0, 0];
/// What verifiers say of it.
const SAID: &str = "R9 !read_ok";

/// A copy of the interceptor in whose kernel object the first instruction of some programs is broken.
struct Broken {
    directory: TempDir,
}

impl Broken {
    fn new(programs: &[&str]) -> anyhow::Result<Self> {
        let mut binary = fs::read(binary())?;
        let start = embedded(&binary)?;
        let mut places = Vec::new();
        let elf = ElfFile64::<object::LittleEndian>::parse(&binary[start..])?;
        for program in programs {
            let symbol = elf.symbols().find(|symbol| symbol.name() == Ok(*program)).context("no such program")?;
            let section = elf.section_by_index(symbol.section_index().context("no section")?)?;
            let (offset, _) = section.file_range().context("no bytes")?;
            places.push(start + (offset + symbol.address()) as usize);
        }
        for place in places {
            binary[place..place + BROKEN.len()].copy_from_slice(&BROKEN);
        }
        let broken = Self { directory: tempfile::tempdir()? };
        fs::write(broken.path(), binary)?;
        fs::set_permissions(broken.path(), fs::Permissions::from_mode(0o755))?;
        Ok(broken)
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("interceptor")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.path());
        command.args(arguments).env_remove("INTERCEPTOR_LOG_LEVEL");
        command
    }
}

/// Where in the program's file the kernel object begins: the ELF file for BPF in it.
fn embedded(binary: &[u8]) -> anyhow::Result<usize> {
    const MAGIC: &[u8] = b"\x7fELF\x02\x01\x01";
    const EM_BPF: [u8; 2] = [247, 0];
    let is_object = |start: &usize| {
        let at = &binary[*start..];
        at.starts_with(MAGIC) && at.get(18..20) == Some(&EM_BPF)
    };
    // It is aligned, and the linker keeps that.
    (0..binary.len()).step_by(8).find(is_object).context("the program has no kernel object in it")
}

/// The error in one line, the log below it, line by line.
fn check(stderr: &str, program: &str) -> anyhow::Result<()> {
    let lines: Vec<&str> = stderr.lines().collect();
    let refused = format!("Linux {} refused the program {program}: ", release());
    let told = lines.iter().position(|line| line.contains(&refused) && line.ends_with(SAID));
    let after = lines.get(told.context(refused)?..).unwrap_or_default();
    let log = after.iter().position(|line| line.contains("the verifier's log")).context("no log")?;
    let end = after[log..].iter().position(|line| line.starts_with("processed ")).context("the log is cut")?;
    ensure!(after[log..log + end].contains(&SAID), "the log's last words are no line of their own: {stderr}");
    Ok(())
}

fn told() -> anyhow::Result<()> {
    let broken = Broken::new(&["intercept_out"])?;
    for arguments in [
        &["tail", "--iface", "lo", "--port", "9"][..],
        &["run", "--metrics-address", "127.0.0.1:0", "--capture-interfaces", "lo"],
    ] {
        let output = broken.command(arguments).output()?;
        let stderr = String::from_utf8(output.stderr)?;
        ensure!(output.status.code() == Some(1), "{:?}: {stderr}", output.status);
        check(&stderr, "intercept_out")?;
    }
    Ok(())
}

fn others_go_on() -> anyhow::Result<()> {
    let broken = Broken::new(&["intercept_sock", "intercept_conn6"])?;
    for (arguments, ready) in [
        (&["tail", "--iface", "lo", "--port", "9"][..], "watching by "),
        (&["run", "--metrics-address", "127.0.0.1:0", "--capture-interfaces", "lo"], " capturing"),
    ] {
        let stderr = Running::start(&mut broken.command(arguments), ready)?.end()?;
        // By TCX or by clsact.
        ensure!(
            ["tcx", "clsact"].iter().any(
                |hook| stderr.contains(&format!("{hook} on lo")) || stderr.contains(&format!("attached {hook} lo"))
            ),
            "{stderr}"
        );
        for (hook, program) in [("sock_ops", "intercept_sock"), ("connect", "intercept_conn6")] {
            ensure!(stderr.contains(&format!("{hook} is not available: ")), "{stderr}");
            check(&stderr, program)?;
        }
    }
    Ok(())
}

fn doctor() -> anyhow::Result<()> {
    let broken = Broken::new(&["intercept_sock"])?;
    let output = broken.command(&["doctor"]).output()?;
    ensure!(output.status.success(), "{output:?}");
    check(&String::from_utf8(output.stdout)?, "intercept_sock")?;
    let output = broken.command(&["doctor", "-o", "json"]).output()?;
    let checks: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let checks = checks.as_array().context("no list")?;
    let of = |name: &str| checks.iter().find(|check| check["name"] == name).context("no such check");
    let log = of("sock_ops")?["log"].as_str().context("no log")?;
    ensure!(log.lines().any(|line| line == SAID) && log.lines().count() > 3, "{log}");
    for name in ["TC", "cgroup_skb", "connect"] {
        ensure!(of(name)?["status"] == "ok" && of(name)?["log"].is_null(), "{}", of(name)?);
    }
    Ok(())
}
