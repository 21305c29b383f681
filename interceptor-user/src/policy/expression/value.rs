use std::{borrow::Cow, cmp::Ordering, fmt};

/// What an expression may give, as it is known before it is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Any of them: only evaluation tells.
    Dyn,
    /// `null`.
    Null,
    /// `true`, `false`.
    Bool,
    /// 64 bits, signed.
    Int,
    /// 64 bits, unsigned.
    Uint,
    /// IEEE 754, 64 bits.
    Double,
    /// Text.
    String,
    /// A length of time.
    Duration,
    /// A point in time.
    Timestamp,
    /// A list of these.
    List(&'static Self),
    /// A map from text to these.
    Map(&'static Self),
}

impl Type {
    /// A list of elements of this type; of lists and maps the elements are not told apart.
    pub(super) const fn list(self) -> Self {
        Self::List(match self {
            Self::Null => &Self::Null,
            Self::Bool => &Self::Bool,
            Self::Int => &Self::Int,
            Self::Uint => &Self::Uint,
            Self::Double => &Self::Double,
            Self::String => &Self::String,
            Self::Duration => &Self::Duration,
            Self::Timestamp => &Self::Timestamp,
            Self::Dyn | Self::List(_) | Self::Map(_) => &Self::Dyn,
        })
    }

    /// Is it a number?
    pub const fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Uint | Self::Double)
    }

    /// With its article, for sentences.
    pub fn a(self) -> String {
        let vowel = matches!(self, Self::Int | Self::Uint);
        format!("{} {self}", if vowel { "an" } else { "a" })
    }

    /// Could a value of one be equal to one of the other?
    pub(super) fn meets(self, other: Self) -> bool {
        match (self, other) {
            (Self::Dyn | Self::Null, _) | (_, Self::Dyn | Self::Null) => true,
            (Self::List(a), Self::List(b)) | (Self::Map(a), Self::Map(b)) => a.meets(*b),
            _ => self == other || (self.is_number() && other.is_number()),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List(of) => write!(f, "list({of})"),
            Self::Map(of) => write!(f, "map(string, {of})"),
            Self::Dyn => f.write_str("dyn"),
            Self::Null => f.write_str("null"),
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Uint => f.write_str("uint"),
            Self::Double => f.write_str("double"),
            Self::String => f.write_str("string"),
            Self::Duration => f.write_str("duration"),
            Self::Timestamp => f.write_str("timestamp"),
        }
    }
}

/// What an expression gives. Text is borrowed from the exchange where it can be.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "they are those of `Type`")]
pub enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(Cow<'a, str>),
    /// In nanoseconds.
    Duration(i64),
    /// Nanoseconds since the Unix epoch.
    Timestamp(u64),
    List(Vec<Self>),
    Map(Vec<(Cow<'a, str>, Self)>),
}

impl Value<'_> {
    /// CEL's equality: numbers by their value, whatever their type; what differs in type otherwise is not equal.
    pub(super) fn equals(&self, other: &Value<'_>) -> bool {
        match (self, other) {
            (Self::Null, Value::Null) => true,
            (Self::Bool(a), Value::Bool(b)) => a == b,
            (Self::String(a), Value::String(b)) => a == b,
            (Self::Duration(a), Value::Duration(b)) => a == b,
            (Self::Timestamp(a), Value::Timestamp(b)) => a == b,
            (Self::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.equals(b)),
            // No two keys of a map are equal, so one direction is enough.
            (Self::Map(a), Value::Map(b)) => {
                let found = |(key, value): &(Cow<'_, str>, Value<'_>)| {
                    b.iter().any(|(other_key, other)| key == other_key && value.equals(other))
                };
                a.len() == b.len() && a.iter().all(found)
            }
            _ => matches!(self.number_order(other), Some(Some(Ordering::Equal))),
        }
    }

    /// None where these have no order; not a number has none with any.
    #[expect(clippy::option_option, reason = "no order at all, and none of these two")]
    pub(super) fn order(&self, other: &Value<'_>) -> Option<Option<Ordering>> {
        match (self, other) {
            (Self::Bool(a), Value::Bool(b)) => Some(Some(a.cmp(b))),
            (Self::String(a), Value::String(b)) => Some(Some(a.cmp(b))),
            (Self::Duration(a), Value::Duration(b)) => Some(Some(a.cmp(b))),
            (Self::Timestamp(a), Value::Timestamp(b)) => Some(Some(a.cmp(b))),
            _ => self.number_order(other),
        }
    }

    #[expect(clippy::option_option, reason = "as `order`")]
    #[expect(clippy::cast_precision_loss, reason = "as CEL compares an integer with a double")]
    fn number_order(&self, other: &Value<'_>) -> Option<Option<Ordering>> {
        let whole = |value: &Value<'_>| match value {
            Value::Int(number) => Some(i128::from(*number)),
            Value::Uint(number) => Some(i128::from(*number)),
            _ => None,
        };
        let double = |value: &Value<'_>| match value {
            Value::Double(number) => Some(*number),
            value => whole(value).map(|number| number as f64),
        };
        match (whole(self), whole(other)) {
            (Some(a), Some(b)) => Some(Some(a.cmp(&b))),
            _ => Some(double(self)?.partial_cmp(&double(other)?)),
        }
    }
}

/// As it would be written in an expression; a point in time in seconds since the Unix epoch.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Uint(value) => write!(f, "{value}u"),
            Self::Double(value) => write!(f, "{value:?}"),
            Self::String(value) => write!(f, "{value:?}"),
            Self::Duration(nanos) => write!(f, "duration(\"{}\")", Seconds(i128::from(*nanos))),
            Self::Timestamp(nanos) => write!(f, "timestamp({})", Seconds(i128::from(*nanos))),
            Self::List(values) => {
                f.write_str("[")?;
                for (index, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if index > 0 { ", " } else { "" })?;
                }
                f.write_str("]")
            }
            Self::Map(entries) => {
                f.write_str("{")?;
                for (index, (key, value)) in entries.iter().enumerate() {
                    write!(f, "{}{key:?}: {value}", if index > 0 { ", " } else { "" })?;
                }
                f.write_str("}")
            }
        }
    }
}

/// Nanoseconds as seconds with their unit, without zeros at the end.
pub(super) struct Seconds(pub(super) i128);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, nanos) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        let fraction = format!("{:09}", nanos % 1_000_000_000);
        let fraction = fraction.trim_end_matches('0');
        let point = if fraction.is_empty() { "" } else { "." };
        write!(f, "{sign}{}{point}{fraction}s", nanos / 1_000_000_000)
    }
}

/// Why an expression gives nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It depends on what is not known yet.
    Unknown,
    /// This has no value in the exchange: no response, a field that was not sent.
    Absent(&'static str),
    /// There is no such key, or no such index.
    NoSuchKey,
    /// Something cannot be done with the values that came.
    Failed(&'static str),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("not known yet"),
            Self::Absent(name) => write!(f, "there is no {name}"),
            Self::NoSuchKey => f.write_str("there is no such key"),
            Self::Failed(why) => f.write_str(why),
        }
    }
}
