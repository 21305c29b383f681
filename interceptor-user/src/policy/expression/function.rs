use std::{borrow::Cow, net::IpAddr};

use super::{
    tree::Function,
    value::{Fault, Seconds, Type, Value},
};
use crate::model::Cidr;

const MISFIT: Fault = Fault::Failed("a function was called with values of other types");
const UNREADABLE: Fault = Fault::Failed("text cannot be read as such a value");

/// What a function gives for arguments of these types; None where it takes none such.
pub(super) fn result(function: Function, arguments: &[Type]) -> Option<Type> {
    use Function as F;
    let is = |given: &Type, wanted: &[Type]| *given == Type::Dyn || wanted.contains(given);
    let string = |given| is(given, &[Type::String]);
    match (function, arguments) {
        (F::Size, [of]) => (string(of) || matches!(of, Type::List(_) | Type::Map(_))).then_some(Type::Int),
        (F::Contains | F::StartsWith | F::EndsWith | F::ContainsIp, [text, part]) => {
            (string(text) && string(part)).then_some(Type::Bool)
        }
        (F::LowerAscii | F::UpperAscii | F::Trim, [text]) => string(text).then_some(Type::String),
        (F::Int, [of]) => {
            is(of, &[Type::Int, Type::Uint, Type::Double, Type::String, Type::Timestamp]).then_some(Type::Int)
        }
        (F::Uint, [of]) => is(of, &[Type::Int, Type::Uint, Type::Double, Type::String]).then_some(Type::Uint),
        (F::Double, [of]) => is(of, &[Type::Int, Type::Uint, Type::Double, Type::String]).then_some(Type::Double),
        (F::String, [of]) => is(of, &[Type::Bool, Type::Int, Type::Uint, Type::Double, Type::String, Type::Duration])
            .then_some(Type::String),
        (F::Duration, [of]) => is(of, &[Type::String, Type::Duration]).then_some(Type::Duration),
        (F::Timestamp, [of]) => is(of, &[Type::String, Type::Timestamp]).then_some(Type::Timestamp),
        (F::GetHours | F::GetMinutes | F::GetSeconds | F::GetMilliseconds, [of]) => {
            is(of, &[Type::Duration]).then_some(Type::Int)
        }
        _ => None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "as CEL converts")]
pub(super) fn call<'a>(function: Function, arguments: &[Value<'a>]) -> Result<Value<'a>, Fault> {
    use Function as F;
    Ok(match (function, arguments) {
        (F::Size, [of]) => Value::Int(size(of)?),
        (F::Contains, [Value::String(text), Value::String(part)]) => Value::Bool(text.contains(&**part)),
        (F::StartsWith, [Value::String(text), Value::String(part)]) => Value::Bool(text.starts_with(&**part)),
        (F::EndsWith, [Value::String(text), Value::String(part)]) => Value::Bool(text.ends_with(&**part)),
        (F::ContainsIp, [Value::String(address), Value::String(network)]) => {
            let address: IpAddr = address.parse().map_err(|_| UNREADABLE)?;
            let network: Cidr = network.parse().map_err(|_| UNREADABLE)?;
            Value::Bool(contains(network, address))
        }
        (F::LowerAscii, [Value::String(text)]) => Value::String(Cow::Owned(text.to_ascii_lowercase())),
        (F::UpperAscii, [Value::String(text)]) => Value::String(Cow::Owned(text.to_ascii_uppercase())),
        (F::Trim, [Value::String(text)]) => Value::String(Cow::Owned(text.trim().to_owned())),
        (F::Int, [value]) => Value::Int(int(value)?),
        (F::Uint, [value]) => Value::Uint(match value {
            Value::Uint(number) => *number,
            Value::String(text) => text.parse().map_err(|_| UNREADABLE)?,
            value => u64::try_from(int(value)?).map_err(|_| Fault::Failed("a number is negative"))?,
        }),
        (F::Double, [value]) => Value::Double(match value {
            Value::Double(number) => *number,
            Value::Int(number) => *number as f64,
            Value::Uint(number) => *number as f64,
            Value::String(text) => text.parse().map_err(|_| UNREADABLE)?,
            _ => return Err(MISFIT),
        }),
        (F::String, [value]) => Value::String(match value {
            Value::String(text) => text.clone(),
            Value::Bool(value) => Cow::Owned(value.to_string()),
            Value::Int(number) => Cow::Owned(number.to_string()),
            Value::Uint(number) => Cow::Owned(number.to_string()),
            Value::Double(number) => Cow::Owned(number.to_string()),
            Value::Duration(nanos) => Cow::Owned(Seconds(i128::from(*nanos)).to_string()),
            _ => return Err(MISFIT),
        }),
        (F::Duration, [Value::String(text)]) => Value::Duration(duration(text).ok_or(UNREADABLE)?),
        (F::Timestamp, [Value::String(text)]) => Value::Timestamp(timestamp(text).ok_or(UNREADABLE)?),
        (F::Duration, [Value::Duration(nanos)]) => Value::Duration(*nanos),
        (F::Timestamp, [Value::Timestamp(nanos)]) => Value::Timestamp(*nanos),
        (F::GetHours, [Value::Duration(nanos)]) => Value::Int(nanos / 3_600_000_000_000),
        (F::GetMinutes, [Value::Duration(nanos)]) => Value::Int(nanos / 60_000_000_000),
        (F::GetSeconds, [Value::Duration(nanos)]) => Value::Int(nanos / 1_000_000_000),
        (F::GetMilliseconds, [Value::Duration(nanos)]) => Value::Int(nanos / 1_000_000 % 1000),
        _ => return Err(MISFIT),
    })
}

