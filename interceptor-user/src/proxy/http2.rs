//! HTTP/2 between a client and servers: both ends are terminated, requests are judged by their heads, contents pass as they come.
//!
//! Streams are forwarded by themselves, each in a task; what they share is the client's connection and those to the servers.

mod call;
mod content;
mod malformed;
mod outgoing;
mod pump;

use std::{cell::Cell, net::SocketAddr, pin::pin, rc::Rc, sync::atomic::Ordering::Relaxed};

use bytes::Bytes;
use h2::{
    RecvStream,
    server::{Builder, SendResponse},
};
use http_body_util::BodyExt as _;
use hyper::{Method, Request, Response, StatusCode, header::EXPECT, http::request::Parts};
use tokio::{net::TcpStream, task::spawn_local};

use self::{call::Call, content::Content, pump::Ended};
use super::{
    Decided, Refused, Shared, address,
    answer::{self, Body},
    client::Activity,
    tap::{Broken, Tap},
    upstream::{Failure, Target, is_repeatable},
};
use crate::{
    model::FlowEnd,
    pipeline::CarriedId,
    policy::{Enforcement, document::Deny},
    session::Which,
    sink::Sink,
};

/// Bytes of a stream that are on their way before the other side has taken them: what waits here of one stream at the most.
pub(super) const STREAM_WINDOW: u32 = 256 << 10;
/// The same of all streams of a client's connection. It is larger than one stream's by far, or few streams that wait would hold up all.
const CONNECTION_WINDOW: u32 = 4 << 20;
/// Bytes of a head, as sessions take them.
pub(super) const HEAD: u32 = 64 << 10;
/// Streams of a client at a time. RFC 9113 section 6.5.2 wants 100 at the least.
const STREAMS: u32 = 256;

/// One client's connection.
struct Caller<K: Sink> {
    shared: Rc<Shared<K>>,
    id: CarriedId,
    destination: SocketAddr,
    activity: Rc<Activity>,
}

/// Why a stream is not answered as the server would have.
enum Failed {
    /// One side gave it up.
    Ended(Ended),
    /// There is no answer of a server, and none has begun.
    Unanswered(Failure),
    /// It is not even asked.
    Refused(Refused),
    /// By policy.
    Denied(Deny),
    /// It is to be tried again.
    Again,
}

impl From<Ended> for Failed {
    fn from(ended: Ended) -> Self {
        Self::Ended(ended)
    }
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self::Unanswered(failure)
    }
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
        shared.upstreams.take_http2(destination, server).await;
    }
    let caller = Rc::new(Caller { shared: Rc::clone(shared), id, destination, activity: Activity::new() });
    // A stream that is not whole says so itself.
    let tap = Tap::new(client, id, shared, &Broken::default());
    match accept(tap, &caller).await {
        Err(error) if error.is_io() => {
            tracing::debug!(%error, "a client's connection is gone");
            FlowEnd::Reset
        }
        Err(error) => {
            tracing::debug!(%error, "a client's connection ends");
            FlowEnd::Closed
        }
        Ok(()) => FlowEnd::Closed,
    }
}

async fn accept<K: Sink + 'static>(tap: Tap<K>, caller: &Rc<Caller<K>>) -> Result<(), h2::Error> {
    let mut builder = Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(HEAD)
        .max_concurrent_streams(STREAMS);
    let mut connection = builder.handshake(tap).await?;
    let mut leaves = pin!(caller.leaves());
    let mut has_left = false;
    loop {
        tokio::select! {
            biased;
            () = leaves.as_mut(), if !has_left => {
                has_left = true;
                connection.graceful_shutdown();
            }
            stream = connection.accept() => {
                let Some(stream) = stream else { return Ok(()) };
                let (request, respond) = stream?;
                spawn_local(Rc::clone(caller).ask(request, respond));
            }
        }
    }
}

