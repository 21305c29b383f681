//! HTTP/2 between a client and servers: both ends are terminated, requests are judged by their heads, contents pass as they come.
//!
//! Streams are forwarded by themselves, each in a task; what they share is the client's connection and those to the servers.

mod outgoing;
mod pump;
mod upstream;

use std::{
    future::poll_fn,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    sync::atomic::Ordering::Relaxed,
    task::{Context, Poll},
};

use bytes::Bytes;
use h2::{
    Reason, RecvStream,
    client::ResponseFuture,
    server::{Builder, SendResponse},
};
use http_body_util::BodyExt as _;
use hyper::{Method, Request, Response, StatusCode};
use tokio::{net::TcpStream, task::spawn_local};

use self::{
    pump::{Ended, pump},
    upstream::Servers,
};
use super::{
    Shared,
    answer::{self, Body},
    http1,
    tap::{Broken, Tap},
};
use crate::{
    model::{Anomaly, FlowEnd},
    pipeline::{CarriedId, Decision},
    policy::Enforcement,
    session::Which,
    sink::Sink,
};

/// Bytes of a stream that are on their way before the other side has taken them: what waits here of one stream at the most.
const STREAM_WINDOW: u32 = 256 << 10;
/// The same of all streams of a connection. It is larger than one stream's by far, or few streams that wait would hold up all.
const CONNECTION_WINDOW: u32 = 4 << 20;
/// Bytes of a head, as sessions take them.
const HEAD: u32 = 64 << 10;
/// Streams of a client at a time. RFC 9113 section 6.5.2 wants 100 at the least.
const STREAMS: u32 = 256;

/// One client's connection.
struct Caller<K: Sink> {
    shared: Rc<Shared<K>>,
    id: CarriedId,
    destination: SocketAddr,
    servers: Servers<K>,
}

/// Why a stream is not answered as the server would have.
enum Failed {
    /// One side gave it up.
    Ended(Ended),
    /// There is no answer of a server, and none has begun.
    Unanswered(StatusCode),
}

impl From<Ended> for Failed {
    fn from(ended: Ended) -> Self {
        Self::Ended(ended)
    }
}

/// Carries `client`, whose connection to `destination` is `server`.
pub(super) async fn serve<K: Sink + 'static>(
    client: TcpStream,
    server: TcpStream,
    destination: SocketAddr,
    id: CarriedId,
    shared: &Rc<Shared<K>>,
) -> FlowEnd {
    let servers = Servers::new(Rc::clone(shared), destination, server).await;
    let caller = Rc::new(Caller { shared: Rc::clone(shared), id, destination, servers });
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
    while let Some(stream) = connection.accept().await {
        let (request, respond) = stream?;
        spawn_local(Rc::clone(caller).ask(request, respond));
    }
    Ok(())
}

impl<K: Sink + 'static> Caller<K> {
    /// One request, to the end of its answer.
    async fn ask(self: Rc<Self>, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        let grpc = answer::is_grpc(request.headers());
        let said = match self.decide(&request, respond.stream_id().as_u32()) {
            Err(why) => say(&mut respond, answer::error(StatusCode::BAD_REQUEST, &why, grpc)).await,
            Ok(Enforcement { deny: Some(deny), .. }) => {
                let status = StatusCode::from_u16(deny.status.value).unwrap_or(StatusCode::FORBIDDEN);
                say(&mut respond, answer::error(status, &deny.message, grpc)).await
            }
            Ok(enforcement) => match self.forward(request, &mut respond, &enforcement).await {
                Err(Failed::Ended(Ended::Giver(reason))) => {
                    respond.send_reset(reason);
                    Ok(())
                }
                // Where it is not answered in full, the client knows: it is who gave up, or it is gone.
                Ok(()) | Err(Failed::Ended(Ended::Taker(_))) => Ok(()),
                Err(Failed::Unanswered(status)) => {
                    self.shared.counts.unanswered.fetch_add(1, Relaxed);
                    let text = "the server cannot be reached, or did not answer";
                    say(&mut respond, answer::error(status, text, grpc)).await
                }
            },
        };
        if let Err(error) = said {
            tracing::debug!(%error, "a client does not wait for its answer");
        }
    }

    /// What the policy says. An error says why it is not even asked.
    fn decide(&self, request: &Request<RecvStream>, stream: u32) -> Result<Enforcement, String> {
        let uri = request.uri();
        let target = match (request.method(), uri.authority()) {
            (&Method::CONNECT, Some(authority)) => authority.as_str(),
            _ => uri.path_and_query().map_or("/", |target| target.as_str()),
        };
        let (which, method) = (Which::Stream(stream), request.method().as_str());
        match self.shared.pipeline.borrow_mut().decide(self.id, which, method, target) {
            Decision::Forward(enforcement) => Ok(*enforcement),
            Decision::Refuse(anomaly) => Err(ambiguous(anomaly)),
            Decision::Unknown => Err("the request can be read in more than one way".to_owned()),
        }
    }

    /// Both contents go on at once: a server may answer before it has all of the request.
    async fn forward(
        &self,
        request: Request<RecvStream>,
        respond: &mut SendResponse<Bytes>,
        enforcement: &Enforcement,
    ) -> Result<(), Failed> {
        let (head, mut content) = request.into_parts();
        let whole = content.is_end_stream();
        let outgoing = outgoing::request(head, enforcement, self.destination);
        let route = enforcement.route.as_ref();
        let name = route.map(|route| http1::backend(route, self.destination.port())).unwrap_or_default();
        let (response, mut server) = self.servers.send(&name, outgoing, whole).await?;
        let asked = async {
            if whole {
                return Ok(None);
            }
            match pump(&mut content, &mut server).await {
                Ok(()) => Ok(None),
                // What it answered before it gave up the request counts (RFC 9113 section 8.1).
                Err(Ended::Taker(reason)) => Ok(Some(reason)),
                Err(Ended::Giver(reason)) => Err(Failed::Ended(Ended::Taker(reason))),
            }
        };
        match tokio::try_join!(asked, answered(respond, response)) {
            Ok((Some(stopped), ())) => respond.send_reset(stopped),
            Ok((None, ())) => {}
            Err(failed) => {
                if let Failed::Ended(Ended::Taker(reason)) = failed {
                    server.send_reset(reason);
                }
                return Err(failed);
            }
        }
        Ok(())
    }
}

