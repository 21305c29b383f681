//! Clients of our own: wrk has no constant rate, and does not hold connections open.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use nix::sys::{
    resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit},
    time::TimeValLike as _,
};

use super::lab::tensors;

/// Requests at a constant rate.
#[derive(clap::Args)]
pub(crate) struct Load {
    #[arg(long)]
    address: SocketAddr,
    /// Requests a second, over all connections.
    #[arg(long)]
    rate: f64,
    #[arg(long)]
    connections: u32,
    #[arg(long)]
    seconds: u64,
    /// Bytes of content that each request carries; without, each asks for a file.
    #[arg(long)]
    content: Option<usize>,
    /// What they are sent to.
    #[arg(long, default_value = "/answer")]
    path: String,
}

/// Connections that stay open after one exchange each, until standard input ends.
#[derive(clap::Args)]
pub(crate) struct Hold {
    #[arg(long)]
    address: SocketAddr,
    #[arg(long)]
    connections: u64,
}

/// What a load did; the client prints it as JSON.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report {
    pub(super) completed: f64,
    pub(super) seconds: f64,
    pub(super) p50_nanos: f64,
    /// Time that the client spent on a CPU.
    pub(super) cpu_nanos: f64,
}

impl Report {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let value: serde_json::Value = serde_json::from_str(text.trim()).context("the load client's report")?;
        let field =
            |name: &str| value[name].as_f64().with_context(|| format!("the load client's report has no {name}"));
        Ok(Self {
            completed: field("completed")?,
            seconds: field("seconds")?,
            p50_nanos: field("p50_nanos")?,
            cpu_nanos: field("cpu_nanos")?,
        })
    }
}

pub(crate) fn load(args: &Load) -> Result<()> {
    let interval = Duration::from_secs_f64(f64::from(args.connections) / args.rate);
    let started = Instant::now();
    let end = started + Duration::from_secs(args.seconds);
    let clients: Vec<_> = (0..args.connections)
        .map(|index| {
            let (address, request) = (args.address, request(args.address, args.content, &args.path));
            // Spread over the interval: no bursts.
            let first = started + interval.mul_f64(f64::from(index) / f64::from(args.connections));
            thread::spawn(move || paced(address, request, first, interval, end))
        })
        .collect();
    let mut latencies = Vec::new();
    for client in clients {
        latencies.extend(client.join().map_err(|_| anyhow::anyhow!("a client thread failed"))??);
    }
    tell(latencies, started)
}

/// Prints the report of a load that began then.
pub(super) fn tell(mut latencies: Vec<u64>, started: Instant) -> Result<()> {
    let seconds = started.elapsed().as_secs_f64();
    latencies.sort_unstable();
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let cpu_micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    println!(
        "{{\"completed\":{},\"seconds\":{seconds},\"p50_nanos\":{},\"cpu_nanos\":{}}}",
        latencies.len(),
        latencies.get(latencies.len() / 2).copied().unwrap_or_default(),
        cpu_micros * 1000
    );
    Ok(())
}

/// Requests on one connection, each at its time, or at once where the one before it was late.
fn paced(address: SocketAddr, request: Vec<u8>, first: Instant, interval: Duration, end: Instant) -> Result<Vec<u64>> {
    let mut client = Client::connect(address, request)?;
    let mut latencies = Vec::new();
    let mut due = first;
    while due < end {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let sent = Instant::now();
        if sent > end {
            break;
        }
        client.exchange()?;
        latencies.push(sent.elapsed().as_nanos() as u64);
        due += interval;
    }
    Ok(latencies)
}

pub(crate) fn hold(args: &Hold) -> Result<()> {
    // Each connection is a file; a few more are open anyway.
    let wanted = args.connections + 100;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < wanted {
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted))
            .with_context(|| format!("{wanted} open files are not allowed (ulimit -Hn says {hard})"))?;
    }
    let open: Vec<Client> = (0..args.connections)
        .map(|_| {
            let mut client = Client::connect(args.address, request(args.address, None, ""))?;
            client.exchange()?;
            Ok(client)
        })
        .collect::<Result<_>>()?;
    println!("{}", open.len());
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// What is asked: a file, or an answer to so many bytes of JSON.
fn request(address: SocketAddr, content: Option<usize>, path: &str) -> Vec<u8> {
    let fields = format!("Host: {address}\r\nUser-Agent: interceptor-bench\r\nAccept: */*\r\n");
    let text = match content {
        None => format!("GET /file HTTP/1.1\r\n{fields}\r\n"),
        Some(length) => format!(
            "POST {path} HTTP/1.1\r\n{fields}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{}",
            tensors("inputs", length)
        ),
    };
    text.into_bytes()
}

/// A keep-alive connection that asks for one thing again and again.
struct Client {
    stream: TcpStream,
    request: Vec<u8>,
    buffer: Vec<u8>,
}

impl Client {
    fn connect(address: SocketAddr, request: Vec<u8>) -> Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(Self { stream, request, buffer: Vec::with_capacity(4096) })
    }

    fn exchange(&mut self) -> Result<()> {
        self.stream.write_all(&self.request)?;
        self.buffer.clear();
        let mut piece = [0; 4096];
        while !is_whole(&self.buffer)? {
            let length = self.stream.read(&mut piece).context("no answer")?;
            if length == 0 {
                bail!("the server closed the connection");
            }
            self.buffer.extend_from_slice(&piece[..length]);
        }
        Ok(())
    }
}

/// Whether a response with its content is there; it has to be a success with a length.
fn is_whole(buffer: &[u8]) -> Result<bool> {
    let Some(head) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(false) };
    let text = std::str::from_utf8(&buffer[..head])?;
    if !text.starts_with("HTTP/1.1 200") {
        bail!("unexpected answer: {}", text.lines().next().unwrap_or_default());
    }
    // Proxies have cases of their own.
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    let length = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: usize = length.context("an answer without Content-Length")?.1.trim().parse()?;
    Ok(buffer.len() >= head + 4 + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_with_its_content() {
        for answer in
            ["HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc"]
        {
            for end in 0..answer.len() {
                assert!(!is_whole(&answer.as_bytes()[..end]).unwrap(), "{end}");
            }
            assert!(is_whole(answer.as_bytes()).unwrap());
        }
        assert!(is_whole(b"HTTP/1.1 404 Not Found\r\n\r\n").is_err());
    }

    #[test]
    fn reports_are_read_back() {
        let report =
            Report::parse("{\"completed\":10,\"seconds\":1.5,\"p50_nanos\":70000,\"cpu_nanos\":3000}\n").unwrap();
        assert!((report.completed - 10.0).abs() < 1e-9 && (report.p50_nanos - 70_000.0).abs() < 1e-9);
        assert!(Report::parse("{}").is_err());
    }
}
