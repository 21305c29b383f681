//! JSON as tensors are sent in it: arrays of numbers or strings lie flat, whatever their depth; all else as it is.
//!
//! `{"b64": "…"}` is how binary strings are sent (TensorFlow Serving, "Encoding binary values", and KServe after it): it is
//! read as the string that it holds.

use std::{cell::Cell, fmt};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Number, Value};

use super::json;

#[cfg(test)]
mod tests;

/// Elements read of one tensor.
pub(super) const ELEMENTS: usize = 1 << 16;
/// Elements read of all tensors of an inference.
const TOTAL: usize = 1 << 18;

/// What may still be read of an inference.
#[derive(Clone)]
pub(super) struct Room {
    left: Cell<usize>,
    over: Cell<bool>,
}

impl Room {
    pub(super) const fn new() -> Self {
        Self { left: Cell::new(TOTAL), over: Cell::new(false) }
    }

    /// Of so many elements, how many may be read.
    pub(super) fn take(&self, elements: usize) -> usize {
        let taken = elements.min(self.left.get());
        self.left.set(self.left.get() - taken);
        if taken < elements {
            self.over.set(true);
        }
        taken
    }

    /// What was read since is read again.
    fn restore(&self, earlier: &Self) {
        self.left.set(earlier.left.get());
        self.over.set(earlier.over.get());
    }

    /// Nothing more may be read.
    const fn is_spent(&self) -> bool {
        self.left.get() == 0
    }

    /// There was more than is taken.
    pub(super) fn overflow(&self) {
        self.over.set(true);
    }

    /// Was there?
    pub(super) const fn is_over(&self) -> bool {
        self.over.get()
    }
}

/// A JSON text, or a part of one.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Tree {
    Null,
    Bool(bool),
    Number(Number),
    String(String),
    Array(Array),
    Object(Vec<(String, Self)>),
}

impl Tree {
    /// Reads a whole JSON text.
    pub(super) fn parse(text: &[u8], room: &Room) -> Option<Self> {
        let read = |text: &[u8], room: &Room| {
            let mut deserializer = serde_json::Deserializer::from_slice(text);
            let tree = Reader { room }.deserialize(&mut deserializer).ok()?;
            deserializer.end().ok().map(|()| tree)
        };
        let left = room.clone();
        read(text, room).or_else(|| {
            let text = json::without_literals(text)?;
            room.restore(&left);
            read(&text, room)
        })
    }

    /// The same of one that was read before.
    pub(super) fn of(value: &Value, room: &Room) -> Option<Self> {
        Reader { room }.deserialize(value).ok()
    }

