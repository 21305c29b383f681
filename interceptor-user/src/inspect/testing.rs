//! Exchanges to inspect, and policies that have it done.

use std::{io, path::Path, sync::Arc};

use super::{Budget, Inspector, Plan, Report, Subject, pii::Key};
use crate::{
    model::{Endpoint, Exchange, Fields, FlowInfo, FlowKey, Head, Inference, Part, Peer, Protocol, Timestamp, Version},
    policy::Policy,
    protobuf::Registry,
};

/// A policy `p` with these rules. There is a file `baseline.json`.
pub(crate) fn plan(rules: &str) -> Plan {
    let text =
        format!("apiVersion: interceptor/v1alpha1\nkind: Policy\nmetadata: {{ name: p }}\nspec:\n  rules:\n{rules}");
    let policy = Policy::parse(&[("p.yaml", &text)]).unwrap_or_else(|error| panic!("{error}"));
    let read = |path: &Path| match path.to_str() {
        Some("baseline.json") => Ok(BASELINE.as_bytes().to_vec()),
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    Plan::new(policy, &read, &Key::new(b"k")).unwrap_or_else(|error| panic!("{error:#}"))
}

const BASELINE: &str = r#"{"version":1,"features":[
{"model":"tiny","role":"input","name":"x","count":2,"missing":0,"number":{"minimum":1.0,"maximum":2.0,"mean":1.5,"deviation":0.5,"distinct":2,"values":[[1.0,1],[2.0,1]]}}]}"#;

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
