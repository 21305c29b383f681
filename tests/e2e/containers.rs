//! Real containers as pods: captured by a sidecar inside, and from the node.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    os::unix::fs::MetadataExt as _,
    path::Path,
    process,
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use interceptor::{demo::pod::Pair, kernel::cgroup};
use interceptor_tests::{
    Case, Config, Container, Exchanges, Need, Nginx, PODS, RuncPod, Site, Tail, check, interceptor, until,
};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sys::signal::Signal,
};
use serde_json::Value;
use tempfile::TempDir;

use super::{INTERFACE, NEEDS, curl, lifecycle::attached};

const SOON: Duration = Duration::from_secs(30);

pub(crate) fn cases() -> Vec<Case> {
    let needs = [NEEDS, &[Need::Program("runc", "runc"), Need::Program("bpftool", "bpftool")]].concat();
    vec![
        Case::new("containers::a_sidecar_captures_its_pod_from_inside", &needs, from_inside),
        Case::new("containers::a_sidecar_carries_what_its_pod_asks_and_is_asked", &needs, carries),
        Case::new("containers::the_node_captures_a_pod_from_outside", &needs, from_the_node),
        Case::new("containers::a_sidecar_ends_in_order_with_its_ledger", &needs, ends_in_order),
        Case::new("containers::nothing_is_left_after_a_failure", &needs, nothing_is_left),
        Case::new("containers::hierarchies_of_version_1_tell_the_container_too", NEEDS, version_1),
    ]
}

/// A pod of three: pause, nginx, and what the test adds. The other pod stands for the node: it has the other end of
/// the pod's veth.
struct Bed {
    // In the order in which they end.
    app: Container,
    pod: RuncPod,
    site: Site,
    pods: Pair,
    _hierarchies: RwLockReadGuard<'static, ()>,
}

/// A container is put into every hierarchy that is mounted when it starts, so none may come or go meanwhile.
static HIERARCHIES: RwLock<()> = RwLock::new(());

impl Bed {
    fn new() -> Result<Self> {
        let hierarchies = HIERARCHIES.read().unwrap_or_else(PoisonError::into_inner);
        let pods = Pair::create(PODS)?;
        let site = Site::create(Nginx::PORT)?;
        let pod = RuncPod::create(&pods)?;
        let files = site.path();
        let app = Config::new(site.command())
            // For its workers, which are another user.
            .capabilities(&["CAP_SETUID", "CAP_SETGID", "CAP_CHOWN", "CAP_DAC_OVERRIDE"])
            .bind(files, &files.display().to_string(), "rw");
        let app = pod.run(&app)?;
        site.wait()?;
        Ok(Self { app, pod, site, pods, _hierarchies: hierarchies })
    }

    /// The interceptor in a container of the pod, as `deploy/kubernetes/sidecar.yaml` has it.
    fn sidecar(&self, output: &str) -> Result<Container> {
        let program = interceptor()?.get_program().to_owned();
        let config = Config::new(["/interceptor", "tail", "-o", output, "--iface", "eth0,lo"])
            .capabilities(&["CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"])
            .bind(Path::new(&program), "/interceptor", "ro")
            // Its own view of cgroups does not have its neighbours.
            .bind(Path::new("/sys/fs/cgroup"), "/host/cgroup", "ro")
            .cgroup_namespace();
        let sidecar = self.pod.run(&config)?;
        sidecar.process()?.wait_stderr(SOON, "watching").context("the sidecar does not capture")?;
        Ok(sidecar)
    }

    /// One client on the node, and one in the application's container.
    fn ask(&self) -> Result<()> {
        curl(&self.pods.client, &[&format!("http://{}:{}/index.html?node", self.pods.server.ipv4, Nginx::PORT)])?;
        self.app.exec(&["curl", "-sS", &format!("http://127.0.0.1:{}/index.html?inside", Nginx::PORT)])?;
        Ok(())
    }

