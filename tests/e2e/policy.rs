//! Policies in force: read anew under load, seen in lines and metrics, and what they save.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use interceptor_tests::{Case, Connection, Daemon, Metrics, Nginx, check, until};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::{Bed, NEEDS, curl, ledger::wait_for_ended};

const SOON: Duration = Duration::from_secs(20);
const LARGE: u64 = 8 << 20;
/// Fits into the ring, however late it is read.
const WANTED: u64 = 1 << 20;
/// Between requests under normal load: what a busy machine loses is no loss of the reload's.
const NORMAL: Duration = Duration::from_millis(1);
/// Under full load; the daemon looks once a second.
const RELOADS: u32 = 6;
/// A ring for what is carried meanwhile, even if most of it is read late.
const ROOM: &str = "256MiB";
/// What waits in it is read by then.
const LATE: Duration = Duration::from_mins(3);
/// KiB that memory may differ by: connections come and go.
const FLAT: u64 = 4 << 10;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("policy::is_read_anew_under_load_and_loses_nothing", NEEDS, reload),
        Case::new("policy::read_anew_under_full_load_costs_no_exchange", NEEDS, full_load),
        Case::new("policy::a_bad_one_is_refused_and_the_old_one_stays", NEEDS, refused),
        Case::new("policy::lines_on_stdout_have_verdicts_and_no_values", NEEDS, lines),
        Case::new("policy::a_full_disk_holds_up_the_lines_only", NEEDS, full),
        Case::new("policy::bodies_that_no_rule_wants_are_skipped", NEEDS, skipped),
        Case::new("policy::connections_that_no_rule_is_about_are_left_out_by_the_kernel", NEEDS, left_out),
    ]
}

/// Policies in a directory, as Kubernetes mounts a ConfigMap: `two.yaml` is a link to `..data/two.yaml`, and `..data` one to a
/// directory. `one.yaml` is a file.
struct Volume(TempDir);

