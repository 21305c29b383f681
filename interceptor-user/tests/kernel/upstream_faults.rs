//! Servers that fail, on the inline path: what is tried again, what is left alone, and what is given up in time.

use std::{
    future::poll_fn,
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use h2::Reason;
use hyper::Response;
use interceptor::config::{Count, ErrorCode, HealthCheck, Percent, Period, Wait};

use crate::{
    Test,
    carrying::Bed,
    http1_ends::{Asked, Client, Reply, Server, get},
    http2_ends,
    upstream::{DENY, both_families, route, until},
};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        ("a_server_that_closes_connections_between_requests_is_not_noticed", closes),
        ("what_may_have_been_done_is_not_asked_for_twice", once),
        ("a_backend_that_cannot_be_reached_at_one_address_is_asked_at_another", elsewhere),
        ("retries_stay_within_their_budget", budget),
        ("what_is_configured_is_tried_again_until_it_is_answered", again),
        ("an_address_that_fails_is_left_alone_and_comes_back", ejected),
        ("an_address_that_fails_its_checks_gets_no_requests", unhealthy),
        ("an_answer_that_does_not_begin_in_time_is_a_gateway_timeout", late),
        ("an_answer_that_stands_still_is_cut", stalled),
        ("a_backend_that_takes_no_connections_is_a_gateway_timeout", not_connected),
        ("http2_what_a_server_has_not_looked_at_is_asked_again", refused),
    ]
}

fn ms(time: u64) -> Period {
    Period(Duration::from_millis(time))
}

/// It reads the second request on each connection, and closes it.
fn closes() -> anyhow::Result<()> {
    let bed = Bed::under(DENY)?;
    let to = bed.ends.server.local_addr()?;
    let server =
        Server::start(&bed.ends.server, |asked| if asked.number == 0 { Reply::Answer(200, "") } else { Reply::Close })?;
    let mut client = Client::open(to)?;
    for number in 0..20 {
        let answer = client.get("/")?;
        ensure!(answer.status == 200, "{number}: {answer:?}");
    }
    ensure!(server.opened() == 20 && bed.counts.upstream.retry_closed.load(Relaxed) == 19, "{}", server.opened());
    Ok(())
}

fn once() -> anyhow::Result<()> {
    let bed = Bed::within(DENY, |limits| limits.upstream.retry.codes = vec![ErrorCode(503)])?;
    let to = bed.ends.server.local_addr()?;
    let server = Server::start(&bed.ends.server, |asked| match (asked.number, asked.line.as_str()) {
        (0, line) if !line.contains("error") => Reply::Answer(200, ""),
        (_, line) if line.contains("status") => Reply::Answer(503, ""),
        _ => Reply::Close,
    })?;
    let mut client = Client::open(to)?;
    // On a connection that was kept, and with a status; with a content, and with none.
    ensure!(client.get("/")?.status == 200);
    ensure!(client.post("/kept")?.status == 502);
    ensure!(client.get("/")?.status == 200);
    client.send("PUT /kept", "Content-Length: 1\r\n")?;
    client.more(b"x")?;
    ensure!(client.answer()?.status == 502);
    ensure!(client.post("/error-and-status")?.status == 503);
    ensure!(client.post("/error")?.status == 502);
    for line in ["POST /kept", "PUT /kept", "POST /error-and-status", "POST /error"] {
        ensure!(server.count(line) == 1, "{line}: {:?}", server.asked());
    }
    ensure!(bed.counts.unanswered.load(Relaxed) == 3);
    Ok(())
}

fn elsewhere() -> anyhow::Result<()> {
    let ([v4, v6], port) = both_families()?;
    drop(v6);
    let bed = Bed::under(&route(&format!("two.test:{port}")))?;
    let to = bed.ends.server.local_addr()?;
    let _server = Server::start(&v4, |_| Reply::Answer(200, "Connection: close\r\n"))?;
    let mut client = Client::open(to)?;
    for _ in 0..20 {
        ensure!(client.post("/route")?.status == 200);
    }
    ensure!(bed.counts.upstream.retry_connect.load(Relaxed) > 0, "the other address was never chosen");
    Ok(())
}

