//! One attempt at a request: a stream of the client's connection, and one of a server's.

use std::{
    cell::Cell,
    future::{Future as _, poll_fn},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream, client::ResponseFuture, server::SendResponse};
use hyper::{Request, Response};

use super::{
    Failed,
    content::Content,
    pump::{Ended, pump},
};
use crate::proxy::upstream::{Again, Attempts, Failure, Pulse, Stream, Upstream, in_time, is_gateway_error};

pub(super) struct Call<'a> {
    pub(super) upstream: &'a Upstream,
    pub(super) stream: Stream,
    pub(super) attempts: &'a mut Attempts,
    pub(super) pulse: Option<&'a Pulse>,
    /// Some of the request's content is gone.
    pub(super) has_begun: &'a Cell<bool>,
}

impl Call<'_> {
    /// Both contents go on at once: a server may answer before it has all of the request.
    pub(super) async fn run(
        mut self,
        outgoing: &Request<()>,
        content: &mut Content,
        respond: &mut SendResponse<Bytes>,
    ) -> Result<(), Failed> {
        let (response, mut server) = match self.stream.send(outgoing.clone(), content.is_over()) {
            Ok(sent) => sent,
            Err(error) => {
                tracing::debug!(%error, "a request cannot be sent");
                return Err(self.unsent().await);
            }
        };
        let (upstream, pulse, has_begun) = (self.upstream, self.pulse, self.has_begun);
        let both =
            async { tokio::try_join!(asked(content, &mut server, pulse, has_begun), self.answered(respond, response)) };
        let ended = tokio::select! {
            biased;
            ended = both => ended,
            () = stands_still(pulse) => {
                upstream.is_late(Failure::Stalled);
                return Err(Failed::Ended(Ended::Giver(Reason::INTERNAL_ERROR)));
            }
        };
        // Any other stream that is not over is cancelled as it is dropped. What the server does not want of the request any more the
        // client is told so, too, once its answer is out: a reset would take along what of that still waits.
        if let Err(Failed::Ended(Ended::Taker(reason))) = ended {
            server.send_reset(reason);
        }
        ended.map(|((), ())| ())
    }

    /// Nothing of it is gone: its connection took no more.
    async fn unsent(&mut self) -> Failed {
        let address = Rc::clone(&self.stream.address);
        if self.stream.was_kept && self.attempts.again(Again::Closed, &address).await {
            return Failed::Again;
        }
        Failure::Unanswered.into()
    }

    /// What the server answers, as it comes. Who gives is the server, who takes is the client.
    async fn answered(
        &mut self,
        respond: &mut SendResponse<Bytes>,
        mut response: ResponseFuture,
    ) -> Result<(), Failed> {
        let response = loop {
            let next = poll_fn(|context| step(respond, &mut response, context));
            match in_time(self.pulse, next).await {
                Ok(Step::Interim(head)) => respond.send_informational(head).map_err(|error| Ended::by_taker(&error))?,
                Ok(Step::Head(response)) => break response,
                Ok(Step::GivenUp(reason)) => return Err(Ended::Taker(reason).into()),
                Ok(Step::None(error)) => return Err(self.unanswered(&error).await),
                Err(late) => {
                    self.upstream.report(&self.stream.address, false);
                    self.upstream.is_late(late);
                    return Err(late.into());
                }
            }
        };
        let (head, content) = response.into_parts();
        self.upstream.report(&self.stream.address, !is_gateway_error(head.status));
        let address = Rc::clone(&self.stream.address);
        if self.attempts.is_wanted_after(head.status) && self.attempts.again(Again::Status, &address).await {
            return Err(Failed::Again);
        }
        let is_whole = content.is_end_stream();
        let head = Response::from_parts(head, ());
        let mut client = respond.send_response(head, is_whole).map_err(|error| Ended::by_taker(&error))?;
        if is_whole {
            return Ok(());
        }
        let passed = || {
            if let Some(pulse) = self.pulse {
                pulse.beat();
            }
        };
        match pump(&mut Content::Coming(content), &mut client, passed).await {
            // It has answered in full, and wants no more of the request (RFC 9113 section 8.1).
            Err(Ended::Giver(Reason::NO_ERROR)) => {
                client.send_data(Bytes::new(), true).map_err(|error| Ended::by_taker(&error))?;
                Ok(())
            }
            ended => Ok(ended?),
        }
    }

    /// No answer has begun: it is tried again, or what the server says of the stream is passed on; of its connection the client knows
    /// nothing.
    async fn unanswered(&mut self, error: &h2::Error) -> Failed {
        tracing::debug!(at = %self.stream.address.at(), %error, "a request is not answered");
        // It was not looked at (RFC 9113 section 8.7).
        let is_refused = error.is_remote() && (error.is_go_away() || error.reason() == Some(Reason::REFUSED_STREAM));
        let is_reset = error.is_remote() && error.is_reset();
        let why = match self.stream.was_kept {
            _ if is_refused => Again::Refused,
            true if error.is_io() => Again::Closed,
            _ => Again::Reset,
        };
        if why == Again::Reset {
            self.upstream.report(&self.stream.address, false);
        }
        let may_be_sent_twice = if is_refused { !self.has_begun.get() } else { self.attempts.is_repeatable() };
        let address = Rc::clone(&self.stream.address);
        if may_be_sent_twice && self.attempts.again(why, &address).await {
            return Failed::Again;
        }
        match error.reason() {
            // So that it may be asked again.
            _ if is_refused => Ended::Giver(Reason::REFUSED_STREAM).into(),
            Some(reason) if is_reset => Ended::Giver(reason).into(),
            _ => Failure::Unanswered.into(),
        }
    }
}

/// What the client sends. Where the server wants no more of it, what it answered before that counts (RFC 9113 section 8.1).
async fn asked(
    content: &mut Content,
    server: &mut SendStream<Bytes>,
    pulse: Option<&Pulse>,
    has_begun: &Cell<bool>,
) -> Result<(), Failed> {
    if content.is_over() {
        return Ok(());
    }
    let passed = || {
        has_begun.set(true);
        if let Some(pulse) = pulse {
            pulse.beat();
        }
    };
    match pump(content, server, passed).await {
        Ok(()) => {
            if let Some(pulse) = pulse {
                pulse.asked();
            }
            Ok(())
        }
        Err(Ended::Taker(_)) => Ok(()),
        Err(Ended::Giver(reason)) => Err(Ended::Taker(reason).into()),
    }
}

async fn stands_still(pulse: Option<&Pulse>) {
    match pulse {
        Some(pulse) => pulse.stands_still().await,
        None => std::future::pending().await,
    }
}

/// What comes before the content of an answer.
enum Step {
    Interim(Response<()>),
    Head(Response<RecvStream>),
    /// By the client.
    GivenUp(Reason),
    /// There will be no answer.
    None(h2::Error),
}

fn step(respond: &mut SendResponse<Bytes>, response: &mut ResponseFuture, context: &mut Context<'_>) -> Poll<Step> {
    if let Poll::Ready(given_up) = respond.poll_reset(context) {
        return Poll::Ready(Step::GivenUp(given_up.unwrap_or(Reason::CANCEL)));
    }
    if let Poll::Ready(Some(Ok(interim))) = response.poll_informational(context) {
        return Poll::Ready(Step::Interim(interim));
    }
    Pin::new(response).poll(context).map(|head| head.map_or_else(Step::None, Step::Head))
}
