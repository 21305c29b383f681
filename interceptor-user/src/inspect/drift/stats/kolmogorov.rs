//! The distribution of the Kolmogorov-Smirnov statistic of one sample, chosen by size and distance like scipy's (Simard and
//! L'Ecuyer 2011), which takes the methods that are exact where they are fast enough.

use std::f64::consts::PI;

/// Up to so many values the one-sided distribution is summed; beyond, the approximation of Maag and Dicaire (1971) does.
const SUMMED: f64 = 100_000.0;

/// How likely the statistic of `n` values is to be greater than `d`.
pub(super) fn above(n: f64, d: f64) -> f64 {
    let t = n * d;
    let spread = t * d;
    if d >= 1.0 || spread >= 370.0 {
        0.0
    } else if t <= 0.5 {
        1.0
    } else if t <= 1.0 {
        // Ruben and Gambino (1982): n! (2d - 1/n)^n.
        1.0 - (libm::lgamma(n + 1.0) + n * ((2.0 * t - 1.0) / n).ln()).exp()
    } else if d >= 0.5 || spread >= if n <= 140.0 { 4.0 } else { 2.2 } {
        2.0 * one_sided(n, d)
    } else if n <= 140.0 || (n <= 100_000.0 && n * d.powf(1.5) <= 1.4) {
        1.0 - durbin(n as u32, d)
    } else {
        1.0 - pelz_good(n, d)
    }
}

/// How likely the one-sided statistic is to be at least `d` (Smirnov 1944; Birnbaum and Tingey 1951).
fn one_sided(n: f64, d: f64) -> f64 {
    if n > SUMMED {
        let t = 6.0 * n * d + 1.0;
        return (-t * t / (18.0 * n)).exp();
    }
    let last = (n * (1.0 - d)).floor() as u32;
    let whole = libm::lgamma(n + 1.0);
    let mut sum = 0.0;
    for j in 0..=last {
        let j = f64::from(j);
        let left = 1.0 - d - j / n;
        if left > 0.0 {
            let ways = whole - libm::lgamma(j + 1.0) - libm::lgamma(n - j + 1.0);
            sum += (ways + (n - j) * left.ln() + (j - 1.0) * (d + j / n).ln()).exp();
        }
    }
    d * sum
}

/// How likely the statistic is to be at most `d`: the matrix of Durbin (1968) as Marsaglia, Tsang and Wang (2003) raise it
/// to its power.
fn durbin(n: u32, d: f64) -> f64 {
    let t = f64::from(n) * d;
    let k = t.ceil() as usize;
    let (rest, m) = (k as f64 - t, 2 * k - 1);
    let mut factor = 1.0;
    // 1/(i-j+1)!, and what the first column and the last row have instead of it.
    let (mut inverse, mut edge) = (Vec::with_capacity(m + 1), Vec::with_capacity(m));
    for j in 1..=m {
        inverse.push(factor);
        factor /= j as f64;
        edge.push((1.0 - rest.powi(j as i32)) * factor);
    }
    let corner = (2.0 * rest - 1.0).max(0.0).powi(m as i32) - 2.0 * rest.powi(m as i32);
    if let Some(last) = edge.last_mut() {
        *last = (1.0 + corner) * factor;
    }
    let mut matrix = Matrix::new(m, |row, column| match (row, column) {
        (row, 0) => edge.get(row),
        (row, column) if row + 1 == m => edge.get(m - 1 - column),
        (row, column) => (row + 1).checked_sub(column).and_then(|index| inverse.get(index)),
    });
    let mut power = Matrix::new(m, |row, column| (row == column).then_some(&1.0));
    let mut left = n;
    while left > 0 {
        if left % 2 == 1 {
            power = power.times(&matrix);
        }
        left /= 2;
        if left > 0 {
            matrix = matrix.times(&matrix);
        }
    }
    let (mut value, mut scale) = (power.at(k - 1, k - 1), power.scale);
    for i in 1..=n {
        value *= f64::from(i) / f64::from(n);
        if value < 1e-140 {
            value *= 1e140;
            scale -= 140;
        }
    }
    value * 10_f64.powi(scale)
}

