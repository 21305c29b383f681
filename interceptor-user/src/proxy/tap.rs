//! A client's connection that tells the pipeline what passes.

use std::{
    cell::Cell,
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::{Shared, now, relay};
use crate::{model::Side, pipeline::CarriedId, sink::Sink};

/// What is read from it is what the client says; what it takes is what the client is told.
pub(super) struct Tap<K: Sink> {
    stream: TcpStream,
    id: CarriedId,
    shared: Rc<Shared<K>>,
    /// Nothing more comes, which was said.
    ended: bool,
    broken: Broken,
}

/// Set where the client has to know that something is missing: the connection ends with a reset.
pub(super) type Broken = Rc<Cell<bool>>;

impl<K: Sink> Tap<K> {
    pub(super) fn new(stream: TcpStream, id: CarriedId, shared: &Rc<Shared<K>>, broken: &Broken) -> Self {
        Self { stream, id, shared: Rc::clone(shared), ended: false, broken: Rc::clone(broken) }
    }

    fn carry(&self, side: Side, data: &[u8]) {
        if !data.is_empty() {
            self.shared.pipeline.borrow_mut().carry(self.id, side, now(), data);
        }
    }

    /// Tells as much of these as was written.
    fn told(&self, buffers: &[IoSlice<'_>], mut written: usize) {
        for buffer in buffers {
            let count = buffer.len().min(written);
            self.carry(Side::Server, buffer.get(..count).unwrap_or_default());
            written -= count;
        }
    }
}

impl<K: Sink> AsyncRead for Tap<K> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let data = buffer.filled().get(before..).unwrap_or_default();
        if data.is_empty() && buffer.remaining() > 0 && !self.ended {
            self.ended = true;
            self.shared.pipeline.borrow_mut().finished(self.id, Side::Client, now());
        }
        self.carry(Side::Client, data);
        Poll::Ready(Ok(()))
    }
}

impl<K: Sink> AsyncWrite for Tap<K> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, data))?;
        self.carry(Side::Server, data.get(..written).unwrap_or_default());
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, buffers))?;
        self.told(buffers, written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
        self.shared.pipeline.borrow_mut().finished(self.id, Side::Server, now());
        Poll::Ready(Ok(()))
    }
}

impl<K: Sink> Drop for Tap<K> {
    fn drop(&mut self) {
        if self.broken.get() {
            relay::reset(&self.stream);
        }
    }
}