impl<K: Sink + 'static> Caller<K> {
    /// Waits until no more requests are to come: the client gets a GOAWAY, and what it has asked for until it knows is answered.
    async fn leaves(&self) {
        let shared = &self.shared;
        tokio::select! {
            () = shared.drain.begun() => {}
            () = self.activity.is_idle(shared.limits.idle) => {
                shared.counts.client_idle.fetch_add(1, Relaxed);
            }
        }
    }

    /// One request, to the end of its answer.
    async fn ask(self: Rc<Self>, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        let _busy = self.activity.begin();
        let grpc = answer::is_grpc(request.headers());
        let said = match self.serve(request, &mut respond).await {
            Err(Failed::Ended(Ended::Giver(reason))) => {
                respond.send_reset(reason);
                Ok(())
            }
            // Where it is not answered in full, the client knows: it is who gave up, or it is gone.
            Ok(()) | Err(Failed::Ended(Ended::Taker(_)) | Failed::Again) => Ok(()),
            Err(Failed::Unanswered(failure)) => {
                self.shared.unanswered(failure);
                say(&mut respond, failure.answer(grpc)).await
            }
            Err(Failed::Refused(Refused { status, why })) => say(&mut respond, answer::error(status, &why, grpc)).await,
            Err(Failed::Denied(deny)) => {
                let status = StatusCode::from_u16(deny.status.value).unwrap_or(StatusCode::FORBIDDEN);
                say(&mut respond, answer::error(status, &deny.message, grpc)).await
            }
        };
        if let Err(error) = said {
            tracing::debug!(%error, "a client does not wait for its answer");
        }
    }

    async fn serve(&self, request: Request<RecvStream>, respond: &mut SendResponse<Bytes>) -> Result<(), Failed> {
        let stream = respond.stream_id().as_u32();
        let decided = self.decide(&request, stream).map_err(Failed::Refused)?;
        let (mut head, mut content) = request.into_parts();
        let (enforcement, content) = match decided {
            Decided::Now(enforcement) => (enforcement, Content::Coming(content)),
            Decided::Whole(most) => {
                goes_on(&mut head, respond)?;
                let time = self.shared.upstreams.idle_timeout();
                let held = content::hold(&mut content, self.shared.room.hold(most), time).await?;
                let whole = self.shared.decide_whole(self.id, Which::Stream(stream)).map_err(Failed::Refused)?;
                (whole, held)
            }
        };
        match enforcement.deny {
            Some(deny) => Err(Failed::Denied(deny)),
            None => self.forward(Request::from_parts(head, content), respond, &enforcement).await,
        }
    }

    fn decide(&self, request: &Request<RecvStream>, stream: u32) -> Result<Decided, Refused> {
        if let Some(why) = malformed::request(request) {
            return Err(Refused::bad(address::malformed(why)));
        }
        let uri = request.uri();
        let target = match (request.method(), uri.authority()) {
            (&Method::CONNECT, Some(authority)) => authority.as_str(),
            _ => uri.path_and_query().map_or("/", |target| target.as_str()),
        };
        self.shared.decide(self.id, Which::Stream(stream), request.method().as_str(), target)
    }

    async fn forward(
        &self,
        request: Request<Content>,
        respond: &mut SendResponse<Bytes>,
        enforcement: &Enforcement,
    ) -> Result<(), Failed> {
        let (head, mut content) = request.into_parts();
        let outgoing = outgoing::request(head, enforcement, self.destination);
        let upstream = self.shared.upstreams.get(&Target::of(enforcement.route.as_ref(), self.destination));
        let _ticket = upstream.enter()?;
        let is_whole = content.is_over();
        let mut attempts = upstream.attempts(is_repeatable(outgoing.method(), is_whole));
        let pulse = upstream.pulse();
        if let Some(pulse) = pulse.as_ref().filter(|_| is_whole) {
            pulse.asked();
        }
        let has_begun = Cell::new(false);
        loop {
            let stream = attempts.http2().await?;
            let (pulse, has_begun) = (pulse.as_deref(), &has_begun);
            let call = Call { upstream: &upstream, stream, attempts: &mut attempts, pulse, has_begun };
            match call.run(&outgoing, &mut content, respond).await {
                Err(Failed::Again) => {}
                ended => return ended,
            }
        }
    }
}

/// A client may wait to be told so before it sends its content (RFC 9110 section 10.1.1).
fn goes_on(head: &mut Parts, respond: &mut SendResponse<Bytes>) -> Result<(), Failed> {
    if head.headers.remove(EXPECT).is_some() {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::CONTINUE;
        respond.send_informational(response).map_err(|error| Ended::by_taker(&error))?;
    }
    Ok(())
}

/// An answer of ours. What the client has not sent yet is not wanted any more, which it is told once its answer is out.
async fn say(respond: &mut SendResponse<Bytes>, response: Response<Body>) -> Result<(), h2::Error> {
    let (head, body) = response.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let mut client = respond.send_response(Response::from_parts(head, ()), body.is_empty())?;
    if body.is_empty() { Ok(()) } else { client.send_data(body, true) }
}
