//! Streamed answers and many streams, across pods.

use std::{fs, net::TcpStream, time::Duration};

use anyhow::{Context as _, Result, ensure};
use interceptor::demo::pod::{INTERFACE, Pair};
use interceptor_tests::{Case, Need, PODS, Process, check, interceptor, until};
use nix::sys::signal::Signal;

use super::curl;

const EVENTS: &[Need] = &[Need::Root, Need::Program("/usr/bin/python3", "python3"), Need::Program("curl", "curl")];
const STREAMS: &[Need] =
    &[Need::Root, Need::Program("nghttpd", "nghttp2-server"), Need::Program("h2load", "nghttp2-client")];
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/e2e/peers/events.py");
const SOON: Duration = Duration::from_mins(1);

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("stream::events_have_the_time_at_which_they_were_sent", EVENTS, events),
        Case::new("stream::a_hundred_thousand_streams_take_no_more_memory", STREAMS, streams),
    ]
}

/// Compressed as a whole, and flushed one by one: each is there as soon as its bytes are.
fn events() -> Result<()> {
    let pods = Pair::create(PODS)?;
    let address = pods.server.ipv4.to_string();
    let server = Process::start(pods.server.command("/usr/bin/python3")?.args([SCRIPT, &address, "8080"]))?;
    server.wait_stdout(SOON, |lines| lines.iter().any(|line| line == "listening").then_some(()))?;
    let place = ["--netns", pods.server.name(), "--iface", INTERFACE, "--body=64KiB", "--messages"];
    let tail = Process::start(interceptor()?.args(["tail", "-o", "json"]).args(place))?;
    tail.wait_stderr(SOON, "watching")?;
    curl(&pods.client, &["-N", &format!("http://{address}:8080/")])?;
    let lines = tail.wait_stdout(SOON, |lines| {
        lines.iter().any(|line| line.contains("\"interceptor.response.message.count\"")).then(|| lines.to_vec())
    })?;
    tail.stop(Signal::SIGINT, SOON)?;
    let lines = check(&lines)?;
    // Each was told before the exchange was over.
    let (messages, exchange) = lines.split_at(lines.len() - 1);
    ensure!(messages.len() == 10 && exchange[0]["complete"] == true, "{lines:#?}");
    ensure!(exchange[0]["interceptor.response.message.count"] == 10, "{exchange:#?}");
    for message in messages {
        let content = message["interceptor.message.content"].as_str().context("no text")?;
        let sent: i128 = content.lines().find_map(|line| line.strip_prefix("data: ")).context("no data")?.parse()?;
        let seen: jiff::Timestamp = message["timestamp"].as_str().context("no time")?.parse()?;
        let late = seen.as_nanosecond() - sent;
        // What lies between is a compression and a write; the next event is 50 ms away.
        ensure!((0..25_000_000).contains(&late), "seen {late} ns after it was sent: {message}");
    }
    Ok(())
}

fn streams() -> Result<()> {
    const COUNT: &str = "100000";
    let pods = Pair::create(PODS)?;
    let files = tempfile::tempdir()?;
    fs::write(files.path().join("small"), "x".repeat(300))?;
    let root = files.path().display().to_string();
    let address = pods.server.ipv4.to_string();
    let mut server = pods.server.command("nghttpd")?;
    let _server = Process::start(server.args(["--no-tls", "-a", &address, "-d", &root, "8080"]))?;
    let connect = || TcpStream::connect((pods.server.ipv4, 8080));
    until(SOON, "nghttpd", || Ok(pods.server.namespace().enter(|| Ok(connect()))?.ok()))?;
    let place = ["--netns", pods.server.name(), "--iface", INTERFACE, "--ring-size", "64MiB"];
    let tail = Process::start(interceptor()?.args(["tail", "-o", "summary"]).args(place))?;
    tail.wait_stderr(SOON, "watching")?;
    let mut load = pods.client.command("h2load")?;
    load.args(["-n", COUNT, "-c", "1", "-m", "100", "--rps", "25000", &format!("http://{address}:8080/small")]);
    let load = Process::start(&mut load)?.end(SOON)?.success()?;
    let told = load.stdout.iter().find(|line| line.starts_with("requests:")).context("h2load tells nothing")?;
    ensure!(told.contains(&format!("{COUNT} succeeded")), "{told}");
    std::thread::sleep(Duration::from_millis(500));
    let kept = tail.anonymous_kib()?;
    let ended = tail.stop(Signal::SIGINT, SOON)?;
    let exchanges = ended.stdout.iter().find(|line| line.starts_with("exchanges")).context("no summary")?;
    ensure!(exchanges.contains(&format!("{COUNT}, complete {COUNT}")), "{:#?}", ended.stdout);
    ensure!(kept < 24 * 1024, "{kept} KiB of memory of its own");
    Ok(())
}
