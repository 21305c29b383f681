//! `interceptor demo` ends by itself, adds up, and leaves nothing.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, ensure};
use interceptor::kernel::cgroup;
use interceptor_tests::{Case, Ended, Need, Process, check, interceptor};
use nix::{sys::signal::Signal, unistd::Pid};

const SOON: Duration = Duration::from_secs(40);

pub(crate) fn cases() -> Vec<Case> {
    let root = &[Need::Root];
    vec![
        Case::new("demo::runs_to_its_end_and_adds_up", root, runs_to_its_end_and_adds_up),
        Case::new("demo::ctrl_c_ends_a_held_one_in_order", root, ctrl_c_ends_a_held_one_in_order),
        Case::new("demo::what_sigkill_leaves_the_next_removes", root, what_sigkill_leaves_the_next_removes),
    ]
}

fn start(arguments: &[&str]) -> Result<Process> {
    Process::start(interceptor()?.arg("demo").args(arguments))
}

/// Names in the network namespaces and cgroups that belong to a demo.
fn remains(pid: Pid) -> Result<Vec<String>> {
    let prefix = format!("interceptor-demo-{pid}-");
    let cgroups = cgroup::mount().context("no cgroup v2")?;
    let names = ["/run/netns".into(), cgroups].map(fs::read_dir).into_iter().flatten().flatten().flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    Ok(names.filter(|name| name.starts_with(&prefix)).collect())
}

fn adds_up(text: &[String]) -> Result<()> {
    for what in
        ["balanced: carried = captured + skipped + lost", "the same, status by status", "tcp      round trip p50"]
    {
        ensure!(text.iter().any(|line| line.contains(what)), "no {what:?} in\n{}", text.join("\n"));
    }
    Ok(())
}

fn runs_to_its_end_and_adds_up() -> Result<()> {
    // Two, to see that they do not collide.
    let (text, json) = (start(&["--duration", "4"])?, start(&["--duration", "4", "-o", "json"])?);
    let pids = [text.pid(), json.pid()];
    let text = text.end(SOON)?.success()?;
    adds_up(&text.stdout)?;
    ensure!(text.stdout.iter().any(|line| line.contains("/v2/models/iris/infer")), "{text:?}");
    let Ended { stdout, stderr, .. } = json.end(SOON)?.success()?;
    adds_up(&stderr)?;
    let exchanges = check(&stdout)?;
    ensure!(exchanges.len() > 10, "{}", exchanges.len());
    ensure!(exchanges.iter().all(|exchange| exchange["complete"] == true), "{exchanges:?}");
    // Its processes start as `/proc/self/exe`, which would tell nobody anything.
    ensure!(exchanges.iter().all(|exchange| exchange["process.command"] == "demo-client"), "{exchanges:?}");
    for pid in pids {
        ensure!(remains(pid)?.is_empty(), "{:?}", remains(pid)?);
    }
    Ok(())
}

fn ctrl_c_ends_a_held_one_in_order() -> Result<()> {
    let demo = start(&["--hold"])?;
    let pid = demo.pid();
    demo.wait_stdout(SOON, |lines| lines.iter().any(|line| line.contains("/v2/models/iris")).then_some(()))?;
    demo.wait_stdout(SOON, |lines| (lines.len() > 20).then_some(()))?;
    ensure!(!remains(pid)?.is_empty());
    let group = cgroup::mount().context("no cgroup v2")?.join(format!("interceptor-demo-{pid}-0"));
    for (pod, name, role) in [("server", "model-server", "serve"), ("client", "demo-client", "ask")] {
        let process = fs::read_to_string(group.join(pod).join("cgroup.procs"))?;
        let says = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", process.trim()));
        ensure!(says("comm")?.trim() == name, "{pod}: {:?}", says("comm")?);
        ensure!(says("cmdline")?.starts_with(&format!("interceptor\0demo\0{role}\0")), "{:?}", says("cmdline")?);
    }
    let ended = demo.stop(Signal::SIGINT, SOON)?.success()?;
    adds_up(&ended.stdout)?;
    ensure!(remains(pid)?.is_empty(), "{:?}", remains(pid)?);
    Ok(())
}

fn what_sigkill_leaves_the_next_removes() -> Result<()> {
    let demo = start(&["--hold"])?;
    let pid = demo.pid();
    demo.wait_stdout(SOON, |lines| (lines.len() > 10).then_some(()))?;
    demo.stop(Signal::SIGKILL, SOON)?;
    start(&["--duration", "0.5"])?.end(SOON)?.success()?;
    ensure!(remains(pid)?.is_empty(), "{:?}", remains(pid)?);
    Ok(())
}
