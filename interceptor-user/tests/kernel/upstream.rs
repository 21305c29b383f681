//! Connections to servers on the inline path: who shares them, how many there may be, and how they end.

use std::{
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, ensure};
use interceptor::config::{Count, Period};
use tokio::time;

use crate::{
    Test,
    carrying::Bed,
    http1_ends::{Asked, Client, Reply, Server, get},
    http2_ends,
};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        ("connections_to_a_server_are_shared_by_clients", shared),
        ("connections_that_are_not_used_are_closed_and_no_more_are_kept_than_may_be", kept),
        ("a_connection_that_a_client_is_logged_in_on_is_its_own", pinned),
        ("http2_connections_to_a_server_are_shared_by_clients", shared_http2),
        ("http2_streams_beyond_a_connections_limit_get_another_one", more_http2),
        ("requests_beyond_a_limit_are_refused", limited),
        ("a_client_that_asks_for_nothing_is_closed", idle),
        ("at_the_end_no_request_of_http1_fails", drained),
        ("at_the_end_no_request_of_http2_fails", drained_http2),
    ]
}

/// Something that has to be enforced, so that HTTP is terminated.
pub(crate) const DENY: &str = "  - { name: deny, match: request.path == '/deny', action: { deny: {} } }\n";

/// Waits until it holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) -> anyhow::Result<()> {
    let end = Instant::now() + Duration::from_secs(10);
    while !holds() {
        ensure!(Instant::now() < end, "in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn fine(_: &Asked) -> Reply {
    Reply::Answer(200, "")
}

fn shared() -> anyhow::Result<()> {
    const CLIENTS: u64 = 10;
    let bed = Bed::under(DENY)?;
    let to = bed.ends.server.local_addr()?;
    let server = Server::start(&bed.ends.server, fine)?;
    for _ in 0..CLIENTS {
        let mut client = Client::open(to)?;
        for _ in 0..2 {
            ensure!(client.get("/")?.text == "0");
        }
    }
    ensure!(server.opened() == 1 && server.count("GET /") as u64 == 2 * CLIENTS, "{:?}", server.asked());
    let upstream = &bed.counts.upstream;
    ensure!(upstream.opened.load(Relaxed) == 1 && upstream.reused.load(Relaxed) == 2 * CLIENTS - 1);
    until("one idle connection", || (upstream.connections.load(Relaxed), upstream.idle.load(Relaxed)) == (1, 1))?;
    // Two at a time take two.
    let mut clients = [Client::open(to)?, Client::open(to)?];
    for client in &mut clients {
        client.send("POST /", "Content-Length: 4\r\n")?;
    }
    until("two connections", || server.opened() == 2)?;
    Ok(())
}

fn kept() -> anyhow::Result<()> {
    let bed = Bed::within(DENY, |limits| {
        limits.upstream.connections.idle = Count(2);
        limits.upstream.connections.idle_timeout = Period(Duration::from_millis(1500));
    })?;
    let to = bed.ends.server.local_addr()?;
    let server = Server::start(&bed.ends.server, fine)?;
    let mut clients: Vec<Client> = (0..4).map(|_| Client::open(to)).collect::<anyhow::Result<_>>()?;
    for client in &mut clients {
        client.send("POST /", "Content-Length: 1\r\n")?;
    }
    until("four connections", || server.opened() == 4)?;
    let upstream = &bed.counts.upstream;
    for client in &mut clients {
        client.more(b"x")?;
        ensure!(client.answer()?.status == 200);
    }
    until("two that are kept", || (upstream.connections.load(Relaxed), upstream.idle.load(Relaxed)) == (2, 2))?;
    until("none that is kept", || upstream.connections.load(Relaxed) == 0)?;
    ensure!(clients[0].get("/")?.status == 200);
    ensure!(server.opened() == 5);
    Ok(())
}

/// NTLM logs in a connection.
fn pinned() -> anyhow::Result<()> {
    let bed = Bed::under(DENY)?;
    let to = bed.ends.server.local_addr()?;
    let _server = Server::start(&bed.ends.server, |asked| match asked.line.as_str() {
        "GET /login" => Reply::Answer(401, "WWW-Authenticate: NTLM\r\n"),
        _ => Reply::Answer(200, ""),
    })?;
    let mut plain = Client::open(to)?;
    ensure!(plain.get("/")?.text == "0");
    let mut client = Client::open(to)?;
    ensure!(client.get("/login")?.status == 401);
    // It is where it was, and nobody else is.
    for _ in 0..3 {
        ensure!(client.ask("GET /", "Authorization: NTLM x\r\n")?.text == "0");
        ensure!(plain.get("/")?.text == "1");
        ensure!(get(to, "/")?.text == "1");
    }
    drop(client);
    until("its end", || bed.counts.upstream.connections.load(Relaxed) == 1)
}

fn shared_http2() -> anyhow::Result<()> {
    const CLIENTS: usize = 10;
    let bed = Bed::under(DENY)?;
    let to = bed.ends.server.local_addr()?;
    http2_ends::run(async {
        let seen = http2_ends::serve(&bed.ends.server, "first")?;
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            let client = http2_ends::connect(to).await?;
            ensure!(http2_ends::ask(&client, http2_ends::get("/seen")?, None).await?.status == 200);
            clients.push(client);
        }
        // One that reads nothing of many answers does not hold up the others.
        let mut unread = Vec::new();
        for _ in 0..100 {
            let (response, mut up) = clients[0].send_request(http2_ends::get("/echo")?, false)?;
            http2_ends::send(&mut up, vec![0; 60_000].into(), true).await?;
            unread.push((response.await?, up));
        }
        let body = bytes::Bytes::from(vec![1; 4 << 20]);
        let answer = http2_ends::ask(&clients[1], http2_ends::get("/echo")?, Some(body.clone())).await?;
        ensure!(answer.body == body);
        ensure!(seen.connections.load(Relaxed) == 1);
        drop(unread);
        let upstream = &bed.counts.upstream;
        // The server lives on this thread, too.
        while upstream.idle.load(Relaxed) == 0 {
            time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    })
}

fn more_http2() -> anyhow::Result<()> {
    const STREAMS: usize = 200;
    let bed = Bed::under(DENY)?;
    let to = bed.ends.server.local_addr()?;
    http2_ends::run(async {
        let seen = http2_ends::serve(&bed.ends.server, "first")?;
        let mut client = http2_ends::connect(to).await?;
        let mut open = Vec::new();
        for stream in 0..STREAMS {
            open.push(client.send_request(http2_ends::get(&format!("/hang/{stream}"))?, true)?);
        }
        for stream in 0..STREAMS {
            seen.wait(&format!("{stream} begins")).await?;
        }
        ensure!(seen.connections.load(Relaxed) == 2, "{}", seen.connections.load(Relaxed));
        drop(open);
        for stream in 0..STREAMS {
            seen.wait(&format!("{stream} CANCEL")).await?;
        }
        Ok(())
    })
}

fn limited() -> anyhow::Result<()> {
    let other = TcpListener::bind("127.0.0.1:0")?;
    let rules = route(&other.local_addr()?.to_string());
    let bed = Bed::within(&rules, |limits| {
        limits.upstream.limits.requests = Count(3);
        limits.upstream.limits.per_upstream = Count(2);
    })?;
    let to = bed.ends.server.local_addr()?;
    let free = Arc::new(AtomicBool::new(false));
    let wait = |free: Arc<AtomicBool>| {
        move |asked: &Asked| {
            while asked.line.starts_with("POST ") && !free.load(Relaxed) {
                thread::sleep(Duration::from_millis(5));
            }
            Reply::Answer(200, "")
        }
    };
    let server = Server::start(&bed.ends.server, wait(Arc::clone(&free)))?;
    let backend = Server::start(&other, wait(Arc::clone(&free)))?;
    let waiting = |path: &str| -> anyhow::Result<Client> {
        let mut client = Client::open(to)?;
        client.send(&format!("POST {path}"), "Content-Length: 0\r\n")?;
        Ok(client)
    };
    let mut first = [waiting("/wait")?, waiting("/wait")?];
    until("two requests", || server.asked().len() == 2)?;
    let mut client = Client::open(to)?;
    let refused = client.get("/")?;
    ensure!(refused.status == 503 && refused.head.contains("\r\nretry-after: 1\r\n"), "{refused:?}");
    let refused = client.ask("GET /", "Content-Type: application/grpc\r\n")?;
    ensure!(refused.status == 200 && refused.head.contains("\r\ngrpc-status: 14\r\n"), "{refused:?}");
    let upstream = &bed.counts.upstream;
    ensure!((upstream.limited_upstream.load(Relaxed), upstream.limited_all.load(Relaxed)) == (2, 0));
    // Others have room, until there are too many altogether.
    ensure!(client.get("/route")?.status == 200);
    let _second = waiting("/route/wait")?;
    until("a third request", || backend.asked().len() == 2)?;
    ensure!(client.get("/route")?.status == 503);
    ensure!((upstream.limited_upstream.load(Relaxed), upstream.limited_all.load(Relaxed)) == (2, 1));
    // Who is answered makes room.
    free.store(true, Relaxed);
    for client in &mut first {
        ensure!(client.answer()?.status == 200);
    }
    until("room", || client.get("/").is_ok_and(|answer| answer.status == 200))
}

/// What goes to another backend, beside what is denied.
pub(crate) fn route(backend: &str) -> String {
    let (name, port) = backend.rsplit_once(':').unwrap_or_default();
    format!(
        "{DENY}  - name: route
    match: request.path.startsWith('/route')
    action: {{ route: {{ backendRefs: [{{ name: {name}, port: {port} }}] }} }}
"
    )
}

fn idle() -> anyhow::Result<()> {
    let bed = Bed::within(DENY, |limits| limits.idle = Duration::from_millis(400))?;
    let to = bed.ends.server.local_addr()?;
    let _server = Server::start(&bed.ends.server, fine)?;
    let mut client = Client::open(to)?;
    for _ in 0..4 {
        ensure!(client.get("/")?.status == 200);
        thread::sleep(Duration::from_millis(200));
    }
    client.ended()?;
    ensure!(bed.counts.client_idle.load(Relaxed) == 1);
    Ok(())
}

/// Clients ask one request after the other, on connections that they keep, while the inline path ends.
fn drained() -> anyhow::Result<()> {
    const CLIENTS: usize = 8;
    let mut bed = Bed::under(DENY)?;
    let to = bed.ends.server.local_addr()?;
    let _server = Server::start(&bed.ends.server, |asked| {
        if asked.line == "GET /slow" {
            thread::sleep(Duration::from_secs(1));
        }
        Reply::Answer(200, "")
    })?;
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let client = |_| {
        let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
        thread::spawn(move || -> anyhow::Result<usize> {
            let (mut client, mut closed) = (Client::open(to)?, 0);
            while !stop.load(Relaxed) {
                let answer = client.get("/")?;
                ensure!(answer.status == 200, "{answer:?}");
                answered.fetch_add(1, Relaxed);
                if answer.head.contains("\r\nconnection: close\r\n") {
                    client.ended()?;
                    closed += 1;
                    client = Client::open(to)?;
                }
            }
            Ok(closed)
        })
    };
    let clients: Vec<_> = (0..CLIENTS).map(client).collect();
    until("answers", || answered.load(Relaxed) > 200)?;
    let mut idle = Client::open(to)?;
    ensure!(idle.get("/")?.status == 200);
    let mut slow = Client::open(to)?;
    slow.send("GET /slow", "")?;
    thread::sleep(Duration::from_millis(50));
    let begin = Instant::now();
    bed.stop();
    idle.ended()?;
    let answer = slow.answer()?;
    ensure!(answer.status == 200 && answer.head.contains("\r\nconnection: close\r\n"), "{answer:?}");
    bed.end()?;
    ensure!(begin.elapsed() < Duration::from_secs(3), "what is idle is waited for: {:?}", begin.elapsed());
    let before = answered.load(Relaxed);
    until("answers after it", || answered.load(Relaxed) > before + 200)?;
    stop.store(true, Relaxed);
    for client in clients {
        let closed = client.join().map_err(|_| anyhow!("a client panicked"))??;
        ensure!(closed == 1, "told {closed} times");
    }
    Ok(())
}

fn drained_http2() -> anyhow::Result<()> {
    let mut bed = Bed::under(DENY)?;
    let to = bed.ends.server.local_addr()?;
    http2_ends::run(async {
        let seen = http2_ends::serve(&bed.ends.server, "first")?;
        let mut client = http2_ends::connect(to).await?;
        let (response, mut up) = client.send_request(http2_ends::get("/echo")?, false)?;
        http2_ends::send(&mut up, "begun".into(), false).await?;
        let asking = client.clone();
        let load = tokio::spawn(async move {
            let (mut client, mut replaced) = (asking, 0);
            for _ in 0..300 {
                // A GOAWAY: whatever was asked before is answered, and what is new needs another connection.
                let asked = async {
                    let mut ready = client.clone().ready().await?;
                    ready.send_request(http2_ends::get("/seen").map_err(|_| h2::Reason::INTERNAL_ERROR)?, true)
                };
                let Ok((response, _)) = asked.await else {
                    client = http2_ends::connect(to).await?;
                    replaced += 1;
                    continue;
                };
                ensure!(response.await?.status() == 200);
                time::sleep(Duration::from_millis(2)).await;
            }
            Ok(replaced)
        });
        time::sleep(Duration::from_millis(200)).await;
        bed.stop();
        time::sleep(Duration::from_millis(200)).await;
        // What was open goes on.
        http2_ends::send(&mut up, " still".into(), true).await?;
        ensure!(http2_ends::read(response.await?).await?.text() == "begun still");
        let replaced: u32 = load.await.context("the load panicked")??;
        ensure!(replaced == 1, "{replaced} connections were replaced");
        ensure!(seen.connections.load(Relaxed) == 2);
        Ok(())
    })?;
    let begin = Instant::now();
    bed.end()?;
    ensure!(begin.elapsed() < Duration::from_secs(1), "it takes {:?}", begin.elapsed());
    Ok(())
}

/// Where servers of both families listen at one port.
pub(crate) fn both_families() -> anyhow::Result<([TcpListener; 2], u16)> {
    for _ in 0..20 {
        let v4 = TcpListener::bind("127.0.0.1:0")?;
        let port = v4.local_addr()?.port();
        if let Ok(v6) = TcpListener::bind(SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port))) {
            return Ok(([v4, v6], port));
        }
    }
    Err(anyhow!("no port is free for both"))
}
