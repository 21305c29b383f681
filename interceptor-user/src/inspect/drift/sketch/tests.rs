#![expect(clippy::cast_precision_loss, reason = "counts of a test")]

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
    for index in 0..KEPT {
        sketch.push(index as f64);
    }
    assert_eq!((sketch.error(), sketch.sample().is_sketched(), sketch.sample().distinct()), (0, false, KEPT));
    sketch.push(0.5);
    let sample = sketch.sample();
    assert_eq!((sketch.error(), sample.is_sketched(), sample.count()), (1, true, KEPT as f64 + 1.0));
}

#[test]
fn few_different_numbers_are_counted_exactly() {
    let mut sketch = Sketch::default();
    for index in 0..1_000_000_u32 {
        sketch.push(f64::from(index % 3));
    }
    for zero in [-0.0, 0.0] {
        sketch.push(zero);
    }
    let sample = sketch.sample();
    assert!(!sample.is_sketched());
    assert_eq!(sample.points(), [(0.0, 333_336.0), (1.0, 333_333.0), (2.0, 333_333.0)]);
}

#[test]
fn a_million_numbers_take_bounded_memory_and_their_ranks_hold() {
    let mut numbers: Vec<f64> = (0..1_000_000_u64).map(|index| (index * 7_919 % 1_000_003) as f64).collect();
    let mut sketch = Sketch::default();
    for number in &numbers {
        sketch.push(*number);
    }
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
        for number in &numbers {
        sketch.push(*number);
    }
        let off = off(&mut numbers, &sketch.sample());
        prop_assert!(off <= sketch.error() as f64, "{off} of {count}, stated {}", sketch.error());
    }
}
