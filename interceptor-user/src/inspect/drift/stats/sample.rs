/// Numbers in order, each with how many values it stands for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    points: Vec<(f64, f64)>,
    count: f64,
    sketched: bool,
}

impl Sample {
    /// Of finite numbers in any order, each with how often it was seen. `sketched`: they stand for others near them.
    pub fn new(points: impl IntoIterator<Item = (f64, f64)>, sketched: bool) -> Self {
        let mut points: Vec<(f64, f64)> = points.into_iter().filter(|(_, weight)| *weight > 0.0).collect();
        points.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        points.dedup_by(|next, kept| {
            let same = next.0.total_cmp(&kept.0).is_eq();
            if same {
                kept.1 += next.1;
            }
            same
        });
        let count = points.iter().map(|(_, weight)| weight).sum();
        Self { points, count, sketched }
    }

    /// Numbers in ascending order, with how many values each stands for.
    pub fn points(&self) -> &[(f64, f64)] {
        &self.points
    }

    /// How many values there are.
    pub const fn count(&self) -> f64 {
        self.count
    }

    /// There were more values than are kept: these stand for them.
    pub const fn is_sketched(&self) -> bool {
        self.sketched
    }

    /// Different numbers; of a sketch, those that are left.
    pub const fn distinct(&self) -> usize {
        self.points.len()
    }

    /// The least and the greatest.
    pub fn range(&self) -> Option<(f64, f64)> {
        Some((self.points.first()?.0, self.points.last()?.0))
    }

    /// The numbers at these shares of the whole, which ascend, interpolated linearly between neighbours in rank: type 7 of
    /// Hyndman and Fan (1996), numpy's default.
    pub fn quantiles(&self, shares: impl IntoIterator<Item = f64>) -> Vec<f64> {
        let mut points = self.points.iter();
        let (mut value, mut upto) = points.next().copied().unwrap_or_default();
        let mut at = |rank: f64| {
            while rank >= upto
                && let Some((next, weight)) = points.next()
            {
                value = *next;
                upto += weight;
            }
            (value, upto)
        };
        let last = (self.count - 1.0).max(0.0);
        let mut found = Vec::new();
        for share in shares {
            let rank = share * last;
            let below = rank.floor();
            let (low, upto) = at(below);
            // The next in rank: the same number again, or the one after it.
            let high = if below + 1.0 < upto { low } else { self.after(low) };
            let part = rank - below;
            // As numpy does it: from the nearer end.
            let between = if part >= 0.5 { high - (high - low) * (1.0 - part) } else { low + (high - low) * part };
            found.push(between);
        }
        found
    }

    /// So many numbers that stand for the same share each: those in the middle of it.
    pub fn thinned(&self, parts: u32) -> Vec<f64> {
        let mut points = self.points.iter();
        let (mut value, mut upto) = points.next().copied().unwrap_or_default();
        let share = self.count / f64::from(parts);
        let middles = (0..parts).map(|part| (f64::from(part) + 0.5) * share);
        let mut at = |rank: f64| {
            while rank >= upto
                && let Some((next, weight)) = points.next()
            {
                value = *next;
                upto += weight;
            }
            value
        };
        middles.map(&mut at).collect()
    }

    fn after(&self, value: f64) -> f64 {
        let next = self.points.partition_point(|(point, _)| point.total_cmp(&value).is_le());
        self.points.get(next).map_or(value, |(point, _)| *point)
    }

    /// How many values lie below each of the edges, which ascend.
    pub fn below(&self, edges: &[f64]) -> Vec<f64> {
        let mut points = self.points.iter().peekable();
        let mut seen = 0.0;
        let mut count = |edge: f64| {
            while let Some((_, weight)) = points.next_if(|(value, _)| *value < edge) {
                seen += weight;
            }
            seen
        };
        edges.iter().map(|edge| count(*edge)).collect()
    }
}

/// Both samples in one order: at each number that either has, how many of the values of each are not above it.
pub(super) fn merged<'a>(a: &'a Sample, b: &'a Sample) -> impl Iterator<Item = (f64, f64, f64)> + 'a {
    let (mut left, mut right) = (a.points.iter().peekable(), b.points.iter().peekable());
    let (mut below_left, mut below_right) = (0.0, 0.0);
    std::iter::from_fn(move || {
        let value = match (left.peek(), right.peek()) {
            (Some((x, _)), Some((y, _))) => x.min(*y),
            (Some((x, _)), None) | (None, Some((x, _))) => *x,
            (None, None) => return None,
        };
        while let Some((_, weight)) = left.next_if(|(x, _)| *x <= value) {
            below_left += weight;
        }
        while let Some((_, weight)) = right.next_if(|(x, _)| *x <= value) {
            below_right += weight;
        }
        Some((value, below_left, below_right))
    })
}
