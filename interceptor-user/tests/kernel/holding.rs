//! Rules of the inline path that ask for a request's content: it is held back until it is whole.

use std::{
    io::{BufReader, Write as _},
    net::{SocketAddr, TcpListener},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use anyhow::ensure;
use bytes::Bytes;
use hyper::{Request, header::HeaderValue};

use crate::{
    Test,
    bed::payload,
    carrying::Bed,
    http1_ends::{self, Client},
    http2_ends,
    upstream::until,
};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        ("what_a_rule_asks_of_a_content_is_known_before_a_server_gets_it", contents),
        ("a_content_that_is_larger_than_a_rule_takes_is_refused", too_large),
        ("what_is_held_of_all_requests_has_a_limit", room),
        ("what_no_rule_asks_for_is_not_held", as_it_comes),
        ("http2_contents_are_held_as_rules_ask_for_them", http2),
    ]
}

const RULES: &str = "
  - name: secret
    match: inference.model == 'secret'
    keep: { request: 4KiB }
    action: { deny: { status: 403, message: not this model } }
  - name: small
    match: inference.model == 'small' && inference.parameters['temperature'] < 1.0
    keep: { request: 2KiB }
    action: { rewrite: { requestHeaderModifier: { set: [{ name: x-model, value: small }] } } }
  - name: size
    match: request.url_path == '/echo' && request.size > 600000
    action: { deny: { status: 403, message: so much } }
";
const CHAT: &str = "POST /v1/chat/completions";

