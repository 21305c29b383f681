use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Count, Period, Switch};
use crate::sink::map::Limits;

/// Service map: who calls whom, and how that goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Map {
    /// Whether it is among the metrics, by the names of Tempo's service graphs, which Grafana draws.
    pub metrics: Switch,
    /// Whether its edges are records too, once an interval, for lines, Kafka and OTLP's logs.
    pub records: Switch,
    /// How long that is.
    pub interval: Period,
    /// Ends that it may have: pods, processes, addresses; what is beyond becomes part of a network or of `other` and is counted.
    pub nodes: Count,
    /// Edges that it may have, of a client, a server, its port, a protocol and a model; what is beyond is folded and counted.
    pub edges: Count,
    /// How long an edge is kept that is not used; where edges are records, `interval` at least.
    pub idle: Period,
}

impl Default for Map {
    fn default() -> Self {
        let Limits { nodes, edges, idle } = Limits::default();
        let count = |count| Count(u32::try_from(count).unwrap_or(u32::MAX));
        Self {
            metrics: Switch(true),
            records: Switch(false),
            interval: Period(Duration::from_mins(1)),
            nodes: count(nodes),
            edges: count(edges),
            idle: Period(idle),
        }
    }
}

impl From<&Map> for Limits {
    fn from(map: &Map) -> Self {
        Self { nodes: map.nodes.0 as usize, edges: map.edges.0 as usize, idle: map.idle.0 }
    }
}
