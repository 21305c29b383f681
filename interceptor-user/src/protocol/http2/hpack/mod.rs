//! Header compression (RFC 7541): field blocks of one direction to fields.

mod fixed;
mod huffman;
mod table;

use self::table::{Found, Table};

/// A table's size before the peers agree on another (RFC 9113 section 6.5.2).
pub(super) const TABLE_SIZE: usize = 4096;
/// Bytes of names and values that one block may stand for.
const DECODED_MAX: usize = 1 << 20;

/// Why a block cannot be decoded. The sender and its receiver disagree on the table from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The block ends within a field.
    Truncated,
    /// An index that no entry has.
    BadIndex,
    /// A number beyond 2^32.
    BadInteger,
    /// Not the code of RFC 7541 appendix B, or not its padding.
    BadHuffman,
    /// It stands for much more than any field section is.
    TooLarge,
    /// The table is made larger than the receiver allows, or not at the start of the block.
    BadSize,
}

/// A field as decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name. Where it is not known: `?`, and which of the entries that we did not see has it; the first is the newest
    /// of those. No field has a name like that.
    pub name: &'a [u8],
    /// Its value; `?` where it is not known.
    pub value: &'a [u8],
    /// Whether both are known.
    pub known: bool,
    /// Its name came over the wire right here.
    pub literal_name: bool,
}

/// What is known of one direction.
#[derive(Debug)]
pub struct Decoder {
    table: Table,
    /// The largest table that the receiver allows, where we know.
    limit: Option<usize>,
    /// Name and value of a literal field; kept for its memory.
    literal: Vec<u8>,
    /// What the current block came to until now: references may repeat what is long.
    decoded: usize,
}

/// Where a literal field's name comes from.
#[derive(Clone, Copy)]
struct Name {
    len: usize,
    known: bool,
    literal: bool,
}

impl Decoder {
    /// From the first block on.
    pub fn new() -> Self {
        Self { table: Table::new(TABLE_SIZE, true), limit: Some(TABLE_SIZE), literal: Vec::new(), decoded: 0 }
    }

    /// Of a direction that was joined after its first block.
    pub fn joined() -> Self {
        Self { table: Table::new(TABLE_SIZE, false), limit: None, literal: Vec::new(), decoded: 0 }
    }

    /// Blocks were lost: what the table held is not known any more.
    pub fn forget(&mut self) {
        self.table.forget();
        self.limit = None;
    }

    /// The sender acknowledged the receiver's SETTINGS_HEADER_TABLE_SIZE.
    pub fn allow(&mut self, size: usize) {
        self.limit = Some(size);
        // What is larger has to be made smaller by the next block (RFC 7541 section 4.2); by itself it does not change.
    }

    /// What the receiver allows is not known.
    pub fn allow_any(&mut self) {
        self.limit = None;
    }

    /// Bytes of memory held beside the decoder itself.
    pub fn memory(&self) -> usize {
        self.table.memory() + self.literal.capacity()
    }

