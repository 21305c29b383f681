//! From what the parser gives to what is evaluated: names and types are checked, constants worked out.

use std::borrow::Cow;

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, SourceInfo, operators};
use regex::RegexBuilder;

use super::{
    Problem,
    attribute::Attribute,
    function,
    tree::{Arithmetic, Comparison, Function, Macro, Node},
    value::{Type, Value},
};
use crate::config::closest;

/// Bytes that a compiled pattern may take.
const PATTERN: usize = 1 << 20;

pub(super) struct Checker<'s> {
    pub(super) source: &'s SourceInfo,
    /// The variable of the macro that we are in, and its type.
    element: Option<(String, Type)>,
}

type Typed = Result<(Node, Type), Problem>;

impl<'s> Checker<'s> {
    pub(super) const fn new(source: &'s SourceInfo) -> Self {
        Self { source, element: None }
    }

    fn problem<T>(&self, at: &IdedExpr, text: impl Into<String>) -> Result<T, Problem> {
        let offset = self.start(at);
        Err(Problem { offset, text: text.into() })
    }

    /// Where an expression begins. Of an operator the parser knows the place of the operator.
    fn start(&self, at: &IdedExpr) -> usize {
        let own = self.source.offset_for(at.id).map_or(0, |(start, _)| start as usize);
        match &at.expr {
            Expr::Select(select) => own.min(self.start(&select.operand)),
            Expr::Call(call) => match (&call.target, call.args.first()) {
                (Some(target), _) => own.min(self.start(target)),
                (None, Some(first)) => own.min(self.start(first)),
                (None, None) => own,
            },
            _ => own,
        }
    }

    pub(super) fn expression(&mut self, at: &IdedExpr) -> Typed {
        match &at.expr {
            Expr::Literal(literal) => self.literal(at, literal),
            Expr::Ident(_) | Expr::Select(_) => self.name(at),
            Expr::Call(call) => self.call(at, call),
            Expr::List(list) if list.optional_indices.is_empty() => self.list(&list.elements),
            Expr::List(_) | Expr::Map(_) | Expr::Struct(_) | Expr::Comprehension(_) | Expr::Unspecified => {
                self.problem(at, "maps, messages and optional values cannot be made here")
            }
        }
    }

    fn literal(&self, at: &IdedExpr, literal: &LiteralValue) -> Typed {
        Ok(match literal {
            LiteralValue::Boolean(value) => (Node::Literal(Value::Bool(*value.inner())), Type::Bool),
            LiteralValue::Int(value) => (Node::Literal(Value::Int(*value.inner())), Type::Int),
            LiteralValue::UInt(value) => (Node::Literal(Value::Uint(*value.inner())), Type::Uint),
            LiteralValue::Double(value) => (Node::Literal(Value::Double(*value.inner())), Type::Double),
            LiteralValue::String(text) => {
                (Node::Literal(Value::String(Cow::Owned(text.inner().to_owned()))), Type::String)
            }
            LiteralValue::Null => (Node::Literal(Value::Null), Type::Null),
            LiteralValue::Bytes(_) => return self.problem(at, "bytes are compared with nothing here; write a string"),
        })
    }

    fn list(&mut self, elements: &[IdedExpr]) -> Typed {
        let mut nodes = Vec::with_capacity(elements.len());
        let mut of = None;
        for element in elements {
            let (node, kind) = self.expression(element)?;
            of = Some(of.map_or(kind, |known| if known == kind { kind } else { Type::Dyn }));
            nodes.push(node);
        }
        let kind = of.unwrap_or(Type::Dyn).list();
        let constant: Option<Vec<_>> = nodes.iter().map(|node| constant(node).cloned()).collect();
        Ok((constant.map_or(Node::List(nodes), |values| Node::Literal(Value::List(values))), kind))
    }

