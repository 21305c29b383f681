//! The one thing that we ask the kernel's type information: where a member lies in a struct.
//!
//! Format: Documentation/bpf/btf.rst of the kernel. aya reads it too, but does not tell members' places.

use std::{fs::File, io::Read as _};

use memmap2::MmapMut;

const MAGIC: u16 = 0xeb9f;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
/// Unnamed structs and unions within each other that are looked into.
const NESTING: u32 = 4;

/// The running kernel's type information.
pub(super) struct Btf(MmapMut);

impl Btf {
    /// `None` where the kernel has none, or does not show it.
    pub(super) fn read() -> Option<Self> {
        let mut file = File::open("/sys/kernel/btf/vmlinux").ok()?;
        // Megabytes, for a moment: a mapping goes back to the system at once, which memory of the heap need not.
        let mut btf = MmapMut::map_anon(file.metadata().ok()?.len() as usize).ok()?;
        file.read_exact(&mut btf).ok()?;
        Some(Self(btf))
    }

    /// Offset of `member` in `struct name`, in bytes; `None` where it cannot be told.
    pub(super) fn offset_of(&self, name: &str, member: &str) -> Option<u32> {
        find(&self.0, name.as_bytes(), member.as_bytes())
    }
}

fn find(btf: &[u8], name: &[u8], member: &[u8]) -> Option<u32> {
    let magic = u16::from_ne_bytes(btf.get(..2)?.try_into().ok()?);
    if magic != MAGIC {
        return None;
    }
    let header = word(btf, 4)? as usize;
    let section = |at: usize| {
        let (start, len) = (header.checked_add(word(btf, at)? as usize)?, word(btf, at + 4)? as usize);
        btf.get(start..start.checked_add(len)?)
    };
    let info = Info { types: section(8)?, strings: section(16)? };
    let of_name = |found: &Type<'_>| found.kind == KIND_STRUCT && info.text(found.name) == Some(name);
    let bits = info.place(&info.types().find(of_name)?, member, NESTING)?;
    (bits % 8 == 0).then_some(bits / 8)
}

/// The two sections of the information.
struct Info<'a> {
    types: &'a [u8],
    strings: &'a [u8],
}

/// A type; `body` is what follows its first three words.
struct Type<'a> {
    name: u32,
    kind: u32,
    /// The kind flag: the upper byte of a member's place is the size of a bit field.
    flag: bool,
    body: &'a [u8],
}

impl<'a> Info<'a> {
    /// All types, in the order of their ids, which begin at 1.
    fn types(&self) -> impl Iterator<Item = Type<'a>> + use<'a> {
        let mut rest = self.types;
        std::iter::from_fn(move || {
            let (name, info) = (word(rest, 0)?, word(rest, 4)?);
            let (kind, count) = (info >> 24 & 0x1f, info as usize & 0xffff);
            let extra = match kind {
                // Integer, variable, declaration tag.
                1 | 14 | 17 => 4,
                // Array.
                3 => 12,
                // Struct, union, data section, 64-bit enumeration.
                KIND_STRUCT | KIND_UNION | 15 | 19 => 12 * count,
                // Enumeration, function prototype.
                6 | 13 => 8 * count,
                // Pointer, forward, typedef, volatile, const, restrict, function, float, type tag.
                2 | 7..=12 | 16 | 18 => 0,
                _ => return None,
            };
            let body = rest.get(12..12 + extra)?;
            rest = rest.get(12 + extra..)?;
            Some(Type { name, kind, flag: info >> 31 == 1, body })
        })
    }

    /// Where a member lies, in bits; members of unnamed structs and unions count as the outer one's.
    fn place(&self, of: &Type<'_>, member: &[u8], nesting: u32) -> Option<u32> {
        if of.kind != KIND_STRUCT && of.kind != KIND_UNION {
            return None;
        }
        of.body.chunks_exact(12).find_map(|entry| {
            let at = word(entry, 8)? & if of.flag { 0x00ff_ffff } else { u32::MAX };
            let name = self.text(word(entry, 0)?)?;
            if name == member {
                return Some(at);
            }
            if !name.is_empty() || nesting == 0 {
                return None;
            }
            let inner = self.types().nth((word(entry, 4)? as usize).checked_sub(1)?)?;
            Some(at + self.place(&inner, member, nesting - 1)?)
        })
    }

    fn text(&self, at: u32) -> Option<&'a [u8]> {
        self.strings.get(at as usize..)?.split(|byte| *byte == 0).next()
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `struct point { int x; union { int y; int z; }; }`, after an int and the union.
    fn sample() -> Vec<u8> {
        let strings = b"\0int\0point\0x\0y\0z\0";
        let integer = [1, 1 << 24, 4, 32];
        let union = [0, 5 << 24 | 2, 4, 13, 1, 0, 15, 1, 0];
        let point = [5, 4 << 24 | 2, 8, 11, 1, 0, 0, 2, 32];
        let types: Vec<u32> = integer.into_iter().chain(union).chain(point).collect();
        let len = 4 * types.len() as u32;
        let mut btf = MAGIC.to_ne_bytes().to_vec();
        btf.extend([1, 0]);
        let header = [24, 0, len, len, strings.len() as u32];
        header.iter().chain(&types).for_each(|word| btf.extend(word.to_ne_bytes()));
        btf.extend(strings);
        btf
    }

    #[test]
    fn members_are_found_by_name() {
        for (member, place) in [("x", Some(0)), ("y", Some(4)), ("z", Some(4)), ("w", None)] {
            assert_eq!(find(&sample(), b"point", member.as_bytes()), place, "{member}");
        }
        assert_eq!(find(&sample(), b"line", b"x"), None);
    }

    #[test]
    fn cut_information_gives_nothing() {
        let btf = sample();
        for len in 0..btf.len() {
            assert_eq!(find(&btf[..len], b"point", b"z"), None, "{len}");
        }
    }
}
