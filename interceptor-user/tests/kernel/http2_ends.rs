//! A server of HTTP/2 that does what the path says, and a client.

use std::{
    future::{Future, poll_fn},
    net::{SocketAddr, TcpListener},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context as _, anyhow, ensure};
use bytes::Bytes;
use h2::{
    Reason, RecvStream, SendStream,
    client::SendRequest,
    server::{Connection, SendResponse},
};
use hyper::{HeaderMap, Request, Response, StatusCode, header::HeaderValue};
use tokio::{net::TcpStream, runtime, time};

/// Runs a test with an end.
pub(crate) fn run(test: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { time::timeout(Duration::from_mins(1), test).await.context("it takes too long")? })
}

/// What a server has seen.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    lines: Arc<Mutex<Vec<String>>>,
    pub(crate) connections: Arc<AtomicUsize>,
}

impl Seen {
    fn note(&self, line: String) {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it has seen this.
    pub(crate) async fn wait(&self, line: &str) -> anyhow::Result<()> {
        for _ in 0..500 {
            if self.lines().iter().any(|seen| seen == line) {
                return Ok(());
            }
            time::sleep(Duration::from_millis(10)).await;
        }
        Err(anyhow!("{line}: not among {:?}", self.lines()))
    }
}

/// Serves until the test is over.
pub(crate) fn serve(listener: &TcpListener, name: &'static str) -> anyhow::Result<Seen> {
    let seen = Seen::default();
    let listener = listener.try_clone()?;
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let accepting = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            accepting.connections.fetch_add(1, Relaxed);
            tokio::spawn(connection(stream, name, accepting.clone()));
        }
    });
    Ok(seen)
}

async fn connection(stream: TcpStream, name: &'static str, seen: Seen) -> Result<(), h2::Error> {
    stream.set_nodelay(true).map_err(|_| Reason::INTERNAL_ERROR)?;
    // It says its SETTINGS at once, before it has heard the client's preface.
    let mut builder = h2::server::Builder::new();
    // One stream that it does not read leaves room for others.
    let mut connection: Connection<_, Bytes> =
        builder.initial_connection_window_size(1 << 20).handshake(stream).await?;
    while let Some(stream) = connection.accept().await {
        let (request, respond) = stream?;
        let last = request.uri().path() == "/last";
        tokio::spawn(answer(request, respond, name, seen.clone()));
        if last {
            connection.graceful_shutdown();
        }
    }
    Ok(())
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    name: &'static str,
    seen: Seen,
) -> anyhow::Result<()> {
    let (head, mut content) = request.into_parts();
    let path = head.uri.path().to_owned();
    let (what, code) = path.rsplit_once('/').unwrap_or_default();
    let code = Reason::from(code.parse().unwrap_or(0));
    match (what, path.as_str()) {
        (_, "/echo") => {
            let mut send = respond.send_response(Response::new(()), false)?;
            let count = echo(&mut content, &mut send).await?;
            let mut trailers = content.trailers().await?.unwrap_or_default();
            trailers.insert("x-bytes", HeaderValue::from(count));
            send.send_trailers(trailers)?;
        }
        (_, "/bare") => {
            seen.note(format!("bare, ended with the head: {}", content.is_end_stream()));
            respond.send_response(Response::builder().status(204).body(())?, true)?;
        }
        (_, "/frames") => {
            let mut frames = Vec::new();
            while let Some(data) = content.data().await {
                let data = data?;
                content.flow_control().release_capacity(data.len())?;
                frames.push(format!("{}{}", data.len(), if content.is_end_stream() { " end" } else { "" }));
            }
            seen.note(frames.join(","));
            respond.send_response(Response::new(()), true)?;
        }
        ("/reset", _) => respond.send_reset(code),
        ("/half", _) => {
            let mut send = respond.send_response(Response::new(()), false)?;
            send.send_data("half".into(), false)?;
            // What is sent at once with a reset may be dropped.
            time::sleep(Duration::from_millis(50)).await;
            send.send_reset(code);
        }
        (_, "/early") => {
            respond.send_response(Response::new(()), false)?.send_data("enough".into(), true)?;
            time::sleep(Duration::from_millis(50)).await;
            respond.send_reset(Reason::NO_ERROR);
        }
        (_, "/hints") => {
            respond.send_informational(Response::builder().status(103).header("link", "</a>").body(())?)?;
            time::sleep(Duration::from_millis(50)).await;
            respond.send_response(Response::new(()), true)?;
        }
        (_, "/stall") => {
            let mut send = respond.send_response(Response::new(()), false)?;
            let reason = poll_fn(|context| send.poll_reset(context)).await?;
            seen.note(format!("stall {reason:?}"));
        }
        ("/hang", _) => {
            let name = path.rsplit('/').next().unwrap_or_default();
            seen.note(format!("{name} begins"));
            let reason = poll_fn(|context| respond.poll_reset(context)).await?;
            seen.note(format!("{name} {reason:?}"));
        }
        _ => {
            let fields = head.headers.iter();
            let fields = fields.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap_or("?")));
            let lines = fields.collect::<Vec<_>>().join("\n");
            let text = format!("{name} {} {}\n{lines}", head.method, head.uri);
            respond.send_response(Response::new(()), false)?.send_data(text.into(), true)?;
        }
    }
    Ok(())
}

