//! Where live traffic runs: network namespaces of our own, a real nginx with one worker, and what is attached to it.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::child::{Running, family};

/// Port of nginx in its namespace.
const PORT: u16 = 8080;
const METRICS: &str = "127.0.0.1:9464";
/// Bytes of the file that is served, and of the answer to requests with a content.
const FILE: usize = 1024;

/// Where a model is asked for inferences, and answers.
pub(super) const MODEL: &str = "/v2/models/bench/infer";

/// JSON of the Open Inference Protocol of so many bytes: a row of numbers.
pub(super) fn tensors(field: &str, length: usize) -> String {
    let numbers = length.saturating_sub(100) / 5;
    let data = vec!["0.25"; numbers.max(1)].join(",");
    let text =
        format!(r#"{{"{field}":[{{"name":"x","shape":[1,{}],"datatype":"FP32","data":[{data}]}}]}}"#, numbers.max(1));
    format!("{text:<length$}")
}

/// Between client and server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    /// Both in one namespace.
    Loopback,
    /// Each in its own, as pods are.
    Veth,
}

impl Wire {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Loopback => "lo",
            Self::Veth => "veth",
        }
    }
}

/// A network namespace that is deleted with its owner.
struct Namespace(String);

impl Namespace {
    fn new(role: &str) -> Result<Self> {
        let name = format!("ixbench-{}-{role}", process::id());
        call(Command::new("ip").args(["netns", "add", &name]))?;
        let namespace = Self(name);
        call(namespace.command("ip").args(["link", "set", "lo", "up"]))?;
        // Many connections to one port: more client ports than the default 28,000.
        call(namespace.command("sh").args(["-c", "echo 1024 65535 > /proc/sys/net/ipv4/ip_local_port_range"]))?;
        Ok(namespace)
    }

    /// Not `ip netns exec`: that mounts another /sys, which hides the cgroups.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.0)).arg(program);
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        Command::new("ip").args(["netns", "delete", &self.0]).output().ok();
    }
}

/// A directory that is deleted with its owner.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// Everything that a live measurement needs. Fields are dropped in this order: processes before their namespaces.
pub(super) struct Lab {
    nginx: Running,
    client: Option<Namespace>,
    server: Namespace,
    scratch: Scratch,
    interface: &'static str,
    address: String,
}

impl Lab {
    /// With `workers` processes of nginx: each may have as many files open as this machine allows a process.
    pub(super) fn new(wire: Wire, workers: usize) -> Result<Self> {
        let server = Namespace::new("s")?;
        let (client, interface, address) = match wire {
            Wire::Loopback => (None, "lo", "127.0.0.1"),
            Wire::Veth => (Some(join(&server)?), "eth0", "10.77.0.1"),
        };
        let scratch = Scratch(std::env::temp_dir().join(format!("ixbench-{}", process::id())));
        let config = write_site(&scratch.0, workers)?;
        let mut command = server.command("nginx");
        command.arg("-e").arg("stderr").arg("-c").arg(config);
        let nginx = Running::start("nginx", &mut command)?;
        let mut lab = Self { nginx, client, server, scratch, interface, address: format!("{address}:{PORT}") };
        lab.wait_for_nginx()?;
        Ok(lab)
    }

    fn wait_for_nginx(&mut self) -> Result<()> {
        let url = self.url();
        let started = Instant::now();
        while get(self.in_client("curl"), &url).is_err() {
            self.nginx.still_there()?;
            if started.elapsed() > Duration::from_secs(10) {
                bail!("nginx does not answer on {url}");
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Has nginx serve a file of so many bytes.
    pub(super) fn serve(&self, name: &str, size: usize) -> Result<()> {
        Ok(fs::write(self.scratch.0.join(name), "x".repeat(size))?)
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/file", self.address)
    }

    /// A command where the client is.
    pub(super) fn in_client(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        self.client.as_ref().unwrap_or(&self.server).command(program)
    }

    /// A command where the server is.
    pub(super) fn in_server(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        self.server.command(program)
    }

    /// This program's own client.
    pub(super) fn load_client(&self) -> Result<Command> {
        let mut command = self.in_client(std::env::current_exe()?);
        command.arg("bench");
        Ok(command)
    }

    /// This program's own receiver, beside the server, and its address and port.
    pub(super) fn receiver(&self, more: &[&str]) -> Result<(Running, String)> {
        let mut command = self.server.command(std::env::current_exe()?);
        command.args(["bench", "receive", "--address", "127.0.0.1:0"]).args(more).stdout(Stdio::piped());
        let mut receiver = Running::start("receiver", &mut command)?;
        let told = receiver.child().stdout.take().context("the receiver has no output")?;
        let mut address = String::new();
        BufReader::new(told).read_line(&mut address)?;
        if address.is_empty() {
            receiver.still_there()?;
            bail!("the receiver does not tell where it is");
        }
        Ok((receiver, address.trim().to_owned()))
    }

    /// A path for what is written meanwhile.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.scratch.0.join(name)
    }

    /// Processes of the server.
    pub(super) fn server_pids(&self) -> Vec<u32> {
        family(self.nginx.pid())
    }

    /// Attaches the interceptor and waits until it is ready.
    pub(super) fn interceptor(&self, binary: &Path, more: &[&str]) -> Result<Interceptor<'_>> {
        let port = PORT.to_string();
        self.daemon(&self.server, binary, &["--capture-ports", &port], more)
    }

    /// Starts one beside the client, as its sidecar, and waits until it is ready.
    pub(super) fn sidecar(&self, binary: &Path, more: &[&str]) -> Result<Interceptor<'_>> {
        self.daemon(self.client.as_ref().unwrap_or(&self.server), binary, &[], more)
    }

