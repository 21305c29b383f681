//! HTTP/2 on the inline path: real clients and servers, under a policy.

use std::{future::poll_fn, net::TcpListener, sync::atomic::Ordering::Relaxed, time::Duration};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use h2::Reason;
use hyper::{HeaderMap, Request, header::HeaderValue};
use interceptor::model::{Exchange, Protocol};
use tokio::{net::TcpStream, time};

use crate::{
    Test,
    bed::payload,
    carrying::Bed,
    http2_ends::{ask, connect, get, on, read, reason, run, send, serve},
};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        ("http2_many_streams_at_once_are_carried_whole", many),
        ("http2_streams_end_as_they_ended", ends),
        ("http2_resets_go_both_ways_with_their_reasons", resets),
        ("http2_who_does_not_read_holds_up_who_sends_and_nobody_else", held_up),
        ("http2_calls_of_grpc_keep_their_trailers_and_hints_come_first", grpc),
        ("http2_what_a_policy_says_is_done", done),
        ("http2_a_server_that_speaks_first_does_not_evade_the_policy", settings_first),
        ("http2_a_connection_that_takes_no_more_is_replaced", replaced),
        ("http2_a_server_that_does_not_speak_it_is_a_bad_gateway", foreign),
    ]
}

/// Something that has to be enforced, so that HTTP is terminated.
const DENY: &str =
    "  - { name: deny, match: request.path == '/deny', action: { deny: { status: 403, message: not you } } }\n";

fn did(exchange: &Exchange) -> Vec<(&str, &'static str, bool)> {
    let rules = exchange.verdict.iter().flat_map(|verdict| &verdict.rules);
    rules
        .filter_map(|rule| Some((&*rule.rule, rule.would.as_ref()?)))
        .map(|(rule, w)| (rule, w.action, w.done))
        .collect()
}

fn many() -> anyhow::Result<()> {
    const STREAMS: u64 = 40;
    let bed = Bed::under(DENY)?;
    let to = bed.ends.server.local_addr()?;
    run(async {
        let seen = serve(&bed.ends.server, "first")?;
        let client = connect(to).await?;
        let mut asking = tokio::task::JoinSet::new();
        for stream in 0..STREAMS {
            let client = client.clone();
            asking.spawn(async move {
                let body = Bytes::from(payload(1 << 20, stream + 1));
                let answer = ask(&client, get("/echo")?, Some(body.clone())).await?;
                ensure!(answer.body == body, "stream {stream}: {} bytes, or others", answer.body.len());
                let trailers = answer.trailers.context("no trailers")?;
                ensure!(trailers.get("x-bytes") == Some(&HeaderValue::from(1 << 20)), "{trailers:?}");
                Ok(())
            });
        }
        while let Some(asked) = asking.join_next().await {
            asked??;
        }
        ensure!(seen.connections.load(Relaxed) == 1);
        Ok(())
    })?;
    let flow = bed.flows(1)?.remove(0);
    ensure!(flow.protocol == Protocol::Http2 && flow.ledger.balances() && flow.exchanges == STREAMS, "{flow:?}");
    let exchanges = bed.exchanges();
    let whole = |exchange: &&Exchange| {
        exchange.complete() && exchange.response.as_ref().is_some_and(|part| part.content_size() == 1 << 20)
    };
    ensure!(exchanges.iter().filter(whole).count() as u64 == STREAMS);
    Ok(())
}

