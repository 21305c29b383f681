//! What policies have the inline path do with requests of HTTP/1, and what passes all the same as it is.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use interceptor_tests::{Case, Daemon, until};
use serde_json::Value;

use super::{NEEDS, inline::Sidecar};

const SOON: Duration = Duration::from_secs(20);
/// Where the test's server is.
pub(crate) const PORT: u16 = 8077;
/// Where `/elsewhere` goes.
pub(crate) const ELSEWHERE: u16 = 8078;
const RULES: &str = "
  - {name: secret, match: 'request.path.startsWith(\"/secret\")', action: {deny: {status: 451, message: not for you}}}
  - name: fields
    match: request.path == \"/fields\"
    action: {rewrite: {requestHeaderModifier: {set: [{name: x-set, value: new}], add: [{name: X-Added, value: one}], remove: [x-gone]}}}
  - {name: path, match: request.path == \"/old/way\", action: {rewrite: {urlRewrite: {path: {type: ReplacePrefixMatch, prefixMatch: /old, replacePrefixMatch: /new}}}}}
  - {name: elsewhere, match: request.path == \"/elsewhere\", action: {route: {backendRefs: [{name: SERVER, port: 8078}]}}}
  - {name: model, match: inference.model == \"large\", action: {route: {backendRefs: [{name: SERVER, port: 8078}]}}}
  - {name: traced, match: request.path == \"/traced\", action: {trace: {}}}
";

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("enforce::a_policy_denies_routes_rewrites_and_traces_requests", NEEDS, actions),
        Case::new("enforce::requests_on_one_connection_are_judged_one_by_one", NEEDS, one_by_one),
        Case::new("enforce::contents_pass_as_they_come_and_whole", NEEDS, contents),
        Case::new("enforce::a_connection_that_switches_protocols_becomes_a_tunnel", NEEDS, switches),
        Case::new("enforce::what_is_not_http_passes_as_it_is", NEEDS, not_http),
    ]
}

/// The client's sidecar, and servers in the other pod that a test plays.
pub(crate) struct Bed {
    pub(crate) sidecar: Sidecar,
    pub(crate) daemon: Daemon,
}

impl Bed {
    pub(crate) fn new() -> Result<Self> {
        let steer = format!("[{{name: web, ports: [{PORT}]}}]");
        let sidecar = Sidecar::with_rules(&steer, &RULES.replace("SERVER", "10.70.0.1"))?;
        let daemon = sidecar.start()?;
        Ok(Self { sidecar, daemon })
    }

    pub(crate) fn server(&self, port: u16) -> Result<TcpListener> {
        let pod = &self.sidecar.bed.pods.server;
        let at = SocketAddr::from((pod.ipv4, port));
        Ok(pod.namespace().enter(|| TcpListener::bind(at))?)
    }

    pub(crate) fn connect(&self) -> Result<TcpStream> {
        let pods = &self.sidecar.bed.pods;
        let to = SocketAddr::from((pods.server.ipv4, PORT));
        let connected = pods.client.namespace().enter(|| {
            let stream = TcpStream::connect_timeout(&to, Duration::from_secs(5))?;
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            stream.set_nodelay(true)?;
            Ok(stream)
        });
        Ok(connected?)
    }

    /// Says it, and gives all that is answered until the other side ends.
    fn ask(&self, request: &str) -> Result<String> {
        let mut stream = self.connect()?;
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(String::from_utf8(answer)?)
    }

    /// What the line about this path says was done: rule and action.
    fn did(&self, path: &str) -> Result<Vec<(String, String)>> {
        let line = until(SOON, path, || Ok(self.sidecar.lines(path)?.pop()))?;
        let rules = line["interceptor.policy.rules"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let did = rules.iter().filter(|rule| rule["did"].is_object());
        Ok(did.map(|rule| (text(&rule["rule"]), text(&rule["did"]["action"]))).collect())
    }
}

/// A head, up to and with its empty line.
pub(crate) fn head(stream: &mut TcpStream) -> Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte)? == 0 {
            break;
        }
        head.push(byte[0]);
    }
    Ok(String::from_utf8(head)?)
}

/// Answers each request with its own head, and tells of it. `Content-Length` is the only framing that it knows.
fn echo(listener: TcpListener) -> Receiver<String> {
    let (told, heads) = channel();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let told = told.clone();
            thread::spawn(move || serve(stream, &told));
        }
    });
    heads
}

fn serve(mut stream: TcpStream, told: &Sender<String>) -> Result<()> {
    loop {
        let head = head(&mut stream)?;
        if head.is_empty() {
            return Ok(());
        }
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
        let mut content = vec![0; length.unwrap_or(0)];
        stream.read_exact(&mut content)?;
        told.send(head.clone())?;
        let end = if head.contains("Connection: close") { "Connection: close\r\n" } else { "" };
        write!(stream, "HTTP/1.1 200 Fine\r\nX-Server: test\r\n{end}Content-Length: {}\r\n\r\n{head}", head.len())?;
    }
}

fn get(path: &str, more: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: model\r\n{more}Connection: close\r\n\r\n")
}

