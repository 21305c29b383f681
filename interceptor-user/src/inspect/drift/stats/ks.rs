use super::{Sample, kolmogorov, sample::merged};

/// Up to so many values the p-value is exact, as in scipy.
const EXACT: f64 = 10_000.0;

/// Below this an exact p-value is not worth its time: the bound that is given instead is no further off.
const NEGLIGIBLE: f64 = 1e-18;

/// Two-sample Kolmogorov-Smirnov test, two-sided: the p-value. As scipy's `ks_2samp` it is exact where neither sample has
/// more than 10,000 values (and neither is a sketch), else asymptotic.
pub fn kolmogorov_smirnov(reference: &Sample, current: &Sample) -> Option<f64> {
    let (m, n) = (reference.count(), current.count());
    if m < 1.0 || n < 1.0 {
        return None;
    }
    let d = statistic(reference, current);
    let size = m * n / (m + n);
    // Wei and Dudley (2012): the probability is about bounded by this.
    let bound = 2.0 * (-2.0 * size * d * d).exp();
    if bound < NEGLIGIBLE {
        return Some(bound);
    }
    let exact = m.max(n) <= EXACT && !reference.is_sketched() && !current.is_sketched();
    let p = if exact { outside(m as u32, n as u32, d) } else { kolmogorov::above(size.round().max(1.0), d) };
    Some(p.clamp(0.0, 1.0))
}

/// The greatest distance between the distribution functions.
pub(super) fn statistic(reference: &Sample, current: &Sample) -> f64 {
    let (m, n) = (reference.count(), current.count());
    merged(reference, current).map(|(_, a, b)| (a / m - b / n).abs()).fold(0.0, f64::max)
}

/// The share of the lattice paths from (0, 0) to (m, n) that touch a point where `|x/m - y/n| >= d` (Hodges 1958). Takes
/// time in proportion to the points that are nearer to the diagonal than that.
fn outside(m: u32, n: u32, d: f64) -> f64 {
    let (m, n) = (i64::from(m.max(n)), i64::from(m.min(n)));
    let divisor = greatest_common_divisor(m, n);
    let (down, right) = (m / divisor, n / divisor);
    // In units of one by the least common multiple the statistic is whole.
    let distance = (d * (down * n) as f64).round() as i64;
    if distance == 0 {
        return 1.0;
    }
    // Of each point (x, y) of a column: which share of the paths to it has been outside.
    let mut column = vec![1.0; n as usize + 1];
    for x in 0..=m {
        let first = ((right * x - distance).div_euclid(down) + 1).clamp(0, n + 1);
        let last = (right * x + distance - 1).div_euclid(down).min(n);
        let Some(points) = column.get_mut(..=(last.max(0) as usize)) else { return 1.0 };
        let (left, inside) = points.split_at_mut((first as usize).min(points.len()));
        // Those that the diagonal has left behind.
        if let Some(before) = left.last_mut() {
            *before = 1.0;
        }
        let mut below = 1.0;
        for (y, point) in (first..).zip(inside) {
            let (weight_x, weight_y) = (whole(x), whole(y));
            *point = if x + y == 0 { 0.0 } else { (*point * weight_x + below * weight_y) / (weight_x + weight_y) };
            below = *point;
        }
    }
    column.last().copied().unwrap_or(1.0)
}

const fn whole(number: i64) -> f64 {
    number as f64
}

const fn greatest_common_divisor(mut a: i64, mut b: i64) -> i64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