    /// Fails unless this end is in the application's container.
    fn is_app(&self, exchange: &Value, end: &str) -> Result<()> {
        let prefix = if exchange["interceptor.process.side"] == end { "" } else { "interceptor.peer." };
        let told = |key: &str| exchange[&format!("{prefix}{key}")].as_str();
        let (container, pod) = (told("container.id"), told("k8s.pod.uid"));
        ensure!(container == Some(self.app.id()) && pod == Some(self.pod.uid()), "not {}: {exchange}", self.app.id());
        let class = if prefix.is_empty() { prefix.to_owned() + "interceptor." } else { prefix.to_owned() };
        ensure!(exchange[&format!("{class}k8s.pod.qos_class")] == "Burstable", "{exchange}");
        Ok(())
    }
}

/// The exchange of [`Bed::ask`] with this query, which has to be whole.
fn with<'a>(exchanges: &'a Exchanges, query: &str) -> Result<&'a Value> {
    let mut found = exchanges.iter().filter(|exchange| exchange["url.query"] == query);
    let exchange = found.next().with_context(|| format!("no {query}: {exchanges:?}"))?;
    ensure!(found.next().is_none(), "{query} twice: {exchanges:?}");
    ensure!(exchange["complete"] == true && exchange["anomalies"] == Value::Array(Vec::new()), "{exchange}");
    ensure!(exchange["http.response.body.size"] == Nginx::INDEX.len(), "{exchange}");
    Ok(exchange)
}

fn from_inside() -> Result<()> {
    let bed = Bed::new()?;
    let sidecar = bed.sidecar("json")?;
    bed.ask()?;
    let lines = sidecar.process()?.wait_stdout(SOON, |lines| (lines.len() >= 2).then(|| lines.to_vec()))?;
    let exchanges = check(&lines)?;
    bed.is_app(with(&exchanges, "node")?, "server")?;
    let inside = with(&exchanges, "inside")?;
    bed.is_app(inside, "client")?;
    bed.is_app(inside, "server")
}

/// Of a pod whose other containers know nothing of it.
const CARRIED: &str = "\
apiVersion: interceptor/v1alpha1
kind: Policy
metadata: {name: pod}
spec:
  steer: [{name: asks, onFailure: closed, ports: [ASKED]}, {name: is-asked, direction: inbound, ports: [SERVED]}]
  rules: [{name: trace, action: {trace: {}}}]
";

fn carries() -> Result<()> {
    let bed = Bed::new()?;
    // Each hears one request, with what it says of its caller.
    let listener = bed.pods.client.namespace().enter(|| TcpListener::bind((bed.pods.client.ipv4, 0)))?;
    let asked = listener.local_addr()?;
    let files = TempDir::new()?;
    let policy = CARRIED.replace("ASKED", &asked.port().to_string()).replace("SERVED", &Nginx::PORT.to_string());
    fs::write(files.path().join("policy.yaml"), policy)?;
    let program = interceptor()?.get_program().to_owned();
    let run = ["/interceptor", "run", "--inline-enabled", "true", "--inspect-policies", "/policies/policy.yaml"];
    let config = Config::new(run.into_iter().chain(["--lines-to", "stdout"]))
        .capabilities(&["CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"])
        .bind(Path::new(&program), "/interceptor", "ro")
        .bind(files.path(), "/policies", "ro")
        .bind(Path::new("/sys/fs/cgroup"), "/host/cgroup", "ro")
        .cgroup_namespace();
    let mut sidecar = bed.pod.run(&config)?;
    sidecar.process()?.wait_stderr(SOON, "capturing").context("the sidecar does not run")?;
    let answering = thread::spawn(move || answer_once(&listener));
    bed.app.exec(&["curl", "-sS", &format!("http://{asked}/out")])?;
    let heard = answering.join().ok().context("the server panicked")??;
    ensure!(heard.contains("traceparent: 00-"), "it came straight: {heard}");
    bed.ask()?;
    let lines = sidecar.process()?.wait_stdout(SOON, |lines| (lines.len() >= 3).then(|| lines.to_vec()))?;
    let exchanges = check(&lines)?;
    let did = |exchange: &Value| exchange["interceptor.policy.rules"][0]["did"].is_object();
    let out = exchanges.iter().find(|exchange| exchange["url.path"] == "/out").context("no /out")?;
    ensure!(out["complete"] == true && out["process.command"] == "curl", "{out}");
    bed.is_app(out, "client")?;
    // Who asks from inside asks the application itself.
    for (exchange, carried) in [(out, true), (with(&exchanges, "node")?, true), (with(&exchanges, "inside")?, false)] {
        ensure!(did(exchange) == carried, "{exchange}");
    }
    ensure!(sidecar.stop(Signal::SIGTERM)?.success().is_ok());
    // And without it all goes on.
    bed.ask()
}