    /// Member of an object; of several with this name the last, as most readers take it.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else { return None };
        members.iter().rfind(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The same, taken out.
    pub(super) fn take(&mut self, name: &str) -> Option<Self> {
        let Self::Object(members) = self else { return None };
        let at = members.iter().rposition(|(key, _)| key == name)?;
        Some(members.remove(at).1)
    }

    /// A string.
    pub(super) fn text(&self) -> Option<&str> {
        let Self::String(text) = self else { return None };
        Some(text)
    }

    /// A string that is not empty, or a number as one: how ids and versions are sent.
    pub(super) fn name(&self) -> Option<String> {
        match self {
            Self::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
            Self::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// Numbers of a flat array.
    pub(super) fn integers(&self) -> Option<Vec<i64>> {
        let Self::Array(array) = self else { return None };
        match &array.items {
            Items::Numbers(numbers) if array.inner.is_empty() => {
                Some(numbers.iter().map(|size| *size as i64).collect())
            }
            Items::Nulls(0) => Some(Vec::new()),
            _ => None,
        }
    }

    /// What it holds one by one, if it is an array; as far as it was read.
    pub(super) fn into_rows(self) -> Vec<Self> {
        match self {
            Self::Array(array) => array.into_rows(),
            _ => Vec::new(),
        }
    }
}

impl From<Tree> for Value {
    fn from(tree: Tree) -> Self {
        match tree {
            Tree::Null => Self::Null,
            Tree::Bool(value) => Self::Bool(value),
            Tree::Number(number) => Self::Number(number),
            Tree::String(text) => Self::String(text),
            Tree::Array(array) => Self::Array(array.into_rows().into_iter().map(Self::from).collect()),
            Tree::Object(members) => {
                Self::Object(members.into_iter().map(|(name, value)| (name, Self::from(value))).collect())
            }
        }
    }
}

/// What an array holds, in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Items {
    /// Only null, so many times.
    Nulls(usize),
    /// Numbers and booleans; null is NaN.
    Numbers(Vec<f64>),
    /// Strings; null is None.
    Strings(Vec<Option<String>>),
    /// What is neither, or not of one shape.
    Trees(Vec<Tree>),
}

impl Items {
    const fn len(&self) -> usize {
        match self {
            Self::Nulls(count) => *count,
            Self::Numbers(items) => items.len(),
            Self::Strings(items) => items.len(),
            Self::Trees(items) => items.len(),
        }
    }

    /// More of the same kind; those that do not fit come back.
    fn extend(&mut self, more: Self) -> Result<(), Self> {
        match (&mut *self, more) {
            (Self::Nulls(count), Self::Nulls(more)) => *count += more,
            (Self::Numbers(items), Self::Nulls(more)) => items.resize(items.len() + more, f64::NAN),
            (Self::Strings(items), Self::Nulls(more)) => items.resize(items.len() + more, None),
            (Self::Numbers(items), Self::Numbers(mut more)) => items.append(&mut more),
            (Self::Strings(items), Self::Strings(mut more)) => items.append(&mut more),
            (Self::Trees(items), Self::Trees(mut more)) => items.append(&mut more),
            (Self::Nulls(0), more) => *self = more,
            (Self::Nulls(count), Self::Numbers(more)) => {
                let mut items = vec![f64::NAN; *count];
                items.extend(more);
                *self = Self::Numbers(items);
            }
            (Self::Nulls(count), Self::Strings(more)) => {
                let mut items = vec![None; *count];
                items.extend(more);
                *self = Self::Strings(items);
            }
            (_, more) => return Err(more),
        }
        Ok(())
    }

    fn truncate(&mut self, len: usize) {
        match self {
            Self::Nulls(count) => *count = len.min(*count),
            Self::Numbers(items) => items.truncate(len),
            Self::Strings(items) => items.truncate(len),
            Self::Trees(items) => items.truncate(len),
        }
    }
}

/// An array.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Array {
    /// How many it holds.
    len: usize,
    /// The shape that each of them has.
    inner: Vec<usize>,
    pub(super) items: Items,
    /// It holds more than was read.
    pub(super) cut: bool,
}

impl Array {
    pub(super) const fn new() -> Self {
        Self { len: 0, inner: Vec::new(), items: Items::Nulls(0), cut: false }
    }

