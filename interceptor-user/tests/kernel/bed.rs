//! What tests need around them: connections, namespaces, cgroups, payload. Everything is removed on drop.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    thread,
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail, ensure};
use aya::programs::{SchedClassifier, TcAttachType};
use interceptor::{
    kernel::{CaptureOptions, Filters, Way, cgroup},
    model::Endpoint,
};
use nix::sched::{CloneFlags, setns};

/// Bytes in which every place can be told from every other.
pub(crate) fn payload(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Options for one interface and the flows of one port.
pub(crate) fn options(interface: &str, port: u16) -> CaptureOptions {
    CaptureOptions {
        interfaces: vec![interface.to_owned()],
        filters: Filters { ports: vec![port], ..Filters::default() },
        ..CaptureOptions::default()
    }
}

/// The number of our own network namespace.
pub(crate) fn zone() -> anyhow::Result<u32> {
    zone_at(Path::new("/proc/self/ns/net"))
}

pub(crate) fn listen(address: &str) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).with_context(|| format!("cannot listen at {address}"))?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// The ends of an exchange of bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    pub(crate) client: Endpoint,
    pub(crate) server: Endpoint,
}

/// The client sends `request` and closes its side; the server reads it all, sends `response`, and closes.
pub(crate) fn exchange(
    listener: &TcpListener,
    connect: impl FnOnce() -> anyhow::Result<TcpStream> + Send,
    request: &[u8],
    response: &[u8],
) -> anyhow::Result<Ends> {
    thread::scope(|scope| {
        let server = scope.spawn(|| -> anyhow::Result<()> {
            let (mut stream, _) = listener.accept()?;
            // Both ways at once, so that neither side waits for the other with its buffers full.
            let mut writer = stream.try_clone()?;
            let sender = scope.spawn(move || writer.write_all(response));
            let mut received = Vec::new();
            stream.read_to_end(&mut received)?;
            ensure!(received == request, "the server received something else");
            sender.join().map_err(|_| anyhow!("the server's sender panicked"))??;
            Ok(())
        });
        let mut stream = connect()?;
        let ends = Ends { client: stream.local_addr()?.into(), server: stream.peer_addr()?.into() };
        let mut writer = stream.try_clone()?;
        let sender = scope.spawn(move || -> anyhow::Result<()> {
            writer.write_all(request)?;
            Ok(writer.shutdown(std::net::Shutdown::Write)?)
        });
        let mut received = Vec::new();
        stream.read_to_end(&mut received)?;
        ensure!(received == response, "the client received something else");
        sender.join().map_err(|_| anyhow!("the client's sender panicked"))??;
        server.join().map_err(|_| anyhow!("the server panicked"))??;
        Ok(ends)
    })
}

/// A connection over which the client asks, and the server answers.
pub(crate) struct Talk {
    client: TcpStream,
    server: TcpStream,
    pub(crate) from: Endpoint,
    pub(crate) to: Endpoint,
}

impl Talk {
    pub(crate) fn new(listener: &TcpListener, address: SocketAddr) -> anyhow::Result<Self> {
        let client = TcpStream::connect(address)?;
        let (server, _) = listener.accept()?;
        let (from, to) = (client.local_addr()?.into(), address.into());
        Ok(Self { client, server, from, to })
    }

    /// Of both ends, as the kernel is told of the client's side.
    pub(crate) fn way(&self) -> anyhow::Result<Way> {
        Ok(Way { zone: zone()?, source: self.from, destination: self.to })
    }

    /// Asks this; the server receives it, and says "answer".
    pub(crate) fn ask(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let (client, server) = (&mut self.client, &mut self.server);
        thread::scope(|scope| {
            scope.spawn(|| client.write_all(bytes));
            server.read_exact(&mut vec![0; bytes.len()])
        })?;
        server.write_all(b"answer")?;
        Ok(client.read_exact(&mut [0; 6])?)
    }
}

pub(crate) fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{}x{}", std::process::id(), NEXT.fetch_add(1, Relaxed))
}

