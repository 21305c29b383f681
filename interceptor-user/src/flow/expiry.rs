//! Who is due next.
//!
//! Each time-out is one duration for all flows, so flows in the order in which their time-outs began are also in the
//! order in which they are due: a queue is enough, and only its front is ever looked at. The links lie outside the
//! flows, densely, because moving a flow to the back touches its two neighbours and happens with most segments.

const NONE: u32 = u32::MAX;
const OUTSIDE: Link = Link { earlier: NONE - 1, later: NONE - 1 };

#[derive(Clone, Copy, PartialEq, Eq)]
struct Link {
    earlier: u32,
    later: u32,
}

/// Indices in the order in which they were last pushed.
pub(super) struct Queue {
    links: Vec<Link>,
    front: u32,
    back: u32,
}

impl Queue {
    pub(super) const fn new() -> Self {
        Self { links: Vec::new(), front: NONE, back: NONE }
    }

    /// The index that was pushed longest ago.
    pub(super) const fn front(&self) -> Option<u32> {
        if self.front == NONE { None } else { Some(self.front) }
    }

    /// Puts `index` at the back, wherever it was.
    pub(super) fn push(&mut self, index: u32) {
        if self.back == index {
            return;
        }
        self.remove(index);
        let at = index as usize;
        if at >= self.links.len() {
            self.links.resize(at + 1, OUTSIDE);
        }
        if let Some(link) = self.links.get_mut(at) {
            *link = Link { earlier: self.back, later: NONE };
        }
        match self.links.get_mut(self.back as usize) {
            Some(back) => back.later = index,
            None => self.front = index,
        }
        self.back = index;
    }

    /// Takes `index` out, if it is in.
    pub(super) fn remove(&mut self, index: u32) {
        let Some(slot) = self.links.get_mut(index as usize) else { return };
        let link = std::mem::replace(slot, OUTSIDE);
        if link == OUTSIDE {
            return;
        }
        match self.links.get_mut(link.earlier as usize) {
            Some(earlier) => earlier.later = link.later,
            None => self.front = link.later,
        }
        match self.links.get_mut(link.later as usize) {
            Some(later) => later.earlier = link.earlier,
            None => self.back = link.earlier,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Queue;

    fn drain(mut queue: Queue) -> Vec<u32> {
        std::iter::from_fn(|| queue.front().inspect(|&front| queue.remove(front))).collect()
    }

    proptest! {
        #[test]
        fn behaves_like_a_list(steps in prop::collection::vec((any::<bool>(), 0_u32..12), 0..200)) {
            let (mut queue, mut list) = (Queue::new(), Vec::new());
            for (push, index) in steps {
                list.retain(|&other| other != index);
                if push {
                    queue.push(index);
                    list.push(index);
                } else {
                    queue.remove(index);
                }
                prop_assert_eq!(queue.front(), list.first().copied());
            }
            prop_assert_eq!(drain(queue), list);
        }
    }
}