    /// A variable, or something in one.
    fn name(&mut self, at: &IdedExpr) -> Typed {
        if let Some(path) = path(at) {
            if let Some((_, kind)) = self.element.as_ref().filter(|(name, _)| *name == path) {
                return Ok((Node::Element, *kind));
            }
            if let Some(attribute) = Attribute::named(&path) {
                return Ok((Node::Attribute(attribute), attribute.kind()));
            }
            let root = path.split('.').next().unwrap_or_default();
            let of_element = self.element.as_ref().is_some_and(|(name, _)| name == root);
            if Attribute::is_prefix(&path) && !of_element {
                let fields = names(Attribute::below(&path));
                return self.problem(at, format!("`{path}` is no value; it has {fields}"));
            }
        }
        let Expr::Select(select) = &at.expr else {
            return self.unknown(at, None, &path(at).unwrap_or_default());
        };
        if let Some(operand) = path(&select.operand)
            && self.element.as_ref().is_none_or(|(name, _)| *name != operand)
            && Attribute::named(&operand).is_none()
            && Attribute::is_prefix(&operand)
        {
            return self.unknown(at, Some(&operand), &select.field);
        }
        let (operand, kind) = self.expression(&select.operand)?;
        self.field(at, operand, kind, &select.field)
    }

    fn field(&self, at: &IdedExpr, operand: Node, kind: Type, field: &str) -> Typed {
        match (operand, kind) {
            (Node::Attribute(attribute), Type::Map(&Type::String)) => {
                Ok((Node::Field(attribute, field.to_ascii_lowercase().into()), Type::String))
            }
            (operand, Type::Map(of)) => Ok((index(operand, field), *of)),
            (operand, Type::Dyn) => Ok((index(operand, field), Type::Dyn)),
            (_, kind) => self.problem(at, format!("{} has no field `{field}`", kind.a())),
        }
    }

    fn unknown(&self, at: &IdedExpr, parent: Option<&str>, name: &str) -> Typed {
        let known: Vec<&str> = match parent {
            Some(parent) => Attribute::below(parent).collect(),
            None => Attribute::ALL.iter().filter_map(|attribute| attribute.path().split('.').next()).collect(),
        };
        let whole = parent.map_or_else(|| name.to_owned(), |parent| format!("{parent}.{name}"));
        let text = match (closest(name, known.iter().copied()), parent) {
            (Some(meant), Some(parent)) => format!("unknown field `{whole}`; did you mean `{parent}.{meant}`?"),
            (Some(meant), None) => format!("unknown variable `{whole}`; did you mean `{meant}`?"),
            (None, Some(parent)) => {
                format!("unknown field `{whole}`; `{parent}` has {}", names(known.iter().copied()))
            }
            (None, None) => format!("unknown variable `{whole}`; there are {}", names(known.iter().copied())),
        };
        self.problem(at, text)
    }

