//! What goes wrong is said in one line, with the right exit code.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    process::Command,
    time::Duration,
};

use anyhow::{Result, ensure};
use interceptor_tests::{Case, Ended, Need, Process, interceptor};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(20);

pub(crate) fn cases() -> Vec<Case> {
    let root = &[Need::Root];
    vec![
        Case::new("errors::missing_places_are_named", root, missing_places_are_named),
        Case::new("errors::without_privileges", root, without_privileges),
        Case::new("errors::the_doctor_names_what_is_missing", root, the_doctor_names_what_is_missing),
        Case::new("errors::files_that_are_no_captures", &[], files_that_are_no_captures),
        Case::new("errors::wrong_usage_is_2", &[], wrong_usage_is_2),
        Case::new("errors::wrong_configuration_is_2", &[], wrong_configuration_is_2),
    ]
}

fn interceptor_with(arguments: &[&str]) -> Result<Ended> {
    Process::start(interceptor()?.args(arguments))?.end(SOON)
}

/// Exit code 1, nothing on standard output, one line that names what is wrong.
fn fails_saying(ended: &Ended, what: &str) -> Result<()> {
    ensure!(ended.status.code() == Some(1) && ended.stdout.is_empty(), "{ended:?}");
    ensure!(ended.stderr.len() == 1 && ended.stderr[0].contains(what), "not one line with {what:?}: {ended:?}");
    Ok(())
}

fn missing_places_are_named() -> Result<()> {
    for (arguments, what) in [
        (&["tail", "--iface", "nosuch0"][..], "nosuch0"),
        (&["tail", "--netns", "no-such-namespace"], "no-such-namespace"),
        (&["tail", "--netns", "/etc/passwd"], "/etc/passwd"),
        (&["tail", "--cgroup", "no/such/cgroup"], "no/such/cgroup"),
        (&["tail", "--pid", "4194303"], "4194303"),
    ] {
        fails_saying(&interceptor_with(arguments)?, what)?;
    }
    Ok(())
}

fn without_privileges() -> Result<()> {
    fails_saying(&as_nobody(&["tail", "--iface", "lo"])?, "root")?;
    fails_saying(&as_nobody(&["demo"])?, "root")?;
    // What needs none works.
    as_nobody(&["--version"])?.success()?;
    Ok(())
}

fn as_nobody(arguments: &[&str]) -> Result<Ended> {
    // The build directory may be out of nobody's reach.
    let directory = tempfile::tempdir()?;
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
    let program = directory.path().join("interceptor");
    // Not by us: what another test starts meanwhile would hold the file open for writing, and it could not be started.
    Process::start(Command::new("cp").arg(interceptor()?.get_program()).arg(&program))?.end(SOON)?.success()?;
    let mut command = Command::new(&program);
    Process::start(command.args(arguments).uid(65534).gid(65534).current_dir("/"))?.end(SOON)
}

fn the_doctor_names_what_is_missing() -> Result<()> {
    let missing = |ended: &Ended| -> Result<Vec<Value>> {
        let checks: Vec<Value> = serde_json::from_str(&ended.stdout.join("\n"))?;
        ensure!(checks.len() >= 8, "{checks:?}");
        Ok(checks.into_iter().filter(|check| check["status"] == "missing").collect())
    };
    // As root everything was captured already, by the tests.
    let root = interceptor_with(&["doctor", "-o", "json"])?.success()?;
    // Which tools were picked to build it.
    ensure!(root.stdout.iter().any(|line| line.contains("\"made by ")), "{root:?}");
    ensure!(missing(&root)?.is_empty(), "{root:?}");
    let nobody = as_nobody(&["doctor", "-o", "json"])?;
    ensure!(nobody.status.code() == Some(1) && nobody.stderr.len() == 1, "{nobody:?}");
    let missing = missing(&nobody)?;
    ensure!(missing.iter().any(|check| check["name"] == "capabilities"), "{missing:?}");
    for check in &missing {
        ensure!(
            check["fix"].is_string() && nobody.stderr[0].contains(check["name"].as_str().unwrap_or("?")),
            "{check}"
        );
    }
    Ok(())
}

fn files_that_are_no_captures() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let path = |name: &str| directory.path().join(name).to_string_lossy().into_owned();
    fs::write(path("text"), "This is not a capture file, it only looks like one to nobody.\n")?;
    fs::write(path("empty"), "")?;
    // Magic number of gzip, then nonsense.
    fs::write(path("broken.gz"), [0x1f, 0x8b, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8])?;
    for name in ["text", "empty", "broken.gz", "missing"] {
        fails_saying(&interceptor_with(&["replay", &path(name)])?, name)?;
    }
    fails_saying(
        &interceptor_with(&["replay", &directory.path().to_string_lossy()])?,
        &directory.path().to_string_lossy(),
    )
}

fn wrong_usage_is_2() -> Result<()> {
    for (arguments, what) in [
        (&[][..], "Usage"),
        (&["tial"], "tail"),
        (&["tail", "--pot", "80"], "--port"),
        (&["tail", "--port", "http"], "http"),
        (&["replay"], "FILE"),
        (&["demo", "--duration", "0"], "0.1 to 3600"),
    ] {
        let ended = interceptor_with(arguments)?;
        ensure!(ended.status.code() == Some(2) && ended.stdout.is_empty(), "{arguments:?}: {ended:?}");
        ensure!(ended.stderr.iter().any(|line| line.contains(what)), "{arguments:?}: {ended:?}");
    }
    Ok(())
}

fn wrong_configuration_is_2() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("interceptor.yaml");
    let path = file.to_string_lossy();
    fs::write(&file, "capture:\n  interfcaes: [eth0]\n")?;
    let ended = interceptor_with(&["run", "--config", &path])?;
    ensure!(ended.status.code() == Some(2), "{ended:?}");
    let text = ended.stderr.join("\n");
    for what in [&*path, "2:3", "interfcaes", "interfaces"] {
        ensure!(text.contains(what), "no {what:?} in {text}");
    }
    Ok(())
}