fn actions() -> Result<()> {
    let bed = Bed::new()?;
    let (heads, elsewhere) = (echo(bed.server(PORT)?), echo(bed.server(ELSEWHERE)?));
    let came = || heads.recv_timeout(SOON).context("nothing came");
    // Nothing is done, and nothing is changed but what is for one connection only.
    let answer = bed.ask(&get("/plain?a=b", "B: 1\r\na: 2\r\nKeep-Alive: x\r\nb: 3\r\n"))?;
    let seen = came()?;
    ensure!(seen == "GET /plain?a=b HTTP/1.1\r\nHost: model\r\nB: 1\r\nb: 3\r\na: 2\r\n\r\n", "{seen}");
    ensure!(answer.starts_with("HTTP/1.1 200") && answer.contains("\r\nX-Server: test\r\n"), "{answer}");
    ensure!(bed.did("/plain")?.is_empty());

    let answer = bed.ask(&get("/secret/1", ""))?;
    ensure!(answer.starts_with("HTTP/1.1 451 ") && answer.contains("application/problem+json"), "{answer}");
    ensure!(answer.contains("\"detail\":\"not for you\""), "{answer}");
    ensure!(bed.did("/secret/1")? == [("p/secret".to_owned(), "deny".to_owned())]);
    let answer = bed.ask(&get("/secret/2", "Content-Type: application/grpc\r\n"))?.to_ascii_lowercase();
    ensure!(answer.starts_with("http/1.1 200 ") && answer.contains("\r\ngrpc-status: 2\r\n"), "{answer}");

    bed.ask(&get("/fields", "X-Set: old\r\nx-gone: 1\r\nx-added: zero\r\n"))?;
    let seen = came()?.to_ascii_lowercase();
    ensure!(seen.contains("x-set: new") && !seen.contains("old") && !seen.contains("x-gone"), "{seen}");
    ensure!(seen.contains("x-added: zero\r\nx-added: one"), "{seen}");
    ensure!(bed.did("/fields")? == [("p/fields".to_owned(), "rewrite".to_owned())]);
    bed.ask(&get("/old/way", ""))?;
    ensure!(came()?.starts_with("GET /new/way HTTP/1.1\r\n"));

    bed.ask(&get("/elsewhere", ""))?;
    ensure!(elsewhere.recv_timeout(SOON)?.starts_with("GET /elsewhere "));
    ensure!(bed.did("/elsewhere")? == [("p/elsewhere".to_owned(), "route".to_owned())]);

    // Which model is asked for, the content says.
    let chat = |model: &str| {
        let content = format!(r#"{{"model":"{model}","messages":[]}}"#);
        let fields =
            format!("Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n", content.len());
        format!("POST /v1/chat/completions HTTP/1.1\r\nHost: model\r\n{fields}\r\n{content}")
    };
    bed.ask(&chat("small"))?;
    ensure!(came()?.starts_with("POST /v1/chat/completions "));
    bed.ask(&chat("large"))?;
    ensure!(elsewhere.recv_timeout(SOON)?.starts_with("POST /v1/chat/completions "));

    let goes_on = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";
    bed.ask(&get("/traced", goes_on))?;
    ensure!(came()?.contains(goes_on));
    bed.ask(&get("/traced", "traceparent: nonsense\r\n"))?;
    let seen = came()?;
    ensure!(seen.contains("traceparent: 00-") && !seen.contains("nonsense"), "{seen}");
    ensure!(bed.did("/traced")? == [("p/traced".to_owned(), "trace".to_owned())]);
    ensure!(heads.try_recv().is_err() && elsewhere.try_recv().is_err(), "something came that ought not to");
    Ok(())
}

fn one_by_one() -> Result<()> {
    let bed = Bed::new()?;
    let heads = echo(bed.server(PORT)?);
    let mut stream = bed.connect()?;
    // All at once; a denied one with a content that nobody gets.
    let plain = "GET /first HTTP/1.1\r\nHost: model\r\n\r\n";
    let secret = "POST /secret HTTP/1.1\r\nHost: model\r\nContent-Length: 5\r\n\r\nhello";
    stream.write_all(format!("{plain}{secret}{}", get("/last", "")).as_bytes())?;
    let mut answers = String::new();
    stream.read_to_string(&mut answers)?;
    // Behind a content there is no line's end.
    let codes: Vec<&str> = answers.split("HTTP/1.1 ").skip(1).filter_map(|answer| answer.get(..3)).collect();
    ensure!(codes.iter().filter(|code| code.parse::<u16>().is_ok()).eq(&["200", "451", "200"]), "{answers}");
    let came: Vec<String> = heads.try_iter().filter_map(|head| head.lines().next().map(str::to_owned)).collect();
    ensure!(came == ["GET /first HTTP/1.1", "GET /last HTTP/1.1"], "{came:?}");
    for path in ["/first", "/secret", "/last"] {
        let lines = until(SOON, path, || Ok(Some(bed.sidecar.lines(path)?).filter(|lines| !lines.is_empty())))?;
        ensure!(lines.len() == 1 && lines[0]["complete"] == true, "{lines:?}");
    }
    Ok(())
}

/// Each piece arrives while the other side waits for it to say more; in the end all has arrived.
fn contents() -> Result<()> {
    const PIECES: usize = 64;
    const SIZE: usize = 1 << 20;
    let bed = Bed::new()?;
    let listener = bed.server(PORT)?;
    let server = thread::spawn(move || -> Result<()> {
        let (mut stream, _) = listener.accept()?;
        let asked = head(&mut stream)?;
        ensure!(asked.to_ascii_lowercase().contains("transfer-encoding: chunked"), "{asked}");
        write!(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n")?;
        for number in 0..PIECES {
            let piece = chunk(&mut stream)?;
            ensure!(piece == vec![number as u8; SIZE], "piece {number} is another");
            write!(stream, "1\r\n")?;
            stream.write_all(&[number as u8])?;
            write!(stream, "\r\n")?;
        }
        ensure!(chunk(&mut stream)?.is_empty());
        Ok(write!(stream, "0\r\nX-Sum: all\r\n\r\n")?)
    });
    let mut client = bed.connect()?;
    write!(client, "POST /pieces HTTP/1.1\r\nHost: model\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    let answer = head(&mut client)?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    for number in 0..PIECES {
        // In several chunks: how it is divided means nothing.
        for _ in 0..4 {
            write!(client, "{:x}\r\n", SIZE / 4)?;
            client.write_all(&vec![number as u8; SIZE / 4])?;
            write!(client, "\r\n")?;
        }
        ensure!(chunk(&mut client)? == [number as u8], "the answer to piece {number}");
    }
    write!(client, "0\r\n\r\n")?;
    ensure!(line(&mut client)? == "0");
    let trailers = head(&mut client)?;
    ensure!(trailers.eq_ignore_ascii_case("x-sum: all\r\n\r\n"), "{trailers}");
    server.join().map_err(|_| anyhow!("the server panicked"))?
}

/// Of a content, a mebibyte or what its chunk has; the server gets chunks as the inline path cuts them.
fn chunk(stream: &mut TcpStream) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let size = usize::from_str_radix(&line(stream)?, 16)?;
        let mut data = vec![0; size];
        stream.read_exact(&mut data)?;
        if size > 0 || all.is_empty() {
            ensure!(line(stream)?.is_empty(), "a chunk without its end");
        }
        all.extend(data);
        if size == 0 || all.len() == 1 || all.len() >= 1 << 20 {
            return Ok(all);
        }
    }
}