    fn daemon<'a>(
        &'a self,
        namespace: &'a Namespace,
        binary: &Path,
        first: &[&str],
        more: &[&str],
    ) -> Result<Interceptor<'a>> {
        let mut command = namespace.command(binary);
        command.args(["run", "--capture-interfaces", self.interface]).args(first);
        command.args(["--metrics-address", METRICS, "--log-level", "error"]).args(more);
        let mut interceptor = Interceptor { namespace, running: Running::start("interceptor", &mut command)? };
        let started = Instant::now();
        while interceptor.get("readyz").is_err() {
            interceptor.running.still_there()?;
            if started.elapsed() > Duration::from_secs(15) {
                bail!("interceptor was not ready within 15 s");
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(interceptor)
    }

    /// Attaches tcpdump, which throws away what it captures.
    pub(super) fn tcpdump(&self) -> Result<Running> {
        let mut command = self.server.command("tcpdump");
        command.args(["-i", self.interface, "-s", "0", "-w", "/dev/null", "tcp", "port", &PORT.to_string()]);
        let mut running = Running::start("tcpdump", &mut command)?;
        thread::sleep(Duration::from_millis(700));
        running.still_there()?;
        Ok(running)
    }
}

/// A daemon that is ready.
pub(super) struct Interceptor<'a> {
    namespace: &'a Namespace,
    pub(super) running: Running,
}

impl Interceptor<'_> {
    fn get(&self, page: &str) -> Result<String> {
        get(self.namespace.command("curl"), &format!("http://{METRICS}/{page}"))
    }

    pub(super) fn metrics(&self) -> Result<Metrics> {
        self.get("metrics").map(Metrics)
    }

    /// Metrics once all connections have ended for it, or after a while.
    pub(super) fn settled(&self) -> Result<Metrics> {
        let started = Instant::now();
        loop {
            let metrics = self.metrics()?;
            if metrics.sum("interceptor_flows_open", "") < 0.5 || started.elapsed() > Duration::from_secs(8) {
                return Ok(metrics);
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// A page in Prometheus' text format.
pub(super) struct Metrics(String);

impl Metrics {
    /// Sum over the series of that name whose labels contain `label`.
    pub(super) fn sum(&self, name: &str, label: &str) -> f64 {
        let series = self.0.lines().filter_map(|line| line.strip_prefix(name));
        let wanted = series.filter(|rest| rest.starts_with(['{', ' ']) && rest.contains(label));
        wanted.filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}

/// Makes the client's namespace and joins it to the server's.
fn join(server: &Namespace) -> Result<Namespace> {
    let client = Namespace::new("c")?;
    let mut add = Command::new("ip");
    add.args(["link", "add", "eth0", "netns", &server.0, "type", "veth", "peer", "name", "eth0", "netns", &client.0]);
    call(&mut add)?;
    for (namespace, address) in [(server, "10.77.0.1/24"), (&client, "10.77.0.2/24")] {
        call(namespace.command("ip").args(["address", "add", address, "dev", "eth0"]))?;
        call(namespace.command("ip").args(["link", "set", "eth0", "up"]))?;
    }
    Ok(client)
}

/// Writes the file to serve and nginx's configuration.
fn write_site(directory: &Path, workers: usize) -> Result<PathBuf> {
    fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    fs::write(directory.join("file"), "x".repeat(FILE))?;
    let root = directory.display();
    let text = format!(
        "user root;\nworker_processes {workers};\ndaemon off;\npid {root}/pid;\nerror_log stderr error;\n\
         events {{ worker_connections 16000; }}\n\
         http {{\n  access_log off;\n  keepalive_requests 1000000000;\n  keepalive_timeout 600s;\n\
         client_body_temp_path {root}/body;\n  proxy_temp_path {root}/proxy;\n  fastcgi_temp_path {root}/fastcgi;\n\
         uwsgi_temp_path {root}/uwsgi;\n  scgi_temp_path {root}/scgi;\n\
         server {{ listen {PORT} reuseport; root {root};\n\
         location = {MODEL} {{ default_type application/json; return 200 '{answer}'; }}\n\
         location = /answer {{ default_type application/json; return 200 '{answer}'; }} }}\n}}\n",
        answer = tensors("outputs", FILE),
    );
    let config = directory.join("nginx.conf");
    fs::write(&config, text)?;
    Ok(config)
}

pub(super) fn get(mut curl: Command, url: &str) -> Result<String> {
    let output = curl.args(["--silent", "--show-error", "--fail", "--max-time", "5", url]).output()?;
    if !output.status.success() {
        bail!("{url}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn call(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_summed_by_name_and_label() {
        let metrics = Metrics(
            "# TYPE a_total counter\na_total{reason=\"x\"} 3\na_total{reason=\"y\"} 4\na_total_more 100\nb 7.5\n"
                .to_owned(),
        );
        assert!((metrics.sum("a_total", "") - 7.0).abs() < 1e-9);
        assert!((metrics.sum("a_total", "reason=\"y\"") - 4.0).abs() < 1e-9);
        assert!((metrics.sum("b", "") - 7.5).abs() < 1e-9);
        assert!(metrics.sum("c", "").abs() < 1e-9);
    }
}
