//! Which address of an upstream gets a request, and what is made of how it went.

use std::{rc::Rc, sync::atomic::Ordering::Relaxed};

use tokio::time::Instant;

use super::{Failure, Target, Upstream, address::Address, outlier};
use crate::proxy::fields::random;

impl Upstream {
    /// One address; another one than `tried`, if there is another one. Where none is in order, all are.
    pub(super) async fn pick(self: &Rc<Self>, tried: Option<&Rc<Address>>) -> Result<Rc<Address>, Failure> {
        self.resolve().await?;
        let addresses = self.addresses.borrow();
        if let [only] = addresses.as_slice() {
            return Ok(Rc::clone(only));
        }
        let now = Instant::now();
        let is_other = |address: &&Rc<Address>| tried.is_none_or(|tried| tried.at != address.at);
        let good = addresses.iter().filter(is_other).filter(|address| address.is_good(now));
        let picked = freer(&good).or_else(|| freer(&addresses.iter().filter(is_other)));
        picked.map(Rc::clone).ok_or(Failure::Unresolved)
    }

    /// Whether an address has answered. Where there is no choice nothing is made of it.
    pub(in crate::proxy) fn report(&self, address: &Address, is_good: bool) {
        if is_good {
            return address.outlier.borrow_mut().succeeded();
        }
        let settings = &self.common.settings.ejection;
        let addresses = self.addresses.borrow();
        let is_choice = addresses.len() > 1 && matches!(self.target, Target::Backend(_));
        if !is_choice || !address.outlier.borrow_mut().failed(settings) {
            return;
        }
        let now = Instant::now();
        let ejected = addresses.iter().filter(|address| address.outlier.borrow_mut().is_ejected(now)).count();
        if ejected >= outlier::most(addresses.len(), settings) {
            return;
        }
        let time = address.outlier.borrow_mut().eject(settings, &self.common.counts, now);
        self.common.counts.upstream.ejections.fetch_add(1, Relaxed);
        tracing::warn!(at = %address.at, ?time, "a backend's address fails, and is left alone");
    }
}

/// Of two that chance has chosen, the one with fewer requests.
fn freer<'a>(addresses: &(impl Iterator<Item = &'a Rc<Address>> + Clone)) -> Option<&'a Rc<Address>> {
    let count = addresses.clone().count() as u64;
    let first = random().checked_rem(count)?;
    // Another one than the first.
    let second = random().checked_rem(count - 1).map_or(first, |second| (first + 1 + second) % count);
    let at = |index: u64| addresses.clone().nth(usize::try_from(index).unwrap_or_default());
    let (first, second) = (at(first)?, at(second)?);
    Some(if second.requests() < first.requests() { second } else { first })
}