/// Runs `ip`.
pub(crate) fn ip(arguments: &str) -> anyhow::Result<()> {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().context("cannot run ip (iproute2)")?;
    ensure!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Runs many commands in one `ip`: on an emulated processor each process takes its time.
fn ip_batch(namespace: Option<&str>, commands: &[String]) -> anyhow::Result<()> {
    let mut command = Command::new("ip");
    command.args(namespace.iter().flat_map(|name| ["-n", name])).args(["-batch", "-"]);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().context("cannot run ip (iproute2)")?;
    child.stdin.take().context("no input")?.write_all(commands.join("\n").as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "ip: {}: {}", commands.join("; "), String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// The program under test; `INTERCEPTOR_BIN` names it on another machine than the one that built it.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("INTERCEPTOR_BIN").map_or_else(|| env!("CARGO_BIN_EXE_interceptor").into(), PathBuf::from)
}

/// This program again, with a variable that says what it is to do until it is killed. It has begun: it says that it is `ready`.
pub(crate) fn child(variable: &str, value: &str, ready: &str) -> anyhow::Result<Child> {
    let mut child = Command::new(std::env::current_exe()?)
        .env(variable, value)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
    if line.trim_end() != ready {
        child.kill()?;
        child.wait()?;
        bail!("the child says {line:?}");
    }
    Ok(child)
}

/// Are TC programs attached by TCX here (Linux 6.6 and later)?
pub(crate) fn has_tcx() -> bool {
    SchedClassifier::query_tcx("lo", TcAttachType::Egress).is_ok()
}

/// What `tc` says.
pub(crate) fn tc(arguments: &str) -> anyhow::Result<String> {
    let output = Command::new("tc").args(arguments.split_whitespace()).output().context("cannot run tc (iproute2)")?;
    ensure!(output.status.success(), "tc {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// Somebody's filter, which matches nothing.
pub(crate) fn add_filter(interface: &str) -> anyhow::Result<()> {
    let output = Command::new("tc")
        .args(["filter", "add", "dev", interface, "egress", "pref", "2", "protocol", "all"])
        .args(["bpf", "bytecode", "1,6 0 0 0"])
        .output()?;
    ensure!(output.status.success(), "tc filter add: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// The number of a network namespace; that of a process has a path, too.
pub(crate) fn zone_at(path: &Path) -> anyhow::Result<u32> {
    Ok(fs::metadata(path)?.ino().try_into()?)
}

/// A network namespace, joined to ours by a veth pair.
pub(crate) struct Pod {
    name: String,
    /// Our end of the pair.
    pub(crate) outside: String,
    /// Its end.
    pub(crate) inside: String,
    /// Our addresses, then its.
    pub(crate) host: [IpAddr; 2],
    pub(crate) peer: [IpAddr; 2],
}

impl Pod {
    pub(crate) fn new() -> anyhow::Result<Self> {
        static SUBNET: AtomicU32 = AtomicU32::new(0);
        let unique = unique();
        // Of 198.18.0.0/15, set aside for tests (RFC 2544); the PID keeps parallel runs apart.
        let subnet = (std::process::id() * 7 + SUBNET.fetch_add(1, Relaxed)) % (1 << 15) * 4;
        let v4 = |host: u32| IpAddr::from((0xc612_0000_u32 + subnet + host).to_be_bytes());
        let v6 = |host: u16| IpAddr::from([0xfd00, 0x7e57, (subnet >> 16) as u16, subnet as u16, 0, 0, 0, host]);
        let pod = Self {
            name: format!("ik{unique}"),
            outside: format!("iko{unique}"),
            inside: format!("iki{unique}"),
            host: [v4(1), v6(1)],
            peer: [v4(2), v6(2)],
        };
        let Self { name, outside, inside, .. } = &pod;
        let up = |link: &str, addresses: &[IpAddr; 2]| {
            let add =
                |(address, bits): (&IpAddr, u8)| format!("addr add {address}/{bits} dev {link}{}", nodad(*address));
            let added = addresses.iter().zip([30, 64]).map(add);
            added.chain([format!("link set {link} up")]).collect::<Vec<_>>()
        };
        ip(&format!("netns add {name}"))?;
        let pair = format!("link add {outside} type veth peer name {inside} netns {name}");
        ip_batch(None, &[vec![pair], up(outside, &pod.host)].concat())?;
        ip_batch(Some(name), &[up(inside, &pod.peer), vec!["link set lo up".to_owned()]].concat())?;
        Ok(pod)
    }

    /// Runs `ip` inside.
    pub(crate) fn ip(&self, arguments: &str) -> anyhow::Result<()> {
        ip(&format!("-n {} {arguments}", self.name))
    }

    pub(crate) fn netns(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.name)
    }

    /// Runs `work` inside.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
        let file = File::open(self.netns())?;
        thread::scope(|scope| {
            let inside = scope.spawn(move || {
                setns(&file, CloneFlags::CLONE_NEWNET)?;
                work()
            });
            inside.join().map_err(|_| anyhow!("the thread in the namespace panicked"))?
        })
    }
}

fn nodad(address: IpAddr) -> &'static str {
    if address.is_ipv6() { " nodad" } else { "" }
}

impl Drop for Pod {
    fn drop(&mut self) {
        // The pair goes with the namespace, but later.
        for arguments in [format!("link del {}", self.outside), format!("netns del {}", self.name)] {
            if let Err(error) = ip(&arguments) {
                eprintln!("{error:#}");
            }
        }
    }
}

/// A cgroup of version 2.
pub(crate) struct Group(pub(crate) PathBuf);

impl Group {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let path = cgroup::mount().context("no cgroup v2 mount")?.join(format!("interceptor-test-{}", unique()));
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }

    /// Runs `work` while this process is in the cgroup: the sockets that it makes stay there.
    pub(crate) fn run<T>(&self, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        let before = cgroup::of_pid(std::process::id())?;
        let join = |path: &Path| fs::write(path.join("cgroup.procs"), std::process::id().to_string());
        join(&self.0)?;
        let result = work();
        join(&before)?;
        result
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A process that was moved out may still be seen inside for a moment.
        for _ in 0..50 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        eprintln!("{} stays", self.0.display());
    }
}
