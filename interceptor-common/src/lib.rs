//! What crosses the kernel boundary, stated once: events, configuration and bounds.
//!
//! Every type is `#[repr(C)]` with explicit padding and holds integers only, so that any bit pattern is a value and
//! both halves agree on each offset. Addresses are IPv6; IPv4 is mapped (`::ffff:a.b.c.d`, RFC 4291 section 2.5.5.2).
//! Ports, sequence numbers and lengths are in host byte order; addresses are in network byte order.
#![no_std]

mod config;
mod event;
mod loss;
mod read;
mod reason;
mod steer;

pub use config::*;
pub use event::*;
pub use loss::*;
pub use reason::*;
pub use steer::*;

/// Version of everything in this crate; a record of an object built for another one is refused.
pub const ABI_VERSION: u16 = 3;
