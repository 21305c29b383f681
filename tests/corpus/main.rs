//! Replays what real clients and servers said to each other, and compares with what we expect to make of it.
//!
//! `CASE.pcap` (from `record.py`) and `CASE.jsonl` lie side by side. `UPDATE_EXPECT=1` writes the latter anew; then it is
//! for a person to look at the difference. `CASE.log.json` is what the endpoints logged: that is no expectation of ours,
//! and no variable changes it.

mod inference;
mod inline;
mod join;
mod log;
mod map;
mod pii;
mod policies;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use interceptor_tests::{Case, Process, check, interceptor};
use serde_json::Value;

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut cases = Vec::new();
    let mut all = Vec::new();
    for protocol in ["http1", "http2", "grpc", "sse", "websocket", "opaque", "inference", "llm"] {
        let captures = files(&root.join(protocol), "pcap").expect("the corpus is part of the repository");
        all.extend(captures.clone());
        for capture in captures {
            let name = capture.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            cases.push(Case::new(format!("corpus::{protocol}::{name}"), &[], move || replay(&capture)));
        }
    }
    let policies = root.join("../../deploy/policies");
    for policy in files(&policies, "yaml").expect("policies are part of the repository") {
        let (page, captures) =
            (root.join("policies").join(policy.with_extension("txt").file_name().unwrap_or_default()), all.clone());
        let name = policy.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let said = move || expect(&page, &policies::page(&policy, &captures)?);
        cases.push(Case::new(format!("corpus::policies::{name}"), &[], said));
    }
    let (captures, rules) = (all.clone(), files(&policies, "yaml").expect("policies are part of the repository"));
    cases.push(Case::new("corpus::inline", &[], move || inline::compare_all(&captures, &rules)));
    let pii = root.clone();
    cases.push(Case::new("corpus::pii", &[], move || {
        expect(&pii.join("../../docs/pii.md"), &pii::page(&pii.join("pii/labelled.jsonl"))?)
    }));
    let maps = root.join("map");
    for capture in MAPPED {
        let (page, capture) = (maps.join(capture.replace('/', "_") + ".txt"), root.join(format!("{capture}.pcap")));
        let name = page.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let drawn = move || expect(&page, &map::page(&capture)?);
        cases.push(Case::new(format!("corpus::map::{name}"), &[], drawn));
    }
    cases.push(Case::new("corpus::join_late", &[], move || join_late(&root)));
    interceptor_tests::run(cases)
}

/// Captures of which the map is drawn, in each format.
const MAPPED: [&str; 4] = ["llm/openai", "grpc/errors", "inference/mlserver_rest", "opaque/redis"];

/// Those with this extension, in the order of their names.
fn files(directory: &Path, extension: &str) -> std::io::Result<Vec<PathBuf>> {
    let files = fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    let mut files: Vec<_> =
        files.into_iter().filter(|path| path.extension().is_some_and(|end| end == extension)).collect();
    files.sort();
    Ok(files)
}

/// Our JSON lines.
fn lines(capture: &Path, body: &str) -> Result<Vec<String>> {
    let mut command = interceptor()?;
    command.args(["replay", "-o", "json", "--headers", body]).arg(capture);
    Ok(Process::start(&mut command)?.end(Duration::from_secs(20))?.success()?.stdout)
}

fn replay(capture: &Path) -> Result<()> {
    let found = lines(capture, "--body=2KiB")?;
    check(&found)?;
    ensure!(!found.is_empty(), "nothing in {}", capture.display());
    let log = capture.with_extension("log.json");
    if log.exists() {
        let log: Vec<Value> = serde_json::from_slice(&fs::read(log)?)?;
        log::compare(&log, &check(&lines(capture, "--body=1MiB")?)?)?;
        if capture.parent().is_some_and(|directory| directory.ends_with("inference")) {
            inference::compare(capture, &log)?;
        }
    }
    expect(&capture.with_extension("jsonl"), &(found.join("\n") + "\n"))
}

/// Writes, or compares, what joining late costs.
fn join_late(root: &Path) -> Result<()> {
    let captures = files(&root.join("grpc"), "pcap")?;
    let mut page = LATE_JOIN.to_owned();
    for capture in captures {
        page.push_str(&join::measure(&capture).with_context(|| capture.display().to_string())?);
        page.push('\n');
    }
    expect(&root.join("../../docs/late-join.md"), &page)
}

const LATE_JOIN: &str = "\
# Joining a gRPC connection late

Fields of HTTP/2 heads refer to what was sent before (HPACK, RFC 7541), so of a connection that is older than the capture the
first calls may lack a method and a path; streams, sizes and messages are known at once, and a status as soon as the field
that tells it is. How long that lasts depends on the client. Here each capture of `tests/corpus/grpc` was joined at each of its packets, and counted
is how many later calls pass until one has both. `UPDATE_EXPECT=1 cargo xtask test join_late` writes this page.

| capture | client | calls | joins | calls until named, median | at the most | never, to the end of the capture | later calls, each found whole |
|---|---|---|---|---|---|---|---|
";

/// What lies in the file is what was found.
fn expect(expectation: &Path, found: &str) -> Result<()> {
    if env::var_os("UPDATE_EXPECT").is_some() {
        return fs::write(expectation, found).with_context(|| format!("cannot write {}", expectation.display()));
    }
    let expected = fs::read_to_string(expectation)
        .with_context(|| format!("cannot read {} (UPDATE_EXPECT=1 writes it)", expectation.display()))?;
    if expected != found {
        let (at, (old, new)) = expected
            .lines()
            .zip(found.lines())
            .enumerate()
            .find(|(_, (old, new))| old != new)
            .unwrap_or((expected.lines().count().min(found.lines().count()), ("(nothing)", "(more, or fewer)")));
        bail!("line {} differs (UPDATE_EXPECT=1 accepts it)\nexpected {old}\n   found {new}", at + 1);
    }
    Ok(())
}
