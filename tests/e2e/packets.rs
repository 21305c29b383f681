//! Captured packets, in other programs' hands.

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Result, ensure};
use interceptor_tests::{Case, Need, Process, check, interceptor, until};
use nix::sys::signal::Signal;

use super::{Bed, NEEDS, curl};

pub(crate) fn cases() -> Vec<Case> {
    let needs = [NEEDS, &[Need::Program("tshark", "tshark")]].concat();
    vec![Case::new("packets::wireshark_reads_them_live_with_their_processes", &needs, wireshark_reads_them_live)]
}

/// What tshark shows of a field of every packet that has it; nothing where the file is not a whole one yet.
fn tshark(file: &Path, field: &str) -> Result<Vec<String>> {
    let output = Command::new("tshark")
        .args(["-n", "-d", "tcp.port==8080,http", "-T", "fields", "-e", field, "-r"])
        .arg(file)
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

fn wireshark_reads_them_live() -> Result<()> {
    let bed = Bed::new()?;
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("live.pcapng");
    let mut command = Command::new("sh");
    command.args(["-c", r#"exec "$0" tail -o pcapng "$@" > "$FILE""#]).arg(interceptor()?.get_program());
    let cgroup = bed.pods.client.cgroup().to_string_lossy().into_owned();
    let tail = Process::start(command.args(["--cgroup", &cgroup]).env("FILE", &file))?;
    tail.wait_stderr(Duration::from_secs(30), "watching")?;
    curl(&bed.pods.client, &[&bed.url("/index.html"), &bed.url("/missing")])?;
    // While it goes on.
    until(Duration::from_secs(20), "packets in the file", || {
        Ok((tshark(&file, "http.response.code")? == ["200", "404"]).then_some(()))
    })?;
    let comments = tshark(&file, "frame.comment")?;
    let curl = comments.iter().any(|comment| comment.contains("client: curl[") && comment.contains(" cgroup "));
    ensure!(curl, "{comments:?}");
    let ended = tail.stop(Signal::SIGINT, Duration::from_secs(30))?.success()?;
    ensure!(!ended.stderr.iter().any(|line| line.contains("not captured")), "{ended:?}");
    let checksums = tshark(&file, "tcp.checksum.status")?;
    ensure!(!checksums.is_empty() && !checksums.iter().any(|status| status == "0"), "{checksums:?}");

    let mut replay = interceptor()?;
    let replayed = Process::start(replay.args(["replay", "-o", "json"]).arg(&file))?.end(Duration::from_mins(1))?;
    let exchanges = check(&replayed.success()?.stdout)?;
    let paths: Vec<_> = exchanges.iter().filter_map(|exchange| exchange["url.path"].as_str()).collect();
    ensure!(paths == ["/index.html", "/missing"], "{exchanges:?}");
    ensure!(exchanges.iter().all(|exchange| exchange["complete"] == true), "{exchanges:?}");
    Ok(())
}
