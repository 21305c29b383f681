//! Requests of HTTP/1, and the connections that they go on.

use std::{rc::Rc, sync::atomic::Ordering::Relaxed};

use hyper::{
    Request, Response,
    client::conn::http1::{Builder, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    task::spawn_local,
    time::{Instant, timeout},
};

use super::{
    Failure, Pinned, Upstream,
    address::Address,
    attempts::{Again, is_repeatable},
    content::{Content, Download, Upload},
    in_time, is_gateway_error,
};
use crate::proxy::{client::Busy, counts::Gauge};

type Server = SendRequest<Upload>;

/// A connection that waits for a request.
pub(super) struct Idle {
    server: Server,
    pub(super) since: Instant,
    /// It had none yet.
    is_fresh: bool,
    _counted: Gauge,
}

/// A connection, for one request.
pub(in crate::proxy) struct Lease {
    pub(super) server: Server,
    pub(super) address: Rc<Address>,
    /// It was kept: its server may have closed it meanwhile.
    pub(super) was_kept: bool,
}

/// Asks, and gives what is answered once its head is there. What the client closes ends it.
pub(in crate::proxy) async fn ask(
    upstream: &Rc<Upstream>,
    request: Request<Content>,
    pinned: &Rc<Pinned>,
    busy: Busy,
) -> Result<Response<Download>, Failure> {
    let ticket = upstream.enter()?;
    let pulse = upstream.pulse();
    pinned.asked(&upstream.target, request.headers());
    let mut attempts = upstream.attempts(is_repeatable(request.method(), request.body().is_over()));
    let mut request = request.map(|content| Upload::new(content, pulse.clone()));
    loop {
        let mut lease = attempts.http1(pinned).await?;
        let flight = lease.address.flight();
        let spare = attempts.needs_spare(lease.was_kept).then(|| copy(&request));
        let sent = in_time(pulse.as_deref(), lease.server.try_send_request(request)).await;
        let (next, why) = match sent {
            Err(late) => {
                upstream.report(&lease.address, false);
                upstream.is_late(late);
                return Err(late);
            }
            Ok(Ok(response)) => {
                let status = response.status();
                upstream.report(&lease.address, !is_gateway_error(status));
                if let Some(spare) = spare
                    && attempts.is_wanted_after(status)
                    && attempts.again(Again::Status, &lease.address).await
                {
                    request = spare;
                    continue;
                }
                pinned.answered(&upstream.target, status, response.headers());
                return Ok(response.map(|content| Download::new(content, lease, pinned, pulse, (ticket, flight, busy))));
            }
            Ok(Err(mut error)) => {
                let unsent = error.take_message();
                let error = error.into_error();
                tracing::debug!(at = %lease.address.at, %error, "a request is not answered");
                // Its content did not come to its end: it is the client that is gone.
                if !lease.was_kept && !error.is_user() {
                    upstream.report(&lease.address, false);
                }
                let why = if lease.was_kept { Again::Closed } else { Again::Reset };
                match unsent.or(spare).filter(|_| !error.is_parse()) {
                    Some(next) => (next, why),
                    None => return Err(Failure::Unanswered),
                }
            }
        };
        if !attempts.again(why, &lease.address).await {
            return Err(Failure::Unanswered);
        }
        request = next;
    }
}

/// Of a request without a content.
fn copy(request: &Request<Upload>) -> Request<Upload> {
    let mut copy = Request::new(request.body().none());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    copy.headers_mut().clone_from(request.headers());
    copy.extensions_mut().clone_from(request.extensions());
    copy
}

impl Idle {
    pub(super) fn is_usable(&self) -> bool {
        if self.is_fresh { !self.server.is_closed() } else { self.server.is_ready() }
    }
}

impl Lease {
    pub(super) fn is_usable(&self) -> bool {
        !self.server.is_closed()
    }

    /// The answer was read to its end. Where the request is not sent to its end, which the server may not want, that is waited for.
    pub(super) fn give_back(self) {
        let Self { mut server, address, .. } = self;
        if server.is_ready() {
            address.keep(server, false);
        } else if !server.is_closed() {
            spawn_local(async move {
                let most = address.common.settings.connections.idle_timeout.0;
                if let Ok(Ok(())) = timeout(most, server.ready()).await {
                    address.keep(server, false);
                }
            });
        }
    }
}

impl Address {
    /// One that was kept, the one that was used last.
    pub(super) fn kept(self: &Rc<Self>) -> Option<Lease> {
        let mut idle = self.idle.borrow_mut();
        while let Some(last) = idle.pop_back() {
            if last.is_usable() {
                if !last.is_fresh {
                    self.common.counts.upstream.reused.fetch_add(1, Relaxed);
                }
                return Some(Lease { server: last.server, address: Rc::clone(self), was_kept: true });
            }
        }
        None
    }

    /// A new one.
    pub(super) async fn open_http1(self: &Rc<Self>) -> Result<Lease, Failure> {
        let server = self.begin(self.common.connect(self.at).await?).await?;
        Ok(Lease { server, address: Rc::clone(self), was_kept: false })
    }

    pub(super) async fn take_http1(&self, stream: TcpStream) {
        if let Ok(server) = self.begin(stream).await {
            self.keep(server, true);
        }
    }

    async fn begin(&self, stream: TcpStream) -> Result<Server, Failure> {
        let mut builder = Builder::new();
        // Spaces behind a field's name are taken out by who forwards (RFC 9112 section 5.1).
        builder.preserve_header_case(true).allow_spaces_after_header_name_in_responses(true);
        let begun = builder.handshake(TokioIo::new(stream)).await;
        let (server, connection) = begun.map_err(|_| Failure::Unanswered)?;
        let open = self.opened();
        spawn_local(async move {
            let _open = open;
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "a server's connection ends");
            }
        });
        Ok(server)
    }

    /// Of either protocol.
    pub(super) fn opened(&self) -> Gauge {
        self.common.counts.upstream.opened.fetch_add(1, Relaxed);
        Gauge::new(&self.common.counts, |counts| &counts.upstream.connections)
    }

    /// The one that was used first goes, if there are too many.
    fn keep(&self, server: Server, is_fresh: bool) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() >= self.common.settings.connections.idle.0 as usize {
            idle.pop_front();
        }
        let counted = Gauge::new(&self.common.counts, |counts| &counts.upstream.idle);
        idle.push_back(Idle { server, since: Instant::now(), is_fresh, _counted: counted });
    }
}
