//! Both directions of a connection, byte for byte, as they come.

use std::{io, os::fd::AsRawFd as _};

use nix::{
    libc::linger,
    sys::socket::{Shutdown, setsockopt, shutdown, sockopt},
};
use tokio::{io::Interest, net::TcpStream};

use super::{Shared, now};
use crate::{
    model::{FlowEnd, Side},
    pipeline::CarriedId,
    sink::Sink,
};

/// Who sends is gone, or who receives.
struct Broken;

/// Relays until both have sent all, or one is gone; then the other is told.
pub(super) async fn both<K: Sink>(
    client: &TcpStream,
    server: &TcpStream,
    id: CarriedId,
    shared: &Shared<K>,
) -> FlowEnd {
    let request = one(Side::Client, client, server, id, shared);
    let response = one(Side::Server, server, client, id, shared);
    let ended = tokio::try_join!(request, response);
    if ended.is_ok() {
        return FlowEnd::Closed;
    }
    reset(client);
    reset(server);
    FlowEnd::Reset
}

/// What `side` sends. An error ends both directions.
async fn one<K: Sink>(
    side: Side,
    from: &TcpStream,
    to: &TcpStream,
    id: CarriedId,
    shared: &Shared<K>,
) -> Result<(), Broken> {
    loop {
        from.readable().await.map_err(|_| Broken)?;
        let left = match pass(side, from, to, id, shared) {
            Ok(Some(left)) => left,
            Ok(None) => break,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(_) => return Err(Broken),
        };
        write(to, &left).await.map_err(|_| Broken)?;
    }
    shared.pipeline.borrow_mut().finished(id, side, now());
    // The other side may go on (RFC 9293 section 3.6): it is told that no more comes.
    shutdown(to.as_raw_fd(), Shutdown::Write).map_err(|_| Broken)
}

/// Reads what is there, and writes as much as is taken; gives what is left. None: there will be no more.
fn pass<K: Sink>(
    side: Side,
    from: &TcpStream,
    to: &TcpStream,
    id: CarriedId,
    shared: &Shared<K>,
) -> io::Result<Option<Vec<u8>>> {
    let mut buffer = shared.buffer.borrow_mut();
    let count = from.try_read(&mut buffer)?;
    if count < buffer.len() {
        // That was all. Tokio learns it so, without asking the kernel again; what comes from now on is told anew (epoll(7), question 9).
        from.try_io(Interest::READABLE, || Err::<(), _>(io::ErrorKind::WouldBlock.into())).ok();
    }
    let Some(data) = buffer.get(..count).filter(|data| !data.is_empty()) else { return Ok(None) };
    shared.pipeline.borrow_mut().carry(id, side, now(), data);
    let written = match to.try_write(data) {
        Ok(written) => written,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
        Err(error) => return Err(error),
    };
    Ok(Some(data.get(written..).unwrap_or_default().to_vec()))
}

async fn write(to: &TcpStream, mut data: &[u8]) -> io::Result<()> {
    while !data.is_empty() {
        to.writable().await?;
        match to.try_write(data) {
            Ok(written) => data = data.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Has the connection end with a reset once it is dropped: who is at its other end is to know that something is missing.
pub(super) fn reset(stream: &TcpStream) {
    if let Err(error) = setsockopt(stream, sockopt::Linger, &linger { l_onoff: 1, l_linger: 0 }) {
        tracing::debug!(%error, "a connection ends in order that ought not to");
    }
}
