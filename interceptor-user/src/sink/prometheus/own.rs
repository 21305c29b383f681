//! What one worker counts into, by label set.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::sets::{Fold, Key};
use crate::model::Side;

/// One worker's part of some metrics. What it has counted into once it finds without a lock and without allocating.
pub(super) struct Own<L> {
    all: Vec<L>,
    /// Where in `all` that of a label set is.
    seen: HashMap<Key, usize, RandomState>,
    /// The last label set of each side, and where it is.
    last: [Option<(Key, usize)>; 2],
    /// Kept to be reused.
    key: Key,
}

impl<L> Default for Own<L> {
    fn default() -> Self {
        Self { all: Vec::new(), seen: HashMap::default(), last: [None, None], key: Key::new() }
    }
}

impl<L> Own<L> {
    /// That of the least folded label set for which there is room, and how much that is folded. `write_key` writes a set's
    /// key, `admit` gives what is counted into for one that this worker has not seen.
    pub(super) fn find(
        &mut self,
        side: Side,
        write_key: impl Fn(Fold, &mut Key),
        admit: impl Fn(Fold, &[u8]) -> prometheus::Result<Option<L>>,
    ) -> prometheus::Result<Option<(&L, Fold)>> {
        for fold in Fold::ALL {
            write_key(fold, &mut self.key);
            if let Some(place) = self.place(side, |key| admit(fold, key))? {
                return Ok(self.all.get(place).map(|own| (own, fold)));
            }
        }
        Ok(None)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &L> {
        self.all.iter()
    }

    /// Where that of the label set is whose key was written, if there is room for it.
    fn place(
        &mut self,
        side: Side,
        admit: impl FnOnce(&[u8]) -> prometheus::Result<Option<L>>,
    ) -> prometheus::Result<Option<usize>> {
        // Requests come in runs of the same kind: comparing with the last one is cheaper than hashing.
        let last = &mut self.last[side as usize];
        if let Some((_, place)) = last.as_ref().filter(|(key, _)| *key == self.key) {
            return Ok(Some(*place));
        }
        if let Some(place) = self.seen.get(&self.key) {
            let (key, kept) = last.get_or_insert_with(|| (Key::new(), *place));
            key.clone_from(&self.key);
            *kept = *place;
            return Ok(Some(*place));
        }
        let Some(own) = admit(&self.key)? else { return Ok(None) };
        self.all.push(own);
        let place = self.all.len() - 1;
        self.seen.insert(self.key.clone(), place);
        Ok(Some(place))
    }
}