fn contains(network: Cidr, address: IpAddr) -> bool {
    let (first, prefix) = network.mapped();
    let address = match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    (first.to_bits() ^ address.to_bits()).checked_shr(128 - prefix).unwrap_or(0) == 0
}

fn size(value: &Value<'_>) -> Result<i64, Fault> {
    let size = match value {
        Value::String(text) => text.chars().count(),
        Value::List(values) => values.len(),
        Value::Map(entries) => entries.len(),
        _ => return Err(MISFIT),
    };
    Ok(i64::try_from(size).unwrap_or(i64::MAX))
}

#[expect(clippy::cast_precision_loss, reason = "the bounds are powers of two, so exact")]
fn int(value: &Value<'_>) -> Result<i64, Fault> {
    const TOO_LARGE: Fault = Fault::Failed("a number is too large");
    Ok(match value {
        Value::Int(number) => *number,
        Value::Uint(number) => i64::try_from(*number).map_err(|_| TOO_LARGE)?,
        Value::Double(number) if *number > i64::MIN as f64 && *number < i64::MAX as f64 => *number as i64,
        Value::Double(_) => return Err(TOO_LARGE),
        Value::String(text) => text.parse().map_err(|_| UNREADABLE)?,
        Value::Timestamp(nanos) => i64::try_from(nanos / 1_000_000_000).map_err(|_| TOO_LARGE)?,
        _ => return Err(MISFIT),
    })
}

/// As Go writes durations: `1h30m`, `1.5s`, `-3ms`. In nanoseconds.
pub(super) fn duration(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut sum: i128 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at_checked(digits).filter(|(number, _)| number.len() <= 30)?;
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(end)?;
        let unit: i128 = match unit {
            "h" => 3_600_000_000_000,
            "m" => 60_000_000_000,
            "s" => 1_000_000_000,
            "ms" => 1_000_000,
            "us" | "µs" | "μs" => 1000,
            "ns" => 1,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
            return None;
        }
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        sum = sum.checked_add(whole.checked_mul(unit)?)?;
        let fraction = fraction.get(..fraction.len().min(12))?;
        if !fraction.is_empty() {
            let scale = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
            sum = sum.checked_add(fraction.parse::<i128>().ok()? * unit / scale)?;
        }
        rest = after;
    }
    (!text.is_empty()).then(|| i64::try_from(sign * sum).ok()).flatten()
}

/// RFC 3339; in nanoseconds since the Unix epoch.
pub(super) fn timestamp(text: &str) -> Option<u64> {
    let time: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(time.as_nanosecond()).ok()
}
