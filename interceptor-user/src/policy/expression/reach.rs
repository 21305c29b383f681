//! Which connections a condition may be true of, by its form alone.

use super::{
    attribute::Attribute,
    tree::{Comparison, Function, Node},
    value::Value,
};
use crate::model::{Cidr, Networks, Ports, Reach};

/// Connections of which this may be true.
pub(super) fn reach(node: &Node) -> Reach {
    Ends::of(node, true).reach()
}

/// What client and server may be. What is true of ports is kept apart from what is true of addresses.
#[derive(Clone)]
struct Ends {
    source: Reach,
    destination: Reach,
}

impl Ends {
    fn all() -> Self {
        Self { source: Reach::all(), destination: Reach::all() }
    }

    fn none() -> Self {
        Self { source: Reach::none(), destination: Reach::none() }
    }

    /// Of which `node` may give `truth`. A fault is neither true nor false, and what is not looked at may be both.
    fn of(node: &Node, truth: bool) -> Self {
        match node {
            Node::Literal(Value::Bool(value)) if *value != truth => Self::none(),
            Node::Not(node) => Self::of(node, !truth),
            Node::All(nodes) if truth => Self::each(nodes, truth),
            Node::Any(nodes) if !truth => Self::each(nodes, truth),
            Node::All(nodes) | Node::Any(nodes) => {
                nodes.iter().map(|node| Self::of(node, truth)).fold(Self::none(), Self::or)
            }
            Node::Equal(pair, expected) => Self::equal(pair, *expected == truth),
            Node::Compare(pair, comparison) => Self::compare(pair, *comparison, truth),
            Node::In(pair) => Self::is_in(pair, truth),
            Node::Call(Function::ContainsIp, arguments) if truth => match arguments.as_slice() {
                [Node::Attribute(attribute), Node::Literal(network)] => Self::addresses(*attribute, [network]),
                _ => Self::all(),
            },
            _ => Self::all(),
        }
    }

    fn each(nodes: &[Node], truth: bool) -> Self {
        nodes.iter().map(|node| Self::of(node, truth)).fold(Self::all(), Self::and)
    }

    fn equal(pair: &(Node, Node), truth: bool) -> Self {
        let ((Node::Attribute(attribute), Node::Literal(value)) | (Node::Literal(value), Node::Attribute(attribute))) =
            pair
        else {
            return Self::all();
        };
        Self::one_of(*attribute, std::slice::from_ref(value), truth)
    }

    fn compare(pair: &(Node, Node), comparison: Comparison, truth: bool) -> Self {
        let (attribute, ports): (_, Ports) = match pair {
            (Node::Attribute(attribute), Node::Literal(Value::Int(than))) => {
                let holds = |port: &u16| comparison.holds(i64::from(*port).cmp(than)) == truth;
                (*attribute, (0..=u16::MAX).filter(holds).collect())
            }
            (Node::Literal(Value::Int(than)), Node::Attribute(attribute)) => {
                let holds = |port: &u16| comparison.holds(than.cmp(&i64::from(*port))) == truth;
                (*attribute, (0..=u16::MAX).filter(holds).collect())
            }
            _ => return Self::all(),
        };
        Self::ports(attribute, ports)
    }

    fn is_in(pair: &(Node, Node), truth: bool) -> Self {
        match pair {
            (Node::Attribute(attribute), Node::Literal(Value::List(values))) => Self::one_of(*attribute, values, truth),
            _ => Self::all(),
        }
    }

    /// Of which the attribute is, or is not, one of these values.
    fn one_of(attribute: Attribute, values: &[Value<'_>], truth: bool) -> Self {
        match attribute {
            Attribute::SourcePort | Attribute::DestinationPort => {
                let mut ports = Ports::none();
                for value in values {
                    let Value::Int(value) = value else { return Self::all() };
                    // What is no port equals none.
                    if let Ok(port) = u16::try_from(*value) {
                        ports.insert(port);
                    }
                }
                Self::ports(attribute, if truth { ports } else { ports.others() })
            }
            _ if truth => Self::addresses(attribute, values),
            _ => Self::all(),
        }
    }

    fn ports(attribute: Attribute, ports: Ports) -> Self {
        let end = Reach { ports, networks: Networks::All };
        match attribute {
            Attribute::SourcePort => Self { source: end, ..Self::all() },
            Attribute::DestinationPort => Self { destination: end, ..Self::all() },
            _ => Self::all(),
        }
        .settled()
    }

    fn addresses<'v>(attribute: Attribute, values: impl IntoIterator<Item = &'v Value<'v>>) -> Self {
        let network = |value: &Value<'_>| match value {
            Value::String(text) => text.parse::<Cidr>().ok(),
            _ => None,
        };
        let Some(networks) = values.into_iter().map(network).collect::<Option<Vec<_>>>() else { return Self::all() };
        let end = Reach { ports: Ports::all(), networks: Networks::All.and(Networks::Of(networks)) };
        match attribute {
            Attribute::SourceIp => Self { source: end, ..Self::all() },
            Attribute::DestinationIp => Self { destination: end, ..Self::all() },
            _ => Self::all(),
        }
        .settled()
    }

    fn and(self, other: Self) -> Self {
        let both = |one: Reach, other: Reach| Reach {
            ports: one.ports.and(&other.ports),
            networks: one.networks.and(other.networks),
        };
        Self { source: both(self.source, other.source), destination: both(self.destination, other.destination) }
            .settled()
    }

    fn or(self, other: Self) -> Self {
        // Nothing at all on one side: nothing to be added, whatever is left of its other parts.
        if self.is_none() {
            return other;
        }
        if other.is_none() {
            return self;
        }
        Self { source: self.source.or(other.source), destination: self.destination.or(other.destination) }
    }

    fn is_none(&self) -> bool {
        self.source.is_none() || self.destination.is_none()
    }

    fn settled(self) -> Self {
        if self.is_none() { Self::none() } else { self }
    }

    /// Who is client and who is server may turn out late, so either end counts; the one that is known more narrowly.
    fn reach(self) -> Reach {
        let Self { source, destination } = self;
        let ports = if source.ports.count() < destination.ports.count() { source.ports } else { destination.ports };
        let width = |networks: &Networks| networks.count().unwrap_or(usize::MAX);
        let networks =
            if width(&source.networks) < width(&destination.networks) { source.networks } else { destination.networks };
        Reach { ports, networks }
    }
}
