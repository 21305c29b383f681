//! What is seen, where, and of whom.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use interceptor_tests::{Case, Need, Nginx, Process, Tail, Tcpdump, check, interceptor, normalise};
use serde_json::Value;

use super::{Bed, INTERFACE, NEEDS, curl};

pub(crate) fn cases() -> Vec<Case> {
    let dump = [NEEDS, &[Need::Program("tcpdump", "tcpdump")]].concat();
    vec![
        Case::new("capture::veth_ipv4_ipv6_and_keep_alive", NEEDS, veth_ipv4_ipv6_and_keep_alive),
        Case::new("capture::lo_counts_each_packet_once", NEEDS, lo_counts_each_packet_once),
        Case::new("capture::a_pod_by_its_cgroup", NEEDS, a_pod_by_its_cgroup),
        Case::new("capture::a_process_by_its_id", NEEDS, a_process_by_its_id),
        Case::new("capture::connections_older_than_the_capture", NEEDS, connections_older_than_the_capture),
        Case::new("capture::two_at_once_do_not_disturb_each_other", NEEDS, two_at_once_do_not_disturb_each_other),
        Case::new("capture::replay_of_tcpdump_gives_the_same", &dump, replay_of_tcpdump_gives_the_same),
    ]
}

fn statuses(exchanges: &[Value]) -> Vec<u64> {
    exchanges.iter().filter_map(|exchange| exchange["http.response.status_code"].as_u64()).collect()
}

fn veth_ipv4_ipv6_and_keep_alive() -> Result<()> {
    let bed = Bed::new()?;
    let tail = bed.tail(&[])?;
    let client = &bed.pods.client;
    curl(client, &[&bed.url("/index.html"), &bed.url("/missing?id=7"), &bed.url("/nothing")])?;
    let server6 = bed.pods.server.ipv6;
    curl(client, &[&format!("http://[{server6}]:{}/index.html", Nginx::PORT)])?;
    tail.wait(4)?;
    let (exchanges, ended) = tail.stop()?;
    ensure!(ended.status.success(), "{ended:?}");
    ensure!(statuses(&exchanges) == [200, 404, 204, 200], "{exchanges:?}");
    for exchange in &exchanges {
        ensure!(exchange["complete"] == true && exchange["anomalies"] == Value::Array(vec![]), "{exchange}");
        ensure!(exchange["http.request.method"] == "GET" && exchange["network.protocol.version"] == "1.1");
    }
    let [first, second, third, fourth] = &exchanges[..] else { unreachable!("four statuses") };
    ensure!(first["network.peer.address"] == bed.pods.server.ipv4.to_string());
    ensure!(first["client.address"] == client.ipv4.to_string());
    ensure!(first["http.response.body.size"] == Nginx::INDEX.len());
    ensure!(second["url.path"] == "/missing" && second["url.query"] == "id=7");
    ensure!(third["http.response.body.size"] == 0);
    // curl kept the connection for its three requests.
    ensure!(first["interceptor.flow.id"] == third["interceptor.flow.id"] && third["interceptor.exchange.number"] == 3);
    ensure!(fourth["network.type"] == "ipv6" && fourth["network.peer.address"] == server6.to_string());
    ensure!(fourth["interceptor.flow.id"] != first["interceptor.flow.id"]);
    Ok(())
}

fn lo_counts_each_packet_once() -> Result<()> {
    let bed = Bed::new()?;
    let tail = Tail::start(bed.on("lo"))?;
    for host in ["127.0.0.1", "[::1]"] {
        curl(&bed.pods.server, &[&format!("http://{host}:{}/index.html", Nginx::PORT)])?;
    }
    tail.wait(2)?;
    let (exchanges, _) = tail.stop()?;
    ensure!(statuses(&exchanges) == [200, 200], "{exchanges:?}");
    for exchange in &exchanges {
        ensure!(exchange["complete"] == true, "{exchange}");
        // Its process connected in the namespace that we watch.
        ensure!(exchange["interceptor.process.side"] == "client", "{exchange}");
        ensure!(exchange["process.command"] == "curl", "{exchange}");
    }
    Ok(())
}

fn a_pod_by_its_cgroup() -> Result<()> {
    let bed = Bed::new()?;
    let tail = Tail::start([Path::new("--cgroup"), bed.pods.server.cgroup()])?;
    // From outside, and from within the pod: there both ends are in the cgroup.
    curl(&bed.pods.client, &[&bed.url("/index.html")])?;
    curl(&bed.pods.server, &[&format!("http://127.0.0.1:{}/nothing", Nginx::PORT)])?;
    tail.wait(2)?;
    // Not of this pod.
    let (exchanges, _) = tail.stop()?;
    ensure!(statuses(&exchanges) == [200, 204], "{exchanges:?}");
    ensure!(exchanges.iter().all(|exchange| exchange["complete"] == true), "{exchanges:?}");
    let id = std::os::unix::fs::MetadataExt::ino(&fs::metadata(bed.pods.server.cgroup())?);
    ensure!(exchanges.iter().all(|exchange| exchange["interceptor.server.cgroup.id"] == id), "{id}: {exchanges:?}");
    Ok(())
}