    /// Its dimensions, as far as all it holds has the same.
    pub(super) fn shape(&self) -> impl Iterator<Item = usize> {
        [self.len].into_iter().chain(self.inner.iter().copied())
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// One more.
    pub(super) fn push(&mut self, tree: Tree, room: &Room) {
        self.len += 1;
        if self.cut {
            return;
        }
        let (inner, items, cut) = match tree {
            Tree::Null => (Vec::new(), Items::Nulls(1), false),
            // The usual case, without a vector for each.
            Tree::Number(number) if self.inner.is_empty() && matches!(self.items, Items::Numbers(_)) => {
                if let Items::Numbers(items) = &mut self.items {
                    items.push(float(&number));
                }
                return self.limit(room);
            }
            Tree::Number(number) => (Vec::new(), Items::Numbers(vec![float(&number)]), false),
            Tree::Bool(value) => (Vec::new(), Items::Numbers(vec![f64::from(u8::from(value))]), false),
            Tree::String(text) => (Vec::new(), Items::Strings(vec![Some(text)]), false),
            Tree::Array(Array { len, inner, items, cut }) if !matches!(items, Items::Trees(_)) => {
                ([len].into_iter().chain(inner).collect(), items, cut)
            }
            other => (Vec::new(), Items::Trees(vec![other]), false),
        };
        if self.len == 1 {
            self.inner.clone_from(&inner);
        }
        let refused = if self.inner == inner { self.items.extend(items).err() } else { Some(items) };
        self.cut |= cut && refused.is_none();
        if let Some(items) = refused {
            self.keep_apart(inner, items, cut);
        }
        self.limit(room);
    }

    /// From here on what it holds is not of one shape and kind.
    fn keep_apart(&mut self, inner: Vec<usize>, items: Items, cut: bool) {
        let mut apart = std::mem::replace(self, Self { len: self.len, ..Self::new() });
        apart.len -= 1;
        let mut rows = apart.into_rows();
        let mut inner = inner.into_iter();
        match (inner.next(), items) {
            (None, Items::Trees(mut trees)) => rows.append(&mut trees),
            (None, items) => rows.extend(Self { len: items.len(), inner: Vec::new(), items, cut }.into_rows()),
            (Some(len), items) => rows.push(Tree::Array(Self { len, inner: inner.collect(), items, cut })),
        }
        self.items = Items::Trees(rows);
    }

    fn limit(&mut self, room: &Room) {
        if self.items.len() > ELEMENTS {
            self.items.truncate(ELEMENTS);
            self.cut = true;
            room.overflow();
        }
    }

    /// What it holds one by one, as far as it was read.
    pub(super) fn into_rows(self) -> Vec<Tree> {
        let Self { len, inner, items, cut } = self;
        let Some((first, rest)) = inner.split_first() else {
            return match items {
                Items::Nulls(count) => vec![Tree::Null; count],
                Items::Numbers(items) => items.into_iter().map(number).collect(),
                Items::Strings(items) => items.into_iter().map(|text| text.map_or(Tree::Null, Tree::String)).collect(),
                Items::Trees(items) => items,
            };
        };
        let size = inner.iter().fold(1, |product: usize, size| product.saturating_mul(*size));
        let row = |items: Items| {
            let cut = cut && items.len() < size;
            Tree::Array(Self { len: *first, inner: rest.to_vec(), items, cut })
        };
        if size == 0 {
            return (0..len.min(ELEMENTS)).map(|_| row(Items::Nulls(0))).collect();
        }
        match items {
            Items::Nulls(count) => (0..count.div_ceil(size)).map(|_| row(Items::Nulls(size))).collect(),
            Items::Numbers(items) => items.chunks(size).map(|items| row(Items::Numbers(items.to_vec()))).collect(),
            Items::Strings(items) => items.chunks(size).map(|items| row(Items::Strings(items.to_vec()))).collect(),
            Items::Trees(items) => items,
        }
    }
}

pub(super) fn float(number: &Number) -> f64 {
    number.as_f64().unwrap_or(f64::NAN)
}

/// An integer if it is one that was not rounded.
fn number(value: f64) -> Tree {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() < EXACT {
        return Tree::Number((value as i64).into());
    }
    Number::from_f64(value).map_or(Tree::Null, Tree::Number)
}

#[derive(Clone, Copy)]
struct Reader<'a> {
    room: &'a Room,
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Tree;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Tree, E> {
        Ok(Number::from_f64(value).map_or(Tree::Null, Tree::Number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::String(text.to_owned()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Tree, E> {
        Ok(Tree::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Tree, A::Error> {
        let mut array = Array::new();
        loop {
            if array.cut || self.room.is_spent() {
                while sequence.next_element::<IgnoredAny>()?.is_some() {
                    self.room.overflow();
                    array.len += 1;
                    array.cut = true;
                }
                return Ok(Tree::Array(array));
            }
            match sequence.next_element_seed(self)? {
                Some(tree) => {
                    self.room.take(1);
                    array.push(tree, self.room);
                }
                None => return Ok(Tree::Array(array)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut members = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if self.room.take(1) == 0 {
                map.next_value::<IgnoredAny>()?;
            } else {
                members.push((name, map.next_value_seed(self)?));
            }
        }
        Ok(match <[(String, Tree); 1]>::try_from(members) {
            Ok([(name, Tree::String(text))]) if name == "b64" => match STANDARD.decode(&text) {
                Ok(bytes) => Tree::String(String::from_utf8_lossy(&bytes).into_owned()),
                Err(_) => Tree::Object(vec![(name, Tree::String(text))]),
            },
            Ok(one) => Tree::Object(one.into()),
            Err(members) => Tree::Object(members),
        })
    }
}