/// As it comes, and no faster than it is taken.
async fn echo(content: &mut RecvStream, send: &mut SendStream<Bytes>) -> anyhow::Result<usize> {
    let mut count = 0;
    while let Some(data) = content.data().await {
        let data = data?;
        count += data.len();
        content.flow_control().release_capacity(data.len())?;
        self::send(send, data, false).await?;
    }
    Ok(count)
}

/// Waits for room.
pub(crate) async fn send(send: &mut SendStream<Bytes>, mut data: Bytes, end: bool) -> anyhow::Result<()> {
    while !data.is_empty() {
        send.reserve_capacity(data.len());
        while send.capacity() == 0 {
            poll_fn(|context| send.poll_capacity(context)).await.context("the stream is over")??;
        }
        let part = data.split_to(send.capacity().min(data.len()));
        send.send_data(part, end && data.is_empty())?;
    }
    Ok(())
}

/// A client's connection.
pub(crate) async fn connect(to: SocketAddr) -> anyhow::Result<SendRequest<Bytes>> {
    on(TcpStream::connect(to).await?).await
}

/// The same, on one that is there.
pub(crate) async fn on(stream: TcpStream) -> anyhow::Result<SendRequest<Bytes>> {
    stream.set_nodelay(true)?;
    let mut builder = h2::client::Builder::new();
    let (client, connection) = builder.initial_max_send_streams(1000).handshake(stream).await?;
    tokio::spawn(connection);
    Ok(client)
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) fields: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

pub(crate) fn get(path: &str) -> anyhow::Result<Request<()>> {
    Ok(Request::builder().uri(format!("http://model{path}")).body(())?)
}

/// Asks, and waits for all of the answer.
pub(crate) async fn ask(
    client: &SendRequest<Bytes>,
    request: Request<()>,
    body: Option<Bytes>,
) -> anyhow::Result<Answer> {
    let mut client = client.clone().ready().await?;
    let (response, mut up) = client.send_request(request, body.is_none())?;
    let uploading = async {
        match body {
            Some(body) if body.is_empty() => Ok(up.send_data(body, true)?),
            Some(body) => send(&mut up, body, true).await,
            None => Ok(()),
        }
    };
    let (_, answer) = tokio::join!(uploading, async { read(response.await?).await });
    answer
}

/// All of an answer.
pub(crate) async fn read(response: Response<RecvStream>) -> anyhow::Result<Answer> {
    let (head, mut content) = response.into_parts();
    let mut body = Vec::new();
    // Who is answered and then told that no more of its request is wanted has its answer (RFC 9113 section 8.1).
    let is_whole = |error: &h2::Error| error.is_reset() && error.reason() == Some(Reason::NO_ERROR);
    while let Some(data) = content.data().await {
        let data = match data {
            Err(error) if is_whole(&error) => break,
            data => data?,
        };
        content.flow_control().release_capacity(data.len())?;
        body.extend_from_slice(&data);
    }
    ensure!(head.version == hyper::Version::HTTP_2);
    let trailers = match content.trailers().await {
        Err(error) if is_whole(&error) => None,
        trailers => trailers?,
    };
    Ok(Answer { status: head.status, fields: head.headers, body, trailers })
}

/// The reason for which an answer is not whole.
pub(crate) fn reason(answer: anyhow::Result<Answer>) -> anyhow::Result<Reason> {
    let Err(error) = answer else { return Err(anyhow!("it is answered")) };
    let error: h2::Error = error.downcast()?;
    ensure!(error.is_remote() && error.is_reset(), "{error}");
    error.reason().context("no reason")
}
