//! HTTP/1 between a client and servers: both ends are terminated, requests are judged by their heads, contents pass as they come.

use std::{
    cell::{Cell, RefCell},
    future::{Future as _, poll_fn},
    net::SocketAddr,
    pin::{Pin, pin},
    rc::Rc,
    sync::atomic::Ordering::Relaxed,
    task::Poll,
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use http_body_util::{BodyExt as _, Either};
use hyper::{
    Method, Request, Response, StatusCode, Version,
    body::Incoming,
    header::{CONNECTION, HeaderValue},
    server::conn::http1::{self as server, Parts},
    service::service_fn,
    upgrade::OnUpgrade,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncWriteExt as _, copy_bidirectional},
    net::TcpStream,
    task::spawn_local,
    time,
};

use super::{
    Decided, Refused, Shared, address,
    answer::{self, Body},
    client::{Activity, Busy},
    fields, hold, rewrite,
    tap::{Broken, Tap},
    upstream::{self, Content, Failure, Pinned, Target},
};
use crate::{
    model::FlowEnd,
    pipeline::CarriedId,
    policy::{
        Enforcement,
        document::{Deny, Rewrite},
    },
    session::Which,
    sink::Sink,
};

/// Bytes of a head at the most, as sessions take them.
const HEAD: usize = 64 << 10;
/// Of a content that nobody is to get, so much is read, so that the client can read its answer.
const DRAIN: usize = 1 << 20;
/// In the end, how long connections without a request may yet get one.
const LAST_CALL: Duration = Duration::from_secs(1);

/// One client's connection.
struct Caller<K: Sink> {
    shared: Rc<Shared<K>>,
    id: CarriedId,
    /// Where the connection was going.
    destination: SocketAddr,
    activity: Rc<Activity>,
    pinned: Rc<Pinned>,
    /// Requests so far.
    asked: Cell<u64>,
    /// The server's end of what the connection has become.
    tunnel: RefCell<Option<OnUpgrade>>,
}

/// Carries `client`, whose connection to `destination` is `server`, if it has one of its own.
pub(super) async fn serve<K: Sink + 'static>(
    client: TcpStream,
    server: Option<TcpStream>,
    destination: SocketAddr,
    id: CarriedId,
    shared: &Rc<Shared<K>>,
) -> FlowEnd {
    if let Some(server) = server {
        shared.upstreams.take_http1(destination, server).await;
    }
    let caller = Rc::new(Caller {
        shared: Rc::clone(shared),
        id,
        destination,
        activity: Activity::new(),
        pinned: Rc::default(),
        asked: Cell::new(0),
        tunnel: RefCell::default(),
    });
    let broken = Broken::default();
    let tap = Tap::new(client, id, shared, &broken);
    match caller.serve(tap, &broken).await {
        Ok(()) => FlowEnd::Closed,
        Err(error) => {
            tracing::debug!(error = format!("{error:#}"), "a client's connection is cut");
            FlowEnd::Reset
        }
    }
}