fn ends() -> anyhow::Result<()> {
    let bed = Bed::under(DENY)?;
    let to = bed.ends.server.local_addr()?;
    run(async {
        let seen = serve(&bed.ends.server, "first")?;
        let mut client = connect(to).await?;
        let (response, _) = client.send_request(get("/bare")?, true)?;
        let response = response.await?;
        ensure!(response.status() == 204 && response.body().is_end_stream(), "the head does not end it");
        seen.wait("bare, ended with the head: true").await?;
        // No frame is added, and none is lost.
        let (response, mut up) = client.send_request(get("/frames")?, false)?;
        send(&mut up, "abc".into(), false).await?;
        time::sleep(Duration::from_millis(50)).await;
        send(&mut up, "de".into(), true).await?;
        ensure!(response.await?.body().is_end_stream());
        seen.wait("3,2 end").await?;
        // Trailers of a request, too.
        let (response, mut up) = client.send_request(get("/echo")?, false)?;
        send(&mut up, "abc".into(), false).await?;
        up.send_trailers(HeaderMap::from_iter([("x-mine".parse()?, HeaderValue::from_static("1"))]))?;
        let answer = read(response.await?).await?;
        let trailers = answer.trailers.clone().context("no trailers")?;
        ensure!(answer.text() == "abc" && trailers.contains_key("x-mine"), "{trailers:?}");
        Ok(())
    })
}

fn resets() -> anyhow::Result<()> {
    let bed = Bed::under(DENY)?;
    let to = bed.ends.server.local_addr()?;
    run(async {
        let seen = serve(&bed.ends.server, "first")?;
        let mut client = connect(to).await?;
        for told in [Reason::INTERNAL_ERROR, Reason::REFUSED_STREAM, Reason::CANCEL, Reason::ENHANCE_YOUR_CALM] {
            for path in ["reset", "half"] {
                let heard = reason(ask(&client, get(&format!("/{path}/{}", u32::from(told)))?, None).await)?;
                ensure!(heard == told, "/{path}: {heard:?} instead of {told:?}");
            }
        }
        for told in [Reason::CANCEL, Reason::INTERNAL_ERROR, Reason::NO_ERROR] {
            let (_response, mut up) = client.send_request(get(&format!("/hang/{}", u32::from(told)))?, true)?;
            seen.wait(&format!("{} begins", u32::from(told))).await?;
            up.send_reset(told);
            seen.wait(&format!("{} {told:?}", u32::from(told))).await?;
        }
        // While the answer goes on, and the request too.
        let (response, mut up) = client.send_request(get("/stall")?, false)?;
        let _answer = response.await?;
        up.send_reset(Reason::INTERNAL_ERROR);
        seen.wait("stall INTERNAL_ERROR").await?;
        // A server that has answered may want no more of the request.
        let (response, mut up) = client.send_request(get("/early")?, false)?;
        let answer = read(response.await?).await?;
        ensure!(answer.text() == "enough");
        let heard = poll_fn(|context| up.poll_reset(context)).await?;
        ensure!(heard == Reason::NO_ERROR, "{heard:?}");
        // A client that is gone has given up all.
        let stream = TcpStream::connect(to).await?.into_std()?;
        let gone = stream.try_clone()?;
        let mut vanishing = on(TcpStream::from_std(stream)?).await?;
        let (_response, _up) = vanishing.send_request(get("/hang/gone")?, true)?;
        seen.wait("gone begins").await?;
        gone.shutdown(std::net::Shutdown::Both)?;
        seen.wait("gone CANCEL").await?;
        // None of it harms the connection to the server, which all share.
        ensure!(ask(&client, get("/seen")?, None).await?.status == 200);
        ensure!(seen.connections.load(Relaxed) == 1);
        Ok(())
    })
}

fn held_up() -> anyhow::Result<()> {
    const MOST: usize = 1 << 20;
    let bed = Bed::under(DENY)?;
    let to = bed.ends.server.local_addr()?;
    run(async {
        let seen = serve(&bed.ends.server, "first")?;
        let mut client = connect(to).await?;
        let (response, mut up) = client.send_request(get("/stall")?, false)?;
        let _answer = response.await?;
        let mut taken = 0;
        loop {
            up.reserve_capacity(64 << 10);
            let room = if up.capacity() > 0 {
                up.capacity()
            } else {
                let more = time::timeout(Duration::from_millis(500), poll_fn(|context| up.poll_capacity(context)));
                let Ok(more) = more.await else { break };
                more.context("the stream is over")??
            };
            up.send_data(Bytes::from(vec![0; room]), false)?;
            taken += room;
            ensure!(taken <= MOST, "{taken} bytes are taken, and nobody reads");
        }
        // Another stream of the same connection goes on.
        let answer = ask(&client, get("/echo")?, Some(Bytes::from(payload(4 << 20, 1)))).await?;
        ensure!(answer.body.len() == 4 << 20);
        up.send_reset(Reason::CANCEL);
        seen.wait("stall CANCEL").await
    })
}

