//! What somebody was told of the edges, so that what is told next is only what has come since.
//!
//! Figures of an edge are worked out of what both ends saw, ends get better names, and what is idle is forgotten. So what comes
//! is added to the edge that it belongs to by then, and stays there: it is told once, and no sum ever falls. A name that no end
//! has any more gives what it had to the one that came after it.

use std::collections::{BTreeMap, HashMap};

use super::{
    Map,
    durations::Durations,
    edge::{Edge, Figures, Key},
};

/// The edges as they were.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// As the map has them, each with the names that its ends had then.
    seen: HashMap<Key, (Edge, Key)>,
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

/// What has come.
pub(super) struct Came {
    /// All edges that there are, with what has come of each.
    pub(super) news: Vec<(Key, News)>,
    /// Names that edges had and no edge has any more, and those that they have now.
    pub(super) renamed: Vec<(Key, Key)>,
}

impl Told {
    /// What has come since the last call.
    pub(super) fn news(&mut self, map: &Map) -> Came {
        let mut before = std::mem::take(&mut self.sums);
        let mut names = BTreeMap::new();
        let mut seen = HashMap::with_capacity(map.edges.len());
        for (key, edge) in &map.edges {
            let name = map.resolved(key);
            let last = self.seen.get(key);
            let came = last.map_or_else(|| edge.clone(), |(last, _)| edge.since(last));
            if let Some((_, old)) = last.filter(|(_, old)| *old != name) {
                names.insert(old.clone(), name.clone());
            }
            let known = before.remove(&name);
            let sum = self.sums.entry(name.clone());
            let (sum, _) = sum.or_insert_with(|| known.unwrap_or_else(|| (Edge::new(edge.first), News::default())));
            sum.merge(&came);
            seen.insert(key.clone(), (edge.clone(), name));
        }
        self.seen = seen;
        let renamed = self.hand_on(before, names);
        let news = |(key, (sum, told)): (&Key, &mut (Edge, News))| {
            let now = News { figures: sum.figures(), times: sum.durations() };
            let news = now.since(told);
            *told = now;
            (key.clone(), news)
        };
        Came { news: self.sums.iter_mut().map(news).collect(), renamed }
    }

    /// What was told by names that are out of use is known by those that came after them.
    fn hand_on(&mut self, mut unused: BTreeMap<Key, (Edge, News)>, names: BTreeMap<Key, Key>) -> Vec<(Key, Key)> {
        let mut renamed = Vec::new();
        for (old, new) in names {
            let Some((edge, told)) = unused.remove(&old) else { continue };
            let Some((sum, known)) = self.sums.get_mut(&new) else { continue };
            sum.merge(&edge);
            known.add(&told);
            renamed.push((old, new));
        }
        renamed
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