fn budget() -> anyhow::Result<()> {
    const REQUESTS: usize = 300;
    let bed = Bed::within(DENY, |limits| {
        limits.upstream.retry.codes = vec![ErrorCode(503)];
        limits.upstream.retry.backoff = ms(1);
        limits.upstream.retry.budget.minimum = Count(1);
    })?;
    let to = bed.ends.server.local_addr()?;
    let server = Server::start(&bed.ends.server, |_| Reply::Answer(503, ""))?;
    let mut client = Client::open(to)?;
    for _ in 0..REQUESTS {
        ensure!(client.get("/")?.status == 503);
    }
    let upstream = &bed.counts.upstream;
    let (retried, denied) = (upstream.retry_status.load(Relaxed) as usize, upstream.over_budget.load(Relaxed));
    ensure!(server.count("GET /") == REQUESTS + retried);
    // A fifth of the requests, or ten in ten seconds where that is more: both begin with nothing.
    ensure!((REQUESTS / 6..=REQUESTS / 5 + 1).contains(&retried) && denied > 0, "{retried} retries, {denied} denied");
    Ok(())
}

fn again() -> anyhow::Result<()> {
    let bed = Bed::within(DENY, |limits| {
        limits.upstream.retry.codes = vec![ErrorCode(503)];
        limits.upstream.retry.backoff = ms(20);
    })?;
    let to = bed.ends.server.local_addr()?;
    let times = AtomicUsize::new(0);
    let server = Server::start(&bed.ends.server, move |asked| match asked.line.as_str() {
        "GET /third" if times.fetch_add(1, Relaxed) % 3 < 2 => Reply::Answer(503, ""),
        "GET /never" => Reply::Close,
        "GET /other" => Reply::Answer(502, ""),
        _ => Reply::Answer(200, ""),
    })?;
    let mut client = Client::open(to)?;
    let begin = Instant::now();
    ensure!(client.get("/third")?.status == 200);
    // Twenty milliseconds, and forty.
    ensure!(begin.elapsed() >= Duration::from_millis(60), "{:?}", begin.elapsed());
    ensure!(server.count("GET /third") == 3);
    ensure!(client.get("/other")?.status == 502 && server.count("GET /other") == 1);
    // On a connection that was kept, and then on three new ones.
    ensure!(client.get("/never")?.status == 502);
    ensure!(server.count("GET /never") == 4, "{}", server.count("GET /never"));
    let upstream = &bed.counts.upstream;
    let counted =
        [&upstream.retry_status, &upstream.retry_closed, &upstream.retry_reset].map(|count| count.load(Relaxed));
    ensure!(counted == [2, 1, 2], "{counted:?}");
    Ok(())
}

/// Servers at both addresses of a name; the first one fails while it is told to.
fn two(
    failing: &Arc<AtomicBool>,
    reply: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
) -> anyhow::Result<([Server; 2], String)> {
    let ([v4, v6], port) = both_families()?;
    let fails = Arc::clone(failing);
    let first = move |asked: &Asked| if fails.load(Relaxed) { reply(asked) } else { Reply::Answer(200, "") };
    let servers = [Server::start(&v4, first)?, Server::start(&v6, |_| Reply::Answer(200, ""))?];
    Ok((servers, route(&format!("two.test:{port}"))))
}

fn ejected() -> anyhow::Result<()> {
    let failing = Arc::new(AtomicBool::new(true));
    let ([first, second], rules) = two(&failing, |_| Reply::Answer(503, ""))?;
    let bed = Bed::within(&rules, |limits| {
        limits.upstream.ejection.failures = Count(3);
        limits.upstream.ejection.time = ms(1000);
        limits.upstream.ejection.percent = Percent(50);
    })?;
    let mut client = Client::open(bed.ends.server.local_addr()?)?;
    let upstream = &bed.counts.upstream;
    let mut failed = 0;
    for _ in 0..1000 {
        if upstream.ejections.load(Relaxed) > 0 {
            break;
        }
        failed += usize::from(client.get("/route")?.status == 503);
    }
    ensure!(failed == 3 && upstream.ejected.load(Relaxed) == 1, "{failed} failures");
    let before = second.count("GET /route");
    for _ in 0..50 {
        ensure!(client.get("/route")?.status == 200);
    }
    ensure!(first.count("GET /route") == 3 && second.count("GET /route") == before + 50);
    failing.store(false, Relaxed);
    until("its return", || client.get("/route").is_ok() && first.count("GET /route") > 3)?;
    ensure!(upstream.ejected.load(Relaxed) == 0);
    Ok(())
}

