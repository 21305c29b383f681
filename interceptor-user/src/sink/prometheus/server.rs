//! Whom a request was for, as labels.

use std::net::IpAddr;

use super::{
    labels::OTHER,
    sets::{Fold, Key},
};
use crate::model::{FlowInfo, Head, Side, Target};

/// `server.address` and `server.port`.
pub(super) struct Server<'a> {
    host: Host<'a>,
    port: u16,
}

enum Host<'a> {
    Named(&'a str),
    Address(IpAddr),
    Folded,
}

impl<'a> Server<'a> {
    /// A server knows its own address; what a stranger writes into `Host` or `:authority` shall not make label sets. A
    /// client's requests are named as the client names them.
    pub(super) fn of(flow: &FlowInfo, request: &'a Head, side: Side, fold: Fold) -> Self {
        let endpoint = flow.server.endpoint;
        let host = match (side, fold) {
            (Side::Server, _) => None,
            (Side::Client, Fold::Route) => Some(Host::Folded),
            (Side::Client, _) => {
                Target::of(request).authority.map(|named| named.host).filter(|host| is_name(host)).map(Host::Named)
            }
        };
        Self { host: host.unwrap_or_else(|| Host::Address(endpoint.ip())), port: endpoint.port() }
    }

    /// Writes its part of a key. What follows it cannot be taken for it: its length is said.
    pub(super) fn write_key(&self, key: &mut Key) {
        key.extend_from_slice(&self.port.to_be_bytes());
        match self.host {
            Host::Folded => key.push(0),
            Host::Address(IpAddr::V4(ip)) => {
                key.push(1);
                key.extend_from_slice(&ip.octets());
            }
            Host::Address(IpAddr::V6(ip)) => {
                key.push(2);
                key.extend_from_slice(&ip.octets());
            }
            Host::Named(name) => {
                key.extend_from_slice(&[3, name.len() as u8]);
                key.extend(name.bytes().map(|byte| byte.to_ascii_lowercase()));
            }
        }
    }

    /// Address and port.
    pub(super) fn values(&self) -> [String; 2] {
        let address = match self.host {
            Host::Named(name) => name.to_ascii_lowercase(),
            Host::Address(ip) => ip.to_string(),
            Host::Folded => OTHER.to_owned(),
        };
        [address, self.port.to_string()]
    }
}

/// Addresses are taken from the flow. A name has at most 253 bytes (RFC 1035 section 2.3.4).
fn is_name(host: &str) -> bool {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    host.len() <= 253 && host.bytes().any(|byte| byte.is_ascii_alphabetic()) && host.bytes().all(valid)
}