fn from_the_node() -> Result<()> {
    let bed = Bed::new()?;
    let veth = Tail::start(["--netns", bed.pods.client.name(), "--iface", INTERFACE])?;
    // As a path below the mount, wherever that is.
    let cgroup = Tail::start(["--cgroup", &bed.pod.cgroup().display().to_string()])?;
    bed.ask()?;
    // What the pod asks of others passes there too; the node's end of a connection is in no container.
    let listener = bed.pods.client.namespace().enter(|| TcpListener::bind((bed.pods.client.ipv4, 0)))?;
    let asked = format!("http://{}/out", listener.local_addr()?);
    let answering = thread::spawn(move || answer_once(&listener));
    bed.app.exec(&["curl", "-sS", &asked])?;
    answering.join().ok().context("the server panicked")??;

    let on_veth = veth.wait(2)?;
    bed.is_app(with(&on_veth, "node")?, "server")?;
    let out = on_veth.iter().find(|exchange| exchange["url.path"] == "/out").context("no /out")?;
    ensure!(out["complete"] == true, "{out}");
    bed.is_app(out, "client")?;
    ensure!(out.get("interceptor.peer.container.id").is_none(), "{out}");
    ensure!(!on_veth.iter().any(|exchange| exchange["url.query"] == "inside"), "lo is inside: {on_veth:?}");

    let in_cgroup = cgroup.wait(3)?;
    let inside = with(&in_cgroup, "inside")?;
    bed.is_app(inside, "client")?;
    bed.is_app(inside, "server")?;
    bed.is_app(with(&in_cgroup, "node")?, "server")
}

/// A server that is no container. Gives what it was asked.
fn answer_once(listener: &TcpListener) -> Result<String> {
    let (mut stream, _) = listener.accept()?;
    let mut request = [0; 1024];
    let length = stream.read(&mut request)?;
    ensure!(length > 0);
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")?;
    Ok(String::from_utf8_lossy(&request[..length]).into_owned())
}

fn ends_in_order() -> Result<()> {
    let bed = Bed::new()?;
    let before = attached(&bed.pods)?;
    let mut sidecar = bed.sidecar("summary")?;
    ensure!(attached(&bed.pods)? != before, "nothing is attached");
    bed.ask()?;
    let watching = bed.sidecar("json")?;
    bed.ask()?;
    watching.process()?.wait_stdout(SOON, |lines| (lines.len() >= 2).then_some(()))?;
    drop(watching);
    let ended = sidecar.stop(Signal::SIGTERM)?.success()?;
    for line in ["exchanges   4, complete 4", "carried "] {
        ensure!(ended.stdout.iter().any(|found| found.starts_with(line)), "no {line:?}: {ended:?}");
    }
    ensure!(!ended.stderr.iter().any(|line| line.contains("not captured")), "{ended:?}");
    until(SOON, "what was attached to go", || Ok((attached(&bed.pods)? == before).then_some(())))?;
    // And what it watched goes on.
    bed.ask()
}

