//! Exchanges to inspect.

use std::sync::Arc;

use super::{Budget, Inspector, Report, Subject};
use crate::{
    model::{Endpoint, Exchange, Fields, FlowInfo, FlowKey, Head, Inference, Part, Peer, Protocol, Timestamp, Version},
    protobuf::Registry,
};

/// One in which nothing was sent.
pub(super) fn exchange() -> Exchange {
    let [client, server] = [2, 1].map(|host| Endpoint::new([192, 0, 2, host].into(), 8080));
    let flow = FlowInfo {
        id: 1,
        key: FlowKey::new(0, client, server),
        client: Peer::new(client),
        server: Peer::new(server),
        start: Timestamp::default(),
        joined: false,
        round_trip: None,
        interface: 0,
    };
    Exchange::new(Arc::new(flow), 1, Protocol::Http1)
}

/// A whole message.
pub(super) fn part(head: Head, body: &[u8]) -> Part {
    let time = Timestamp::default();
    let size = body.len() as u64;
    let body = body.to_vec().into();
    Part { body, body_size: size, decoded_size: size, ended: true, ..Part::new(head, time, time) }
}

/// A request with this target, these fields and this content.
pub(super) fn request(target: &str, fields: &[(&str, &str)], body: &[u8]) -> Exchange {
    let mut sent = Fields::default();
    for (name, value) in fields {
        sent.push(name.as_bytes(), value.as_bytes());
    }
    let head = Head::request("POST", target, Version::Http11, sent);
    Exchange { request: Some(part(head, body)), ..exchange() }
}

/// What an inspector says, for the rule `p/r`.
pub(super) fn inspect(inspector: &mut dyn Inspector, exchange: &Exchange, inference: Option<&Inference>) -> Report {
    inspect_within(inspector, exchange, inference, &mut Budget::unlimited())
}

/// The same, within a budget.
pub(super) fn inspect_within(
    inspector: &mut dyn Inspector,
    exchange: &Exchange,
    inference: Option<&Inference>,
    budget: &mut Budget,
) -> Report {
    let mut report = Report::new("p/r".into());
    inspector.inspect(&Subject { exchange, inference, registry: &Registry::builtin() }, budget, &mut report);
    report
}
