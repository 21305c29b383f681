//! How it ends, and what it leaves behind: nothing.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use aya::programs::{SchedClassifier, TcAttachType};
use interceptor::demo::pod::Pair;
use interceptor_tests::{Case, Need, Process, Tail, interceptor, until};
use nix::sys::signal::Signal;

use super::{Bed, INTERFACE, NEEDS, curl};

const SOON: Duration = Duration::from_secs(30);

pub(crate) fn cases() -> Vec<Case> {
    let tools = [NEEDS, &[Need::Program("bpftool", "bpftool")]].concat();
    vec![
        Case::new("lifecycle::ctrl_c_leaves_nothing", &tools, || leaves_nothing(Signal::SIGINT)),
        Case::new("lifecycle::sigterm_leaves_nothing", &tools, || leaves_nothing(Signal::SIGTERM)),
        Case::new("lifecycle::sigkill_leaves_nothing_that_matters", &tools, sigkill),
        Case::new("lifecycle::the_end_by_timeout_is_orderly", NEEDS, the_end_by_timeout_is_orderly),
        Case::new("lifecycle::a_count_ends_it", NEEDS, a_count_ends_it),
        Case::new("lifecycle::a_summary_comes_at_the_end", NEEDS, a_summary_comes_at_the_end),
        Case::new("lifecycle::a_broken_pipe_ends_it", NEEDS, a_broken_pipe_ends_it),
        Case::new("lifecycle::a_full_disk_is_an_error", NEEDS, a_full_disk_is_an_error),
        Case::new("lifecycle::a_closed_output_does_no_harm", NEEDS, a_closed_output_does_no_harm),
    ]
}

/// What is attached in the server pod: clsact filters and cgroup programs as bpftool lists them, and TCX programs, which
/// not every bpftool knows (nor every kernel).
pub(crate) fn attached(pods: &Pair) -> Result<(String, String)> {
    let tcx = pods.server.namespace().enter(|| {
        let of = |direction| SchedClassifier::query_tcx(INTERFACE, direction).map_or(0, |(_, programs)| programs.len());
        Ok(of(TcAttachType::Ingress) + of(TcAttachType::Egress))
    })?;
    let list = |arguments: &[&str]| -> Result<String> {
        let mut command = pods.server.command("bpftool")?;
        let output = Process::start(command.args(arguments))?.end(SOON)?.success()?;
        Ok(output.stdout.join("\n"))
    };
    let cgroup = pods.server.cgroup().to_string_lossy().into_owned();
    Ok((format!("{tcx} {}", list(&["-j", "net", "list"])?), list(&["-j", "cgroup", "list", &cgroup])?))
}

/// Captures the pod's interfaces and its cgroup, all hooks that there are.
fn everything(bed: &Bed) -> Result<Tail> {
    let cgroup = bed.pods.server.cgroup().to_string_lossy().into_owned();
    Tail::start(bed.on_veth().into_iter().chain(["--cgroup".to_owned(), cgroup]))
}

fn leaves_nothing(signal: Signal) -> Result<()> {
    let bed = Bed::new()?;
    let before = attached(&bed.pods)?;
    let tail = everything(&bed)?;
    let during = attached(&bed.pods)?;
    ensure!(during.0 != before.0 && during.1 != before.1, "nothing is attached: {during:?}");
    curl(&bed.pods.client, &[&bed.url("/index.html")])?;
    tail.wait(1)?;
    let ended = tail.into_process().stop(signal, SOON)?;
    ensure!(ended.status.success(), "{ended:?}");
    ensure!(attached(&bed.pods)? == before);
    Ok(())
}

fn sigkill() -> Result<()> {
    let bed = Bed::new()?;
    let before = attached(&bed.pods)?;
    everything(&bed)?.into_process().stop(Signal::SIGKILL, SOON)?;
    // What older kernels keep (clsact filters), the next start removes.
    let tail = everything(&bed)?;
    curl(&bed.pods.client, &[&bed.url("/index.html")])?;
    tail.wait(1)?;
    let (exchanges, _) = tail.stop()?;
    ensure!(exchanges.len() == 1, "{exchanges:?}");
    until(SOON, "what was attached to go", || Ok((attached(&bed.pods)? == before).then_some(())))
}

