use super::{Pairs, Sample, sample::merged};

/// Population stability index: the sum of `(p - q) ln(p / q)` over shares `p` of the baseline, `q` of the window. As in
/// Evidently a share of zero counts as 0.0001, or as a millionth of the least share where that is no greater.
pub fn psi(pairs: &Pairs) -> Option<f64> {
    let shares = pairs.shares()?;
    let least = |of: fn(&(f64, f64)) -> f64| {
        let least = shares.iter().map(of).filter(|share| *share > 0.0).fold(f64::INFINITY, f64::min);
        if least <= 0.0001 { least / 1e6 } else { 0.0001 }
    };
    let (zero_p, zero_q) = (least(|pair| pair.0), least(|pair| pair.1));
    let fill = |share: f64, zero: f64| if share > 0.0 { share } else { zero };
    Some(shares.iter().map(|(p, q)| (fill(*p, zero_p), fill(*q, zero_q))).map(|(p, q)| (p - q) * (p / q).ln()).sum())
}

/// Jensen-Shannon distance, 0 to 0.8326: the root of the divergence (Lin 1991) with natural logarithms, as SciPy and Evidently
/// have it.
pub fn jensen_shannon(pairs: &Pairs) -> Option<f64> {
    let entropy = |share: f64, middle: f64| if share > 0.0 { share * (share / middle).ln() } else { 0.0 };
    let terms = pairs.shares()?.into_iter().map(|(p, q)| {
        let middle = f64::midpoint(p, q);
        entropy(p, middle) + entropy(q, middle)
    });
    Some((terms.sum::<f64>() / 2.0).clamp(0.0, 1.0).sqrt())
}

/// First Wasserstein distance, the area between the distribution functions, by the baseline's standard deviation, which
/// counts as 0.001 where it is less, as in Evidently.
pub fn wasserstein(reference: &Sample, current: &Sample, deviation: f64) -> Option<f64> {
    let (m, n) = (reference.count(), current.count());
    if m <= 0.0 || n <= 0.0 {
        return None;
    }
    let mut before: Option<(f64, f64)> = None;
    let mut area = 0.0;
    for (value, a, b) in merged(reference, current) {
        if let Some((from, apart)) = before {
            area += apart * (value - from);
        }
        before = Some((value, (a / m - b / n).abs()));
    }
    Some(area / deviation.max(0.001)).filter(|distance| distance.is_finite())
}
