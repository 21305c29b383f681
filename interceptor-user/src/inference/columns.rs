//! Tensors and columns of what was sent as JSON.

use std::{borrow::Cow, collections::HashMap};

use serde_json::Value;

use super::tree::{Array, Items, Room, Tree, float};
use crate::model::{Tensor, Values};

/// Tensors read of one side.
pub(super) const TENSORS: usize = 1 << 10;

/// Rows that are objects become a column for each name; an object becomes a tensor for each member; all else is one.
pub(super) fn of(tree: Tree, room: &Room) -> Vec<Tensor> {
    match tree {
        Tree::Object(members) => named(members, room),
        Tree::Array(Array { items: Items::Trees(rows), cut, .. })
            if rows.iter().all(|row| matches!(row, Tree::Object(_))) =>
        {
            let mut columns = Columns::new(room);
            for row in rows {
                if let Tree::Object(members) = row {
                    columns.row(members);
                }
            }
            columns.end(cut)
        }
        tree => vec![tensor(String::new(), tree)],
    }
}

/// Each member is a tensor.
pub(super) fn named(members: Vec<(String, Tree)>, room: &Room) -> Vec<Tensor> {
    if members.len() > TENSORS {
        room.overflow();
    }
    members.into_iter().take(TENSORS).map(|(name, tree)| tensor(name, tree)).collect()
}

/// How many inputs are worked on together: their first dimension, where all have the same.
pub(super) fn batch(inputs: &[Tensor]) -> Option<u64> {
    let mut sizes = inputs.iter().map(|tensor| tensor.shape.first().copied());
    let first = sizes.next()??;
    sizes.all(|size| size == Some(first)).then(|| u64::try_from(first).ok())?
}

/// Rows that name what they hold, turned into columns.
pub(super) struct Columns<'a> {
    room: &'a Room,
    rows: usize,
    names: HashMap<String, usize>,
    arrays: Vec<(String, Array)>,
}

impl<'a> Columns<'a> {
    pub(super) fn new(room: &'a Room) -> Self {
        Self { room, rows: 0, names: HashMap::new(), arrays: Vec::new() }
    }

    pub(super) fn row(&mut self, members: Vec<(String, Tree)>) {
        for (name, value) in members {
            let known = self.names.get(&name).copied();
            let at = known.unwrap_or(self.arrays.len());
            if known.is_none() {
                if at == TENSORS {
                    self.room.overflow();
                    continue;
                }
                self.names.insert(name.clone(), at);
                self.arrays.push((name, Array::new()));
            }
            if let Some((_, column)) = self.arrays.get_mut(at)
                && column.len() <= self.rows
            {
                pad(column, self.rows, self.room);
                column.push(value, self.room);
            }
        }
        self.rows += 1;
    }

    /// All columns; `cut` where there were more rows.
    pub(super) fn end(self, cut: bool) -> Vec<Tensor> {
        let Self { room, rows, arrays, .. } = self;
        let end = |(name, mut column): (String, Array)| {
            pad(&mut column, rows, room);
            column.cut |= cut;
            tensor(name, Tree::Array(column))
        };
        arrays.into_iter().map(end).collect()
    }
}

/// Rows that say nothing of a column lack its value. They are paid for: the text is shorter than they are many.
fn pad(column: &mut Array, rows: usize, room: &Room) {
    let missing = rows.saturating_sub(column.len());
    let taken = room.take(missing);
    for _ in 0..taken {
        column.push(Tree::Null, room);
    }
    column.cut |= taken < missing;
}

/// One tensor of whatever it is.
pub(super) fn tensor(name: String, tree: Tree) -> Tensor {
    let shape = shape(&tree);
    let (values, cut) = values(tree);
    Tensor { name: Cow::Owned(name), datatype: None, shape, values, cut }
}

/// Elements, and whether there are more than these.
pub(super) fn values(tree: Tree) -> (Values, bool) {
    match tree {
        Tree::Array(Array { items: Items::Numbers(numbers), cut, .. }) => (Values::Numbers(numbers), cut),
        Tree::Array(Array { items: Items::Strings(strings), cut, .. }) => (Values::Strings(strings), cut),
        Tree::Array(Array { items: Items::Nulls(count), cut, .. }) => (Values::Numbers(vec![f64::NAN; count]), cut),
        tree => {
            let mut leaves = Leaves::default();
            leaves.add(tree);
            (leaves.values(), leaves.cut)
        }
    }
}

/// Dimensions as nested; those in which not all agree are unknown.
fn shape(tree: &Tree) -> Vec<i64> {
    let Tree::Array(array) = tree else { return Vec::new() };
    let size = |size: usize| i64::try_from(size).unwrap_or(-1);
    let Items::Trees(rows) = &array.items else { return array.shape().map(size).collect() };
    let mut shapes = rows.iter().map(shape);
    let mut inner = shapes.next().unwrap_or_default();
    for other in shapes {
        if other.len() != inner.len() {
            inner.truncate(other.len());
        }
        for (mine, other) in inner.iter_mut().zip(other) {
            *mine = if *mine == other { other } else { -1 };
        }
    }
    inner.insert(0, size(array.len()));
    inner
}

/// Elements of what is not of one shape and kind.
#[derive(Default)]
struct Leaves {
    scalars: Vec<Tree>,
    cut: bool,
}

impl Leaves {
    fn add(&mut self, tree: Tree) {
        match tree {
            Tree::Array(array) => {
                self.cut |= array.cut;
                for row in array.into_rows() {
                    self.add(row);
                }
            }
            scalar => self.scalars.push(scalar),
        }
    }

    /// Numbers if all are, else strings.
    fn values(&mut self) -> Values {
        let scalars = std::mem::take(&mut self.scalars);
        let is_number = |tree: &Tree| matches!(tree, Tree::Null | Tree::Bool(_) | Tree::Number(_));
        if scalars.iter().all(is_number) {
            let number = |tree: &Tree| match tree {
                Tree::Bool(value) => f64::from(u8::from(*value)),
                Tree::Number(number) => float(number),
                _ => f64::NAN,
            };
            return Values::Numbers(scalars.iter().map(number).collect());
        }
        let text = |tree: Tree| match tree {
            Tree::Null => None,
            Tree::String(text) => Some(text),
            other => Some(Value::from(other).to_string()),
        };
        Values::Strings(scalars.into_iter().map(text).collect())
    }
}

/// An array of strings, or an empty one.
pub(super) const fn is_texts(array: &Array) -> bool {
    matches!(array.items, Items::Strings(_) | Items::Nulls(0))
}
