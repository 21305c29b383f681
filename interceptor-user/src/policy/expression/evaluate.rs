use std::{borrow::Cow, cell::Cell};

use super::{
    function,
    scene::{ELEMENTS, Scene},
    tree::{Arithmetic, Macro, Node},
    value::{Fault, Value},
};

/// Nodes that one evaluation looks at, and bytes of strings that it makes or searches in, by 64. With the bounds of lists and of an
/// expression's size it is the most that an exchange can cost: some milliseconds.
const FUEL: u32 = 1 << 18;

/// One evaluation.
pub(super) struct Evaluation<'s, 'a> {
    scene: &'s Scene<'a>,
    fuel: Cell<u32>,
}

type Outcome<'a> = Result<Value<'a>, Fault>;

impl<'s, 'a> Evaluation<'s, 'a> {
    pub(super) const fn new(scene: &'s Scene<'a>) -> Self {
        Self { scene, fuel: Cell::new(FUEL) }
    }

    /// What a condition gives.
    pub(super) fn truth(&self, node: &'a Node) -> Result<bool, Fault> {
        self.truth_at(node, None)
    }

    /// What an expression gives.
    pub(super) fn value(&self, node: &'a Node) -> Outcome<'a> {
        self.at(node, None)
    }

    fn spend(&self, units: usize) -> Result<(), Fault> {
        let left = self.fuel.get().checked_sub(u32::try_from(units).unwrap_or(u32::MAX));
        self.fuel.set(left.unwrap_or(0));
        left.map(|_| ()).ok_or(Fault::Failed("it takes too long"))
    }

    fn truth_at(&self, node: &'a Node, element: Option<&Value<'a>>) -> Result<bool, Fault> {
        match self.at(node, element)? {
            Value::Bool(truth) => Ok(truth),
            _ => Err(Fault::Failed("a condition gives no truth value")),
        }
    }

    fn at(&self, node: &'a Node, element: Option<&Value<'a>>) -> Outcome<'a> {
        self.spend(1)?;
        let both = |pair: &'a (Node, Node)| Ok((self.at(&pair.0, element)?, self.at(&pair.1, element)?));
        Ok(match node {
            Node::Literal(value) => borrow(value),
            Node::Attribute(attribute) => self.scene.value(*attribute)?,
            Node::Field(attribute, name) => self.scene.field(*attribute, name)?,
            Node::Element => element.cloned().ok_or(Fault::Failed("there is no element"))?,
            Node::Index(pair) => {
                let (value, index) = both(pair)?;
                self.index(value, &index)?
            }
            Node::Has(node) => match self.at(node, element) {
                Ok(_) => Value::Bool(true),
                Err(Fault::Absent(_) | Fault::NoSuchKey) => Value::Bool(false),
                Err(fault) => return Err(fault),
            },
            Node::Not(node) => Value::Bool(!self.truth_at(node, element)?),
            Node::All(nodes) => Value::Bool(!self.some(nodes, element, false)?),
            Node::Any(nodes) => Value::Bool(self.some(nodes, element, true)?),
            Node::Conditional(nodes) => {
                let [condition, then, otherwise] = &**nodes;
                self.at(if self.truth_at(condition, element)? { then } else { otherwise }, element)?
            }
            Node::Equal(pair, expected) => {
                let (a, b) = both(pair)?;
                self.spend(length(&a) / 64)?;
                Value::Bool(a.equals(&b) == *expected)
            }
            Node::Compare(pair, comparison) => {
                let (a, b) = both(pair)?;
                let order = a.order(&b).ok_or(Fault::Failed("values of these types have no order"))?;
                Value::Bool(order.is_some_and(|order| comparison.holds(order)))
            }
            Node::In(pair) => {
                let (value, list) = both(pair)?;
                self.is_in(&value, &list)?
            }
            Node::Arithmetic(pair, operation) => {
                let (a, b) = both(pair)?;
                self.spend((length(&a) + length(&b)) / 64)?;
                arithmetic(*operation, a, b)?
            }
            Node::Negative(node) => match self.at(node, element)? {
                Value::Int(number) => Value::Int(number.checked_neg().ok_or(OVERFLOW)?),
                Value::Double(number) => Value::Double(-number),
                _ => return Err(MISFIT),
            },
            Node::List(nodes) => {
                Value::List(nodes.iter().map(|node| self.at(node, element)).collect::<Result<_, _>>()?)
            }
            Node::Matches(node, pattern) => match self.at(node, element)? {
                Value::String(text) => {
                    self.spend(text.len() / 64)?;
                    Value::Bool(pattern.is_match(&text))
                }
                _ => return Err(MISFIT),
            },
            Node::Call(function, nodes) => {
                let arguments = nodes.iter().map(|node| self.at(node, element)).collect::<Result<Vec<_>, _>>()?;
                self.spend(arguments.iter().map(length).sum::<usize>() / 64)?;
                function::call(*function, &arguments)?
            }
            Node::Macro(kind, pair) => self.fold(*kind, self.at(&pair.0, element)?, &pair.1)?,
        })
    }

