//! HTTP/1 where it matters who speaks when (RFC 9110 sections 7.8, 10.1.1 and 15.2; RFC 9112 section 9).

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpStream},
    thread,
};

use anyhow::{Result, anyhow, ensure};
use interceptor_tests::Case;

use super::NEEDS;
use crate::enforce::{self, Bed, head};

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("conformance::who_expects_to_go_on_is_told_to_and_then_goes_on", NEEDS, || turns(expects)),
        Case::new("conformance::who_is_refused_before_its_content_hears_so", NEEDS, || turns(refused_early)),
        Case::new("conformance::what_follows_an_upgrade_at_once_is_the_tunnels", NEEDS, || turns(upgrades)),
        Case::new("conformance::connect_becomes_a_tunnel", NEEDS, || turns(connects)),
        Case::new("conformance::who_says_no_more_still_hears_its_answer", NEEDS, || turns(half_closes)),
        Case::new("conformance::an_answer_to_the_end_comes_as_it_is_said", NEEDS, || turns(to_the_end)),
    ]
}

/// What a client and a server say and hear.
type Turns = (fn(TcpStream) -> Result<()>, fn(TcpStream) -> Result<()>);

fn turns(of: fn() -> Turns) -> Result<()> {
    let (client, server) = of();
    let bed = Bed::new()?;
    let listener = bed.server(enforce::PORT)?;
    let server = thread::spawn(move || server(listener.accept()?.0));
    client(bed.connect()?)?;
    server.join().map_err(|_| anyhow!("the server panicked"))?
}

fn hears(stream: &mut TcpStream, text: &str) -> Result<()> {
    let mut heard = vec![0; text.len()];
    stream.read_exact(&mut heard)?;
    ensure!(heard == text.as_bytes(), "{:?} in place of {text:?}", String::from_utf8_lossy(&heard));
    Ok(())
}

fn ends(stream: &mut TcpStream) -> Result<String> {
    let mut rest = String::new();
    stream.read_to_string(&mut rest)?;
    Ok(rest)
}

const ASKS: &str = "POST /a HTTP/1.1\r\nHost: model\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";

fn expects() -> Turns {
    let client = |mut stream: TcpStream| {
        stream.write_all(ASKS.as_bytes())?;
        hears(&mut stream, "HTTP/1.1 100 Continue\r\n\r\n")?;
        stream.write_all(b"hello")?;
        hears(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
    };
    let server = |mut stream: TcpStream| {
        hears(&mut stream, ASKS)?;
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        hears(&mut stream, "hello")?;
        Ok(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")?)
    };
    (client, server)
}

/// A content that nobody wants is not asked for, or not waited for.
fn refused_early() -> Turns {
    let client = |mut stream: TcpStream| {
        stream.write_all(ASKS.as_bytes())?;
        let mut heard = head(&mut stream)?;
        if heard.starts_with("HTTP/1.1 100 ") {
            heard = head(&mut stream)?;
        }
        ensure!(heard.starts_with("HTTP/1.1 417 Expectation Failed\r\n"), "{heard}");
        Ok(())
    };
    let server = |mut stream: TcpStream| {
        hears(&mut stream, ASKS)?;
        Ok(stream.write_all(b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?)
    };
    (client, server)
}

fn upgrades() -> Turns {
    let client = |mut stream: TcpStream| {
        stream.write_all(b"GET /a HTTP/1.1\r\nHost: model\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nat once")?;
        let answer = head(&mut stream)?;
        ensure!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        hears(&mut stream, "at once too")?;
        stream.shutdown(Shutdown::Write)?;
        ensure!(ends(&mut stream)? == "and the end");
        Ok(())
    };
    let server = |mut stream: TcpStream| {
        let asked = head(&mut stream)?;
        ensure!(asked.contains("Upgrade: echo\r\n"), "{asked}");
        stream.write_all(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nat once too",
        )?;
        ensure!(ends(&mut stream)? == "at once");
        Ok(stream.write_all(b"and the end")?)
    };
    (client, server)
}

fn connects() -> Turns {
    let client = |mut stream: TcpStream| {
        stream.write_all(b"CONNECT other:443 HTTP/1.1\r\nHost: other:443\r\n\r\n")?;
        hears(&mut stream, "HTTP/1.1 200 OK\r\n\r\n")?;
        stream.write_all(b"\x16\x03\x01")?;
        hears(&mut stream, "any bytes")
    };
    let server = |mut stream: TcpStream| {
        hears(&mut stream, "CONNECT other:443 HTTP/1.1\r\nHost: other:443\r\n\r\n")?;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
        hears(&mut stream, "\x16\x03\x01")?;
        Ok(stream.write_all(b"any bytes")?)
    };
    (client, server)
}

fn half_closes() -> Turns {
    let client = |mut stream: TcpStream| {
        stream.write_all(b"GET /a HTTP/1.1\r\nHost: model\r\n\r\n")?;
        stream.shutdown(Shutdown::Write)?;
        let heard = ends(&mut stream)?;
        ensure!(heard.starts_with("HTTP/1.1 200 OK\r\n") && heard.ends_with("\r\n\r\nhi"), "{heard}");
        Ok(())
    };
    let server = |mut stream: TcpStream| {
        head(&mut stream)?;
        // The client's end is known by then.
        thread::sleep(std::time::Duration::from_millis(200));
        Ok(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")?)
    };
    (client, server)
}

fn to_the_end() -> Turns {
    let client = |mut stream: TcpStream| {
        stream.write_all(b"POST /a HTTP/1.0\r\nHost: model\r\nContent-Length: 3\r\n\r\n")?;
        hears(&mut stream, "HTTP/1.0 200 OK\r\n\r\none")?;
        stream.write_all(b"two")?;
        hears(&mut stream, "three")?;
        ensure!(ends(&mut stream)?.is_empty());
        Ok(())
    };
    let server = |mut stream: TcpStream| {
        head(&mut stream)?;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\none")?;
        hears(&mut stream, "two")?;
        Ok(stream.write_all(b"three")?)
    };
    (client, server)
}
