//! The map as Grafana's service graph has it: calls of one service by another, whatever the model and the port.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Map,
    durations::{BOUNDS, Durations},
    edge::Edge,
    node::Node,
};

/// One service calling another.
#[derive(Debug)]
pub(in crate::sink) struct Call {
    pub(in crate::sink) client: String,
    pub(in crate::sink) server: String,
    /// Tempo's: `database`, `messaging_system`, or nothing.
    pub(in crate::sink) connection_type: &'static str,
    /// Exchanges, and connections that no exchange shows.
    pub(in crate::sink) total: u64,
    pub(in crate::sink) failed: u64,
    /// As the client and as the server saw it.
    pub(in crate::sink) times: [Times; 2],
}

/// A histogram.
#[derive(Debug)]
pub(in crate::sink) struct Times {
    pub(in crate::sink) count: u64,
    /// Seconds.
    pub(in crate::sink) sum: f64,
    /// How many were not longer than each of [`BOUNDS`].
    pub(in crate::sink) cumulative: [u64; BOUNDS.len()],
}

impl From<Durations> for Times {
    fn from(durations: Durations) -> Self {
        Self { count: durations.count(), sum: durations.sum().as_secs_f64(), cumulative: durations.cumulative() }
    }
}

/// What they are on that map.
pub(super) fn calls(map: &Map) -> Vec<Call> {
    let mut calls: BTreeMap<(Arc<Node>, Arc<Node>, &'static str), Edge> = BTreeMap::new();
    for (key, edge) in map.edges(&map.names) {
        let ends = (key.client, key.server, connection_type(key.protocol.name()));
        calls.entry(ends).and_modify(|known| known.merge(&edge)).or_insert(edge);
    }
    let call = |((client, server, connection_type), edge): ((Arc<Node>, Arc<Node>, _), Edge)| {
        let figures = edge.figures();
        Call {
            client: client.to_string(),
            server: server.to_string(),
            connection_type,
            total: figures.exchanges + figures.connections,
            failed: figures.errors,
            times: edge.durations().map(Times::from),
        }
    };
    calls.into_iter().map(call).collect()
}

fn connection_type(protocol: &str) -> &'static str {
    match protocol {
        "postgresql" | "mysql" | "mongodb" | "redis" | "memcached" => "database",
        "kafka" | "amqp" | "mqtt" => "messaging_system",
        _ => "",
    }
}
