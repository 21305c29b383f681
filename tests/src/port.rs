use std::{
    net::TcpListener,
    process,
    sync::atomic::{AtomicU16, Ordering},
};

use anyhow::{Result, bail};

/// The kernel gives out ports from 32768 up (`net.ipv4.ip_local_port_range`), so that none of these is taken by a client, or by a
/// server that asks for any.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A port of the loopback interface for a server that is started later, stopped, and started again: nobody else gets it.
pub fn free_port() -> Result<u16> {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    // Two runs at a time begin elsewhere.
    let begin = process::id() % u32::from(COUNT);
    for _ in 0..COUNT {
        let next = begin + u32::from(GIVEN.fetch_add(1, Ordering::Relaxed));
        let port = FIRST + u16::try_from(next % u32::from(COUNT))?;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port is free")
}