fn line(stream: &mut TcpStream) -> Result<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\r\n") {
        stream.read_exact(&mut byte)?;
        line.push(byte[0]);
    }
    line.truncate(line.len() - 2);
    Ok(String::from_utf8(line)?)
}

fn switches() -> Result<()> {
    let bed = Bed::new()?;
    let listener = bed.server(PORT)?;
    let server = thread::spawn(move || -> Result<()> {
        let (mut stream, _) = listener.accept()?;
        let asked = head(&mut stream)?.to_ascii_lowercase();
        ensure!(asked.contains("upgrade: echo") && asked.contains("connection: upgrade"), "{asked}");
        write!(stream, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")?;
        let mut said = Vec::new();
        stream.read_to_end(&mut said)?;
        Ok(stream.write_all(&said)?)
    });
    let mut client = bed.connect()?;
    write!(client, "GET /echo HTTP/1.1\r\nHost: model\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")?;
    let answer = head(&mut client)?;
    ensure!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    client.write_all(b"\x00anything\xff")?;
    client.shutdown(std::net::Shutdown::Write)?;
    let mut heard = Vec::new();
    client.read_to_end(&mut heard)?;
    ensure!(heard == b"\x00anything\xff", "{heard:?}");
    server.join().map_err(|_| anyhow!("the server panicked"))?
}

/// Whoever speaks first, and in pieces that look like the beginning of HTTP.
fn not_http() -> Result<()> {
    let bed = Bed::new()?;
    let listener = bed.server(PORT)?;
    let server = thread::spawn(move || -> Result<()> {
        let (mut first, _) = listener.accept()?;
        first.write_all(b"220 ready\r\n")?;
        ensure!(line(&mut first)? == "HELO me");
        first.write_all(b"250 fine\r\n")?;
        let (mut second, _) = listener.accept()?;
        let mut said = [0; 4];
        second.read_exact(&mut said)?;
        ensure!(&said == b"GET\0", "{said:?}");
        Ok(second.write_all(b"\x01\x02")?)
    });
    let mut client = bed.connect()?;
    ensure!(line(&mut client)? == "220 ready");
    client.write_all(b"HELO me\r\n")?;
    ensure!(line(&mut client)? == "250 fine");
    let mut client = bed.connect()?;
    client.write_all(b"GE")?;
    thread::sleep(Duration::from_millis(50));
    client.write_all(b"T\0")?;
    let mut heard = Vec::new();
    client.read_to_end(&mut heard)?;
    ensure!(heard == [1, 2], "{heard:?}");
    server.join().map_err(|_| anyhow!("the server panicked"))?
}