fn grpc() -> anyhow::Result<()> {
    let bed = Bed::under(DENY)?;
    let to = bed.ends.server.local_addr()?;
    run(async {
        let _seen = serve(&bed.ends.server, "first")?;
        let mut client = connect(to).await?;
        let call = |path: &str| {
            let request = Request::builder().method("POST").uri(format!("http://model{path}"));
            request.header("content-type", "application/grpc").header("te", "trailers").body(())
        };
        let heard = ask(&client, call("/seen")?, Some("x".into())).await?.text();
        ensure!(heard.contains("\nte: trailers") && heard.starts_with("first POST http://model/seen\n"), "{heard}");
        let answer = ask(&client, call("/deny")?, Some("x".into())).await?;
        let status = (answer.fields.get("grpc-status"), answer.fields.get("grpc-message"));
        let (denied, why) = (HeaderValue::from(7), HeaderValue::from_static("not you"));
        ensure!(answer.status == 200 && status == (Some(&denied), Some(&why)), "{:?}", answer.fields);
        ensure!(answer.body.is_empty() && answer.trailers.is_none());
        let (mut response, _) = client.send_request(get("/hints")?, true)?;
        let hint = poll_fn(|context| response.poll_informational(context)).await.context("no hint")??;
        ensure!(hint.status() == 103 && hint.headers().contains_key("link"), "{hint:?}");
        ensure!(response.await?.status() == 200);
        Ok(())
    })
}

fn done() -> anyhow::Result<()> {
    let other = TcpListener::bind("127.0.0.1:0")?;
    let port = other.local_addr()?.port();
    let rules = format!(
        "{DENY}  - name: elsewhere
    match: request.path == '/route'
    action: {{ route: {{ backendRefs: [{{ name: 127.0.0.1, port: {port} }}] }} }}
  - name: nowhere
    match: request.path == '/nowhere'
    action: {{ route: {{ backendRefs: [{{ name: 127.0.0.1, port: 1 }}] }} }}
  - name: fields
    match: request.path == '/fields'
    action:
      rewrite:
        requestHeaderModifier:
          set: [{{ name: x-set, value: new }}]
          add: [{{ name: x-add, value: two }}]
          remove: [x-gone]
  - name: url
    match: request.path.startsWith('/old')
    action:
      rewrite:
        urlRewrite:
          hostname: other
          path: {{ type: ReplacePrefixMatch, prefixMatch: /old, replacePrefixMatch: /new }}
  - {{ name: trace, match: request.path == '/trace', action: {{ trace: {{}} }} }}
"
    );
    let bed = Bed::under(&rules)?;
    let to = bed.ends.server.local_addr()?;
    run(async {
        let (first, second) = (serve(&bed.ends.server, "first")?, serve(&other, "second")?);
        let client = connect(to).await?;
        // It is told before it has sent all, and the connection goes on.
        let answer = ask(&client, get("/deny")?, Some(Bytes::from(payload(1 << 20, 1)))).await?;
        let problem = r#"{"detail":"not you","status":403,"title":"Forbidden"}"#;
        ensure!(answer.status == 403 && answer.text() == problem, "{}", answer.text());
        ensure!(answer.fields.get("content-type") == Some(&HeaderValue::from_static("application/problem+json")));
        for _ in 0..2 {
            let heard = ask(&client, get("/route")?, None).await?.text();
            ensure!(heard.starts_with("second GET http://model/route"), "{heard}");
        }
        let nowhere = ask(&client, get("/nowhere")?, None).await?;
        ensure!(nowhere.status == 502, "{}", nowhere.status);
        let mut request = get("/fields")?;
        for (name, value) in [("x-set", "old"), ("x-gone", "1"), ("x-add", "one"), ("x-last", "1")] {
            request.headers_mut().append(name, HeaderValue::from_static(value));
        }
        let heard = ask(&client, request, None).await?.text();
        let fields = "\nx-set: new\nx-add: one\nx-add: two\nx-last: 1";
        ensure!(heard == format!("first GET http://model/fields{fields}"), "{heard}");
        let heard = ask(&client, get("/old/a?b=c")?, None).await?.text();
        ensure!(heard.starts_with("first GET http://other/new/a?b=c"), "{heard}");
        let heard = ask(&client, get("/trace")?, None).await?.text();
        let context = heard.split_once("traceparent: 00-").context("no trace context")?.1;
        ensure!(context.len() == 52 && context.ends_with("-01"), "{heard}");
        ensure!((first.connections.load(Relaxed), second.connections.load(Relaxed)) == (1, 1));
        Ok(())
    })?;
    bed.flows(1)?;
    let exchanges = bed.exchanges();
    let mut all: Vec<_> = exchanges.iter().map(did).collect();
    all.sort_unstable();
    let routed = vec![("p/elsewhere", "route", true)];
    let expected = [
        vec![("p/deny", "deny", true)],
        routed.clone(),
        routed,
        vec![("p/fields", "rewrite", true)],
        vec![("p/nowhere", "route", true)],
        vec![("p/trace", "trace", true)],
        vec![("p/url", "rewrite", true)],
    ];
    ensure!(all == expected, "{all:?}");
    Ok(())
}

