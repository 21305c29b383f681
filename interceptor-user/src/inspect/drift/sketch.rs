//! Numbers in bounded memory.

use std::collections::BTreeMap;

use super::stats::Sample;

/// Up to so many numbers are kept as they are.
pub(super) const KEPT: usize = 10_000;

/// Numbers of which there are no more than so many different ones are counted, however many there are.
const FEW: usize = 64;

/// Numbers in bounded memory: themselves, or what stands for them. Of a buffer that is full every second number in order
/// goes on to the next level, where it counts twice (Manku, Rajagopalan and Lindsay 1998).
///
/// A rank is off by no more than [`Sketch::error`]: each time a level `l` is halved adds at most `2^l`, so of `n` numbers it
/// is about `log2(n / 10,000) / 10,000` of them, 0.07 % of a million.
#[derive(Clone, Debug)]
pub(super) struct Sketch {
    levels: Vec<Level>,
    few: Option<BTreeMap<u64, u64>>,
    count: u64,
    error: u64,
}

/// Numbers that count alike.
#[derive(Clone, Debug, Default)]
struct Level {
    numbers: Vec<f64>,
    /// Which of each two goes on: taken in turns, so that errors cancel out.
    second: bool,
}

impl Default for Sketch {
    fn default() -> Self {
        Self { levels: vec![Level::default()], few: Some(BTreeMap::new()), count: 0, error: 0 }
    }
}

impl Sketch {
    /// Takes a number, which is finite.
    pub(super) fn push(&mut self, number: f64) {
        // Zero has one sign.
        let number = number + 0.0;
        self.count += 1;
        if let Some(few) = &mut self.few {
            *few.entry(number.to_bits()).or_default() += 1;
            if few.len() > FEW {
                self.few = None;
            }
        }
        if self.levels.first().is_some_and(|level| level.numbers.len() >= KEPT) {
            self.halve();
        }
        if let Some(level) = self.levels.first_mut() {
            level.numbers.push(number);
        }
    }

    /// Makes room in the first level, and first in those above it that have none.
    fn halve(&mut self) {
        let full = self.levels.iter().take_while(|level| level.numbers.len() >= KEPT).count();
        for index in (0..full).rev() {
            let Some(level) = self.levels.get_mut(index) else { return };
            level.numbers.sort_unstable_by(f64::total_cmp);
            let first = usize::from(level.second);
            level.second = !level.second;
            let half: Vec<f64> = level.numbers.iter().skip(first).step_by(2).copied().collect();
            level.numbers.clear();
            if self.levels.len() == index + 1 {
                self.levels.push(Level::default());
            }
            if let Some(above) = self.levels.get_mut(index + 1) {
                above.numbers.extend(half);
            }
            self.error += 1 << index;
        }
    }

    /// How many it took.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// How many places a rank may be off.
    pub(super) const fn error(&self) -> u64 {
        if self.few.is_some() { 0 } else { self.error }
    }

    /// Numbers that it has room for.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.levels.iter().map(|level| level.numbers.capacity()).sum()
    }

    /// The numbers, or what stands for them.
    pub(super) fn sample(&self) -> Sample {
        if let Some(few) = &self.few {
            return Sample::new(few.iter().map(|(bits, count)| (f64::from_bits(*bits), whole(*count))), false);
        }
        let weights = self.levels.iter().zip(0_u32..);
        let points =
            weights.flat_map(|(level, index)| level.numbers.iter().map(move |number| (*number, whole(1 << index))));
        Sample::new(points, self.error > 0)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
pub(super) const fn whole(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests;
