//! The one thing that we ask the kernel's type information: where a member lies in a struct.
//!
//! Format: Documentation/bpf/btf.rst of the kernel. aya reads it too, but does not tell members' places.

use std::fs;

const MAGIC: u16 = 0xeb9f;
const KIND_STRUCT: u32 = 4;

/// Offset of `member` in `struct name`, in bytes, by the running kernel's BTF; `None` where it cannot be told.
pub(super) fn offset_of(name: &str, member: &str) -> Option<u32> {
    let btf = fs::read("/sys/kernel/btf/vmlinux").ok()?;
    find(&btf, name.as_bytes(), member.as_bytes())
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
    let mut types = section(8)?;
    let strings = section(16)?;
    while !types.is_empty() {
        let (name_at, info) = (word(types, 0)?, word(types, 4)?);
        let (kind, count) = (info >> 24 & 0x1f, info as usize & 0xffff);
        let body = types.get(12..)?;
        let extra = match kind {
            // Integer, variable, declaration tag.
            1 | 14 | 17 => 4,
            // Array.
            3 => 12,
            // Struct, union, data section, 64-bit enumeration.
            4 | 5 | 15 | 19 => 12 * count,
            // Enumeration, function prototype.
            6 | 13 => 8 * count,
            // Pointer, forward, typedef, volatile, const, restrict, function, float, type tag.
            2 | 7..=12 | 16 | 18 => 0,
            _ => return None,
        };
        let members = body.get(..extra)?;
        if kind == KIND_STRUCT && text(strings, name_at)? == name {
            return members.chunks_exact(12).find_map(|entry| {
                // With the kind flag, the upper byte is the size of a bit field.
                let bits = word(entry, 8)? & if info >> 31 == 1 { 0x00ff_ffff } else { u32::MAX };
                (text(strings, word(entry, 0)?)? == member && bits % 8 == 0).then_some(bits / 8)
            });
        }
        types = body.get(extra..)?;
    }
    None
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn text(strings: &[u8], at: u32) -> Option<&[u8]> {
    strings.get(at as usize..)?.split(|byte| *byte == 0).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `struct point { int x; int y; }`, after an int.
    fn sample() -> Vec<u8> {
        let strings = b"\0int\0point\0x\0y\0";
        let types: [u32; 4 + 9] = [1, 1 << 24, 4, 32, 5, 4 << 24 | 2, 8, 11, 1, 0, 13, 1, 32];
        let mut btf = MAGIC.to_ne_bytes().to_vec();
        btf.extend([1, 0]);
        let words = [24, 0, size_of_val(&types) as u32, size_of_val(&types) as u32, strings.len() as u32];
        words.iter().chain(&types).for_each(|word| btf.extend(word.to_ne_bytes()));
        btf.extend(strings);
        btf
    }

    #[test]
    fn members_are_found_by_name() {
        assert_eq!(find(&sample(), b"point", b"x"), Some(0));
        assert_eq!(find(&sample(), b"point", b"y"), Some(4));
        assert_eq!(find(&sample(), b"point", b"z"), None);
        assert_eq!(find(&sample(), b"line", b"x"), None);
    }

    #[test]
    fn cut_information_gives_nothing() {
        let btf = sample();
        for len in 0..btf.len() - 2 {
            assert_eq!(find(&btf[..len], b"point", b"y"), None, "{len}");
        }
    }
}
