//! Values that say how much. Each is valid by construction: what parses can be used.

use std::{fmt, str::FromStr, time::Duration};

use jiff::fmt::friendly::SpanParser;

use super::scalar::{Scalar, scalar};

/// A number of bytes: `65536`, `64KiB`, `8 MiB`, `1GB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl Size {
    /// For memory, of which no machine has more than `usize` counts.
    pub fn to_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

const SIZE_UNITS: [(&str, u64); 8] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1000),
    ("KB", 1000),
    ("B", 1),
];

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "expected a number of bytes, such as 65536, 64KiB or 8MiB".to_owned();
        let (number, factor) =
            SIZE_UNITS.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor))).unwrap_or((text, 1));
        let number: u64 = number.trim().parse().map_err(|_| expected())?;
        number.checked_mul(factor).map(Self).ok_or_else(expected)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let binary = SIZE_UNITS.iter().take(3).find(|(_, factor)| self.0 > 0 && self.0.is_multiple_of(*factor));
        match binary {
            Some((unit, factor)) => write!(f, "{}{unit}", self.0 / factor),
            None => write!(f, "{}", self.0),
        }
    }
}

scalar!(Size, "size", {
    "type": ["string", "integer"],
    "minimum": 0,
    "pattern": "^[0-9]+ *([KMG]iB|[kKMG]?B)?$"
});

/// The size of a ring buffer: the kernel takes powers of two that are a multiple of the page size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingSize(pub u32);

impl FromStr for RingSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Size(bytes) = text.parse()?;
        u32::try_from(bytes)
            .ok()
            .filter(|bytes| bytes.is_power_of_two() && (1 << 16..=1 << 30).contains(bytes))
            .map(Self)
            .ok_or_else(|| "expected a power of two from 64KiB to 1GiB, such as 8MiB".to_owned())
    }
}

impl fmt::Display for RingSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Size(u64::from(self.0)).fmt(f)
    }
}

scalar!(RingSize, "ring-size", {
    "type": ["string", "integer"],
    "minimum": 65536,
    "maximum": 1_073_741_824,
    "pattern": "^[0-9]+ *([KMG]iB|[kKMG]?B)?$"
});

/// How many of something, from 1 to 4294967295.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count(pub u32);

impl FromStr for Count {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let count = text.parse().ok().filter(|count| *count > 0);
        count.map(Self).ok_or_else(|| "expected a whole number from 1 to 4294967295".to_owned())
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

scalar!(Count, "count", {
    "type": ["integer", "string"],
    "minimum": 1,
    "maximum": 4_294_967_295_u32,
    "pattern": "^[0-9]+$"
});

/// A length of time with its unit: `250ms`, `30s`, `5m`, `1h 30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period(pub Duration);

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let duration = SpanParser::new().parse_unsigned_duration(text).ok();
        duration
            .filter(|duration| !duration.is_zero())
            .map(Self)
            .ok_or_else(|| "expected a time with its unit, such as 250ms, 30s or 5m".to_owned())
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        let units: [(&str, u128); 6] = [
            ("h", 3_600_000_000_000),
            ("m", 60_000_000_000),
            ("s", 1_000_000_000),
            ("ms", 1_000_000),
            ("us", 1000),
            ("ns", 1),
        ];
        let fits = units.iter().find(|(_, factor)| nanos.is_multiple_of(*factor)).unwrap_or(&("ns", 1));
        write!(f, "{}{}", nanos / fits.1, fits.0)
    }
}

scalar!(Period, "period", { "type": "string", "pattern": "[0-9] *[a-zA-Zµ]+$" });

/// A part of the whole, above 0 and up to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fraction(pub f64);

impl FromStr for Fraction {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fraction = text.parse().ok().filter(|fraction| *fraction > 0.0 && *fraction <= 1.0);
        fraction.map(Self).ok_or_else(|| "expected a number above 0 and up to 1, such as 0.1".to_owned())
    }
}

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

scalar!(Fraction, "fraction", {
    "type": ["number", "string"],
    "exclusiveMinimum": 0,
    "maximum": 1,
    "pattern": "^[0-9.]+$"
});