/// What the server answers, as it comes. Who gives is the server, who takes is the client.
async fn answered(respond: &mut SendResponse<Bytes>, mut response: ResponseFuture) -> Result<(), Failed> {
    let response = loop {
        match poll_fn(|context| step(respond, &mut response, context)).await? {
            Step::Interim(head) => respond.send_informational(head).map_err(|error| Ended::by_taker(&error))?,
            Step::Head(response) => break response,
        }
    };
    let (head, mut content) = response.into_parts();
    let whole = content.is_end_stream();
    let head = Response::from_parts(head, ());
    let mut client = respond.send_response(head, whole).map_err(|error| Ended::by_taker(&error))?;
    if whole {
        return Ok(());
    }
    match pump(&mut content, &mut client).await {
        // It has answered in full, and wants no more of the request (RFC 9113 section 8.1).
        Err(Ended::Giver(Reason::NO_ERROR)) => {
            client.send_data(Bytes::new(), true).map_err(|error| Ended::by_taker(&error))?;
            Ok(())
        }
        ended => Ok(ended?),
    }
}

/// What comes before the content of an answer.
enum Step {
    Interim(Response<()>),
    Head(Response<RecvStream>),
}

fn step(
    respond: &mut SendResponse<Bytes>,
    response: &mut ResponseFuture,
    context: &mut Context<'_>,
) -> Poll<Result<Step, Failed>> {
    if let Poll::Ready(given_up) = respond.poll_reset(context) {
        let reason = given_up.unwrap_or(Reason::CANCEL);
        return Poll::Ready(Err(Failed::Ended(Ended::Taker(reason))));
    }
    if let Poll::Ready(Some(Ok(interim))) = response.poll_informational(context) {
        return Poll::Ready(Ok(Step::Interim(interim)));
    }
    Pin::new(response).poll(context).map(|head| head.map(Step::Head).map_err(|error| unanswered(&error)))
}

/// No answer has begun: what the server says of the stream is passed on, of its connection the client knows nothing.
fn unanswered(error: &h2::Error) -> Failed {
    match error.reason() {
        Some(reason) if error.is_remote() && error.is_reset() => Failed::Ended(Ended::Giver(reason)),
        // It was not looked at, so that it may be asked again (RFC 9113 section 6.8).
        Some(_) if error.is_remote() && error.is_go_away() => Failed::Ended(Ended::Giver(Reason::REFUSED_STREAM)),
        _ => {
            tracing::debug!(%error, "a request is not answered");
            Failed::Unanswered(StatusCode::BAD_GATEWAY)
        }
    }
}

/// An answer of ours. What the client has not sent yet is not wanted any more, which it is told once its answer is out.
async fn say(respond: &mut SendResponse<Bytes>, response: Response<Body>) -> Result<(), h2::Error> {
    let (head, body) = response.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let mut client = respond.send_response(Response::from_parts(head, ()), body.is_empty())?;
    if body.is_empty() { Ok(()) } else { client.send_data(body, true) }
}

fn ambiguous(anomaly: Anomaly) -> String {
    format!("the request can be read in more than one way: {}", anomaly.name())
}