impl<K: Sink + 'static> Caller<K> {
    /// To the connection's end.
    async fn serve(self: &Rc<Self>, tap: Tap<K>, broken: &Broken) -> anyhow::Result<()> {
        let service = service_fn(|request| Box::pin(Rc::clone(self).ask(request)));
        let mut builder = server::Builder::new();
        // A head has 100 fields at the most: for more hyper takes memory from the heap for every head.
        builder.preserve_header_case(true).half_close(true).auto_date_header(false).max_header_size(HEAD);
        let mut connection = builder.serve_connection(TokioIo::new(tap), service);
        let mut leaves = pin!(self.leaves());
        let mut has_left = false;
        let mut stands_still = pin!(self.stands_still());
        let spoken = poll_fn(|context| {
            if !has_left && leaves.as_mut().poll(context).is_ready() {
                has_left = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
            if stands_still.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(anyhow!("an answer stands still")));
            }
            connection.poll_without_shutdown(context).map(|ended| ended.context("HTTP/1"))
        })
        .await;
        let Parts { io, read_buf, .. } = connection.into_parts();
        let mut io = io.into_inner();
        let ended = match (spoken, self.tunnel.take()) {
            (Ok(()), Some(server)) => tunnelled(&mut io, &read_buf, server).await.context("a tunnel"),
            (Ok(()), None) => io.shutdown().await.context("the end"),
            (Err(error), _) => Err(error),
        };
        broken.set(ended.is_err());
        ended
    }

    /// Waits until no more requests are to come. In the end of it all, who is asking all the while is told with an answer, and only
    /// who is not is cut off: what comes while a connection closes would be lost.
    async fn leaves(&self) {
        let shared = &self.shared;
        tokio::select! {
            () = shared.drain.begun() => time::sleep(LAST_CALL.min(shared.limits.grace / 2)).await,
            () = self.activity.is_idle(shared.limits.idle) => {
                shared.counts.client_idle.fetch_add(1, Relaxed);
            }
        }
    }

    async fn stands_still(&self) {
        self.activity.stands_still(self.shared.upstreams.idle_timeout()).await;
        self.shared.upstreams.stands_still();
    }

    /// One request, to its answer's head. An error ends the connection.
    async fn ask(self: Rc<Self>, request: Request<Incoming>) -> anyhow::Result<Response<Body>> {
        let mut response = self.answer(request).await;
        if self.shared.drain.has_begun() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }

    async fn answer(self: &Rc<Self>, mut request: Request<Incoming>) -> Response<Body> {
        let number = self.asked.get() + 1;
        self.asked.set(number);
        let busy = self.activity.begin();
        let grpc = answer::is_grpc(request.headers());
        let decided = match self.decide(number, &request) {
            Ok(decided) => decided,
            Err(refused) => return refuse(refused.status, &refused.why),
        };
        if let Decided::Now(Enforcement { deny: Some(deny), .. }) = &decided {
            spawn_local(drain(request.into_body()));
            return denied(deny, grpc);
        }
        if !fields::is_framed(request.headers_mut()) {
            return refuse(StatusCode::NOT_IMPLEMENTED, "the content has a coding that ends with this connection");
        }
        let (enforcement, request) = match decided {
            Decided::Now(enforcement) => (enforcement, request.map(Content::Coming)),
            Decided::Whole(most) => match self.hold(request, most).await {
                Ok(request) => match self.shared.decide_whole(self.id, Which::Number(number)) {
                    Ok(enforcement) => (enforcement, request),
                    Err(refused) => return refuse(refused.status, &refused.why),
                },
                Err(failure) => return self.failed(failure, grpc),
            },
        };
        if let Some(deny) = &enforcement.deny {
            return denied(deny, grpc);
        }
        let answered = self.forward(request, &enforcement, busy).await;
        answered.unwrap_or_else(|failure| self.failed(failure, grpc))
    }

    fn failed(&self, failure: Failure, grpc: bool) -> Response<Body> {
        self.shared.unanswered(failure);
        failure.answer(grpc)
    }

    /// Waits for all of a content.
    async fn hold(&self, request: Request<Incoming>, most: usize) -> Result<Request<Content>, Failure> {
        let (head, mut content) = request.into_parts();
        let (mut holding, mut trailers) = (self.shared.room.hold(most), None);
        let time = self.shared.upstreams.idle_timeout();
        while let Some(frame) = hold::in_time(time, content.frame()).await? {
            let frame = frame.map_err(|_| Failure::Incomplete)?;
            match frame.into_data() {
                Ok(data) => {
                    if let Err(failure) = holding.add(&data) {
                        spawn_local(drain(content));
                        return Err(failure);
                    }
                }
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        Ok(Request::from_parts(head, Content::Held(holding.end(trailers))))
    }

    fn decide(&self, number: u64, request: &Request<Incoming>) -> Result<Decided, Refused> {
        if let Some(why) = address::unclear_in_http1(request) {
            return Err(Refused::bad(address::malformed(why)));
        }
        let target = request.uri().to_string();
        self.shared.decide(self.id, Which::Number(number), request.method().as_str(), &target)
    }

    async fn forward(
        self: &Rc<Self>,
        mut request: Request<Content>,
        enforcement: &Enforcement,
        busy: Busy,
    ) -> Result<Response<Body>, Failure> {
        address::complete(&mut request, self.destination);
        let upgrades = fields::upgrades(request.headers());
        fields::end_to_end(request.headers_mut(), upgrades);
        for rewrite in &enforcement.rewrites {
            apply(rewrite, &mut request);
        }
        if let Some(context) = &enforcement.traceparent {
            fields::trace(request.headers_mut(), context);
        }
        let connects = request.method() == Method::CONNECT;
        let target = Target::of(enforcement.route.as_ref(), self.destination);
        let upstream = self.shared.upstreams.get(&target);
        let mut response = upstream::ask(&upstream, request, &self.pinned, busy).await?;
        let switches = match response.status() {
            StatusCode::SWITCHING_PROTOCOLS if upgrades => true,
            // Nobody asked for it.
            StatusCode::SWITCHING_PROTOCOLS => return Err(Failure::Unanswered),
            status => connects && status.is_success(),
        };
        if switches {
            *self.tunnel.borrow_mut() = Some(hyper::upgrade::on(&mut response));
            response.body_mut().switches();
        }
        if !fields::is_framed(response.headers_mut()) {
            return Err(Failure::Unanswered);
        }
        fields::end_to_end(response.headers_mut(), switches && !connects);
        // Of what is forwarded the version is ours (RFC 9112 section 2.3).
        *response.version_mut() = Version::HTTP_11;
        Ok(response.map(Either::Left))
    }
}

/// Bytes both ways, once both have switched; `said`: what the client said already.
async fn tunnelled<K: Sink>(client: &mut Tap<K>, said: &[u8], server: OnUpgrade) -> anyhow::Result<()> {
    let mut server = TokioIo::new(server.await?);
    server.write_all(said).await?;
    copy_bidirectional(client, &mut server).await?;
    Ok(())
}

fn apply(rewrite: &Rewrite, request: &mut Request<Content>) {
    if let Some(url) = &rewrite.url_rewrite {
        if let Some(host) = url.hostname.as_ref().and_then(|name| name.parse().ok()) {
            request.headers_mut().insert(hyper::header::HOST, host);
        }
        if let Some(uri) = url.path.as_ref().and_then(|path| rewrite::path(path, request.uri())) {
            *request.uri_mut() = uri;
        }
    }
    if let Some(modifier) = &rewrite.request_header_modifier {
        fields::modify(request.headers_mut(), modifier);
    }
}

/// What the policy answers.
fn denied(deny: &Deny, grpc: bool) -> Response<Body> {
    let status = StatusCode::from_u16(deny.status.value).unwrap_or(StatusCode::FORBIDDEN);
    answer::error(status, &deny.message, grpc)
}

/// What the client still sends is read, so that it can go on.
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
fn refuse(status: StatusCode, why: &str) -> Response<Body> {
    let mut response = answer::error(status, why, false);
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
