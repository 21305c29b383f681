//! Much at once: large bodies, many connections.

use std::{
    fs::{self, File},
    io::Read as _,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use interceptor_tests::{Case, Connection, Nginx};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::Value;

use super::{Bed, NEEDS, curl};

/// Size of a large body.
const LARGE: usize = 64 << 20;
const CONNECTIONS: usize = 1000;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("volume::large_bodies_are_exact_to_the_byte", NEEDS, large_bodies_are_exact_to_the_byte),
        Case::new("volume::a_thousand_connections_at_once", NEEDS, a_thousand_connections_at_once),
    ]
}

fn large_bodies_are_exact_to_the_byte() -> Result<()> {
    let bed = Bed::new()?;
    let mut bytes = vec![0; LARGE];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let file = bed.nginx.files().join("large");
    fs::write(&file, &bytes)?;
    let tail = bed.tail(&["--body=64MiB", "--ring-size", "512MiB"])?;
    let received = bed.nginx.files().join("received");
    curl(&bed.pods.client, &["-o", &received.to_string_lossy(), &bed.url("/large")])?;
    curl(&bed.pods.client, &["-T", &file.to_string_lossy(), &bed.url("/upload/large")])?;
    ensure!(fs::read(&received)? == bytes && fs::read(bed.nginx.files().join("upload/large"))? == bytes);
    tail.process().wait_stdout(Duration::from_mins(1), |lines| (lines.len() == 2).then_some(()))?;
    let (exchanges, _) = tail.stop()?;
    let [download, upload] = &exchanges[..] else { anyhow::bail!("{} exchanges", exchanges.len()) };
    for (exchange, side) in [(download, "response"), (upload, "request")] {
        ensure!(exchange["complete"] == true, "{side}: {:?}", exchange["anomalies"]);
        ensure!(exchange[format!("http.{side}.body.size")] == LARGE);
        ensure!(content(exchange, side)? == bytes, "{side}: other bytes than those that were sent");
    }
    Ok(())
}

fn content(exchange: &Value, side: &str) -> Result<Vec<u8>> {
    let key = |last: &str| format!("interceptor.{side}.body.{last}");
    ensure!(exchange[key("encoding")] == "base64", "{}", exchange[key("encoding")]);
    Ok(STANDARD.decode(exchange[key("content")].as_str().context("no content")?)?)
}

fn a_thousand_connections_at_once() -> Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(hard.min(4096)), hard)?;
    let bed = Bed::new()?;
    let tail = bed.tail(&["--ring-size", "64MiB"])?;
    let server = (bed.pods.server.ipv4, Nginx::PORT);
    let connections = bed
        .pods
        .client
        .namespace()
        .enter(|| Ok((0..CONNECTIONS).map(|_| Connection::open(server)).collect::<Result<Vec<_>>>()))?;
    let mut connections = connections?;
    // All ask before the first is answered: all are open, and each has a request under way.
    for _ in 0..2 {
        for (number, connection) in connections.iter_mut().enumerate() {
            connection.ask(&format!("/index.html?connection={number}"))?;
        }
        for connection in &mut connections {
            let answer = connection.answer()?;
            ensure!(answer.status == 200 && answer.body == Nginx::INDEX.as_bytes());
        }
    }
    drop(connections);
    tail.wait(2 * CONNECTIONS)?;
    let (exchanges, _) = tail.stop()?;
    ensure!(exchanges.len() == 2 * CONNECTIONS, "{}", exchanges.len());
    ensure!(
        exchanges.iter().all(|exchange| exchange["complete"] == true && exchange["http.response.status_code"] == 200)
    );
    let mut flows: Vec<_> = exchanges.iter().filter_map(|exchange| exchange["interceptor.flow.id"].as_u64()).collect();
    flows.sort_unstable();
    flows.dedup();
    ensure!(flows.len() == CONNECTIONS, "{} flows", flows.len());
    Ok(())
}