impl Volume {
    fn new() -> Result<Self> {
        let volume = Self(TempDir::new()?);
        fs::write(volume.path("one.yaml"), policy("one", "first", ""))?;
        volume.mount(1, "first")?;
        symlink("..data/two.yaml", volume.path("two.yaml"))?;
        Ok(volume)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// As kubelet does it: a new directory, and one rename to a link to it.
    fn mount(&self, version: u32, rule: &str) -> Result<()> {
        let directory = format!("..version{version}");
        fs::create_dir(self.path(&directory))?;
        fs::write(self.path(&directory).join("two.yaml"), policy("two", rule, ""))?;
        symlink(&directory, self.path("..new"))?;
        Ok(fs::rename(self.path("..new"), self.path("..data"))?)
    }

    fn replace(&self, text: &str) -> Result<()> {
        fs::write(self.path(".one"), text)?;
        Ok(fs::rename(self.path(".one"), self.path("one.yaml"))?)
    }
}

/// A policy of one rule, with more lines to it.
fn policy(name: &str, rule: &str, more: &str) -> String {
    format!(
        "apiVersion: interceptor/v1alpha1\nkind: Policy\nmetadata: {{ name: {name} }}\nspec:\n  rules:\n    - name: {rule}\n{more}"
    )
}

fn start(bed: &Bed, policies: &Path, more: &[&str]) -> Result<Daemon> {
    Daemon::start(arguments(bed, policies).iter().map(String::as_str).chain(more.iter().copied()))
}

fn arguments(bed: &Bed, policies: &Path) -> Vec<String> {
    let cgroup = bed.pods.cgroup().display().to_string();
    let (netns, policies) = (bed.pods.server.name(), policies.display().to_string());
    let place = ["--capture-netns", netns, "--capture-interfaces", super::INTERFACE, "--capture-sock-ops", &cgroup];
    place.into_iter().chain(["--inspect-policies", &policies]).map(str::to_owned).collect()
}

fn reloads(metrics: &Metrics, result: &str) -> Result<u64> {
    metrics.get(&format!("interceptor_policy_reloads_total{{result=\"{result}\"}}"))
}

fn wait_for_reloads(daemon: &Daemon, result: &str, count: u64) -> Result<()> {
    until(SOON, &format!("reload {count}, {result}"), || {
        Ok((reloads(&daemon.metrics()?, result)? >= count).then_some(()))
    })
}

fn matches(metrics: &Metrics, rule: &str) -> u64 {
    let name = format!("interceptor_policy_matches_total{{rule=\"{rule}\",sampled=\"all\"}}");
    metrics.get(&name).unwrap_or_default()
}

fn wait_for_exchanges(daemon: &Daemon, count: u64) -> Result<()> {
    let seen = || -> Result<u64> { Ok(daemon.metrics()?.sum("interceptor_exchanges_total")) };
    until(SOON, &format!("{count} exchanges"), || Ok((seen()? >= count).then_some(()))).with_context(|| {
        format!("{:?} were seen; the ledger: {:?}", seen(), daemon.metrics().and_then(|all| all.ledger()))
    })
}

/// Requests on two connections at a time, a new one every fifty, while `meanwhile` runs. Gives how many were answered, and how
/// many connections there were. After each request a client pauses.
fn under_load(bed: &Bed, pause: Duration, meanwhile: impl FnOnce(&AtomicU64) -> Result<()>) -> Result<(u64, u64)> {
    let (stop, answered, connections) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let ask = || -> Result<()> {
        while !stop.load(Relaxed) {
            let mut connection = bed.connect()?;
            connections.fetch_add(1, Relaxed);
            for _ in 0..50 {
                ensure!(connection.get("/index.html")?.status == 200);
                answered.fetch_add(1, Relaxed);
                if !pause.is_zero() {
                    thread::sleep(pause);
                }
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let clients = [scope.spawn(ask), scope.spawn(ask)];
        let done = meanwhile(&answered);
        stop.store(true, Relaxed);
        for client in clients {
            client.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
        }
        done
    })?;
    Ok((answered.into_inner(), connections.into_inner()))
}

fn after(answered: &AtomicU64, count: u64) -> Result<()> {
    let goal = answered.load(Relaxed) + count;
    until(SOON, "requests to be answered", || Ok((answered.load(Relaxed) >= goal).then_some(())))
}

/// Each exchange is judged by the policies before or after a change: of each file one rule counts it.
fn reload() -> Result<()> {
    let bed = Bed::new()?;
    let volume = Volume::new()?;
    let daemon = start(&bed, volume.0.path(), &[])?;
    ensure!(reloads(&daemon.metrics()?, "taken")? == 1 && daemon.metrics()?.get("interceptor_policy_rules")? == 2);
    let (answered, connections) = under_load(&bed, NORMAL, |answered| {
        after(answered, 200)?;
        volume.replace(&policy("one", "renamed", ""))?;
        wait_for_reloads(&daemon, "taken", 2)?;
        after(answered, 200)?;
        fs::write(volume.path("one.yaml"), policy("one", "written", ""))?;
        wait_for_reloads(&daemon, "taken", 3)?;
        after(answered, 200)?;
        volume.mount(2, "swapped")?;
        wait_for_reloads(&daemon, "taken", 4)?;
        after(answered, 200)
    })?;
    wait_for_exchanges(&daemon, answered)?;
    wait_for_ended(&daemon, connections)?;
    let metrics = daemon.metrics()?;
    let [carried, captured, _, _, lost] = metrics.check_ledger()?;
    ensure!(lost == 0 && carried == captured, "{lost} of {carried} bytes are lost");
    let complete = metrics.get("interceptor_exchanges_total{completeness=\"complete\"}")?;
    ensure!(complete == answered, "{complete} of {answered} are complete");
    for (file, rules) in [("one", &["first", "renamed", "written"][..]), ("two", &["first", "swapped"])] {
        let counts: Vec<u64> = rules.iter().map(|rule| matches(&metrics, &format!("{file}/{rule}"))).collect();
        ensure!(counts.iter().all(|count| *count > 0), "a version of {file} was never in force: {counts:?}");
        ensure!(counts.iter().sum::<u64>() == answered, "{file}: {counts:?} are not {answered}");
    }
    Ok(())
}

/// As fast as the machine goes. What finds no room in the ring is lost, reload or not; where all found room, all is there. Each
/// exchange has one verdict, the old policy's or the new one's, in either case.
fn full_load() -> Result<()> {
    let bed = Bed::new()?;
    let volume = Volume::new()?;
    let daemon = start(&bed, volume.0.path(), &["--capture-ring-size", ROOM])?;
    let mut kept = Vec::new();
    let (answered, connections) = under_load(&bed, Duration::ZERO, |answered| {
        for version in 2..2 + RELOADS {
            after(answered, 100)?;
            volume.mount(version, ["even", "odd"][version as usize % 2])?;
            wait_for_reloads(&daemon, "taken", version.into())?;
            kept.push(daemon.process().anonymous_kib()?);
        }
        Ok(())
    })?;
    let judged = || -> Result<Option<Metrics>> {
        let metrics = daemon.metrics()?;
        let exchanges = metrics.sum("interceptor_exchanges_total");
        let two: u64 = ["first", "even", "odd"].map(|rule| matches(&metrics, &format!("two/{rule}"))).iter().sum();
        Ok((exchanges == two && exchanges == matches(&metrics, "one/first")).then_some(metrics))
    };
    let dropped = daemon.metrics()?.sum("interceptor_kernel_dropped_packets_total");
    eprintln!("{answered} requests, {RELOADS} reloads, {dropped} packets dropped, KiB of memory: {kept:?}");
    if dropped == 0 {
        until(LATE, "what waits in the ring", || {
            Ok((daemon.metrics()?.sum("interceptor_exchanges_total") >= answered).then_some(()))
        })?;
        wait_for_ended(&daemon, connections)?;
    }
    let metrics = until(SOON, "a verdict of each exchange", judged)?;
    for rule in ["even", "odd"] {
        ensure!(matches(&metrics, &format!("two/{rule}")) > 0, "{rule} was never in force");
    }
    let [carried, captured, _, _, lost] = metrics.check_ledger()?;
    if dropped == 0 {
        let complete = metrics.get("interceptor_exchanges_total{completeness=\"complete\"}")?;
        ensure!(lost == 0 && carried == captured, "{lost} of {carried} bytes are lost");
        ensure!(complete == answered, "{complete} of {answered} are complete");
        ensure!(metrics.sum("interceptor_flows_opened_total") == connections, "{metrics:?}");
    }
    let (early, late) = (kept[kept.len() / 2], kept[kept.len() - 1]);
    ensure!(late < early + FLAT, "memory grows from reload to reload: {kept:?} KiB");
    Ok(())
}

fn refused() -> Result<()> {
    let bed = Bed::new()?;
    let volume = Volume::new()?;
    let daemon = start(&bed, &volume.path("one.yaml"), &[])?;
    let bad = policy("one", "bad", "      match: request.methd == \"GET\"\n");
    let lacks = policy("one", "lacks", "      inspect: { drift: { baseline: gone.json } }\n");
    let place = format!("{}:7:14: unknown field `request.methd`", volume.path("one.yaml").display());
    let (answered, _) = under_load(&bed, NORMAL, |answered| {
        for (refusals, (text, said)) in (1..).zip([(bad, &*place), (lacks, "rule one/lacks: inspect.drift.baseline")]) {
            after(answered, 100)?;
            volume.replace(&text)?;
            wait_for_reloads(&daemon, "refused", refusals)?;
            let line = daemon.process().wait_stderr(SOON, said)?;
            ensure!(line.contains("a policy is refused, what was in force stays so"), "{line}");
        }
        let before = matches(&daemon.metrics()?, "one/first");
        after(answered, 100)?;
        until(SOON, "the old rule's matches", || {
            Ok((matches(&daemon.metrics()?, "one/first") >= before + 50).then_some(()))
        })?;
        volume.replace(&policy("one", "good", ""))?;
        wait_for_reloads(&daemon, "taken", 2)?;
        after(answered, 100)
    })?;
    wait_for_exchanges(&daemon, answered)?;
    let metrics = daemon.metrics()?;
    ensure!(reloads(&metrics, "refused")? == 2 && reloads(&metrics, "taken")? == 2, "{metrics:?}");
    let counts = [matches(&metrics, "one/first"), matches(&metrics, "one/good")];
    ensure!(counts[1] > 0 && counts.iter().sum::<u64>() == answered, "{counts:?} are not {answered}");
    Ok(())
}

/// What is found is told, masked; the value itself is nowhere.
fn lines() -> Result<()> {
    let bed = Bed::new()?;
    let volume = Volume::new()?;
    volume.replace(&policy(
        "one",
        "audit",
        "      inspect: { pii: {}, transport: {} }\n      redact: { pii: true }\n      action: { deny: { status: 403 } }\n",
    ))?;
    let daemon = start(&bed, &volume.path("one.yaml"), &["--lines-to", "stdout"])?;
    let mut connection = bed.connect()?;
    for _ in 0..3 {
        connection.ask("/missing?email=ann.smith@example.com")?;
        connection.answer()?;
    }
    wait_for_exchanges(&daemon, 3)?;
    let metrics = daemon.metrics()?;
    let ended = daemon.into_process().stop(Signal::SIGTERM, SOON)?.success()?;
    let found = check(&ended.stdout)?;
    ensure!(found.len() == 3, "{:?}", ended.stdout);
    for line in &found {
        let rule = &line["interceptor.policy.rules"][0];
        ensure!(rule["rule"] == "one/audit" && rule["would"]["action"] == "deny", "{line}");
        let mails = line["interceptor.findings"].as_array().context("no findings")?;
        let mail = mails.iter().find(|finding| finding["kind"] == "EMAIL_ADDRESS").context("no address")?;
        ensure!(
            mail["place"] == "query:email" && mail["hash"] == found[0]["interceptor.findings"][0]["hash"],
            "{line}"
        );
    }
    let all = [ended.stdout, ended.stderr].concat().join("\n");
    ensure!(!all.contains("ann.smith"), "the value is told: {all}");
    ensure!(metrics.sum("interceptor_findings_total") >= 3, "{metrics:?}");
    ensure!(metrics.sum("interceptor_policy_would_total") == 3, "{metrics:?}");
    Ok(())
}

fn full() -> Result<()> {
    let bed = Bed::new()?;
    let volume = Volume::new()?;
    let arguments = arguments(&bed, &volume.path("one.yaml"));
    let more = ["--lines-to", "stdout"].map(str::to_owned);
    let daemon = Daemon::start_writing_to("/dev/full", arguments.into_iter().chain(more))?;
    let mut connection = bed.connect()?;
    ensure!(connection.get("/index.html")?.status == 200);
    daemon.process().wait_stderr(SOON, "cannot deliver, and tries again: cannot write lines: No space left")?;
    ensure!(connection.get("/index.html")?.status == 200);
    wait_for_exchanges(&daemon, 2)?;
    let metrics = daemon.metrics()?;
    for (name, expected) in
        [("offered_records_total", 2), ("queue_records", 2), ("delivered_records_total", 0), ("failing", 1)]
    {
        let found = metrics.get(&format!("interceptor_sink_{name}{{sink=\"lines\"}}"))?;
        ensure!(found == expected, "{name}: {found}, not {expected}");
    }
    daemon.into_process().stop(Signal::SIGTERM, SOON)?.success()?;
    Ok(())
}

/// Slowly enough for the kernel to be told while the body is on its way.
fn skipped() -> Result<()> {
    let bed = Bed::new()?;
    for (name, size) in [("unwanted", LARGE), ("wanted", WANTED)] {
        fs::write(bed.nginx.files().join(name), vec![b'x'; size as usize])?;
    }
    let volume = Volume::new()?;
    let rule =
        "      match: request.path == \"/paced/wanted\"\n      inspect: { pii: {} }\n      keep: { response: 2MiB }\n";
    volume.replace(&policy("one", "wants", rule))?;
    let daemon = start(&bed, &volume.path("one.yaml"), &[])?;
    let ask = |path: &str, count: u64| -> Result<[u64; 3]> {
        // The server keeps the pace: what a client reads slowly may still have passed at once, into its buffer.
        curl(&bed.pods.client, &["-o", "/dev/null", &bed.url(path)])?;
        wait_for_ended(&daemon, count)?;
        let metrics = daemon.metrics()?;
        let [carried, captured, _, _, lost] = metrics.check_ledger()?;
        ensure!(lost == 0 && carried > LARGE, "{lost} of {carried} bytes are lost");
        let complete = metrics.get("interceptor_exchanges_total{completeness=\"complete\"}")?;
        ensure!(complete == count, "{complete} of {count} are complete");
        Ok([carried, captured, metrics.skipped()?])
    };
    let [carried, captured, skipped] = ask("/paced/unwanted", 1)?;
    ensure!(skipped >= LARGE / 2, "of {carried} bytes {captured} were captured, {skipped} skipped");
    eprintln!("skipped {skipped} of {carried} bytes");
    let [_, more, as_before] = ask("/paced/wanted", 2)?;
    ensure!(as_before == skipped && more >= captured + WANTED, "{as_before} of {skipped}, {more} of {captured}");
    Ok(())
}

/// Two servers, and a policy about one of them; then about both. A connection that both versions are about loses nothing.
fn left_out() -> Result<()> {
    const OTHER: u16 = 8081;
    let bed = Bed::new()?;
    let _other = Nginx::start_at(&bed.pods.server, OTHER)?;
    let about = |ports: &str| {
        format!(
            "apiVersion: interceptor/v1alpha1\nkind: Policy\nmetadata: {{ name: one }}\nspec:\n  unmatched: {{ sinks: [] }}\n  rules:\n    - {{ name: r, match: 'destination.port in [{ports}]' }}\n"
        )
    };
    let volume = Volume::new()?;
    volume.replace(&about("8080"))?;
    let daemon = start(&bed, &volume.path("one.yaml"), &[])?;
    daemon.process().wait_stderr(SOON, "policies need ports 8080 only: the kernel leaves out the rest")?;
    let address = bed.pods.server.ipv4;
    let open = || bed.pods.client.namespace().enter(|| Ok(Connection::open((address, OTHER))))?;
    let ask = |connection: &mut Connection, count: u64| -> Result<()> {
        (0..count).try_for_each(|_| {
            let answer = connection.get("/index.html")?;
            ensure!(answer.status == 200, "{}", answer.status);
            Ok(())
        })
    };
    let (mut kept, mut left) = (bed.connect()?, open()?);
    ask(&mut left, 20)?;
    ask(&mut kept, 20)?;
    wait_for_exchanges(&daemon, 20)?;
    let metrics = daemon.metrics()?;
    ensure!(metrics.sum("interceptor_exchanges_total") == 20, "{metrics:?}");
    ensure!(metrics.get("interceptor_flows_open")? == 1, "{metrics:?}");
    let unseen = || -> Result<u64> {
        let all = daemon.get("/metrics")?;
        let text = String::from_utf8_lossy(&all.body).into_owned();
        let rows = text
            .lines()
            .filter(|row| row.starts_with("interceptor_kernel_dropped_bytes_total") && row.contains("no_rule"));
        Ok(rows.filter_map(|row| row.rsplit(' ').next()?.parse::<u64>().ok()).sum())
    };
    let before = unseen()?;
    ensure!(before >= 20 * Nginx::INDEX.len() as u64, "{before} bytes were left out");
    volume.replace(&about("8080, 8081"))?;
    // The one goes on all the while.
    let mut asked = 20;
    until(SOON, "the other policy", || {
        ask(&mut kept, 10)?;
        asked += 10;
        Ok((reloads(&daemon.metrics()?, "taken")? == 2).then_some(()))
    })?;
    daemon.process().wait_stderr(SOON, "policies need ports 8080-8081 only")?;
    ask(&mut kept, 20)?;
    let mut new = open()?;
    ask(&mut new, 20)?;
    wait_for_exchanges(&daemon, asked + 40)?;
    ensure!(unseen()? == before, "{} bytes were left out, {before} before", unseen()?);
    let metrics = daemon.metrics()?;
    let complete = metrics.get("interceptor_exchanges_total{completeness=\"complete\"}")?;
    ensure!(complete == asked + 40, "{complete} of {} are complete", asked + 40);
    drop((kept, new, left));
    until(SOON, "the end of the connections", || {
        Ok((daemon.metrics()?.sum("interceptor_flows_ended_total") >= 2).then_some(()))
    })?;
    let [carried, captured, _, _, lost] = daemon.metrics()?.check_ledger()?;
    ensure!(lost == 0 && carried == captured, "{lost} of {carried} bytes are lost");
    Ok(())
}