fn json(model: &str) -> String {
    let messages = r#"[{"role":"user","content":"hi"}]"#;
    format!(r#"{{"model":"{model}","temperature":0.5,"messages":{messages}}}"#)
}

fn of_length(length: usize) -> String {
    format!("Content-Type: application/json\r\nContent-Length: {length}\r\n")
}

const CHUNKED: &str = "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n";

/// Answers with what it is asked, and keeps the heads as they come.
struct Echo(Arc<Mutex<Vec<String>>>);

impl Echo {
    fn start(listener: &TcpListener) -> anyhow::Result<Self> {
        let (heads, listener) = (Arc::new(Mutex::new(Vec::new())), listener.try_clone()?);
        let seen = Arc::clone(&heads);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = Arc::clone(&seen);
                thread::spawn(move || -> anyhow::Result<()> {
                    let mut stream = BufReader::new(stream);
                    loop {
                        let head = http1_ends::head(&mut stream)?.to_ascii_lowercase();
                        seen.lock().unwrap_or_else(PoisonError::into_inner).push(head.clone());
                        let content = http1_ends::content(&mut stream, &head)?;
                        let said = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", content.len());
                        stream.get_mut().write_all(&[said.as_bytes(), &content].concat())?;
                    }
                });
            }
        });
        Ok(Self(heads))
    }

    fn heads(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Time for something to go wrong.
fn a_while() {
    thread::sleep(Duration::from_millis(100));
}

fn contents() -> anyhow::Result<()> {
    let bed = Bed::under(RULES)?;
    let echo = Echo::start(&bed.ends.server)?;
    let mut client = Client::open(bed.ends.server.local_addr()?)?;
    // Piece by piece, with its length, and in chunks.
    let other = json("other");
    let (first, rest) = other.split_at(20);
    client.send(CHAT, &of_length(other.len()))?;
    client.more(first.as_bytes())?;
    a_while();
    ensure!(echo.heads().is_empty(), "the server is asked before its request is judged");
    client.more(rest.as_bytes())?;
    let answer = client.answer()?;
    ensure!(answer.status == 200 && answer.text == other, "{answer:?}");
    client.send(CHAT, CHUNKED)?;
    client.more(format!("14\r\n{first}\r\n{:x}\r\n{rest}\r\n0\r\n\r\n", rest.len()).as_bytes())?;
    let answer = client.answer()?;
    ensure!(answer.status == 200 && answer.text == other, "{answer:?}");
    // It waits to be told to go on.
    let small = json("small");
    client.send(CHAT, &format!("{}Expect: 100-continue\r\n", of_length(small.len())))?;
    ensure!(client.answer()?.status == 100);
    client.more(small.as_bytes())?;
    let answer = client.answer()?;
    ensure!(answer.status == 200 && answer.text == small, "{answer:?}");
    // The server never hears of it, and the connection goes on.
    let secret = json("secret");
    client.send(CHAT, &of_length(secret.len()))?;
    client.more(secret.as_bytes())?;
    ensure!(client.answer()?.status == 403);
    ensure!(client.get("/after")?.status == 200);
    let heads = echo.heads();
    let marked: Vec<bool> = heads.iter().map(|head| head.contains("x-model: small")).collect();
    ensure!(marked == [false, false, true, false], "{heads:?}");
    ensure!(bed.counts.held.load(Relaxed) == 4 && bed.counts.held_bytes.load(Relaxed) == 0);
    drop(client);
    bed.flows(1)?;
    let exchanges = bed.exchanges();
    let done = exchanges.iter().map(|exchange| exchange.enforced.iter().map(|rule| &**rule).collect::<Vec<_>>());
    let done: Vec<_> = done.collect();
    ensure!(done == [vec![], vec![], vec!["p/small"], vec!["p/secret"], vec![]], "{done:?}");
    Ok(())
}

fn too_large() -> anyhow::Result<()> {
    let bed = Bed::under(RULES)?;
    let (to, echo) = (bed.ends.server.local_addr()?, Echo::start(&bed.ends.server)?);
    let large = "x".repeat(4097);
    let mut client = Client::open(to)?;
    client.send(CHAT, &of_length(large.len()))?;
    client.more(large.as_bytes())?;
    let answer = client.answer()?;
    ensure!(answer.status == 413 && answer.head.contains("application/problem+json"), "{answer:?}");
    let mut client = Client::open(to)?;
    client.send(CHAT, CHUNKED)?;
    client.more(format!("1001\r\n{large}\r\n").as_bytes())?;
    ensure!(client.answer()?.status == 413);
    // The rest of it is read, so that it can go on.
    client.more(b"1\r\nx\r\n0\r\n\r\n")?;
    ensure!(client.get("/after")?.status == 200);
    ensure!(echo.heads().len() == 1 && bed.counts.held_too_large.load(Relaxed) == 2);
    Ok(())
}

fn room() -> anyhow::Result<()> {
    let bed = Bed::within(RULES, |limits| limits.held = 1000)?;
    let (to, _echo) = (bed.ends.server.local_addr()?, Echo::start(&bed.ends.server)?);
    let content = format!("{:600}", json("other"));
    let begin = || -> anyhow::Result<Client> {
        let mut client = Client::open(to)?;
        client.send(CHAT, &of_length(601))?;
        client.more(content.as_bytes())?;
        Ok(client)
    };
    let held = |count: &AtomicU64, bytes| until("so much is held", || count.load(Relaxed) == bytes);
    let mut first = begin()?;
    held(&bed.counts.held_bytes, 600)?;
    let answer = begin()?.answer()?;
    ensure!(answer.status == 503 && answer.head.contains("retry-after"), "{answer:?}");
    ensure!(bed.counts.held_no_room.load(Relaxed) == 1);
    first.more(b" ")?;
    ensure!(first.answer()?.status == 200);
    held(&bed.counts.held_bytes, 0)?;
    // Who goes away takes nothing along.
    let gone = begin()?;
    held(&bed.counts.held_bytes, 600)?;
    drop(gone);
    held(&bed.counts.held_bytes, 0)
}

fn as_it_comes() -> anyhow::Result<()> {
    let bed = Bed::under(RULES)?;
    let echo = Echo::start(&bed.ends.server)?;
    let mut client = Client::open(bed.ends.server.local_addr()?)?;
    let secret = json("secret");
    client.send("POST /other", &of_length(secret.len()))?;
    until("the server is asked", || echo.heads().len() == 1)?;
    client.more(secret.as_bytes())?;
    ensure!(client.answer()?.text == secret && bed.counts.held.load(Relaxed) == 0);
    Ok(())
}

fn http2() -> anyhow::Result<()> {
    let bed = Bed::under(RULES)?;
    let to: SocketAddr = bed.ends.server.local_addr()?;
    http2_ends::run(async {
        let _seen = http2_ends::serve(&bed.ends.server, "first")?;
        let client = http2_ends::connect(to).await?;
        let chat = |fields: &[(&'static str, &'static str)]| -> anyhow::Result<Request<()>> {
            let request = Request::post("http://model/v1/chat/completions").header("content-type", "application/json");
            Ok(fields.iter().fold(request, |request, (name, value)| request.header(*name, *value)).body(())?)
        };
        let ask = |request, body: String| http2_ends::ask(&client, request, Some(Bytes::from(body)));
        let small = ask(chat(&[])?, json("small")).await?;
        ensure!(small.text().contains("x-model: small"), "{}", small.text());
        let other = ask(chat(&[("expect", "100-continue")])?, json("other")).await?;
        ensure!(other.status == 200 && !other.text().contains("x-model"), "{}", other.text());
        ensure!(!other.text().contains("expect"), "{}", other.text());
        ensure!(ask(chat(&[])?, json("secret")).await?.status == 403);
        ensure!(ask(chat(&[])?, "x".repeat(4097)).await?.status == 413);
        // More than fits into a window, whole and unchanged; and one byte too much.
        let body = Bytes::from(payload(600_000, 7));
        let echo = http2_ends::ask(&client, http2_ends::get("/echo")?, Some(body.clone())).await?;
        ensure!(echo.body == body, "{} bytes, or others", echo.body.len());
        ensure!(echo.trailers.is_some_and(|fields| fields.get("x-bytes") == Some(&HeaderValue::from(600_000))));
        let call = Request::post("http://model/echo").header("content-type", "application/grpc").body(())?;
        let denied = http2_ends::ask(&client, call, Some(Bytes::from(payload(600_001, 8)))).await?;
        ensure!(denied.status == 200 && denied.fields.get("grpc-status") == Some(&HeaderValue::from(7)));
        Ok(())
    })?;
    until("nothing is held", || bed.counts.held_bytes.load(Relaxed) == 0)?;
    ensure!(bed.counts.held.load(Relaxed) == 5 && bed.counts.held_too_large.load(Relaxed) == 1);
    Ok(())
}
