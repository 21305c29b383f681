//! Which partition a record belongs to, as Kafka's Java client has it, so that a model's records are in one partition,
//! whoever else writes there (`BuiltInPartitioner.partitionForKey`).

/// The partition of this key, of so many.
pub(super) fn of(key: &[u8], count: i32) -> i32 {
    // `Utils.toPositive` takes the sign bit away, and does not negate.
    (murmur2(key) & 0x7fff_ffff).cast_signed().checked_rem(count).unwrap_or(0)
}

/// `org.apache.kafka.common.utils.Utils.murmur2`: MurmurHash2, 32 bits, with a seed of its own.
fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    let mut hash = SEED ^ data.len() as u32;
    let (words, rest) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        hash ^= rest.iter().rev().fold(0, |tail, byte| tail << 8 | u32::from(*byte));
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ hash >> 15
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_java_client() {
        // Of Kafka's own test of this function, `UtilsTest.testMurmur2`.
        let known = [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ];
        for (key, hash) in known {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
        assert_eq!(of(b"abc", 10), 7);
        assert_eq!(of(b"21", 7), ((-973_932_308_i32).cast_unsigned() << 1 >> 1).cast_signed() % 7);
        assert_eq!(of(b"x", 0), 0);
    }
}
