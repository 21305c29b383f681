use jiff::tz::TimeZone;

use crate::model::Timestamp;

/// Writes times as text. Thousands fall into one second, so what a second looks like is kept.
pub(super) struct Clock {
    zone: TimeZone,
    second: Option<u64>,
    /// `YYYY-MM-DDTHH:MM:SS` of `second`, in `zone`.
    text: [u8; 19],
}

/// A time as text: RFC 3339 in UTC with nanoseconds.
#[derive(Clone, Copy)]
pub(super) struct Stamp([u8; 30]);

impl Stamp {
    pub(super) fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl Clock {
    pub(super) const fn new(zone: TimeZone) -> Self {
        Self { zone, second: None, text: *b"0000-00-00T00:00:00" }
    }

    /// RFC 3339; correct in UTC only.
    pub(super) fn stamp(&mut self, time: Timestamp) -> Stamp {
        let nanos = self.turn_to(time);
        let mut out = *b"0000-00-00T00:00:00.000000000Z";
        out[..19].copy_from_slice(&self.text);
        digits(&mut out[20..29], nanos);
        Stamp(out)
    }

    /// Time of day with microseconds.
    pub(super) fn time_of_day(&mut self, time: Timestamp) -> [u8; 15] {
        let nanos = self.turn_to(time);
        let mut out = *b"00:00:00.000000";
        out[..8].copy_from_slice(&self.text[11..]);
        digits(&mut out[9..], nanos / 1_000);
        out
    }

    /// Makes `text` that of this time; gives the nanoseconds that are left.
    fn turn_to(&mut self, time: Timestamp) -> u64 {
        let (second, nanos) = (time.as_nanos() / 1_000_000_000, time.as_nanos() % 1_000_000_000);
        if self.second != Some(second) {
            self.second = Some(second);
            // 64 bits of nanoseconds end in 2554: the second is always in range.
            let instant = jiff::Timestamp::from_second(second.cast_signed()).unwrap_or_default();
            let civil = self.zone.to_datetime(instant);
            digits(&mut self.text[0..4], civil.year().unsigned_abs().into());
            for (place, value) in
                [(5, civil.month()), (8, civil.day()), (11, civil.hour()), (14, civil.minute()), (17, civil.second())]
            {
                digits(&mut self.text[place..place + 2], value.unsigned_abs().into());
            }
        }
        nanos
    }
}

/// Fills `out` with the last digits of `value`.
fn digits(out: &mut [u8], mut value: u64) {
    for place in out.iter_mut().rev() {
        *place = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_a_calendar() {
        let mut clock = Clock::new(TimeZone::UTC);
        for nanos in [0, 1, 951_782_399_999_999_999, 951_782_400_000_000_000, 1_763_777_999_123_456_789, u64::MAX] {
            let expected = format!("{:.9}", jiff::Timestamp::from_nanosecond(nanos.into()).expect("in range"));
            assert_eq!(clock.stamp(Timestamp::from_nanos(nanos)).as_str(), expected);
        }
        assert_eq!(&clock.time_of_day(Timestamp::from_nanos(1_763_777_999_123_456_789)), b"02:19:59.123456");
    }
}