fn settings_first() -> anyhow::Result<()> {
    let bed = Bed::under(DENY)?;
    let to = bed.ends.server.local_addr()?;
    run(async {
        let _seen = serve(&bed.ends.server, "first")?;
        for wait in [0, 1, 20, 200] {
            let stream = TcpStream::connect(to).await?;
            time::sleep(Duration::from_millis(wait)).await;
            let client = on(stream).await?;
            let answer = ask(&client, get("/deny")?, None).await?;
            ensure!(answer.status == 403, "after {wait} ms: {}", answer.status);
        }
        Ok(())
    })
}

fn replaced() -> anyhow::Result<()> {
    let bed = Bed::under(DENY)?;
    let to = bed.ends.server.local_addr()?;
    run(async {
        let seen = serve(&bed.ends.server, "first")?;
        let mut client = connect(to).await?;
        // It goes on on the connection that takes no more, and what is new has another one.
        let (response, mut up) = client.send_request(get("/echo")?, false)?;
        ensure!(ask(&client, get("/last")?, None).await?.status == 200);
        time::sleep(Duration::from_millis(50)).await;
        ensure!(ask(&client, get("/seen")?, None).await?.status == 200);
        ensure!(seen.connections.load(Relaxed) == 2);
        send(&mut up, "still".into(), true).await?;
        ensure!(read(response.await?).await?.text() == "still");
        Ok(())
    })
}

fn foreign() -> anyhow::Result<()> {
    let bed = Bed::under(DENY)?;
    let to = bed.ends.server.local_addr()?;
    let listener = bed.ends.server.try_clone()?;
    run(async {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut heard = [0; 1024];
                let _preface = tokio::io::AsyncReadExt::read(&mut stream, &mut heard).await;
                let text = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                let _told = tokio::io::AsyncWriteExt::write_all(&mut stream, text).await;
            }
        });
        let client = connect(to).await?;
        for _ in 0..2 {
            let answer = ask(&client, get("/seen")?, None).await?;
            ensure!(answer.status == 502, "{}", answer.status);
        }
        ensure!(bed.counts.unanswered.load(Relaxed) == 2);
        Ok(())
    })
}
