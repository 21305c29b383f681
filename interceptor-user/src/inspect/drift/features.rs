use std::{fmt::Write as _, slice};

use crate::model::{Datatype, Role, Tensor, Values};

/// Columns of a tensor of two dimensions that are features; those after them are not.
pub(super) const COLUMNS: usize = 64;

/// Values of a feature in one exchange.
pub(super) enum Column<'a> {
    /// Numbers.
    Numbers(Numbers<'a>),
    /// Strings.
    Strings(Every<'a, Option<String>>),
}

/// Numbers of a feature.
pub(super) struct Numbers<'a> {
    values: Every<'a, f64>,
    /// They are of single precision.
    single: bool,
}

impl Numbers<'_> {
    /// Calls `take` with each.
    pub(super) fn for_each(self, mut take: impl FnMut(f64)) {
        let mut text = String::new();
        self.values.for_each(|number| take(if self.single { widened(*number as f32, &mut text) } else { *number }));
    }
}

/// A number of single precision as the decimal that it stands for: 5.1, not 5.099999904632568, so that it is the same number
/// whether it was sent as text or as bytes.
pub(super) fn widened(number: f32, text: &mut String) -> f64 {
    let wide = f64::from(number);
    if !number.is_finite() || number.fract() == 0.0 {
        return wide;
    }
    text.clear();
    let written = write!(text, "{number}");
    written.ok().and_then(|()| text.parse().ok()).unwrap_or(wide)
}

/// Every so many of some.
type Every<'a, T> = std::iter::StepBy<std::iter::Skip<slice::Iter<'a, T>>>;

/// Calls `take` with each feature and its values; gives how many tensors and columns are none.
///
/// A tensor of one dimension, or of `[n, 1]`, is the feature that it names, one of `[n, k]` the features `NAME[i]`. One of
/// more dimensions is none. Tensors without a name are `input[i]` and `output[i]`, by their place.
pub(super) fn each<'a>(tensors: &'a [Tensor], role: Role, mut take: impl FnMut(&str, Column<'a>)) -> u64 {
    let tensors = tensors.iter().zip(0..);
    tensors.map(|(tensor, index)| each_of(tensor, index, role, usize::MAX, &mut take)).sum()
}

/// The features of one tensor, the one at this place; of its values the first `limit`.
pub(super) fn each_of<'a>(
    tensor: &'a Tensor,
    index: usize,
    role: Role,
    limit: usize,
    mut take: impl FnMut(&str, Column<'a>),
) -> u64 {
    let mut name = String::new();
    let Some(columns) = columns(tensor) else {
        return 1;
    };
    let single = tensor.datatype == Some(Datatype::Fp32);
    let mut none = columns.saturating_sub(COLUMNS) as u64;
    for column in 0..columns.min(COLUMNS) {
        name.clear();
        // Writing to a string does not fail.
        let _ = match (&*tensor.name, role) {
            ("", Role::Request) => write!(name, "input[{index}]"),
            ("", Role::Response) => write!(name, "output[{index}]"),
            (named, _) => write!(name, "{named}"),
        };
        if columns > 1 {
            let _ = write!(name, "[{column}]");
        }
        match &tensor.values {
            Values::Numbers(numbers) => {
                take(&name, Column::Numbers(Numbers { values: every(numbers, limit, column, columns), single }));
            }
            Values::Strings(strings) => take(&name, Column::Strings(every(strings, limit, column, columns))),
            Values::Unread => none += 1,
        }
    }
    none
}

fn every<T>(values: &[T], limit: usize, column: usize, columns: usize) -> Every<'_, T> {
    values.get(..limit.min(values.len())).unwrap_or_default().iter().skip(column).step_by(columns.max(1))
}

/// How many features it is; None where it has too many dimensions.
fn columns(tensor: &Tensor) -> Option<usize> {
    match *tensor.shape.as_slice() {
        [] | [_] => Some(1),
        [_, columns] => usize::try_from(columns).ok().filter(|columns| *columns > 0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(name: &'static str, shape: &[i64], count: u32) -> Tensor {
        let values = Values::Numbers((0..count).map(f64::from).collect());
        Tensor { name: name.into(), shape: shape.to_vec(), values, ..Tensor::default() }
    }

    fn seen(tensors: &[Tensor], role: Role) -> (Vec<(String, Vec<f64>)>, u64) {
        let mut seen = Vec::new();
        let none = each(tensors, role, |name, column| {
            if let Column::Numbers(numbers) = column {
                let mut values = Vec::new();
                numbers.for_each(|number| values.push(number));
                seen.push((name.to_owned(), values));
            }
        });
        (seen, none)
    }

    #[test]
    fn tensors_of_up_to_two_dimensions_are_features() {
        let tensors = [
            tensor("age", &[3], 3),
            tensor("one", &[3, 1], 3),
            tensor("two", &[-1, 2], 4),
            tensor("", &[2], 2),
            tensor("scalar", &[], 1),
            tensor("image", &[1, 2, 2], 4),
            tensor("odd", &[2, -1], 2),
            tensor("none", &[2, 0], 0),
        ];
        let (found, none) = seen(&tensors, Role::Request);
        let found: Vec<(&str, &[f64])> = found.iter().map(|(name, values)| (name.as_str(), &values[..])).collect();
        let expected: [(&str, &[f64]); 6] = [
            ("age", &[0.0, 1.0, 2.0]),
            ("one", &[0.0, 1.0, 2.0]),
            ("two[0]", &[0.0, 2.0]),
            ("two[1]", &[1.0, 3.0]),
            ("input[3]", &[0.0, 1.0]),
            ("scalar", &[0.0]),
        ];
        assert_eq!((found, none), (expected.to_vec(), 3));
        assert_eq!(seen(&[tensor("", &[1, 2], 2)], Role::Response).0[1].0, "output[0][1]");
    }

    #[test]
    fn single_precision_is_read_as_written() {
        let values = Values::Numbers(vec![f64::from(5.1_f32), 5.1, -3.0, f64::NAN]);
        let tensor = Tensor { datatype: Some(Datatype::Fp32), values, ..tensor("x", &[4], 0) };
        let (found, _) = seen(&[tensor], Role::Request);
        assert_eq!(found[0].1[..3], [5.1, 5.1, -3.0]);
        assert!(found[0].1[3].is_nan());
    }

    #[test]
    fn columns_are_bounded() {
        let (found, none) = seen(&[tensor("wide", &[2, 1_000], 2_000)], Role::Request);
        assert_eq!((found.len(), none), (COLUMNS, 936));
    }
}
