//! Numbers in bounded memory.

use std::collections::BTreeMap;

use super::stats::Sample;

/// Up to so many numbers are kept as they are.
pub const KEPT: usize = 10_000;

/// Numbers of which there are no more than so many different ones are counted, however many there are.
const FEW: usize = 64;

/// Numbers in bounded memory: themselves, or what stands for them. Of a buffer that is full every second number in order
/// goes on to the next level, where it counts twice (Manku, Rajagopalan and Lindsay 1998).
///
/// A rank is off by no more than [`Sketch::error`]: each time a level `l` is halved adds at most `2^l`, so of `n` numbers it
/// is about `log2(n / 10,000) / 10,000` of them, 0.07 % of a million.
#[derive(Clone, Debug)]
pub struct Sketch {
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
    pub fn push(&mut self, number: f64) {
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
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// How many places a rank may be off.
    pub const fn error(&self) -> u64 {
        if self.few.is_some() { 0 } else { self.error }
    }

    /// Numbers that it has room for.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.levels.iter().map(|level| level.numbers.capacity()).sum()
    }

    /// The numbers, or what stands for them.
    pub fn sample(&self) -> Sample {
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The greatest distance of a rank in the sample from the true one.
    fn off(numbers: &mut [f64], sample: &Sample) -> f64 {
        numbers.sort_unstable_by(f64::total_cmp);
        let edges: Vec<f64> = numbers.iter().step_by(97).copied().collect();
        let found = sample.below(&edges);
        let ranks = edges.iter().map(|edge| numbers.partition_point(|number| number < edge));
        ranks.zip(found).map(|(rank, found)| (rank as f64 - found).abs()).fold(0.0, f64::max)
    }

    #[test]
    fn up_to_the_bound_nothing_is_lost() {
        let mut sketch = Sketch::default();
        (0..KEPT).for_each(|index| sketch.push(index as f64));
        assert_eq!((sketch.error(), sketch.sample().is_sketched(), sketch.sample().distinct()), (0, false, KEPT));
        sketch.push(0.5);
        let sample = sketch.sample();
        assert_eq!((sketch.error(), sample.is_sketched(), sample.count()), (1, true, KEPT as f64 + 1.0));
    }

    #[test]
    fn few_different_numbers_are_counted_exactly() {
        let mut sketch = Sketch::default();
        (0..1_000_000_u32).for_each(|index| sketch.push(f64::from(index % 3)));
        [-0.0, 0.0].into_iter().for_each(|zero| sketch.push(zero));
        let sample = sketch.sample();
        assert!(!sample.is_sketched());
        assert_eq!(sample.points(), [(0.0, 333_336.0), (1.0, 333_333.0), (2.0, 333_333.0)]);
    }

    #[test]
    fn a_million_numbers_take_bounded_memory_and_their_ranks_hold() {
        let mut numbers: Vec<f64> = (0..1_000_000_u64).map(|index| (index * 7_919 % 1_000_003) as f64).collect();
        let mut sketch = Sketch::default();
        numbers.iter().for_each(|number| sketch.push(*number));
        assert!(sketch.kept() <= 2 * KEPT * 8, "{}", sketch.kept());
        assert!(sketch.error() <= 800, "{}", sketch.error());
        assert!((sketch.sample().count() - 1e6).abs() < 0.5);
        assert!(off(&mut numbers, &sketch.sample()) <= sketch.error() as f64);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn ranks_are_no_further_off_than_stated(seed in any::<u64>(), count in 1_usize..120_000, shape in 0_u8..4) {
            let mut state = seed | 1;
            let mut numbers: Vec<f64> = (0..count)
                .map(|index| {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    let random = (state >> 11) as f64;
                    match shape {
                        0 => random,
                        1 => index as f64,
                        2 => -(index as f64),
                        _ => (random * 1e-13).floor(),
                    }
                })
                .collect();
            let mut sketch = Sketch::default();
            numbers.iter().for_each(|number| sketch.push(*number));
            let off = off(&mut numbers, &sketch.sample());
            prop_assert!(off <= sketch.error() as f64, "{off} of {count}, stated {}", sketch.error());
        }
    }
}
