//! Who calls whom: a map of services, made of exchanges and of flows that no exchange shows.
//!
//! It is sans-IO: time comes with the records. Its memory is bounded by [`Limits`]; what finds no room becomes part of
//! something wider (an address of its network, a model of `other`) and is counted.

mod chart;
mod connections;
mod dot;
mod durations;
mod edge;
mod graph;
mod mermaid;
mod names;
mod node;
mod shared;
mod table;
#[cfg(test)]
mod tests;
mod told;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use foldhash::fast::RandomState;

pub use self::{
    chart::{Chart, ChartEdge},
    dot::Dot,
    mermaid::Mermaid,
    shared::Shared,
    table::Table,
};
use self::{
    connections::Connections,
    edge::{Edge, Figures, Key, Spoken, Vantage},
    names::Names,
    node::Node,
};
pub(in crate::sink) use self::{
    durations::BOUNDS,
    graph::{Call, Times},
};
use crate::{
    model::{Exchange, FlowInfo, FlowRecord, Part, Record, Side, Timestamp},
    sink::prometheus::{error_type, is_local},
};

/// Bounds of a map.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Nodes; `other` and networks are among them.
    pub nodes: usize,
    /// Edges.
    pub edges: usize,
    /// An edge that is not used for so long is forgotten.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { nodes: 500, edges: 1_000, idle: Duration::from_hours(1) }
    }
}

/// Client addresses of one network, of which nothing else is known, that are nodes of their own; and clients' processes
/// of one name.
const NEIGHBOURS: usize = 16;
/// What models become that there is no room for.
const OTHER: &str = "other";
/// Bytes of a model's name that are kept.
const MODEL_BYTES: usize = 128;

/// The map so far.
#[derive(Debug)]
pub struct Map {
    limits: Limits,
    nodes: HashSet<Arc<Node>, RandomState>,
    /// Addresses and processes of clients that are nodes, by what they become part of.
    neighbours: HashMap<Node, usize, RandomState>,
    models: HashSet<Arc<str>>,
    edges: HashMap<Key, Edge, RandomState>,
    names: Names,
    connections: Connections,
    folded: u64,
    span: Option<(Timestamp, Timestamp)>,
}

