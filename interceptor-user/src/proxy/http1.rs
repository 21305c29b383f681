//! HTTP/1 between a client and servers: both ends are terminated, requests are judged by their heads, contents pass as they come.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::poll_fn,
    net::SocketAddr,
    rc::Rc,
};

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Either};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    client::conn::http1::{self as client, SendRequest},
    server::conn::http1::{self as server, Parts},
    service::service_fn,
    upgrade::OnUpgrade,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncWriteExt as _, copy_bidirectional},
    net::TcpStream,
    task::spawn_local,
};

use super::{
    Shared,
    answer::{self, Body},
    connect, fields,
    tap::{Broken, Tap},
};
use crate::{
    model::{Anomaly, FlowEnd},
    pipeline::{CarriedId, Decision},
    policy::{
        Enforcement,
        document::{Deny, PathModifier, Rewrite, Route},
    },
    session::Which,
    sink::Sink,
};

/// Fields of a head at the most; hyper's own limit is lower than what servers take.
const FIELDS: usize = 256;
/// Of a content that nobody is to get, so much is read, so that the client can read its answer.
const DRAIN: usize = 1 << 20;

/// One client's connection.
struct Caller<K: Sink> {
    shared: Rc<Shared<K>>,
    id: CarriedId,
    /// Where the connection was going.
    destination: SocketAddr,
    /// Connections to servers that may be used again, by what a route calls them; the one to `destination` has no name.
    servers: RefCell<BTreeMap<String, SendRequest<Incoming>>>,
    /// Requests so far.
    asked: Cell<u64>,
    /// The server's end of what the connection has become.
    tunnel: RefCell<Option<OnUpgrade>>,
}

/// Carries `client`, whose connection to `destination` is `server`.
pub(super) async fn serve<K: Sink + 'static>(
    client: TcpStream,
    server: TcpStream,
    destination: SocketAddr,
    id: CarriedId,
    shared: &Rc<Shared<K>>,
) -> FlowEnd {
    let caller = Rc::new(Caller {
        shared: Rc::clone(shared),
        id,
        destination,
        servers: RefCell::default(),
        asked: Cell::new(0),
        tunnel: RefCell::default(),
    });
    if let Ok(server) = begin(server).await {
        caller.servers.borrow_mut().insert(String::new(), server);
    }
    let broken = Broken::default();
    let io = TokioIo::new(Tap::new(client, id, shared, &broken));
    let service = service_fn(|request| {
        let caller = Rc::clone(&caller);
        Box::pin(caller.ask(request))
    });
    let mut builder = server::Builder::new();
    builder.preserve_header_case(true).half_close(true).auto_date_header(false).max_headers(FIELDS);
    let mut connection = builder.serve_connection(io, service);
    let spoken = poll_fn(|context| connection.poll_without_shutdown(context)).await.context("HTTP/1");
    let Parts { io, read_buf, .. } = connection.into_parts();
    let mut io = io.into_inner();
    let tunnel = caller.tunnel.take();
    let ended = match (spoken, tunnel) {
        (Ok(()), Some(server)) => tunnelled(&mut io, &read_buf, server).await.context("a tunnel"),
        (Ok(()), None) => io.shutdown().await.context("the end"),
        (Err(error), _) => Err(error),
    };
    if let Err(error) = &ended {
        tracing::debug!(error = format!("{error:#}"), "a client's connection is cut");
        broken.set(true);
    }
    if ended.is_ok() { FlowEnd::Closed } else { FlowEnd::Reset }
}

/// HTTP/1 on a connection to a server.
async fn begin(server: TcpStream) -> hyper::Result<SendRequest<Incoming>> {
    let mut builder = client::Builder::new();
    builder.preserve_header_case(true).max_headers(FIELDS);
    let (sender, connection) = builder.handshake(TokioIo::new(server)).await?;
    spawn_local(async {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "a server's connection ends");
        }
    });
    Ok(sender)
}

