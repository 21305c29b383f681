use std::cmp::Ordering;

use regex::Regex;

use super::{attribute::Attribute, value::Value};

/// An expression that was checked: names are known, types fit, what is constant is worked out.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Literal(Value<'static>),
    Attribute(Attribute),
    /// A field of headers or trailers, by its name in lower case.
    Field(Attribute, Box<str>),
    /// The element that a macro is at.
    Element,
    Index(Box<(Self, Self)>),
    Has(Box<Self>),
    Not(Box<Self>),
    All(Vec<Self>),
    Any(Vec<Self>),
    Conditional(Box<[Self; 3]>),
    Equal(Box<(Self, Self)>, bool),
    Compare(Box<(Self, Self)>, Comparison),
    In(Box<(Self, Self)>),
    Arithmetic(Box<(Self, Self)>, Arithmetic),
    Negative(Box<Self>),
    List(Vec<Self>),
    Matches(Box<Self>, Box<Regex>),
    Call(Function, Vec<Self>),
    Macro(Macro, Box<(Self, Self)>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    pub(super) const fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Macro {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
}

impl Macro {
    pub(super) const ALL: [(&'static str, Self); 5] = [
        ("all", Self::All),
        ("exists", Self::Exists),
        ("exists_one", Self::ExistsOne),
        ("filter", Self::Filter),
        ("map", Self::Map),
    ];
}

macro_rules! functions {
    ($($name:ident = $text:literal, $member:literal, $doc:literal;)*) => {
        /// A function of CEL's standard definitions, or of its extensions for strings.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Function { $($name,)* }

        impl Function {
            pub(super) const ALL: &'static [Self] = &[$(Self::$name,)*];

            pub(super) const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Is it called on its first argument?
            pub(super) const fn is_member(self) -> bool {
                match self { $(Self::$name => $member,)* }
            }

            pub(super) const fn doc(self) -> &'static str {
                match self { $(Self::$name => $doc,)* }
            }
        }
    };
}

functions! {
    Size = "size", false, "size(x), x.size(): characters of a string, elements of a list or a map";
    Contains = "contains", true, "string.contains(string)";
    StartsWith = "startsWith", true, "string.startsWith(string)";
    EndsWith = "endsWith", true, "string.endsWith(string)";
    LowerAscii = "lowerAscii", true, "string.lowerAscii(): A-Z as a-z";
    UpperAscii = "upperAscii", true, "string.upperAscii(): a-z as A-Z";
    Trim = "trim", true, "string.trim(): without white space around it";
    Int = "int", false, "int(x): of a number or a string; of a timestamp seconds since the Unix epoch";
    Uint = "uint", false, "uint(x): of a number or a string";
    Double = "double", false, "double(x): of a number or a string";
    String = "string", false, "string(x): of a number, a truth value, a duration";
    Duration = "duration", false, "duration('1.5s'): h, m, s, ms, us, ns";
    Timestamp = "timestamp", false, "timestamp('2026-01-01T00:00:00Z'): RFC 3339";
    GetHours = "getHours", true, "duration.getHours(): in whole hours";
    GetMinutes = "getMinutes", true, "duration.getMinutes(): in whole minutes";
    GetSeconds = "getSeconds", true, "duration.getSeconds(): in whole seconds";
    GetMilliseconds = "getMilliseconds", true, "duration.getMilliseconds(): what is left of it below a second";
    ContainsIp = "containsIP", true, "cidr('10.0.0.0/8').containsIP(string): is it an address of this network?";
}

impl Node {
    /// The sides of a conjunction; the expression itself where it is none.
    pub(super) fn conjuncts(&self) -> &[Self] {
        match self {
            Self::All(nodes) => nodes,
            other => std::slice::from_ref(other),
        }
    }

    /// Every node below and including this one.
    pub(super) fn walk(&self, visit: &mut impl FnMut(&Self)) {
        visit(self);
        match self {
            Self::Literal(_) | Self::Attribute(_) | Self::Field(..) | Self::Element => {}
            Self::Has(node) | Self::Not(node) | Self::Negative(node) | Self::Matches(node, _) => node.walk(visit),
            Self::All(nodes) | Self::Any(nodes) | Self::List(nodes) | Self::Call(_, nodes) => {
                for node in nodes {
                    node.walk(visit);
                }
            }
            Self::Conditional(nodes) => nodes.iter().for_each(|node| node.walk(visit)),
            Self::Index(pair)
            | Self::Equal(pair, _)
            | Self::Compare(pair, _)
            | Self::In(pair)
            | Self::Arithmetic(pair, _)
            | Self::Macro(_, pair) => {
                pair.0.walk(visit);
                pair.1.walk(visit);
            }
        }
    }
}
