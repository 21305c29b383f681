//! Sequence numbers: all arithmetic on them is modulo 2^32 (RFC 9293 section 3.4).

/// No sequence number further than this from what we expect is believed: the largest window that TCP can have
/// (RFC 7323 section 2.3).
pub(super) const WINDOW: i64 = 1 << 30;

/// How far beyond what was handed over or acknowledged data is believed at once. Data may come as far ahead as a window
/// (RFC 9293 section 3.10.7.4), which segments do not tell us: Linux lets it grow to 6 MiB (`tcp_rmem`). What is further
/// ahead and no loss explains has to be followed by more before it is believed.
pub(super) const DATA_WINDOW: u64 = 8 << 20;

/// How far beyond all that was seen an acknowledgement is believed. Its receiver ignores one beyond what it has sent
/// (RFC 9293 section 3.10.7.4); we cannot know what that is, but more than this in flight at once is rare, and one
/// forged number must not make a gap of everything that is still to come.
pub(super) const ACK_WINDOW: i64 = 1 << 24;

/// How far a reset's sequence number may be from what we expect. Receivers want an exact hit (RFC 5961 section 3.2);
/// we may have missed up to a window of data, and few windows exceed this.
pub(super) const RESET_WINDOW: i64 = 1 << 24;

/// Signed distance from `from` to `to`: positive if `to` comes later.
pub(super) const fn distance(to: u32, from: u32) -> i64 {
    to.wrapping_sub(from).cast_signed() as i64
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn distance_wraps() {
        assert_eq!(distance(5, 0xffff_fffb), 10);
        assert_eq!(distance(0xffff_fffb, 5), -10);
        assert_eq!(distance(7, 7), 0);
    }
}
