use std::collections::VecDeque;

/// What an entry counts beside its name and value (RFC 7541 section 4.1).
const OVERHEAD: usize = 32;
/// Most of a table that is kept, whatever the peers agree on. What is older is not known then.
pub(super) const KEPT_MAX: usize = 256 * 1024;

/// The dynamic table of one direction (RFC 7541 section 2.3.2).
///
/// As long as we have seen all of it, it is exact. Once we have not (joined late, or header blocks were lost), indices
/// still count from the newest entry, so what is inserted from then on is known, and what is older is not. As sizes of
/// what we did not see are not known either, nothing is evicted then but for want of room: an encoder does not refer to
/// what its table lacks.
#[derive(Debug)]
pub(super) struct Table {
    /// Names and values, the oldest first.
    bytes: Vec<u8>,
    /// What was taken off before the first of `bytes`.
    taken: u64,
    /// The newest at the back.
    entries: VecDeque<Entry>,
    size: usize,
    max: usize,
    exact: bool,
    /// Entries since all was known, or since we know none of the older ones.
    inserted: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    at: u64,
    name: u32,
    value: u32,
    named: bool,
}

/// What an index refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    Known {
        name: &'a [u8],
        value: &'a [u8],
        named: bool,
    },
    /// An entry that we did not see: the first is the newest of those.
    Unknown(u64),
    /// There is none.
    None,
}

impl Table {
    pub(super) fn new(max: usize, exact: bool) -> Self {
        Self { bytes: Vec::new(), taken: 0, entries: VecDeque::new(), size: 0, max, exact, inserted: 0 }
    }

    #[cfg(test)]
    pub(super) const fn is_exact(&self) -> bool {
        self.exact
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    /// All that was known is not any more.
    pub(super) fn forget(&mut self) {
        *self = Self::new(self.max, false);
    }

    /// The encoder's table has this size from now on.
    pub(super) fn resize(&mut self, max: usize) {
        self.max = max;
        self.evict();
    }

    /// The entry of an index, from 0 for the newest.
    #[inline]
    pub(super) fn get(&self, index: u64) -> Found<'_> {
        let place = (self.entries.len() as u64).checked_sub(index + 1).map(|place| self.entries.get(place as usize));
        let Some(entry) = place.flatten() else {
            return match index.checked_sub(self.inserted) {
                _ if self.exact => Found::None,
                Some(older) => Found::Unknown(older + 1),
                // It was known, and there was no room to keep it.
                None => Found::Unknown(0),
            };
        };
        let start = entry.at.saturating_sub(self.taken) as usize;
        let middle = start + entry.name as usize;
        Found::Known {
            name: self.bytes.get(start..middle).unwrap_or_default(),
            value: self.bytes.get(middle..middle + entry.value as usize).unwrap_or_default(),
            named: entry.named,
        }
    }

    /// Inserts an entry (RFC 7541 section 4.4): one that does not fit leaves the table empty.
    pub(super) fn insert(&mut self, name: &[u8], value: &[u8], named: bool) {
        let size = name.len() + value.len() + OVERHEAD;
        self.inserted += 1;
        if size > KEPT_MAX || (self.exact && size > self.max) {
            let evicted_by_encoder = self.exact && size > self.max;
            self.clear();
            // An entry that is in the encoder's table and not in ours.
            self.exact = evicted_by_encoder;
            return;
        }
        self.size += size;
        let at = self.taken + self.bytes.len() as u64;
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
        self.entries.push_back(Entry { at, name: name.len() as u32, value: value.len() as u32, named });
        self.evict();
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.taken += self.bytes.len() as u64;
        self.bytes.clear();
        self.size = 0;
    }

    fn evict(&mut self) {
        let bound = if self.exact { self.max.min(KEPT_MAX) } else { KEPT_MAX };
        if self.size <= bound {
            return;
        }
        // The encoder still has what we have no room for.
        self.exact &= self.max <= KEPT_MAX;
        while self.size > bound
            && let Some(oldest) = self.entries.pop_front()
        {
            self.size = self.size.saturating_sub(oldest.name as usize + oldest.value as usize + OVERHEAD);
        }
        let live = self.entries.front().map_or(self.taken + self.bytes.len() as u64, |entry| entry.at);
        let dead = live.saturating_sub(self.taken) as usize;
        // Moved seldom, so that each byte is moved about once.
        if dead > self.bytes.len() / 2 {
            self.bytes.drain(..dead.min(self.bytes.len()));
            self.taken = live;
        }
    }
}
