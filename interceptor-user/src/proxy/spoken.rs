//! What a connection speaks, before anything of it is taken.

use std::{io, os::fd::AsRawFd as _, time::Duration};

use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, recv},
};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, timeout_at},
};

use crate::protocol::detect::{self, Guess};

/// What is made of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spoken {
    /// The client asks by HTTP/1.
    Http1,
    /// The client begins with HTTP/2's preface.
    Http2,
    /// Anything else, also where the server speaks first. (In HTTP/2 both speak first.)
    Opaque,
}

/// Between two looks at a beginning that does not tell yet.
const AGAIN: Duration = Duration::from_millis(2);

/// Waits until one of both says something. What the first bytes do not tell within `time` from then on is opaque.
pub(super) async fn look(client: &TcpStream, server: &TcpStream, time: Duration) -> io::Result<Spoken> {
    tokio::select! {
        ready = client.readable() => ready,
        ready = server.readable() => ready,
    }?;
    let end = Instant::now() + time;
    loop {
        // The server's SETTINGS may be there before the client's preface is (RFC 9113 section 3.4).
        let told = guess(server)?;
        let asked = match told {
            None | Some(Guess::Http2Server | Guess::More) => guess(client)?,
            Some(_) => return Ok(Spoken::Opaque),
        };
        match (asked, told) {
            (Some(Guess::Http2Client), _) => return Ok(Spoken::Http2),
            (Some(Guess::Http1Request), None) => return Ok(Spoken::Http1),
            (None | Some(Guess::More), _) if Instant::now() < end => {}
            _ => return Ok(Spoken::Opaque),
        }
        if asked.is_none() {
            // Nothing of it is there, so this does wait. If it lasts too long, the end is noticed above.
            let _late = timeout_at(end, client.readable()).await;
        }
        sleep(AGAIN).await;
    }
}

/// The same, of a client whose server says nothing first, or not before it is asked.
pub(super) async fn look_at(client: &TcpStream, time: Duration) -> io::Result<Spoken> {
    let end = Instant::now() + time;
    let _late = timeout_at(end, client.readable()).await;
    loop {
        match guess(client)? {
            Some(Guess::Http2Client) => return Ok(Spoken::Http2),
            Some(Guess::Http1Request) => return Ok(Spoken::Http1),
            None | Some(Guess::More) if Instant::now() < end => sleep(AGAIN).await,
            _ => return Ok(Spoken::Opaque),
        }
    }
}

/// What a side's first bytes look like; None where there are none yet. They stay where they are.
fn guess(stream: &TcpStream) -> io::Result<Option<Guess>> {
    let mut first = [0; detect::ENOUGH];
    match recv(stream.as_raw_fd(), &mut first, MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT) {
        // It will say nothing.
        Ok(0) => Ok(Some(Guess::Foreign)),
        Ok(count) => Ok(Some(detect::guess(first.get(..count).unwrap_or_default()))),
        Err(Errno::EAGAIN) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
