//! The map as Grafana's service graph has it: calls of one service by another, whatever the model and the port.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Map,
    durations::{BOUNDS, Durations},
    edge::Key,
    node::Node,
    told::{Came, News, Told},
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

impl From<&Durations> for Times {
    fn from(durations: &Durations) -> Self {
        Self { count: durations.count(), sum: durations.sum().as_secs_f64(), cumulative: durations.cumulative() }
    }
}

/// All calls, counted up: what was counted stays so as long as one edge of a pair of services is on the map.
#[derive(Debug, Default)]
pub(super) struct Calls {
    told: Told,
    sums: BTreeMap<Ends, News>,
}

/// Client, server, and what Tempo calls the type of the connection.
type Ends = (Arc<Node>, Arc<Node>, &'static str);

impl Calls {
    /// What they are on that map.
    pub(super) fn of(&mut self, map: &Map) -> Vec<Call> {
        let mut there = BTreeSet::new();
        let Came { news, renamed } = self.told.news(map);
        for (key, news) in news {
            let ends = ends(key);
            self.sums.entry(ends.clone()).or_default().add(&news);
            there.insert(ends);
        }
        for (old, new) in renamed {
            let old = ends(old);
            let sum = if there.contains(&old) { None } else { self.sums.remove(&old) };
            if let (Some(sum), Some(new)) = (sum, self.sums.get_mut(&ends(new))) {
                new.add(&sum);
            }
        }
        self.sums.retain(|ends, _| there.contains(ends));
        self.sums.iter().map(Call::new).collect()
    }
}

fn ends(key: Key) -> Ends {
    (key.client, key.server, connection_type(key.protocol.name()))
}

impl Call {
    fn new(((client, server, connection_type), sum): (&Ends, &News)) -> Self {
        Self {
            client: client.to_string(),
            server: server.to_string(),
            connection_type,
            total: sum.figures.seen(),
            failed: sum.figures.errors,
            times: [0, 1].map(|side| Times::from(&sum.times[side])),
        }
    }
}

fn connection_type(protocol: &str) -> &'static str {
    match protocol {
        "postgresql" | "mysql" | "mongodb" | "redis" | "memcached" => "database",
        "kafka" | "amqp" | "mqtt" => "messaging_system",
        _ => "",
    }
}