fn unhealthy() -> anyhow::Result<()> {
    let failing = Arc::new(AtomicBool::new(true));
    let ([first, second], rules) =
        two(
            &failing,
            |asked| {
                if asked.line == "GET /healthz" { Reply::Answer(500, "") } else { Reply::Answer(200, "") }
            },
        )?;
    let bed = Bed::within(&rules, |limits| {
        let health = &mut limits.upstream.health;
        health.check = HealthCheck::Http("/healthz".to_owned());
        health.interval = ms(30);
    })?;
    let mut client = Client::open(bed.ends.server.local_addr()?)?;
    let upstream = &bed.counts.upstream;
    ensure!(client.get("/route")?.status == 200);
    until("its checks", || upstream.unhealthy.load(Relaxed) == 1)?;
    let before = first.count("GET /route");
    for _ in 0..50 {
        ensure!(client.get("/route")?.status == 200);
    }
    ensure!(first.count("GET /route") == before && second.count("GET /healthz") > 2);
    failing.store(false, Relaxed);
    until("its return", || client.get("/route").is_ok() && first.count("GET /route") > before)?;
    ensure!(upstream.unhealthy.load(Relaxed) == 0);
    Ok(())
}

fn late() -> anyhow::Result<()> {
    const TIME: Duration = Duration::from_millis(300);
    let bed = Bed::within(DENY, |limits| limits.upstream.timeouts.response = Wait(Some(TIME)))?;
    let to = bed.ends.server.local_addr()?;
    let _server = Server::start(&bed.ends.server, |asked| {
        if asked.line.ends_with("/hang") { Reply::Hang } else { Reply::Answer(200, "") }
    })?;
    let mut client = Client::open(to)?;
    // The time begins when the request is whole.
    client.send("POST /", "Content-Length: 2\r\n")?;
    client.more(b"a")?;
    thread::sleep(2 * TIME);
    client.more(b"b")?;
    ensure!(client.answer()?.status == 200);
    let begin = Instant::now();
    let answer = client.get("/hang")?;
    ensure!(answer.status == 504 && (TIME..5 * TIME).contains(&begin.elapsed()), "{answer:?} {:?}", begin.elapsed());
    let answer = client.ask("GET /hang", "Content-Type: application/grpc\r\n")?;
    ensure!(answer.status == 200 && answer.head.contains("\r\ngrpc-status: 4\r\n"), "{answer:?}");
    ensure!(client.get("/")?.status == 200);
    let upstream = &bed.counts.upstream;
    ensure!(upstream.late_response.load(Relaxed) == 2 && bed.counts.unanswered.load(Relaxed) == 2);
    // What was waited for is closed.
    until("its end", || upstream.connections.load(Relaxed) == upstream.idle.load(Relaxed))?;
    late_http2()
}

fn late_http2() -> anyhow::Result<()> {
    let bed = Bed::within(DENY, |limits| {
        limits.upstream.timeouts.response = Wait(Some(Duration::from_millis(300)));
        limits.upstream.timeouts.idle = Wait(Some(Duration::from_millis(700)));
    })?;
    let to = bed.ends.server.local_addr()?;
    http2_ends::run(async {
        let seen = http2_ends::serve(&bed.ends.server, "first")?;
        let mut client = http2_ends::connect(to).await?;
        let answer = http2_ends::ask(&client, http2_ends::get("/hang/late")?, None).await?;
        ensure!(answer.status == 504, "{}", answer.status);
        seen.wait("late CANCEL").await?;
        // An answer that has begun.
        let (response, mut up) = client.send_request(http2_ends::get("/stall")?, false)?;
        ensure!(response.await?.status() == 200);
        let reason = poll_fn(|context| up.poll_reset(context)).await?;
        ensure!(reason == Reason::INTERNAL_ERROR, "{reason:?}");
        seen.wait("stall CANCEL").await?;
        let upstream = &bed.counts.upstream;
        ensure!((upstream.late_response.load(Relaxed), upstream.late_idle.load(Relaxed)) == (1, 1));
        Ok(())
    })
}