    /// Decodes a whole block, field by field, in order.
    pub fn decode(&mut self, mut block: &[u8], field: &mut impl FnMut(Field<'_>)) -> Result<(), Error> {
        let mut begun = false;
        self.decoded = 0;
        while let [first, rest @ ..] = block {
            if self.decoded > DECODED_MAX {
                return Err(Error::TooLarge);
            }
            block = rest;
            match first {
                0x80.. => {
                    let index = integer(*first, 7, &mut block)?;
                    self.indexed(index, field)?;
                }
                0x40.. => {
                    let index = integer(*first, 6, &mut block)?;
                    self.literal(index, &mut block, true, field)?;
                }
                0x20.. => {
                    let size = integer(*first, 5, &mut block)? as usize;
                    if begun || self.limit.is_some_and(|limit| size > limit) {
                        return Err(Error::BadSize);
                    }
                    self.table.resize(size);
                    continue;
                }
                // Never indexed, or not this time.
                _ => {
                    let index = integer(*first, 4, &mut block)?;
                    self.literal(index, &mut block, false, field)?;
                }
            }
            begun = true;
        }
        Ok(())
    }

    #[inline]
    fn indexed(&mut self, index: u64, field: &mut impl FnMut(Field<'_>)) -> Result<(), Error> {
        let at = index.checked_sub(1).ok_or(Error::BadIndex)?;
        if let Some((name, value)) = fixed::ENTRIES.get(at as usize) {
            field(Field { name, value, known: true, literal_name: false });
            return Ok(());
        }
        match self.table.get(at - fixed::ENTRIES.len() as u64) {
            Found::Known { name, value, named } => {
                self.decoded += name.len() + value.len();
                field(Field { name, value, known: named, literal_name: false });
            }
            Found::Unknown(number) => {
                let name = format!("?{number}");
                field(Field { name: name.as_bytes(), value: b"?", known: false, literal_name: false });
            }
            Found::None => return Err(Error::BadIndex),
        }
        Ok(())
    }

    fn literal(
        &mut self,
        index: u64,
        block: &mut &[u8],
        insert: bool,
        field: &mut impl FnMut(Field<'_>),
    ) -> Result<(), Error> {
        self.literal.clear();
        let Name { len, known, literal: literal_name } = self.name(index, block)?;
        string(block, &mut self.literal)?;
        let (name, value) = self.literal.split_at_checked(len).unwrap_or_default();
        self.decoded += name.len() + value.len();
        field(Field { name, value, known, literal_name });
        if insert {
            self.table.insert(name, value, known);
        }
        Ok(())
    }

    /// Puts a literal field's name into `literal`.
    fn name(&mut self, index: u64, block: &mut &[u8]) -> Result<Name, Error> {
        let Some(at) = index.checked_sub(1) else {
            string(block, &mut self.literal)?;
            return Ok(Name { len: self.literal.len(), known: true, literal: true });
        };
        let mut known = true;
        if let Some((name, _)) = fixed::ENTRIES.get(at as usize) {
            self.literal.extend_from_slice(name);
        } else {
            match self.table.get(at - fixed::ENTRIES.len() as u64) {
                Found::Known { name, named, .. } => {
                    known = named;
                    self.literal.extend_from_slice(name);
                }
                Found::Unknown(number) => {
                    known = false;
                    self.literal.extend_from_slice(format!("?{number}").as_bytes());
                }
                Found::None => return Err(Error::BadIndex),
            }
        }
        Ok(Name { len: self.literal.len(), known, literal: false })
    }

    /// Is everything known that the sender may refer to?
    #[cfg(test)]
    pub const fn is_exact(&self) -> bool {
        self.table.is_exact()
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

/// RFC 7541 section 5.1: a number whose first bits are the last `prefix` of `first`.
#[inline]
fn integer(first: u8, prefix: u32, rest: &mut &[u8]) -> Result<u64, Error> {
    let mask = u8::MAX >> (8 - prefix);
    let mut value = u64::from(first & mask);
    if value < u64::from(mask) {
        return Ok(value);
    }
    let mut shift = 0;
    loop {
        let [byte, after @ ..] = *rest else { return Err(Error::Truncated) };
        *rest = after;
        value += u64::from(byte & 0x7f) << shift;
        if value > u64::from(u32::MAX) {
            return Err(Error::BadInteger);
        }
        if byte & 0x80 == 0 {
            return Ok(value);
        }
        shift += 7;
        // Zeros may go on for ever.
        if shift > 35 {
            return Err(Error::BadInteger);
        }
    }
}

/// RFC 7541 section 5.2: appends a string.
#[inline]
fn string(block: &mut &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    let [first, rest @ ..] = *block else { return Err(Error::Truncated) };
    *block = rest;
    let len = integer(*first, 7, block)?;
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    let (string, rest) = block.split_at_checked(len).ok_or(Error::Truncated)?;
    *block = rest;
    if first & 0x80 != 0 {
        return huffman::decode(string, out);
    }
    out.extend_from_slice(string);
    Ok(())
}

#[cfg(test)]
mod tests;
