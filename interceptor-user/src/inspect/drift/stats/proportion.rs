use super::{Pairs, gamma};

/// Pearson's chi-squared of the window's counts against the baseline's, scaled to as many: the p-value. A kind that the
/// baseline does not have makes it 0.
pub fn chi_squared(pairs: &Pairs) -> Option<f64> {
    let (reference, current) = pairs.totals();
    if reference <= 0.0 || current <= 0.0 {
        return None;
    }
    let scale = current / reference;
    let statistic = pairs.0.iter().map(|(a, b)| (b - a * scale) * (b - a * scale) / (a * scale)).sum::<f64>();
    let freedom = pairs.0.len().saturating_sub(1);
    Some(if freedom == 0 { 1.0 } else { chi_squared_above(freedom, statistic) })
}

/// How likely a chi-squared distribution with so many degrees of freedom is to exceed `statistic`.
pub(super) fn chi_squared_above(freedom: usize, statistic: f64) -> f64 {
    let half = freedom as f64 / 2.0;
    gamma::upper(half, statistic / 2.0)
}

/// Two proportions, pooled, two-sided: the p-value. What is counted is all but the first kind, as in Evidently.
pub fn z_test(pairs: &Pairs) -> Option<f64> {
    let (m, n) = pairs.totals();
    if m <= 0.0 || n <= 0.0 {
        return None;
    }
    let first = pairs.0.first().copied().unwrap_or_default();
    let (p, q) = (1.0 - first.0 / m, 1.0 - first.1 / n);
    let both = (m - first.0 + n - first.1) / (m + n);
    let variance = both * (1.0 - both) * (1.0 / m + 1.0 / n);
    // All of both are of one kind.
    if variance <= 0.0 {
        return Some(1.0);
    }
    let z = (p - q) / variance.sqrt();
    Some(libm::erfc(z.abs() / std::f64::consts::SQRT_2))
}
