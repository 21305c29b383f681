//! The Huffman code of RFC 7541 appendix B.
//!
//! It is canonical: codes of one length are consecutive numbers in the order of their symbols, and the next longer ones
//! go on from there. So the lengths are the whole code.

use super::Error;

/// Bits of each symbol's code; the last symbol is EOS.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

const LONGEST: usize = 30;
const EOS: u16 = 256;
/// Codes this long or shorter are looked up at once.
const SHORT: u32 = 10;

struct Code {
    /// By the next [`SHORT`] bits: symbol and length; length 0 where the code is longer.
    short: [(u8, u8); 1 << SHORT],
    /// Symbols in the order of their codes.
    symbols: [u16; 257],
    /// For each length: the first code that is longer, as the first bits of 32.
    end: [u64; LONGEST + 1],
    /// For each length: its first code.
    first: [u32; LONGEST + 1],
    /// For each length: where in `symbols` its first code's is.
    place: [u16; LONGEST + 1],
}

static CODE: Code = build();

#[expect(clippy::indexing_slicing, reason = "computed by the compiler, which would tell")]
const fn build() -> Code {
    let mut code = Code {
        short: [(0, 0); 1 << SHORT],
        symbols: [0; 257],
        end: [0; LONGEST + 1],
        first: [0; LONGEST + 1],
        place: [0; LONGEST + 1],
    };
    let (mut next, mut place, mut length) = (0_u32, 0_usize, 1_usize);
    while length <= LONGEST {
        next <<= 1;
        code.first[length] = next;
        code.place[length] = place as u16;
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == length {
                code.symbols[place] = symbol as u16;
                place += 1;
                if length <= SHORT as usize {
                    let spare = SHORT - length as u32;
                    let mut index = (next << spare) as usize;
                    let end = ((next + 1) << spare) as usize;
                    while index < end {
                        code.short[index] = (symbol as u8, length as u8);
                        index += 1;
                    }
                }
                next += 1;
            }
            symbol += 1;
        }
        code.end[length] = (next as u64) << (32 - length);
        length += 1;
    }
    code
}

/// Appends what `coded` stands for.
pub(super) fn decode(coded: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    out.reserve(coded.len() * 8 / 5 + 1);
    // The first `held` bits of the word are the next ones.
    let (mut word, mut held) = (0_u64, 0_u32);
    let mut rest = coded;
    loop {
        if let Some((bytes, after)) = rest.split_first_chunk::<4>().filter(|_| held <= 32) {
            word |= u64::from(u32::from_be_bytes(*bytes)) << (32 - held);
            held += 32;
            rest = after;
        } else {
            while held <= 56
                && let [byte, after @ ..] = rest
            {
                word |= u64::from(*byte) << (56 - held);
                held += 8;
                rest = after;
            }
        }
        if held == 0 {
            return Ok(());
        }
        // Two of the longest codes that are looked up fit into what is held, unless the end is near.
        let (symbol, length) = short(word);
        if length > 0 && u32::from(length) <= held {
            out.push(symbol);
            word <<= length;
            held -= u32::from(length);
            let (symbol, length) = short(word);
            if length > 0 && u32::from(length) <= held {
                out.push(symbol);
                word <<= length;
                held -= u32::from(length);
            }
            continue;
        }
        // What is left, when all bytes are taken, may be padding: up to seven bits of EOS, which are ones.
        if rest.is_empty() && held < 8 && word == !(u64::MAX >> held) {
            return Ok(());
        }
        let (symbol, length) = long(word).filter(|(_, length)| *length <= held).ok_or(Error::BadHuffman)?;
        out.push(symbol);
        word <<= length;
        held -= length;
    }
}

#[inline]
fn short(word: u64) -> (u8, u8) {
    CODE.short.get((word >> (64 - SHORT)) as usize).copied().unwrap_or_default()
}

fn long(word: u64) -> Option<(u8, u32)> {
    let bits = word >> 32;
    let length = (SHORT as usize + 1..=LONGEST).find(|length| CODE.end.get(*length).is_some_and(|end| bits < *end))?;
    // Less than the first one: it is a shorter code that is cut.
    let offset = ((bits >> (32 - length)) as u32).checked_sub(*CODE.first.get(length)?)?;
    let symbol = *CODE.symbols.get(usize::from(*CODE.place.get(length)?) + offset as usize)?;
    (symbol != EOS).then_some((symbol as u8, length as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(text: &[u8]) -> Vec<u8> {
        let (mut bits, mut held, mut out) = (0_u64, 0, Vec::new());
        for byte in text {
            let length = LENGTHS[usize::from(*byte)];
            let place = CODE.symbols.iter().position(|symbol| *symbol == u16::from(*byte)).unwrap();
            let code = CODE.first[usize::from(length)] + (place as u32 - u32::from(CODE.place[usize::from(length)]));
            bits = bits << length | u64::from(code);
            held += u32::from(length);
            while held >= 8 {
                held -= 8;
                out.push((bits >> held) as u8);
            }
        }
        if held > 0 {
            out.push((bits << (8 - held)) as u8 | 0xff >> held);
        }
        out
    }

    fn decoded(coded: &[u8]) -> Result<Vec<u8>, Error> {
        let mut out = Vec::new();
        decode(coded, &mut out).map(|()| out)
    }

    #[test]
    fn codes_of_the_specification() {
        // RFC 7541 sections C.4.1 and C.6.1, and appendix B.
        assert_eq!(encode(b"www.example.com"), b"\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff");
        assert_eq!(decoded(b"\xae\xc3\x77\x1a\x4b").unwrap(), b"private");
        assert_eq!(encode(b"\0"), b"\xff\xc7");
        assert_eq!(encode(b"\n"), b"\xff\xff\xff\xf3");
    }

    #[test]
    fn every_symbol_comes_back_wherever_it_is() {
        let all: Vec<u8> = (0..=255).collect();
        for start in 0..256 {
            let mut text = all[start..].to_vec();
            text.extend_from_slice(&all[..start]);
            assert_eq!(decoded(&encode(&text)).unwrap(), text);
        }
        for byte in 0..=255 {
            for before in 0..9 {
                let text = [&b"aaaaaaaaa"[..before], &[byte]].concat();
                assert_eq!(decoded(&encode(&text)).unwrap(), text);
            }
        }
    }

    #[test]
    fn padding_is_less_than_a_byte_of_ones() {
        assert_eq!(decoded(b""), Ok(Vec::new()));
        assert_eq!(decoded(b"\xff"), Err(Error::BadHuffman), "eight bits of padding");
        assert_eq!(decoded(b"\x07"), Ok(b"0".to_vec()));
        assert_eq!(decoded(b"\x06"), Err(Error::BadHuffman), "padding that is not ones");
        assert_eq!(decoded(b"\xff\xff\xff\xff"), Err(Error::BadHuffman), "EOS");
        assert_eq!(decoded(b"\xff\xff\xff"), Err(Error::BadHuffman), "a code that is not whole");
    }
}
