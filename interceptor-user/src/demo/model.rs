//! The model that the demo serves: which iris is it?
//!
//! Fisher's linear discriminant analysis of his iris measurements (1936): class means, the pooled covariance within the
//! classes and equal priors give one linear function per class, and a softmax of the three gives the posteriors.

/// Measurements of a flower: sepal length and width, petal length and width, in centimetres.
pub(super) const FEATURES: usize = 4;
/// The species.
pub(super) const CLASSES: [&str; 3] = ["setosa", "versicolor", "virginica"];

/// Inverse covariance times class mean: one row per class.
const WEIGHTS: [[f32; FEATURES]; CLASSES.len()] =
    [[23.5442, 23.5879, -16.4306, -17.3984], [15.6982, 7.0725, 5.2114, 6.4342], [12.4459, 3.6853, 12.7665, 21.0791]];
/// Minus half of class mean times weights.
const BIASES: [f32; CLASSES.len()] = [-85.2099, -71.754, -103.2697];

/// Posterior probability of each class.
pub(super) fn classify(flower: [f32; FEATURES]) -> [f32; CLASSES.len()] {
    let mut scores = BIASES;
    for (score, weights) in scores.iter_mut().zip(WEIGHTS) {
        *score += weights.iter().zip(flower).map(|(weight, value)| weight * value).sum::<f32>();
    }
    // Subtracting the largest changes nothing in the quotient and keeps `exp` from overflowing.
    let largest = scores.into_iter().fold(f32::NEG_INFINITY, f32::max);
    let powers = scores.map(|score| (score - largest).exp());
    let sum: f32 = powers.iter().sum();
    powers.map(|power| power / sum)
}

/// Index of the most probable class.
pub(super) fn most_probable(posteriors: [f32; CLASSES.len()]) -> usize {
    let better = |best: usize, (index, value): (usize, &f32)| if *value > posteriors[best] { index } else { best };
    posteriors.iter().enumerate().fold(0, better)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typical_flowers_are_recognised() {
        for (flower, class) in [
            ([5.1, 3.5, 1.4, 0.2], "setosa"),
            ([7.0, 3.2, 4.7, 1.4], "versicolor"),
            ([6.3, 3.3, 6.0, 2.5], "virginica"),
        ] {
            let posteriors = classify(flower);
            assert_eq!(CLASSES[most_probable(posteriors)], class);
            assert!((posteriors.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        }
    }

    /// Flower 71 of the data set is a versicolor that the analysis famously takes for a virginica (0.253 to 0.747).
    #[test]
    fn posteriors_are_those_of_the_literature() {
        let posteriors = classify([5.9, 3.2, 4.8, 1.8]);
        assert!((posteriors[1] - 0.2532).abs() < 2e-3, "{posteriors:?}");
        assert!((posteriors[2] - 0.7468).abs() < 2e-3, "{posteriors:?}");
    }

    #[test]
    fn extreme_input_stays_finite() {
        assert!(classify([f32::MAX / 1e6; FEATURES]).iter().all(|value| value.is_finite()));
    }
}
