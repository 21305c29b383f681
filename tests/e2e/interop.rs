//! The inline path between clients and servers as they are: gRPC, WebSocket, large contents, many event streams.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use interceptor_tests::{Case, Need, Nginx, Process, Python};

use super::{
    curl,
    enforce::{self, head},
    inline::Sidecar,
};

const NEEDS: &[Need] = &[
    Need::Root,
    Need::Program("nginx", "nginx-light"),
    Need::Program("nghttpd", "nghttp2-server"),
    Need::Program("curl", "curl"),
    Need::Program("/usr/bin/python3", "python3"),
    Need::Program("/usr/lib/python3/dist-packages/grpc/__init__.py", "python3-grpcio"),
    Need::Packages("interop"),
];
const GRPC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/e2e/peers/interop.py");
const SOCKETS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/e2e/peers/sockets.py");
const SOON: Duration = Duration::from_mins(1);
const LARGE: usize = 64 << 20;
const STREAMS: usize = 1000;
/// Of each stream.
const EVENTS: usize = 12;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("interop::grpc_is_called_as_without_it", NEEDS, grpc),
        Case::new("interop::websockets_are_as_without_it", NEEDS, sockets),
        Case::new("interop::large_contents_are_the_same_both_ways", NEEDS, contents),
        Case::new("interop::of_a_thousand_event_streams_each_event_comes_at_once", NEEDS, events),
    ]
}

/// Says `ok NAME` or `failed NAME: why` of each thing that it does; all are to be ok.
fn all_ok(mut client: Command, count: usize) -> Result<()> {
    let told = Process::start(&mut client)?.end(2 * SOON)?.success()?.stdout;
    let failed: Vec<&String> = told.iter().filter(|line| !line.starts_with("ok ")).collect();
    ensure!(failed.is_empty() && told.len() == count, "of {}: {failed:#?}", told.len());
    Ok(())
}

fn serves(mut server: Command) -> Result<Process> {
    let server = Process::start(&mut server)?;
    server.wait_stdout(SOON, |lines| lines.iter().any(|line| line == "listening").then_some(()))?;
    Ok(server)
}

fn grpc() -> Result<()> {
    const RULE: &str = "  - {name: secret, match: 'request.path == \"/test.Interop/Secret\"', action: {deny: {status: 403, message: nicht für dich}}}\n";
    let sidecar = Sidecar::with_rules("[{name: grpc, ports: [50051]}]", RULE)?;
    let _daemon = sidecar.start()?;
    let pods = &sidecar.bed.pods;
    let address = format!("{}:50051", pods.server.ipv4);
    let python = |pod: &interceptor::demo::pod::Pod, what| -> Result<Command> {
        let mut command = pod.command("/usr/bin/python3")?;
        command.args([GRPC, what, &address]);
        Ok(command)
    };
    let _server = serves(python(&pods.server, "serve")?)?;
    all_ok(python(&pods.client, "ask")?, 20)
}

fn sockets() -> Result<()> {
    let bed = enforce::Bed::new()?;
    let pods = &bed.sidecar.bed.pods;
    let interpreter = Python::with("interop")?;
    let python = |pod: &interceptor::demo::pod::Pod, what| -> Result<Command> {
        let mut command = pod.command(interpreter.path())?;
        command.args([SOCKETS, what, &pods.server.ipv4.to_string(), &enforce::PORT.to_string()]);
        Ok(command)
    };
    let _server = serves(python(&pods.server, "serve")?)?;
    all_ok(python(&pods.client, "ask")?, 10)
}

/// SHA-256 of a file, as coreutils see it.
fn sum(file: &Path) -> Result<String> {
    let told = Process::start(Command::new("sha256sum").arg(file))?.end(SOON)?.success()?.stdout;
    told.first().and_then(|line| line.split(' ').next()).map(str::to_owned).context("no sum")
}