    /// Does one give `sought`? One that does decides, whatever is wrong with the others (CEL, "Logical operators"); else
    /// one that is not known yet leaves it open.
    fn some(&self, nodes: &'a [Node], element: Option<&Value<'a>>, sought: bool) -> Result<bool, Fault> {
        let mut fault = None;
        for node in nodes {
            match self.truth_at(node, element) {
                Ok(truth) if truth == sought => return Ok(true),
                Ok(_) => {}
                Err(next) => note(&mut fault, next),
            }
        }
        fault.map_or(Ok(false), Err)
    }

    fn index(&self, value: Value<'a>, index: &Value<'a>) -> Outcome<'a> {
        match (value, index) {
            (Value::List(mut values), Value::Int(index)) => {
                let index = usize::try_from(*index).ok().filter(|index| *index < values.len());
                Ok(values.swap_remove(index.ok_or(Fault::NoSuchKey)?))
            }
            (Value::Map(entries), Value::String(key)) => {
                self.spend(entries.len())?;
                entries.into_iter().find_map(|(name, value)| (name == *key).then_some(value)).ok_or(Fault::NoSuchKey)
            }
            _ => Err(MISFIT),
        }
    }

    fn is_in(&self, value: &Value<'a>, container: &Value<'a>) -> Outcome<'a> {
        Ok(Value::Bool(match container {
            Value::List(values) => {
                self.spend(values.len() + length(value) / 64)?;
                values.iter().any(|one| one.equals(value))
            }
            Value::Map(entries) => {
                self.spend(entries.len() + length(value) / 64)?;
                matches!(value, Value::String(key) if entries.iter().any(|(name, _)| name == key))
            }
            _ => return Err(MISFIT),
        }))
    }

    fn fold(&self, kind: Macro, range: Value<'a>, body: &'a Node) -> Outcome<'a> {
        let values: Vec<Value<'a>> = match range {
            Value::List(values) => values,
            Value::Map(entries) => entries.into_iter().map(|(name, _)| Value::String(name)).collect(),
            _ => return Err(MISFIT),
        };
        let values = values.into_iter().take(ELEMENTS);
        if kind == Macro::Map {
            return Ok(Value::List(values.map(|value| self.at(body, Some(&value))).collect::<Result<_, _>>()?));
        }
        let (mut kept, mut count, mut fault) = (Vec::new(), 0_usize, None);
        for value in values {
            match self.truth_at(body, Some(&value)) {
                Ok(true) if kind == Macro::Exists => return Ok(Value::Bool(true)),
                Ok(false) if kind == Macro::All => return Ok(Value::Bool(false)),
                Ok(true) if kind == Macro::Filter => kept.push(value),
                Ok(truth) => count += usize::from(truth),
                // Only of these two one element can decide.
                Err(next) if matches!(kind, Macro::Exists | Macro::All) => note(&mut fault, next),
                Err(next) => return Err(next),
            }
        }
        fault.map_or(Ok(()), Err)?;
        Ok(match kind {
            Macro::All => Value::Bool(true),
            Macro::Exists => Value::Bool(false),
            Macro::ExistsOne => Value::Bool(count == 1),
            Macro::Filter | Macro::Map => Value::List(kept),
        })
    }
}