    fn call(&mut self, at: &IdedExpr, call: &CallExpr) -> Typed {
        if let Some(target) = &call.target {
            return self.member(at, target, call);
        }
        match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::LOGICAL_AND, [a, b]) => self.logic(a, b, "&&"),
            (operators::LOGICAL_OR, [a, b]) => self.logic(a, b, "||"),
            (operators::LOGICAL_NOT, [of]) => Ok((Node::Not(Box::new(self.condition(of, "!")?)), Type::Bool)),
            (operators::NEGATE, [of]) => self.negative(at, of),
            (operators::CONDITIONAL, [condition, then, otherwise]) => {
                let condition = self.condition(condition, "?:")?;
                let ((then, a), (otherwise, b)) = (self.expression(then)?, self.expression(otherwise)?);
                let kind = if a == b { a } else { Type::Dyn };
                Ok((Node::Conditional(Box::new([condition, then, otherwise])), kind))
            }
            (operators::EQUALS, [a, b]) => self.equal(at, a, b, true),
            (operators::NOT_EQUALS, [a, b]) => self.equal(at, a, b, false),
            (operators::LESS, [a, b]) => self.compare(at, a, b, Comparison::Less),
            (operators::LESS_EQUALS, [a, b]) => self.compare(at, a, b, Comparison::LessOrEqual),
            (operators::GREATER, [a, b]) => self.compare(at, a, b, Comparison::Greater),
            (operators::GREATER_EQUALS, [a, b]) => self.compare(at, a, b, Comparison::GreaterOrEqual),
            (operators::IN, [a, b]) => self.is_in(at, a, b),
            (operators::ADD, [a, b]) => self.arithmetic(at, a, b, Arithmetic::Add),
            (operators::SUBSTRACT, [a, b]) => self.arithmetic(at, a, b, Arithmetic::Subtract),
            (operators::MULTIPLY, [a, b]) => self.arithmetic(at, a, b, Arithmetic::Multiply),
            (operators::DIVIDE, [a, b]) => self.arithmetic(at, a, b, Arithmetic::Divide),
            (operators::MODULO, [a, b]) => self.arithmetic(at, a, b, Arithmetic::Modulo),
            (operators::INDEX, [a, b]) => self.index(at, a, b),
            (operators::HAS, [of]) => self.has(at, of),
            (name, arguments) => self.function(at, name, false, arguments.iter()),
        }
    }

    fn has(&mut self, at: &IdedExpr, of: &IdedExpr) -> Typed {
        if !matches!(of.expr, Expr::Select(_)) {
            return self.problem(at, "has() takes a field, such as has(request.headers.authorization); of other names: 'x-api-key' in request.headers");
        }
        let (node, _) = self.expression(of)?;
        Ok((Node::Has(Box::new(node)), Type::Bool))
    }

    fn condition(&mut self, at: &IdedExpr, of: &str) -> Result<Node, Problem> {
        match self.expression(at)? {
            (node, Type::Bool | Type::Dyn) => Ok(node),
            (_, kind) => self.problem(at, format!("`{of}` takes a bool, this is {}", kind.a())),
        }
    }

    fn logic(&mut self, a: &IdedExpr, b: &IdedExpr, operator: &str) -> Typed {
        let (a, b) = (self.condition(a, operator)?, self.condition(b, operator)?);
        let all = operator == "&&";
        // What is on one level is evaluated on one level.
        let mut nodes = Vec::new();
        for node in [a, b] {
            match node {
                Node::All(inner) if all => nodes.extend(inner),
                Node::Any(inner) if !all => nodes.extend(inner),
                other => nodes.push(other),
            }
        }
        Ok((if all { Node::All(nodes) } else { Node::Any(nodes) }, Type::Bool))
    }

    fn negative(&mut self, at: &IdedExpr, of: &IdedExpr) -> Typed {
        match self.expression(of)? {
            (node, kind @ (Type::Int | Type::Double | Type::Dyn)) => Ok((Node::Negative(Box::new(node)), kind)),
            (_, kind) => self.problem(at, format!("{} has no negative", kind.a())),
        }
    }

    fn equal(&mut self, at: &IdedExpr, a: &IdedExpr, b: &IdedExpr, expected: bool) -> Typed {
        let (left, right) = (self.expression(a)?, self.expression(b)?);
        if !left.1.meets(right.1) {
            return self.problem(at, format!("{} is never equal to {}", left.1.a(), right.1.a()));
        }
        self.possible(b, &left.0, &right.0)?;
        self.possible(a, &right.0, &left.0)?;
        Ok((Node::Equal(Box::new((left.0, right.0)), expected), Type::Bool))
    }

    /// Is a constant among the values that an attribute can have?
    fn possible(&self, at: &IdedExpr, attribute: &Node, constant: &Node) -> Result<(), Problem> {
        let (Node::Attribute(attribute), Node::Literal(constant)) = (attribute, constant) else { return Ok(()) };
        let Some(allowed) = attribute.allowed() else { return Ok(()) };
        let values = match constant {
            Value::List(values) => values.as_slice(),
            other => std::slice::from_ref(other),
        };
        for value in values {
            if let Value::String(text) = value
                && !allowed.contains(&&**text)
            {
                return self
                    .problem(at, format!("{}: {}", attribute.path(), crate::config::not_allowed(text, &allowed)));
            }
        }
        Ok(())
    }

    fn compare(&mut self, at: &IdedExpr, a: &IdedExpr, b: &IdedExpr, comparison: Comparison) -> Typed {
        let (left, right) = (self.expression(a)?, self.expression(b)?);
        let ordered = |kind| !matches!(kind, Type::Null | Type::List(_) | Type::Map(_));
        if !left.1.meets(right.1) || !ordered(left.1) || !ordered(right.1) {
            return self.problem(at, format!("{} cannot be compared with {}", left.1.a(), right.1.a()));
        }
        Ok((Node::Compare(Box::new((left.0, right.0)), comparison), Type::Bool))
    }

    fn is_in(&mut self, at: &IdedExpr, a: &IdedExpr, b: &IdedExpr) -> Typed {
        let (left, right) = (self.expression(a)?, self.expression(b)?);
        let fits = match right.1 {
            Type::List(of) => left.1.meets(*of),
            Type::Map(_) => left.1.meets(Type::String),
            Type::Dyn => true,
            _ => false,
        };
        if !fits {
            return self.problem(at, format!("{} is never in {}", left.1.a(), right.1.a()));
        }
        self.possible(b, &left.0, &right.0)?;
        self.possible(a, &right.0, &left.0)?;
        // Names of header fields are in lower case.
        if let (Node::Literal(Value::String(name)), Node::Attribute(fields)) = (&left.0, &right.0)
            && right.1 == Type::Map(&Type::String)
        {
            let field = Node::Field(*fields, name.to_ascii_lowercase().into());
            return Ok((Node::Has(Box::new(field)), Type::Bool));
        }
        Ok((Node::In(Box::new((left.0, right.0))), Type::Bool))
    }

    fn arithmetic(&mut self, at: &IdedExpr, a: &IdedExpr, b: &IdedExpr, operation: Arithmetic) -> Typed {
        use Arithmetic as O;
        let (left, right) = (self.expression(a)?, self.expression(b)?);
        let kind = match (left.1, operation, right.1) {
            (Type::Dyn, _, _) | (_, _, Type::Dyn) => Some(Type::Dyn),
            (Type::Int, _, Type::Int) => Some(Type::Int),
            (Type::Uint, _, Type::Uint) => Some(Type::Uint),
            (Type::Double, O::Add | O::Subtract | O::Multiply | O::Divide, Type::Double) => Some(Type::Double),
            (Type::Duration, O::Add | O::Subtract, Type::Duration)
            | (Type::Timestamp, O::Subtract, Type::Timestamp) => Some(Type::Duration),
            (Type::Timestamp, O::Add | O::Subtract, Type::Duration) => Some(Type::Timestamp),
            (Type::String, O::Add, Type::String) => Some(Type::String),
            (Type::List(a), O::Add, Type::List(b)) => Some(if a == b { left.1 } else { Type::List(&Type::Dyn) }),
            _ => None,
        };
        let Some(kind) = kind else {
            let mixed = left.1.is_number() && right.1.is_number();
            let hint = if mixed { "; int(), uint() and double() convert" } else { "" };
            return self.problem(at, format!("this cannot be done with {} and {}{hint}", left.1.a(), right.1.a()));
        };
        Ok((Node::Arithmetic(Box::new((left.0, right.0)), operation), kind))
    }

    fn index(&mut self, at: &IdedExpr, a: &IdedExpr, b: &IdedExpr) -> Typed {
        let ((node, kind), (key, by)) = (self.expression(a)?, self.expression(b)?);
        match (kind, by) {
            (Type::Map(&Type::String), Type::String) => {
                if let (Node::Attribute(attribute), Node::Literal(Value::String(name))) = (&node, &key) {
                    return Ok((Node::Field(*attribute, name.to_ascii_lowercase().into()), Type::String));
                }
                Ok((Node::Index(Box::new((node, key))), Type::String))
            }
            (Type::Map(of), Type::String | Type::Dyn) | (Type::List(of), Type::Int | Type::Dyn) => {
                Ok((Node::Index(Box::new((node, key))), *of))
            }
            (Type::Dyn, _) => Ok((Node::Index(Box::new((node, key))), Type::Dyn)),
            _ => self.problem(at, format!("{} has no elements by {}", kind.a(), by.a())),
        }
    }

    fn member(&mut self, at: &IdedExpr, target: &IdedExpr, call: &CallExpr) -> Typed {
        let arguments = call.args.as_slice();
        if let Some((_, kind)) = Macro::ALL.into_iter().find(|(name, _)| *name == call.func_name) {
            return self.macro_call(at, kind, target, arguments);
        }
        if call.func_name == "matches" {
            return self.matches(at, target, arguments);
        }
        // As Kubernetes writes it: the network first.
        if call.func_name == Function::ContainsIp.name()
            && let (Expr::Call(network), [address]) = (&target.expr, arguments)
            && let ("cidr", None, [network]) = (network.func_name.as_str(), &network.target, network.args.as_slice())
        {
            if let Expr::Literal(LiteralValue::String(text)) = &network.expr
                && let Err(why) = text.inner().parse::<crate::model::Cidr>()
            {
                return self.problem(network, format!("`{}`: {why}", text.inner()));
            }
            return self.function(at, Function::ContainsIp.name(), true, [address, network].into_iter());
        }
        if call.func_name == Function::Size.name() {
            return self.function(at, &call.func_name, false, [target].into_iter().chain(arguments));
        }
        self.function(at, &call.func_name, true, [target].into_iter().chain(arguments))
    }

    fn macro_call(&mut self, at: &IdedExpr, kind: Macro, target: &IdedExpr, arguments: &[IdedExpr]) -> Typed {
        let [IdedExpr { expr: Expr::Ident(variable), .. }, body] = arguments else {
            return self.problem(at, "this takes a name for the element and an expression: list.exists(x, x == 'a')");
        };
        if self.element.is_some() {
            return self.problem(at, "one such macro inside another is not allowed, as it could take too long");
        }
        let (range, of) = self.expression(target)?;
        let element = match of {
            Type::List(of) => *of,
            Type::Map(_) => Type::String,
            Type::Dyn => Type::Dyn,
            other => return self.problem(target, format!("{} has no elements", other.a())),
        };
        self.element = Some((variable.clone(), element));
        let body = match kind {
            Macro::Map => self.expression(body),
            _ => self.condition(body, "the expression of each element").map(|node| (node, Type::Bool)),
        };
        self.element = None;
        let (body, result) = body?;
        let kind_of_all = match kind {
            Macro::Map => result.list(),
            Macro::Filter => element.list(),
            Macro::All | Macro::Exists | Macro::ExistsOne => Type::Bool,
        };
        Ok((Node::Macro(kind, Box::new((range, body))), kind_of_all))
    }

    fn matches(&mut self, at: &IdedExpr, target: &IdedExpr, arguments: &[IdedExpr]) -> Typed {
        let (node, kind) = self.expression(target)?;
        if !matches!(kind, Type::String | Type::Dyn) {
            return self.problem(at, format!("matches() is for a string, this is {}", kind.a()));
        }
        let [pattern] = arguments else { return self.problem(at, "matches() takes one pattern") };
        let Expr::Literal(LiteralValue::String(text)) = &pattern.expr else {
            return self
                .problem(pattern, "the pattern has to be written out, so that it can be checked before it is used");
        };
        match RegexBuilder::new(text.inner()).size_limit(PATTERN).build() {
            Ok(regex) => Ok((Node::Matches(Box::new(node), Box::new(regex)), Type::Bool)),
            Err(error) => {
                let error = error.to_string();
                let why = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
                self.problem(pattern, format!("the pattern is not RE2's: {why}"))
            }
        }
    }

    fn function<'e>(
        &mut self,
        at: &IdedExpr,
        name: &str,
        member: bool,
        arguments: impl Iterator<Item = &'e IdedExpr>,
    ) -> Typed {
        let Some(function) = Function::ALL.iter().copied().find(|known| known.name() == name) else {
            let known = Function::ALL.iter().map(|known| known.name());
            let known = known.chain(Macro::ALL.map(|(name, _)| name)).chain(["has", "matches", "cidr"]);
            let meant = closest(name, known).map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default();
            return self.problem(at, format!("unknown function `{name}`{meant}"));
        };
        if function.is_member() != member {
            return self.problem(at, format!("`{name}` is called so: {}", function.doc()));
        }
        let mut nodes = Vec::new();
        let mut types = Vec::new();
        for argument in arguments {
            let (node, kind) = self.expression(argument)?;
            nodes.push(node);
            types.push(kind);
        }
        let Some(kind) = function::result(function, &types) else {
            let given: Vec<String> = types.iter().map(ToString::to_string).collect();
            return self.problem(at, format!("`{name}` does not take ({}): {}", given.join(", "), function.doc()));
        };
        let constants: Option<Vec<_>> = nodes.iter().map(|node| constant(node).cloned()).collect();
        let Some(constants) = constants else { return Ok((Node::Call(function, nodes), kind)) };
        match function::call(function, &constants) {
            Ok(value) => Ok((Node::Literal(value), kind)),
            Err(_) => self.problem(at, format!("this value is not one of those of {}", function.doc())),
        }
    }
}

fn index(operand: Node, field: &str) -> Node {
    Node::Index(Box::new((operand, Node::Literal(Value::String(Cow::Owned(field.to_owned()))))))
}

const fn constant(node: &Node) -> Option<&Value<'static>> {
    match node {
        Node::Literal(value) => Some(value),
        _ => None,
    }
}

/// `a.b.c`, where it is nothing else.
fn path(at: &IdedExpr) -> Option<String> {
    match &at.expr {
        Expr::Ident(name) => Some(name.clone()),
        Expr::Select(select) if !select.test => Some(path(&select.operand)? + "." + &select.field),
        _ => None,
    }
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut all: Vec<&str> = names.collect();
    all.dedup();
    all.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