/// `timeout` signals its child and then the group, the child a second time.
fn the_end_by_timeout_is_orderly() -> Result<()> {
    let bed = Bed::new()?;
    for _ in 0..5 {
        let mut command = interceptor()?;
        let child = Process::start(command.args(["tail", "-o", "summary"]).args(bed.on_veth()))?;
        child.wait_stderr(SOON, "watching")?;
        child.signal(Signal::SIGTERM)?;
        thread::sleep(Duration::from_millis(2));
        let ended = child.stop(Signal::SIGTERM, SOON)?.success()?;
        ensure!(ended.stdout.iter().any(|line| line.starts_with("exchanges")), "{ended:?}");
    }
    Ok(())
}

fn a_count_ends_it() -> Result<()> {
    let bed = Bed::new()?;
    let tail = bed.tail(&["-n", "2"])?;
    curl(&bed.pods.client, &[&bed.url("/index.html"), &bed.url("/index.html"), &bed.url("/index.html")])?;
    let ended = tail.into_process().end(SOON)?.success()?;
    ensure!(ended.stdout.len() == 2, "{ended:?}");
    Ok(())
}

fn a_summary_comes_at_the_end() -> Result<()> {
    let bed = Bed::new()?;
    let tail = Process::start(interceptor()?.args(["tail", "-o", "summary"]).args(bed.on_veth()))?;
    tail.wait_stderr(SOON, "watching")?;
    let watching = bed.tail(&[])?;
    curl(&bed.pods.client, &[&bed.url("/index.html"), &bed.url("/missing")])?;
    watching.wait(2)?;
    let ended = tail.stop(Signal::SIGINT, SOON)?.success()?;
    for line in ["exchanges   2, complete 2", "carried ", "set aside   segments: "] {
        ensure!(ended.stdout.iter().any(|found| found.starts_with(line)), "no {line:?}: {ended:?}");
    }
    Ok(())
}

fn a_broken_pipe_ends_it() -> Result<()> {
    let bed = Bed::new()?;
    let mut command = interceptor()?;
    command.arg("tail").args(bed.on_veth()).stdout(Stdio::piped()).stderr(Stdio::piped()).stdin(Stdio::null());
    let mut child = command.spawn()?;
    let mut errors = BufReader::new(child.stderr.take().context("no stderr")?).lines();
    errors.find(|line| line.as_ref().is_ok_and(|line| line.contains("watching"))).context("does not capture")??;
    let mut output = BufReader::new(child.stdout.take().context("no stdout")?);
    curl(&bed.pods.client, &[&bed.url("/index.html")])?;
    let mut line = String::new();
    output.read_line(&mut line)?;
    ensure!(line.contains("/index.html"), "{line}");
    // As `head -1` does.
    drop(output);
    let ended = until(SOON, "its end", || {
        curl(&bed.pods.client, &[&bed.url("/index.html")])?;
        Ok(child.try_wait()?)
    });
    let status = ended.inspect_err(|_| drop(child.kill()))?;
    let errors: Vec<_> = errors.map_while(Result::ok).collect();
    ensure!(status.success(), "{status}: {errors:?}");
    ensure!(!errors.iter().any(|line| line.contains("rror") || line.contains("panic")), "{errors:?}");
    Ok(())
}

fn a_full_disk_is_an_error() -> Result<()> {
    let bed = Bed::new()?;
    let mut command = interceptor()?;
    command.arg("tail").args(bed.on_veth()).stdout(File::options().write(true).open("/dev/full")?);
    command.stderr(Stdio::piped()).stdin(Stdio::null());
    let mut child = command.spawn()?;
    let mut errors = BufReader::new(child.stderr.take().context("no stderr")?).lines();
    errors.find(|line| line.as_ref().is_ok_and(|line| line.contains("watching"))).context("does not capture")??;
    curl(&bed.pods.client, &[&bed.url("/index.html")])?;
    let status = until(SOON, "its end", || Ok(child.try_wait()?)).inspect_err(|_| drop(child.kill()))?;
    let errors: Vec<_> = errors.map_while(Result::ok).collect();
    ensure!(
        status.code() == Some(1) && errors.iter().any(|line| line.contains("No space left")),
        "{status}: {errors:?}"
    );
    Ok(())
}

fn a_closed_output_does_no_harm() -> Result<()> {
    let bed = Bed::new()?;
    let program = interceptor()?;
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$@\" >&-", "sh"]).arg(program.get_program()).arg("tail").args(bed.on_veth());
    let process = Process::start(&mut command)?;
    process.wait_stderr(SOON, "watching")?;
    curl(&bed.pods.client, &[&bed.url("/index.html")])?;
    let ended = process.stop(Signal::SIGINT, SOON)?;
    ensure!(ended.status.code().is_some_and(|code| code < 2), "{ended:?}");
    ensure!(!ended.stderr.iter().any(|line| line.contains("panic")), "{ended:?}");
    Ok(())
}
