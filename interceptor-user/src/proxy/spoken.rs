//! What a connection speaks, before anything of it is taken.

use std::{io, time::Duration};

use tokio::{
    net::TcpStream,
    time::{Instant, sleep},
};

use crate::protocol::detect::{self, Guess};

/// What is made of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spoken {
    /// The client asks by HTTP/1.
    Http1,
    /// Anything else, also where the server speaks first.
    Opaque,
}

/// Between two looks at a beginning that does not tell yet.
const AGAIN: Duration = Duration::from_millis(2);

/// Waits until one of both says something. What the client's first bytes do not tell within `time` is opaque.
pub(super) async fn look(client: &TcpStream, server: &TcpStream, time: Duration) -> io::Result<Spoken> {
    let mut first = [0; detect::ENOUGH];
    let server_first = async {
        server.readable().await?;
        io::Result::Ok(None)
    };
    let client_first = async { Ok(Some(client.peek(&mut first).await?)) };
    let Some(mut count) = tokio::select! { said = server_first => said, said = client_first => said }? else {
        return Ok(Spoken::Opaque);
    };
    let end = Instant::now() + time;
    loop {
        match detect::guess(first.get(..count).unwrap_or_default()) {
            Guess::Http1Request => return Ok(Spoken::Http1),
            Guess::More if count > 0 && Instant::now() < end => {
                sleep(AGAIN).await;
                count = client.peek(&mut first).await?;
            }
            _ => return Ok(Spoken::Opaque),
        }
    }
}