impl Map {
    /// Without anything on it.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            nodes: HashSet::default(),
            neighbours: HashMap::default(),
            models: HashSet::new(),
            edges: HashMap::default(),
            names: Names::default(),
            connections: Connections::default(),
            folded: 0,
            span: None,
        }
    }

    /// Takes exchanges, and flows that no exchange shows; other records say nothing that these do not.
    pub fn record(&mut self, record: &Record) {
        match record {
            Record::Exchange(exchange) => self.exchange(exchange),
            Record::Flow(flow) if flow.unseen() => self.flow(flow),
            Record::Flow(_) | Record::Message(_) | Record::Drift(_) | Record::Edge(_) => {}
        }
    }

    /// How it stands, for people and other programs.
    pub fn chart(&self) -> Chart {
        Chart::new(self)
    }

    /// Forgets what has not been used for long.
    pub fn forget(&mut self, now: Timestamp) {
        let idle = self.limits.idle;
        self.edges.retain(|_, edge| now.since(edge.last) < idle);
        if let Some(limit) = now.as_nanos().checked_sub(u64::try_from(idle.as_nanos()).unwrap_or(u64::MAX)) {
            self.names.forget(Timestamp::from_nanos(limit));
        }
        // Who is on no edge is held by this set alone, or by the names.
        let used: HashSet<Arc<Node>> =
            self.edges.keys().flat_map(|key| [Arc::clone(&key.client), Arc::clone(&key.server)]).collect();
        self.nodes.retain(|node| used.contains(node));
        self.models.retain(|model| Arc::strong_count(model) > 1);
        self.neighbours.clear();
        let clients: HashSet<&Arc<Node>> = self.edges.keys().map(|key| &key.client).collect();
        for client in clients.into_iter().filter(|client| client.is_one_of_many()) {
            *self.neighbours.entry(client.wider()).or_default() += 1;
        }
    }

    fn exchange(&mut self, exchange: &Exchange) {
        let rpc = exchange.rpc();
        let protocol = if rpc.is_some() { Spoken::Grpc } else { Spoken::new(exchange.protocol) };
        let model = exchange.inference.as_ref().and_then(|inference| inference.model.as_deref());
        let failed = match &exchange.request {
            Some(request) => !error_type(exchange, &request.head, rpc.as_ref(), Side::Server).is_empty(),
            None => exchange.response.as_ref().and_then(|part| part.head.status()).is_some_and(|status| status >= 500),
        };
        let [first, last] = times(exchange);
        let sent = |part: &Option<Part>| part.as_ref().map_or(0, |part| part.body_size);
        let Some(figures) = self.figures(&exchange.flow, protocol, model, first, last) else { return };
        figures.exchanges += 1;
        figures.errors += u64::from(failed);
        figures.client_bytes = figures.client_bytes.saturating_add(sent(&exchange.request));
        figures.server_bytes = figures.server_bytes.saturating_add(sent(&exchange.response));
        if let Some(duration) = exchange.duration() {
            figures.durations.add(duration);
        }
    }

    fn flow(&mut self, record: &FlowRecord) {
        let protocol = Spoken::new(record.protocol);
        let flow = &record.flow;
        let Some(figures) = self.figures(flow, protocol, None, flow.start, record.time) else { return };
        figures.connections += 1;
        figures.client_bytes = figures.client_bytes.saturating_add(record.ledger.client.carried);
        figures.server_bytes = figures.server_bytes.saturating_add(record.ledger.server.carried);
    }

    /// Those of the edge that this is part of; none where the same is counted already.
    fn figures(
        &mut self,
        flow: &FlowInfo,
        protocol: Spoken,
        model: Option<&str>,
        first: Timestamp,
        last: Timestamp,
    ) -> Option<&mut Figures> {
        let folded = self.folded;
        let [client, server] = Side::BOTH.map(|side| {
            let peer = flow.peer(side);
            let node = self.admit(Node::of(peer, side), side);
            self.names.learn(&node, peer, side, last, 2 * self.limits.nodes);
            node
        });
        // It may know of the ends what the one that counts does not.
        if self.connections.counted_elsewhere(flow) {
            self.folded = folded;
            return None;
        }
        let model = model.map(|model| self.admit_model(model));
        let key = self.admit_edge(Key { client, server, port: flow.server.endpoint.port(), protocol, model });
        // However often it was folded, it is one thing that was.
        self.folded = self.folded.min(folded + 1);
        let (begin, end) = self.span.unwrap_or((first, last));
        self.span = Some((begin.min(first), end.max(last)));
        let vantage = match Side::BOTH.map(|side| is_local(flow, side)) {
            [true, false] => Vantage::Client,
            [false, true] => Vantage::Server,
            [true, true] | [false, false] => Vantage::Whole,
        };
        Some(self.edges.entry(key).or_insert_with(|| Edge::new(first)).at(vantage, first, last))
    }

    /// The node, or a wider one that there is room for.
    fn admit(&mut self, mut node: Node, side: Side) -> Arc<Node> {
        loop {
            if let Some(known) = self.nodes.get(&node) {
                return Arc::clone(known);
            }
            let most = self.limits.nodes;
            // Addresses are cheap to invent; they leave room for what is known.
            let room = match &node {
                Node::Address { .. } => most / 2,
                Node::Network(..) => most / 4 * 3,
                Node::Pod(_) | Node::Container(_) | Node::Process { .. } => most,
                Node::Other => usize::MAX,
            };
            let around = (side == Side::Client && node.is_one_of_many()).then(|| node.wider());
            let neighbours = around.as_ref().and_then(|wider| self.neighbours.get(wider)).copied().unwrap_or(0);
            if self.nodes.len() < room && neighbours < NEIGHBOURS {
                if let Some(wider) = around {
                    *self.neighbours.entry(wider).or_default() += 1;
                }
                let node = Arc::new(node);
                self.nodes.insert(Arc::clone(&node));
                return node;
            }
            self.folded += 1;
            node = node.wider();
        }
    }

    fn admit_model(&mut self, name: &str) -> Arc<str> {
        let name = name.get(..name.floor_char_boundary(MODEL_BYTES)).unwrap_or(name);
        if let Some(known) = self.models.get(name) {
            return Arc::clone(known);
        }
        let room = self.models.len() < self.limits.edges / 2;
        self.folded += u64::from(!room);
        let name: Arc<str> = if room { name.into() } else { OTHER.into() };
        self.models.insert(Arc::clone(&name));
        name
    }

    /// The edge, or one with less told apart that there is room for.
    fn admit_edge(&mut self, key: Key) -> Key {
        if self.edges.contains_key(&key) || self.edges.len() < self.limits.edges / 4 * 3 {
            return key;
        }
        self.folded += 1;
        let model = key.model.as_ref().map(|_| self.admit_model(OTHER));
        let key = Key { model, port: 0, ..key };
        if self.edges.contains_key(&key) || self.edges.len() < self.limits.edges {
            return key;
        }
        // As many as there are protocols, and no more.
        let other = self.admit(Node::Other, Side::Server);
        Key { client: Arc::clone(&other), server: other, ..key }
    }
}

/// From the first byte of it that was seen to the last one.
fn times(exchange: &Exchange) -> [Timestamp; 2] {
    let parts = || [&exchange.request, &exchange.response].into_iter().flatten();
    let first = parts().map(|part| part.first_byte).min().unwrap_or(exchange.flow.start);
    let last = parts().map(|part| part.last_byte).max().unwrap_or(first);
    [first, last]
}