fn nothing_is_left() -> Result<()> {
    let bed = Bed::new()?;
    let sidecar = bed.sidecar("json")?;
    bed.ask()?;
    let directories = bed.pod.directories()?;
    ensure!(directories.iter().any(|path| path.ends_with(sidecar.id())), "{directories:?}");
    let (namespace, site) = (bed.pods.server.namespace().path().to_owned(), bed.site.path().to_owned());
    let inode = bed.pods.server.namespace().file().metadata()?.ino();
    ensure!(inside(inode) >= 4, "pause, nginx, its worker and the interceptor");
    // As a test does that fails here: nothing is ended first.
    let failing = move || -> Result<()> {
        let _held = (sidecar, bed);
        bail!("it fails")
    };
    ensure!(failing().is_err());
    let left: Vec<_> = directories.iter().filter(|path| path.exists()).collect();
    ensure!(left.is_empty() && !namespace.exists() && !site.exists(), "left: {left:?}");
    // With its last process the namespace goes, and with it the veth and what was attached there.
    ensure!(inside(inode) == 0, "processes are left");
    Ok(())
}

/// Processes in a network namespace.
fn inside(namespace: u64) -> usize {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.filter(|entry| fs::metadata(entry.path().join("ns/net")).is_ok_and(|net| net.ino() == namespace)).count()
}

/// A runtime that sorts containers in version 1 only: the sockets' cgroups, which are version 2, tell nothing.
fn version_1() -> Result<()> {
    let hierarchy = Hierarchy::mount()?;
    let bed = super::Bed::new()?;
    let (pod, container) = ("7f1b2c3d4e5f60718293a4b5c6d7e8f9", "0123456789abcdef".repeat(4));
    let directory = hierarchy.place.path().join(format!("kubepods/besteffort/pod{pod}/{container}"));
    fs::create_dir_all(&directory)?;
    for pid in fs::read_to_string(bed.pods.server.cgroup().join("cgroup.procs"))?.lines() {
        fs::write(directory.join("cgroup.procs"), pid)?;
    }
    let tail = bed.tail(&[])?;
    curl(&bed.pods.client, &[&bed.url("/index.html")])?;
    let exchanges = tail.wait(1)?;
    let told = |key: &str| {
        let names = [format!("interceptor.peer.{key}"), key.to_owned()];
        names.iter().find_map(|name| exchanges[0][name].as_str())
    };
    ensure!(told("container.id") == Some(&container) && told("k8s.pod.uid") == Some(pod), "{exchanges:?}");
    Ok(())
}

/// A hierarchy of version 1 without controllers, which any kernel lets be mounted beside version 2.
struct Hierarchy {
    name: String,
    place: TempDir,
    _alone: RwLockWriteGuard<'static, ()>,
}

impl Hierarchy {
    fn mount() -> Result<Self> {
        let alone = HIERARCHIES.write().unwrap_or_else(PoisonError::into_inner);
        let name = format!("{PODS}-{}", process::id());
        let hierarchy = Self { name, place: tempfile::tempdir()?, _alone: alone };
        hierarchy.attach().context("cannot mount a version 1 hierarchy")?;
        Ok(hierarchy)
    }

    fn attach(&self) -> nix::Result<()> {
        let options = format!("none,name={}", self.name);
        mount(Some("none"), self.place.path(), Some("cgroup"), MsFlags::empty(), Some(options.as_str()))
    }

    /// The hierarchy goes with its mount only if there are no cgroups in it, and those take a moment to be gone; nor is
    /// it gone at once then, and whoever mounts it again too soon makes another.
    fn remove(&self) -> Result<()> {
        for directory in cgroup::walk(self.place.path(), 64).iter().skip(1).rev() {
            until(SOON, "an empty cgroup", || Ok(fs::remove_dir(directory).ok()))?;
        }
        umount2(self.place.path(), MntFlags::empty())?;
        let own = format!(":name={}:", self.name);
        let gone = || Ok((!fs::read_to_string("/proc/self/cgroup")?.contains(&own)).then_some(()));
        until(SOON, "the end of the hierarchy", || {
            if until(Duration::from_secs(1), "it to go", gone).is_ok() {
                return Ok(Some(()));
            }
            self.attach()?;
            umount2(self.place.path(), MntFlags::empty())?;
            Ok(None)
        })
    }
}

impl Drop for Hierarchy {
    fn drop(&mut self) {
        self.remove().unwrap_or_else(|error| eprintln!("{} is left: {error:#}", self.place.path().display()));
    }
}
