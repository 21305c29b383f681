//! The interceptor's userspace half.
//!
//! ```text
//! capture ─► flow ─► session{protocol ─► exchange} ─► sink
//!    ▲ ring, pcap, memory
//! ```
//!
//! [`pipeline`] is this diagram as code; [`model`] holds the words. `flow`, `protocol`, `content`, `exchange`, `session`,
//! `policy` are sans-IO: no clock, no files, no runtime. Time arrives with the data.

pub mod admin;
pub mod capture;
pub mod cli;
pub mod config;
pub mod content;
pub mod demo;
pub mod exchange;
pub mod flow;
pub mod inference;
pub mod inspect;
pub mod kernel;
pub mod model;
pub mod pipeline;
pub mod policy;
pub mod privilege;
pub mod protobuf;
pub mod protocol;
pub mod proxy;
pub mod session;
pub mod sink;