/// A square matrix, times a power of ten.
struct Matrix {
    size: usize,
    cells: Vec<f64>,
    scale: i32,
}

impl Matrix {
    fn new<'a>(size: usize, cell: impl Fn(usize, usize) -> Option<&'a f64>) -> Self {
        let cells = (0..size * size).map(|index| cell(index / size, index % size).copied().unwrap_or(0.0));
        Self { size, cells: cells.collect(), scale: 0 }
    }

    fn at(&self, row: usize, column: usize) -> f64 {
        self.cells.get(row * self.size + column).copied().unwrap_or(0.0)
    }

    fn times(&self, other: &Self) -> Self {
        let mut cells = vec![0.0; self.cells.len()];
        for (row, sums) in self.cells.chunks_exact(self.size).zip(cells.chunks_exact_mut(self.size)) {
            for (factor, line) in row.iter().zip(other.cells.chunks_exact(self.size)) {
                for (sum, cell) in sums.iter_mut().zip(line) {
                    *sum += factor * cell;
                }
            }
        }
        let mut product = Self { size: self.size, cells, scale: self.scale + other.scale };
        if product.at(self.size / 2, self.size / 2) > 1e140 {
            product.cells.iter_mut().for_each(|cell| *cell *= 1e-140);
            product.scale += 140;
        }
        product
    }
}

/// How likely the statistic is to be at most `d`: the series of Pelz and Good (1976) in powers of `n^(-1/2)`.
fn pelz_good(n: f64, d: f64) -> f64 {
    let z = n.sqrt() * d;
    let z2 = z * z;
    let (z4, z6) = (z2 * z2, z2 * z2 * z2);
    let (pi2, pi4, pi6) = (PI.powi(2), PI.powi(4), PI.powi(6));
    let (mut k0, mut k1, mut k2, mut k3) = (0.0, 0.0, 0.0, 0.0);
    let (mut k2_whole, mut k3_whole) = (0.0, 0.0);
    for k in (1..=(16.0 * z / PI).ceil() as u32).rev() {
        let odd = f64::from(2 * k - 1);
        let (m2, m4, m6) = (odd.powi(2), odd.powi(4), odd.powi(6));
        let power = (-pi2 * m2 / (8.0 * z2)).exp();
        k0 += power;
        k1 += power * (pi2 / 4.0 * m2 - z2);
        k2 +=
            power * (6.0 * z6 + 2.0 * z4 + (2.0 * z4 - 5.0 * z2) * pi2 / 4.0 * m2 + pi4 * (1.0 - 2.0 * z2) / 16.0 * m4);
        k3 += power
            * (pi6 * (5.0 - 30.0 * z2) / 64.0 * m6
                + pi4 * (212.0 * z4 - 60.0 * z2) / 16.0 * m4
                + pi2 * (135.0 * z4 - 96.0 * z6) / 4.0 * m2
                - 30.0 * z6
                - 90.0 * z4 * z4);
        let square = f64::from(k) * f64::from(k);
        let power = (-pi2 * square / (2.0 * z2)).exp();
        k2_whole += square * power;
        k3_whole += (3.0 * z2 - pi2 * square) * square * power;
    }
    let root = (2.0 * PI).sqrt();
    let k0 = k0 * root / z;
    let k1 = k1 * root / (6.0 * z4);
    let k2 = k2 * root / (72.0 * z6 * z) - k2_whole * pi2 * root / (36.0 * z2 * z);
    let k3 = k3 * root / (6480.0 * z6 * z4) + k3_whole * pi2 * root / (216.0 * z6);
    k0 + k1 / n.sqrt() + k2 / n + k3 / (n * n.sqrt())
}
