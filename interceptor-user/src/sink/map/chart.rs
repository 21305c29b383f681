//! The map as it stands: what is known of each end put together, and figures worked out.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::{
    Map,
    edge::{Edge, Key},
    node::Node,
};
use crate::sink::clock::Clock;

/// A rate is of this long at least: of a single exchange none can be told.
const RATE_OVER: Duration = Duration::from_secs(1);

/// A service map: its edges, most used first. As JSON it is what `/map` answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Chart {
    /// When the first exchange or connection on it began: RFC 3339, UTC.
    pub start: Option<String>,
    /// When the last one was over.
    pub end: Option<String>,
    /// Seconds between both.
    pub seconds: f64,
    /// Exchanges and connections of which something was folded because there was no room.
    pub folded: u64,
    /// Who calls whom.
    pub edges: Vec<ChartEdge>,
}

/// Who an end of an edge is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ChartNode {
    /// `pod`, `container`, `process`, `address`, `network` or `other`.
    pub kind: String,
    /// Its name, which no other node has.
    pub name: String,
}

/// One edge, with what was seen in the time of the map.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChartEdge {
    /// Who calls.
    pub client: ChartNode,
    /// Who is called.
    pub server: ChartNode,
    /// The server's port; none where several were folded.
    pub port: Option<u16>,
    /// What is spoken: `http`, `grpc`, `websocket`, `tls`, `postgresql` and the like.
    pub protocol: String,
    /// The model that is asked.
    pub model: Option<String>,
    /// Exchanges.
    pub exchanges: u64,
    /// Of them, those that failed: a status of 5xx or a gRPC status that says so, no response, an error of the model.
    pub errors: u64,
    /// Connections that no exchange shows and that are over.
    pub connections: u64,
    /// Exchanges a second, or connections where there are no exchanges, from the first one to the end of the map; over a second
    /// at least, if the map has one.
    pub rate: Option<f64>,
    /// Seconds that half of the exchanges did not exceed.
    pub p50: Option<f64>,
    /// Seconds that 99 of 100 did not exceed.
    pub p99: Option<f64>,
    /// Content bytes of requests; of connections all that the client sent.
    pub client_bytes: u64,
    /// Content bytes of responses; of connections all that the server sent.
    pub server_bytes: u64,
    /// When it was first seen: RFC 3339, UTC.
    pub first_seen: String,
    /// When it was last seen.
    pub last_seen: String,
}

impl Map {
    /// Its edges, between ends that are known by the best that is known now.
    fn edges(&self) -> BTreeMap<Key, Edge> {
        let mut edges = BTreeMap::new();
        for (key, edge) in &self.edges {
            let known = edges.entry(self.resolved(key));
            known.and_modify(|known: &mut Edge| known.merge(edge)).or_insert_with(|| edge.clone());
        }
        edges
    }

    /// The edge that this one is part of, by the best that is known of its ends now.
    pub(super) fn resolved(&self, key: &Key) -> Key {
        let client = self.names.resolve(&key.client, None);
        let server = self.names.resolve(&key.server, Some(key.port));
        Key { client, server, ..key.clone() }
    }
}

impl Chart {
    pub(super) fn new(map: &Map) -> Self {
        let mut clock = Clock::new(TimeZone::UTC);
        let took = map.span.map_or(Duration::ZERO, |(start, end)| end.since(start));
        let edges = map.edges();
        let of = |(key, edge): (&Key, &Edge)| {
            let there = map.span.map_or(Duration::ZERO, |(_, end)| end.since(edge.first));
            ChartEdge::new(key, edge, there.max(took.min(RATE_OVER)), &mut clock)
        };
        let mut edges: Vec<_> = edges.iter().map(of).collect();
        // Edges that are used alike stay in the order of their keys.
        edges.sort_by_key(|edge| std::cmp::Reverse((edge.exchanges, edge.connections)));
        Self {
            start: map.span.map(|(start, _)| clock.stamp(start).as_str().to_owned()),
            end: map.span.map(|(_, end)| clock.stamp(end).as_str().to_owned()),
            seconds: took.as_secs_f64(),
            folded: map.folded,
            edges,
        }
    }
}

impl ChartEdge {
    fn new(key: &Key, edge: &Edge, took: Duration, clock: &mut Clock) -> Self {
        let figures = edge.figures();
        let seconds = |permille| figures.durations.permille(permille).map(|duration| duration.as_secs_f64());
        let events = if figures.exchanges > 0 { figures.exchanges } else { figures.connections };
        #[expect(clippy::cast_precision_loss, reason = "a rate of which a few digits are read")]
        let rate = (!took.is_zero()).then(|| events as f64 / took.as_secs_f64());
        Self {
            client: ChartNode::new(&key.client),
            server: ChartNode::new(&key.server),
            port: Some(key.port).filter(|port| *port != 0),
            protocol: key.protocol.name().to_owned(),
            model: key.model.as_deref().map(str::to_owned),
            exchanges: figures.exchanges,
            errors: figures.errors,
            connections: figures.connections,
            rate,
            p50: seconds(500),
            p99: seconds(990),
            client_bytes: figures.client_bytes,
            server_bytes: figures.server_bytes,
            first_seen: clock.stamp(edge.first).as_str().to_owned(),
            last_seen: clock.stamp(edge.last).as_str().to_owned(),
        }
    }

    /// The server with its port.
    pub(super) fn server_with_port(&self) -> String {
        let name = &self.server.name;
        match (self.port, name.parse::<IpAddr>()) {
            (None, _) => name.clone(),
            (Some(port), Ok(ip)) => SocketAddr::new(ip, port).to_string(),
            (Some(_), Err(_)) if name.parse::<SocketAddr>().is_ok() => name.clone(),
            (Some(port), Err(_)) => format!("{name}:{port}"),
        }
    }
}

impl ChartNode {
    fn new(node: &Arc<Node>) -> Self {
        Self { kind: node.kind().to_owned(), name: node.to_string() }
    }
}

/// Nodes of a chart, each once, in the order in which edges name them, and the edges between their places.
pub(super) fn drawn(chart: &Chart) -> (Vec<&ChartNode>, Vec<(usize, usize, &ChartEdge)>) {
    let mut places: BTreeMap<&ChartNode, usize> = BTreeMap::new();
    let mut nodes = Vec::new();
    let mut place = |node| {
        *places.entry(node).or_insert_with(|| {
            nodes.push(node);
            nodes.len() - 1
        })
    };
    let edges = chart.edges.iter().map(|edge| (place(&edge.client), place(&edge.server), edge)).collect();
    (nodes, edges)
}
