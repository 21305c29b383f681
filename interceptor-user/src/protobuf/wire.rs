//! Reads what protobuf puts on the wire: fields, each a number and a value
//! (<https://protobuf.dev/programming-guides/encoding/>). Any bytes give fields, and how they end.

/// The largest field number.
const NUMBER_MAX: u32 = (1 << 29) - 1;
/// Groups within groups.
const GROUPS: usize = 64;
/// Fields of one message; the rest of it is left out.
const FIELDS: usize = 1 << 16;

/// What a field holds, as far as the wire tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed32(u32),
    Fixed64(u64),
    /// A string, bytes, a message or packed numbers.
    Bytes(&'a [u8]),
    /// The fields between a start and an end tag.
    Group(&'a [u8]),
}

/// One field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Field<'a> {
    pub(crate) number: u32,
    pub(crate) value: Value<'a>,
    /// The bytes end before it does.
    pub(crate) cut: bool,
}

/// How the bytes end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With a field.
    Whole,
    /// Within one.
    Cut,
    /// There are more fields than are read.
    Many,
    /// With what is no field.
    Bad,
}

/// All fields in these bytes, in their order.
pub(crate) fn fields(mut bytes: &[u8]) -> (Vec<Field<'_>>, End) {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        if fields.len() == FIELDS {
            return (fields, End::Many);
        }
        match field(&mut bytes) {
            Ok(field) if field.cut => {
                fields.push(field);
                return (fields, End::Cut);
            }
            Ok(field) => fields.push(field),
            Err(end) => return (fields, end),
        }
    }
    (fields, End::Whole)
}

/// How these bytes end if they are read as fields, and whether there is a whole one in them.
pub(super) fn check(mut bytes: &[u8]) -> (End, bool) {
    let mut any = false;
    while !bytes.is_empty() {
        match field(&mut bytes) {
            Ok(field) if field.cut => return (End::Cut, any),
            Ok(_) => any = true,
            Err(end) => return (end, any),
        }
    }
    (End::Whole, any)
}

/// The next field. Of one that is cut, what there is, if it has a length.
fn field<'a>(bytes: &mut &'a [u8]) -> Result<Field<'a>, End> {
    let (number, kind) = tag(bytes)?;
    let (value, cut) = match kind {
        0 => (Value::Varint(varint(bytes)?), false),
        1 => (Value::Fixed64(u64::from_le_bytes(*fixed(bytes)?)), false),
        2 => {
            let len = usize::try_from(varint(bytes)?).unwrap_or(usize::MAX);
            let cut = len > bytes.len();
            let (value, rest) = bytes.split_at(len.min(bytes.len()));
            *bytes = rest;
            (Value::Bytes(value), cut)
        }
        3 => {
            let (value, cut) = group(bytes, number)?;
            (Value::Group(value), cut)
        }
        5 => (Value::Fixed32(u32::from_le_bytes(*fixed(bytes)?)), false),
        _ => return Err(End::Bad),
    };
    Ok(Field { number, value, cut })
}

/// A field's number and its wire type.
fn tag(bytes: &mut &[u8]) -> Result<(u32, u8), End> {
    let tag = varint(bytes)?;
    match u32::try_from(tag >> 3) {
        Ok(number @ 1..=NUMBER_MAX) => Ok((number, (tag & 7) as u8)),
        _ => Err(End::Bad),
    }
}

/// The fields of a group up to its end tag.
fn group<'a>(bytes: &mut &'a [u8], number: u32) -> Result<(&'a [u8], bool), End> {
    let start = *bytes;
    let mut open = vec![number];
    while let Some(&innermost) = open.last() {
        let before = bytes.len();
        let all = || start.get(..start.len() - before).unwrap_or_default();
        if bytes.is_empty() {
            return Ok((start, true));
        }
        let mut rest = *bytes;
        match tag(&mut rest) {
            Ok((ends, 4)) if ends == innermost => {
                open.pop();
                *bytes = rest;
                if open.is_empty() {
                    return Ok((all(), false));
                }
            }
            Ok((begins, 3)) if open.len() < GROUPS => {
                open.push(begins);
                *bytes = rest;
            }
            Ok((_, 3 | 4)) => return Err(End::Bad),
            Ok(_) => match field(bytes) {
                Ok(field) if field.cut => return Ok((start, true)),
                Ok(_) => {}
                Err(End::Cut) => return Ok((start, true)),
                Err(end) => return Err(end),
            },
            Err(End::Cut) => return Ok((start, true)),
            Err(end) => return Err(end),
        }
    }
    Err(End::Bad)
}

/// A number in groups of seven bits, the lowest first.
pub(crate) fn varint(bytes: &mut &[u8]) -> Result<u64, End> {
    let mut value = 0;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f).wrapping_shl(7 * index as u32);
        if *byte < 0x80 {
            *bytes = bytes.get(index + 1..).unwrap_or_default();
            return Ok(value);
        }
    }
    Err(if bytes.len() < 10 { End::Cut } else { End::Bad })
}

/// The next `N` bytes.
pub(crate) fn fixed<'a, const N: usize>(bytes: &mut &'a [u8]) -> Result<&'a [u8; N], End> {
    let (value, rest) = bytes.split_first_chunk().ok_or(End::Cut)?;
    *bytes = rest;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_how_they_end() {
        let one = |number, value| Field { number, value, cut: false };
        for (bytes, expected, end) in [
            (&b""[..], vec![], End::Whole),
            (b"\x08\x96\x01", vec![one(1, Value::Varint(150))], End::Whole),
            (b"\x12\x02hi", vec![one(2, Value::Bytes(b"hi"))], End::Whole),
            (b"\x12\x05hi", vec![Field { number: 2, value: Value::Bytes(b"hi"), cut: true }], End::Cut),
            (b"\x1d\x01\0\0\0\x08", vec![one(3, Value::Fixed32(1))], End::Cut),
            (b"\x19\x01\0\0\0\0\0\0\0", vec![one(3, Value::Fixed64(1))], End::Whole),
            (b"\x1b\x08\x01\x23\x24\x1c", vec![one(3, Value::Group(b"\x08\x01\x23\x24"))], End::Whole),
            (b"\x1b\x08\x01", vec![Field { number: 3, value: Value::Group(b"\x08\x01"), cut: true }], End::Cut),
            (b"\x1b\x24", vec![], End::Bad),
            (b"\x08\x01\x07", vec![one(1, Value::Varint(1))], End::Bad),
            (b"\0\0", vec![], End::Bad),
            (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", vec![one(1, Value::Varint(u64::MAX))], End::Whole),
            (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", vec![], End::Bad),
        ] {
            assert_eq!(fields(bytes), (expected.clone(), end), "{bytes:?}");
            assert_eq!(check(bytes), (end, expected.iter().any(|field| !field.cut)), "{bytes:?}");
        }
    }

    #[test]
    fn deep_groups_and_many_fields_have_an_end() {
        assert_eq!(fields(&[0x0b; 1000]).1, End::Bad);
        let many = [0x08, 1].repeat(FIELDS + 1);
        let (fields, end) = fields(&many);
        assert_eq!((fields.len(), end), (FIELDS, End::Many));
    }
}
