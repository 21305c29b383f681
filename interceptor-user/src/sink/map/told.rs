//! What somebody was told of the edges, so that what is told next is only what has come since.
//!
//! Figures of an edge are worked out of what both ends saw, ends get better names, and what is idle is forgotten. So what comes
//! is added to the edge that it belongs to by then, and stays there: it is told once, and no sum ever falls.

use std::collections::{BTreeMap, HashMap};

use super::{
    Map,
    durations::Durations,
    edge::{Edge, Figures, Key},
};

/// The edges as they were.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// As the map has them.
    seen: HashMap<Key, Edge>,
    /// What came of each, by the names that its ends had then, and what of it was told.
    sums: BTreeMap<Key, (Edge, News)>,
}

/// What there is, or what has come, of an edge.
#[derive(Clone, Debug, Default)]
pub(super) struct News {
    pub(super) figures: Figures,
    /// As the client and as the server saw it.
    pub(super) times: [Durations; 2],
}

impl Told {
    /// All edges that there are, with what has come of each since the last call.
    pub(super) fn news(&mut self, map: &Map) -> Vec<(Key, News)> {
        let mut before = std::mem::take(&mut self.sums);
        for (key, edge) in &map.edges {
            let came = self.seen.get(key).map_or_else(|| edge.clone(), |seen| edge.since(seen));
            let key = map.resolved(key);
            let known = before.remove(&key);
            let sum = self.sums.entry(key);
            let (sum, _) = sum.or_insert_with(|| known.unwrap_or_else(|| (Edge::new(edge.first), News::default())));
            sum.merge(&came);
        }
        self.seen.clone_from(&map.edges);
        let news = |(key, (sum, told)): (&Key, &mut (Edge, News))| {
            let now = News { figures: sum.figures(), times: sum.durations() };
            let news = now.since(told);
            *told = now;
            (key.clone(), news)
        };
        self.sums.iter_mut().map(news).collect()
    }
}

impl News {
    pub(super) fn add(&mut self, more: &Self) {
        self.figures.merge(&more.figures);
        for (times, more) in self.times.iter_mut().zip(&more.times) {
            times.merge(more);
        }
    }

    fn since(&self, before: &Self) -> Self {
        let [client, server] = &self.times;
        let [client_before, server_before] = &before.times;
        Self {
            figures: self.figures.since(&before.figures),
            times: [client.since(client_before), server.since(server_before)],
        }
    }
}