fn stalled() -> anyhow::Result<()> {
    const TIME: Duration = Duration::from_millis(300);
    let bed = Bed::within(DENY, |limits| limits.upstream.timeouts.idle = Wait(Some(TIME)))?;
    let to = bed.ends.server.local_addr()?;
    let _server = Server::start(&bed.ends.server, |asked| match asked.line.as_str() {
        "GET /half" => Reply::Half,
        "GET /hang" => Reply::Hang,
        _ => Reply::Answer(200, ""),
    })?;
    let mut client = Client::open(to)?;
    ensure!(client.get("/hang")?.status == 504);
    // Without a request nothing stands still.
    thread::sleep(2 * TIME);
    let begin = Instant::now();
    let cut = client.get("/half").err().context("it is whole")?;
    ensure!((TIME..5 * TIME).contains(&begin.elapsed()), "{:?}: {cut}", begin.elapsed());
    ensure!(bed.counts.upstream.late_idle.load(Relaxed) == 2);
    until("its end", || bed.counts.upstream.connections.load(Relaxed) == 0)
}

/// Its queue is full.
fn not_connected() -> anyhow::Result<()> {
    use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, getsockname, listen, socket};
    let full = socket(AddressFamily::Inet, SockType::Stream, SockFlag::empty(), None)?;
    bind(std::os::fd::AsRawFd::as_raw_fd(&full), &SockaddrIn::new(127, 0, 0, 1, 0))?;
    listen(&full, Backlog::new(0)?)?;
    let at: SockaddrIn = getsockname(std::os::fd::AsRawFd::as_raw_fd(&full))?;
    let at = SocketAddr::from((at.ip(), at.port()));
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&at, Duration::from_millis(200)) {
        waiting.push(stream);
    }
    let bed = Bed::within(&route(&at.to_string()), |limits| limits.connect = Duration::from_millis(300))?;
    let _server = Server::start(&bed.ends.server, |_| Reply::Answer(200, ""))?;
    let mut client = Client::open(bed.ends.server.local_addr()?)?;
    ensure!(client.get("/route")?.status == 504);
    let answer = client.ask("GET /route", "Content-Type: application/grpc\r\n")?;
    ensure!(answer.head.contains("\r\ngrpc-status: 14\r\n"), "{answer:?}");
    ensure!(client.get("/")?.status == 200);
    ensure!(bed.counts.upstream.late_connect.load(Relaxed) == 2);
    Ok(())
}

/// It refuses each second stream, and ends each connection at the fifth.
fn refused() -> anyhow::Result<()> {
    let bed = Bed::under(DENY)?;
    let to = bed.ends.server.local_addr()?;
    let listener = bed.ends.server.try_clone()?;
    let answered = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&answered);
    http2_ends::run(async {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let count = Arc::clone(&count);
                tokio::spawn(async move {
                    let mut connection = h2::server::Builder::new().handshake::<_, Bytes>(stream).await?;
                    let mut streams = 0;
                    while let Some(stream) = connection.accept().await {
                        let (_, mut respond) = stream?;
                        streams += 1;
                        if streams % 2 == 0 {
                            respond.send_reset(Reason::REFUSED_STREAM);
                        } else {
                            count.fetch_add(1, Relaxed);
                            respond.send_response(Response::new(()), true)?;
                        }
                        if streams == 5 {
                            connection.graceful_shutdown();
                        }
                    }
                    Ok::<_, h2::Error>(())
                });
            }
        });
        let client = http2_ends::connect(to).await?;
        for number in 0..30 {
            let mut request = http2_ends::get("/")?;
            *request.method_mut() = hyper::Method::POST;
            let answer = http2_ends::ask(&client, request, None).await;
            let answer = answer.with_context(|| format!("request {number}"))?;
            ensure!(answer.status == 200, "{number}: {}", answer.status);
        }
        Ok(())
    })?;
    let refused = bed.counts.upstream.retry_refused.load(Relaxed);
    ensure!(
        answered.load(Relaxed) == 30 && refused >= 10,
        "{} answered, {refused} asked again",
        answered.load(Relaxed)
    );
    let client = get(to, "/deny")?;
    ensure!(client.status == 403);
    Ok(())
}