/// Up and down, by HTTP/1.1 with nginx and by HTTP/2 with nghttpd.
fn contents() -> Result<()> {
    let rule = "  - {name: never, match: 'request.path == \"/never\"', action: {deny: {status: 403}}}\n";
    let sidecar = Sidecar::with_rules("[{name: web, ports: [8077, 8080]}]", rule)?;
    let _daemon = sidecar.start()?;
    let (pods, files) = (&sidecar.bed.pods, tempfile::tempdir()?);
    let (large, back) = (sidecar.bed.nginx.files().join("large"), files.path().join("back"));
    let mut bytes = Vec::with_capacity(LARGE);
    fs::File::open("/dev/urandom")?.take(LARGE as u64).read_to_end(&mut bytes)?;
    fs::write(&large, bytes)?;
    let [up, down] = [&large, &back].map(|file| file.display().to_string());
    let expected = sum(&large)?;
    let is_back = |what: &str| -> Result<()> {
        ensure!(sum(&back)? == expected, "{what}: another content");
        Ok(fs::remove_file(&back)?)
    };
    let url = |port: u16, path: &str| format!("http://{}:{port}{path}", pods.server.ipv4);
    curl(&pods.client, &["-f", &url(Nginx::PORT, "/large"), "-o", &down])?;
    is_back("down by HTTP/1.1")?;
    curl(&pods.client, &["-f", "-T", &up, &url(Nginx::PORT, "/upload/large")])?;
    ensure!(sum(&sidecar.bed.nginx.files().join("upload/large"))? == expected, "up by HTTP/1.1: another content");

    let mut server = pods.server.command("nghttpd")?;
    server.args(["--no-tls", "--echo-upload", "-d"]).arg(sidecar.bed.nginx.files());
    server.args(["-a", &pods.server.ipv4.to_string(), "8077"]);
    let _server = Process::start(&mut server)?;
    let two = ["-f", "--http2-prior-knowledge", "--retry", "20", "--retry-connrefused", "--retry-delay", "1"];
    curl(&pods.client, &[&two[..], &[&url(8077, "/large"), "-o", &down]].concat())?;
    is_back("down by HTTP/2")?;
    curl(&pods.client, &[&two[..], &["-T", &up, &url(8077, "/"), "-o", &down]].concat())?;
    is_back("up and down by HTTP/2")?;
    // Requests were looked at, and not relayed.
    let status = ["-o", "/dev/null", "-w", "%{http_code}"];
    for (version, port) in [("--http1.1", Nginx::PORT), ("--http2-prior-knowledge", 8077)] {
        let told = curl(&pods.client, &[&status[..], &[version, &url(port, "/never")]].concat())?.stdout;
        ensure!(told == ["403"], "{version}: {told:?}");
    }
    Ok(())
}

/// Each round, one event of each stream is sent; no other one before it has come. So none waits for the next, or for another stream's.
fn events() -> Result<()> {
    let bed = enforce::Bed::new()?;
    let listener = bed.server(enforce::PORT)?;
    let server = thread::spawn(move || {
        // All are accepted before the first is served: the others would wait in the kernel's queue, which is short.
        let streams = listener.incoming().take(STREAMS).collect::<Result<Vec<_>, _>>()?;
        streams.into_iter().map(begin).collect::<Result<Vec<_>>>()
    });
    let mut clients = connect_all(&bed)?;
    for (number, client) in clients.iter_mut().enumerate() {
        write!(client, "GET /events/{number} HTTP/1.1\r\nHost: model\r\nAccept: text/event-stream\r\n\r\n")?;
    }
    for client in &mut clients {
        let answer = head(client)?;
        ensure!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
    let mut servers = server.join().map_err(|_| anyhow!("the server panicked"))??;
    // In which order they came is known by what each asked for.
    servers.sort_by_key(|(number, _)| *number);
    let carried = bed.daemon.metrics()?.get("interceptor_inline_connections")?;
    ensure!(carried == STREAMS as u64, "{carried} are carried");
    let mut kept = Vec::new();
    for round in 0..EVENTS {
        for (number, server) in &mut servers {
            let event = event(*number, round);
            server.write_all(format!("{:X}\r\n{event}\r\n", event.len()).as_bytes())?;
        }
        for (number, client) in clients.iter_mut().enumerate() {
            let event = event(number, round);
            hears(client, &format!("{:X}\r\n{event}\r\n", event.len()))
                .with_context(|| format!("event {round} of stream {number}"))?;
        }
        kept.push(bed.daemon.process().anonymous_kib()?);
    }
    for (_, server) in &mut servers {
        server.write_all(b"0\r\n\r\n")?;
    }
    for client in &mut clients {
        hears(client, "0\r\n\r\n")?;
    }
    // What has passed is not kept: each round is 2 MB.
    let grown = kept[EVENTS - 1].saturating_sub(kept[1]);
    ensure!(grown < 2048, "{grown} KiB more after {} rounds: {kept:?}", EVENTS - 2);
    Ok(())
}

fn connect_all(bed: &enforce::Bed) -> Result<Vec<TcpStream>> {
    let pods = &bed.sidecar.bed.pods;
    let to = SocketAddr::from((pods.server.ipv4, enforce::PORT));
    let connect = || {
        let stream = TcpStream::connect_timeout(&to, Duration::from_secs(10))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(stream)
    };
    Ok(pods.client.namespace().enter(|| (0..STREAMS).map(|_| connect()).collect())?)
}

/// A stream's server, and which one it is.
fn begin(mut stream: TcpStream) -> Result<(usize, TcpStream)> {
    stream.set_nodelay(true)?;
    let asked = head(&mut stream)?;
    let number = asked.strip_prefix("GET /events/").and_then(|rest| rest.split(' ').next()?.parse().ok());
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    Ok((number.with_context(|| asked.clone())?, stream))
}

fn event(stream: usize, round: usize) -> String {
    format!("id: {stream}.{round}\ndata: {}\n\n", "token ".repeat(330))
}

fn hears(stream: &mut TcpStream, text: &str) -> Result<()> {
    let mut heard = vec![0; text.len()];
    stream.read_exact(&mut heard)?;
    ensure!(heard == text.as_bytes(), "{:?} in place of {text:?}", String::from_utf8_lossy(&heard));
    Ok(())
}