const MISFIT: Fault = Fault::Failed("this cannot be done with values of these types");
const OVERFLOW: Fault = Fault::Failed("a number is too large");

/// The first fault; but one that may go away is more than one that stays.
fn note(fault: &mut Option<Fault>, next: Fault) {
    if fault.is_none() || next == Fault::Unknown {
        *fault = Some(next);
    }
}

fn length(value: &Value<'_>) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::List(values) => values.len() * 64,
        Value::Map(entries) => entries.len() * 64,
        _ => 0,
    }
}

/// The same without a copy of its text.
fn borrow<'a>(value: &'a Value<'static>) -> Value<'a> {
    match value {
        Value::String(text) => Value::String(Cow::Borrowed(text)),
        Value::List(values) => Value::List(values.iter().map(borrow).collect()),
        Value::Map(entries) => {
            Value::Map(entries.iter().map(|(key, value)| (Cow::Borrowed(&**key), borrow(value))).collect())
        }
        Value::Null => Value::Null,
        Value::Bool(value) => Value::Bool(*value),
        Value::Int(value) => Value::Int(*value),
        Value::Uint(value) => Value::Uint(*value),
        Value::Double(value) => Value::Double(*value),
        Value::Duration(value) => Value::Duration(*value),
        Value::Timestamp(value) => Value::Timestamp(*value),
    }
}

fn arithmetic<'a>(operation: Arithmetic, a: Value<'a>, b: Value<'a>) -> Outcome<'a> {
    use Arithmetic as O;
    Ok(match (a, b) {
        (Value::Int(a), Value::Int(b)) => Value::Int(
            match operation {
                O::Add => a.checked_add(b),
                O::Subtract => a.checked_sub(b),
                O::Multiply => a.checked_mul(b),
                O::Divide => a.checked_div(b),
                O::Modulo => a.checked_rem(b),
            }
            .ok_or(OVERFLOW)?,
        ),
        (Value::Uint(a), Value::Uint(b)) => Value::Uint(
            match operation {
                O::Add => a.checked_add(b),
                O::Subtract => a.checked_sub(b),
                O::Multiply => a.checked_mul(b),
                O::Divide => a.checked_div(b),
                O::Modulo => a.checked_rem(b),
            }
            .ok_or(OVERFLOW)?,
        ),
        (Value::Double(a), Value::Double(b)) => Value::Double(match operation {
            O::Add => a + b,
            O::Subtract => a - b,
            O::Multiply => a * b,
            O::Divide => a / b,
            O::Modulo => return Err(MISFIT),
        }),
        (Value::Duration(a), Value::Duration(b)) => Value::Duration(
            match operation {
                O::Add => a.checked_add(b),
                O::Subtract => a.checked_sub(b),
                O::Multiply | O::Divide | O::Modulo => return Err(MISFIT),
            }
            .ok_or(OVERFLOW)?,
        ),
        (Value::Timestamp(a), Value::Duration(b)) => Value::Timestamp(
            match operation {
                O::Add => a.checked_add_signed(b),
                O::Subtract => b.checked_neg().and_then(|b| a.checked_add_signed(b)),
                O::Multiply | O::Divide | O::Modulo => return Err(MISFIT),
            }
            .ok_or(OVERFLOW)?,
        ),
        (Value::Timestamp(a), Value::Timestamp(b)) if operation == O::Subtract => {
            Value::Duration(i64::try_from(i128::from(a) - i128::from(b)).map_err(|_| OVERFLOW)?)
        }
        (Value::String(a), Value::String(b)) if operation == O::Add => Value::String(Cow::Owned(a.into_owned() + &b)),
        (Value::List(mut a), Value::List(b)) if operation == O::Add => {
            a.extend(b);
            Value::List(a)
        }
        _ => return Err(MISFIT),
    })
}
