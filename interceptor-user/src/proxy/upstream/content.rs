//! Contents of HTTP/1 on their way, and what ends with them.

use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::{Pinned, Pulse, Ticket, address::Flight, http1::Lease};
use crate::proxy::{client::Busy, hold::Held};

/// To a server.
pub(in crate::proxy) struct Upload {
    content: Content,
    pulse: Option<Rc<Pulse>>,
}

/// Of a request.
pub(in crate::proxy) enum Content {
    None,
    /// As it comes.
    Coming(Incoming),
    Held(Held),
}

/// To the client. When it has ended, the server's connection may be used again.
pub(in crate::proxy) struct Download {
    content: Incoming,
    lease: Option<Lease>,
    pinned: Rc<Pinned>,
    pulse: Option<Rc<Pulse>>,
    ticket: Ticket,
    _flight: Flight,
    _busy: Busy,
}

impl Upload {
    pub(super) fn new(content: Content, pulse: Option<Rc<Pulse>>) -> Self {
        if content.is_over()
            && let Some(pulse) = &pulse
        {
            pulse.asked();
        }
        Self { content, pulse }
    }

    /// No content, timed as this one.
    pub(super) fn none(&self) -> Self {
        Self { content: Content::None, pulse: self.pulse.clone() }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = match &mut self.content {
            Content::None => return Poll::Ready(None),
            Content::Coming(content) => ready!(Pin::new(content).poll_frame(context)),
            Content::Held(held) => {
                let data = held.take_data().map(Frame::data);
                data.or_else(|| held.take_trailers().map(Frame::trailers)).map(Ok)
            }
        };
        let is_over = frame.is_none() || self.content.is_over();
        if let Some(pulse) = &self.pulse {
            if is_over { pulse.asked() } else { pulse.beat() }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_over()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::None => SizeHint::with_exact(0),
            Content::Coming(content) => content.size_hint(),
            // With trailers there is no length (RFC 9112 section 6.5).
            Content::Held(held) if held.has_trailers() => SizeHint::default(),
            Content::Held(held) => SizeHint::with_exact(held.len() as u64),
        }
    }
}

impl Content {
    pub(in crate::proxy) fn is_over(&self) -> bool {
        match self {
            Self::None => true,
            Self::Coming(content) => content.is_end_stream(),
            Self::Held(held) => held.is_empty(),
        }
    }
}

impl Download {
    pub(super) fn new(
        content: Incoming,
        lease: Lease,
        pinned: &Rc<Pinned>,
        pulse: Option<Rc<Pulse>>,
        (ticket, flight, busy): (Ticket, Flight, Busy),
    ) -> Self {
        if let Some(pulse) = &pulse {
            pulse.beat();
            busy.watch(pulse);
        }
        let (lease, pinned) = (Some(lease), Rc::clone(pinned));
        let mut download = Self { content, lease, pinned, pulse, ticket, _flight: flight, _busy: busy };
        if download.content.is_end_stream() {
            download.ended();
        }
        download
    }

    /// Nothing more comes.
    fn ended(&mut self) {
        if let Some(lease) = self.lease.take()
            && let Some(lease) = self.pinned.keep(self.ticket.target(), lease)
        {
            lease.give_back();
        }
    }

    /// The connection is not HTTP any more.
    pub(in crate::proxy) fn switches(&mut self) {
        self.lease = None;
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.content).poll_frame(context));
        if let Some(pulse) = &self.pulse {
            pulse.beat();
        }
        match &frame {
            Some(Err(_)) => self.lease = None,
            Some(Ok(_)) if !self.content.is_end_stream() => {}
            Some(Ok(_)) | None => self.ended(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.content.size_hint()
    }
}