impl<K: Sink + 'static> Caller<K> {
    /// One request, to its answer's head. An error ends the connection.
    async fn ask(self: Rc<Self>, request: Request<Incoming>) -> anyhow::Result<Response<Body>> {
        let number = self.asked.get() + 1;
        self.asked.set(number);
        let grpc = answer::is_grpc(request.headers());
        let enforcement = match self.decide(number, &request) {
            Ok(enforcement) => enforcement,
            Err(why) => return Ok(refuse(&why)),
        };
        if let Some(deny) = &enforcement.deny {
            return Ok(denied(deny, request, grpc));
        }
        match self.forward(request, &enforcement).await {
            Ok(response) => Ok(response),
            Err(error) => {
                tracing::debug!(error = format!("{error:#}"), "a request is not answered");
                self.shared.counts.unanswered.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                Ok(answer::error(StatusCode::BAD_GATEWAY, "the server cannot be reached, or did not answer", grpc))
            }
        }
    }

    /// What the policy says. An error says why it is not even asked.
    fn decide(&self, number: u64, request: &Request<Incoming>) -> Result<Enforcement, String> {
        let target = request.uri().to_string();
        let which = Which::Number(number);
        match self.shared.pipeline.borrow_mut().decide(self.id, which, request.method().as_str(), &target) {
            Decision::Forward(enforcement) => Ok(*enforcement),
            Decision::Refuse(anomaly) => Err(ambiguous(anomaly)),
            Decision::Unknown => Err("the request can be read in more than one way".to_owned()),
        }
    }

    async fn forward(
        self: &Rc<Self>,
        mut request: Request<Incoming>,
        enforcement: &Enforcement,
    ) -> anyhow::Result<Response<Body>> {
        let upgrades = fields::upgrades(request.headers());
        fields::end_to_end(request.headers_mut(), upgrades);
        for rewrite in &enforcement.rewrites {
            apply(rewrite, &mut request);
        }
        if let Some(context) = &enforcement.traceparent {
            fields::trace(request.headers_mut(), context);
        }
        let connects = request.method() == Method::CONNECT;
        let mut response = self.send(request, enforcement.route.as_ref()).await?;
        let switches = match response.status() {
            StatusCode::SWITCHING_PROTOCOLS => upgrades,
            status => connects && status.is_success(),
        };
        if switches {
            *self.tunnel.borrow_mut() = Some(hyper::upgrade::on(&mut response));
        }
        fields::end_to_end(response.headers_mut(), switches && !connects);
        Ok(response.map(Either::Left))
    }

    /// To the server. A connection that it has closed in between is made again; what it may have begun to answer is not asked again.
    async fn send(&self, mut request: Request<Incoming>, route: Option<&Route>) -> anyhow::Result<Response<Incoming>> {
        let name = route.map(|route| backend(route, self.destination.port())).unwrap_or_default();
        loop {
            let known = self.servers.borrow_mut().remove(&name).filter(|server| !server.is_closed());
            let is_new = known.is_none();
            let mut server = match known {
                Some(server) => server,
                None => begin(self.connect(&name).await?).await?,
            };
            if let Err(error) = server.ready().await {
                if is_new {
                    return Err(error.into());
                }
                continue;
            }
            match server.try_send_request(request).await {
                Ok(response) => {
                    self.servers.borrow_mut().insert(name, server);
                    return Ok(response);
                }
                Err(mut error) => match error.take_message() {
                    Some(unsent) if !is_new => request = unsent,
                    _ => return Err(error.into_error().into()),
                },
            }
        }
    }

    async fn connect(&self, name: &str) -> anyhow::Result<TcpStream> {
        let to = if name.is_empty() {
            self.destination
        } else {
            let mut found = tokio::net::lookup_host(name).await.with_context(|| format!("no address of {name}"))?;
            found.next().with_context(|| format!("no address of {name}"))?
        };
        connect(to, &self.shared).await.with_context(|| format!("cannot connect to {to}"))
    }
}

/// Bytes both ways, once both have switched; `said`: what the client said already.
async fn tunnelled<K: Sink>(client: &mut Tap<K>, said: &[u8], server: OnUpgrade) -> anyhow::Result<()> {
    let mut server = TokioIo::new(server.await?);
    server.write_all(said).await?;
    copy_bidirectional(client, &mut server).await?;
    Ok(())
}

/// One of the backends, by their weights: `host:port`.
pub(super) fn backend(route: &Route, port: u16) -> String {
    let all: u64 = route.backend_refs.iter().map(|backend| u64::from(backend.weight)).sum();
    let mut at = fields::random() % all.max(1);
    let mut chosen = route.backend_refs.first();
    for backend in route.backend_refs.iter() {
        let weight = u64::from(backend.weight);
        if at < weight {
            chosen = Some(backend);
            break;
        }
        at -= weight;
    }
    let Some(backend) = chosen else { return String::new() };
    let namespace = backend.namespace.as_ref().map(|namespace| format!(".{namespace}")).unwrap_or_default();
    format!("{}{namespace}:{}", backend.name, backend.port.as_ref().map_or(port, |port| port.value))
}

fn apply(rewrite: &Rewrite, request: &mut Request<Incoming>) {
    if let Some(url) = &rewrite.url_rewrite {
        if let Some(host) = url.hostname.as_ref().and_then(|name| name.parse().ok()) {
            request.headers_mut().insert(hyper::header::HOST, host);
        }
        if let Some(uri) = url.path.as_ref().and_then(|path| rewritten(path, request.uri())) {
            *request.uri_mut() = uri;
        }
    }
    if let Some(modifier) = &rewrite.request_header_modifier {
        fields::modify(request.headers_mut(), modifier);
    }
}

/// Another path, with the same query. None where it does not change, or would not be one.
pub(super) fn rewritten(modifier: &PathModifier, uri: &hyper::Uri) -> Option<hyper::Uri> {
    let path = match modifier {
        PathModifier::ReplaceFullPath { replace_full_path } => replace_full_path.clone(),
        PathModifier::ReplacePrefixMatch { prefix_match, replace_prefix_match } => {
            let prefix = prefix_match.trim_end_matches('/');
            let rest = uri.path().strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
            format!("{}{rest}", replace_prefix_match.trim_end_matches('/'))
        }
    };
    let path = if path.starts_with('/') { path } else { format!("/{path}") };
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("{path}{query}").parse().ok()?);
    hyper::Uri::from_parts(parts).ok()
}

/// What the policy answers. What the client still sends is read, so that it can go on.
fn denied(deny: &Deny, request: Request<Incoming>, grpc: bool) -> Response<Body> {
    spawn_local(drain(request.into_body()));
    let status = StatusCode::from_u16(deny.status.value).unwrap_or(StatusCode::FORBIDDEN);
    answer::error(status, &deny.message, grpc)
}

async fn drain(mut content: Incoming) {
    let mut left = DRAIN;
    while let Some(Ok(frame)) = content.frame().await {
        left = left.saturating_sub(frame.data_ref().map_or(0, bytes::Bytes::len));
        if left == 0 {
            return;
        }
    }
}

/// And the connection ends: what follows on it may not be what it seems.
fn refuse(why: &str) -> Response<Body> {
    let mut response = answer::error(StatusCode::BAD_REQUEST, why, false);
    response.headers_mut().insert(hyper::header::CONNECTION, hyper::header::HeaderValue::from_static("close"));
    response
}

fn ambiguous(anomaly: Anomaly) -> String {
    format!("the request can be read in more than one way: {}", anomaly.name())
}