fn a_process_by_its_id() -> Result<()> {
    let (bed, other) = (Bed::new()?, Bed::new()?);
    let processes = fs::read_to_string(bed.pods.server.cgroup().join("cgroup.procs"))?;
    let pid = processes.lines().next().context("nginx is not in its cgroup")?;
    let tail = Tail::start(["--pid", pid])?;
    curl(&other.pods.client, &[&other.url("/not-of-this-process")])?;
    curl(&bed.pods.client, &[&bed.url("/index.html"), &bed.url("/nothing")])?;
    tail.wait(2)?;
    let (exchanges, _) = tail.stop()?;
    ensure!(statuses(&exchanges) == [200, 204], "{exchanges:?}");
    ensure!(exchanges.iter().all(|exchange| exchange["complete"] == true), "{exchanges:?}");
    Ok(())
}

fn connections_older_than_the_capture() -> Result<()> {
    let bed = Bed::new()?;
    let mut old = bed.connect()?;
    ensure!(old.get("/index.html")?.status == 200);
    let tail = bed.tail(&[])?;
    ensure!(old.get("/index.html")?.status == 200 && old.get("/missing")?.status == 404);
    let mut new = bed.connect()?;
    new.get("/index.html")?;
    drop((old, new));
    tail.wait(3)?;
    let (exchanges, _) = tail.stop()?;
    ensure!(statuses(&exchanges) == [200, 404, 200], "{exchanges:?}");
    let joined: Vec<_> = exchanges.iter().map(|exchange| exchange["interceptor.flow.mid_stream"] == true).collect();
    ensure!(joined == [true, true, false], "{exchanges:?}");
    // They began after us, so they are whole.
    ensure!(exchanges.iter().all(|exchange| exchange["complete"] == true), "{exchanges:?}");
    Ok(())
}

fn two_at_once_do_not_disturb_each_other() -> Result<()> {
    let bed = Bed::new()?;
    let (first, second) = (bed.tail(&[])?, bed.tail(&["--status", "404"])?);
    curl(&bed.pods.client, &[&bed.url("/index.html"), &bed.url("/missing")])?;
    first.wait(2)?;
    second.wait(1)?;
    let (exchanges, ended) = first.stop()?;
    ensure!(ended.status.success() && statuses(&exchanges) == [200, 404], "{ended:?}");
    // The first took nothing of the second's with it.
    curl(&bed.pods.client, &[&bed.url("/missing")])?;
    second.wait(2)?;
    let (exchanges, ended) = second.stop()?;
    ensure!(ended.status.success() && statuses(&exchanges) == [404, 404], "{ended:?}");
    Ok(())
}

fn replay_of_tcpdump_gives_the_same() -> Result<()> {
    let bed = Bed::new()?;
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("simultaneous.pcap");
    let large = bed.nginx.files().join("large");
    fs::write(&large, "0123456789abcdef".repeat(1 << 16))?;
    let dump = Tcpdump::start(&bed.pods.server, INTERFACE, &file)?;
    let options = ["--headers", "--body=1KiB"];
    // What is compared must be whole, whatever else this machine does meanwhile.
    let tail = bed.tail(&[&options[..], &["--ring-size", "64MiB"]].concat())?;
    for _ in 0..20 {
        let urls = ["/index.html", "/missing?id=7", "/nothing", "/large"].map(|path| bed.url(path));
        let urls = urls.each_ref().map(String::as_str);
        curl(
            &bed.pods.client,
            &[&["-o", "/dev/null", "-o", "/dev/null", "-o", "/dev/null", "-o", "/dev/null"][..], &urls].concat(),
        )?;
    }
    curl(&bed.pods.client, &["-T", &large.to_string_lossy(), &bed.url("/upload/large")])?;
    tail.wait(81)?;
    let (live, _) = tail.stop()?;
    curl(&bed.pods.client, &["-o", "/dev/null", &bed.url("/the-last-one")])?;
    dump.stop("GET /the-last-one")?;
    let mut command = interceptor()?;
    let replay = Process::start(command.args(["replay", "-o", "json"]).args(options).arg(&file))?;
    let mut replayed = check(&replay.end(Duration::from_mins(1))?.success()?.stdout)?;
    replayed.retain(|exchange| exchange["url.path"] != "/the-last-one");
    let (live, replayed) = (normalise(&live), normalise(&replayed));
    ensure!(live.len() == 81, "{} live", live.len());
    let different = live.iter().zip(&replayed).find(|(live, replayed)| live != replayed);
    ensure!(different.is_none(), "{different:#?}");
    ensure!(live.len() == replayed.len(), "{} live, {} replayed", live.len(), replayed.len());
    Ok(())
}
