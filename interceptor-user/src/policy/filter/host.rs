use std::{net::IpAddr, str::FromStr};

use super::Invalid;
use crate::model::glob;

/// A host: an address or CIDR block (of either end, or named by the request), or a name (named by the request).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// Addresses whose first `bits` bits are those of `base`.
    Block {
        /// An address of the block.
        base: IpAddr,
        /// How many leading bits count.
        bits: u8,
    },
    /// A name in lower case, `*` and `?` allowed.
    Name(String),
}

const ALLOWED: &str =
    "allowed are a name ('model.default.svc', '*.svc.cluster.local'), an IP address or a CIDR block ('10.0.0.0/8')";

impl FromStr for HostPattern {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(base) = bare.parse::<IpAddr>() {
            return Ok(Self::Block { base, bits: width(base) });
        }
        if let Some((base, bits)) = text.split_once('/') {
            let base: IpAddr =
                base.parse().map_err(|_| Invalid(format!("'{base}' is not an IP address; {ALLOWED}")))?;
            let bits = bits.parse().ok().filter(|bits| *bits <= width(base)).ok_or_else(|| {
                Invalid(format!("'{bits}' is not a prefix length from 0 to {}; {ALLOWED}", width(base)))
            })?;
            return Ok(Self::Block { base, bits });
        }
        if text.contains(':') {
            return Err(Invalid(format!("a port does not belong here, use --port for it; {ALLOWED}")));
        }
        let possible = |c: char| c.is_alphanumeric() || "-._*?".contains(c);
        if text.is_empty() || !text.chars().all(possible) {
            return Err(Invalid(ALLOWED.to_owned()));
        }
        Ok(Self::Name(text.to_ascii_lowercase()))
    }
}

impl HostPattern {
    pub(super) fn matches(&self, named: Option<&str>, addresses: [IpAddr; 2]) -> bool {
        match self {
            Self::Name(pattern) => named.is_some_and(|host| glob::matches(pattern, &host.to_ascii_lowercase())),
            Self::Block { base, bits } => {
                let named = named.and_then(|host| host.parse().ok());
                addresses.into_iter().chain(named).any(|address| in_block(address, *base, *bits))
            }
        }
    }
}

const fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn in_block(address: IpAddr, base: IpAddr, bits: u8) -> bool {
    let shift = u32::from(width(base) - bits);
    match (address, base) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).checked_shr(shift).unwrap_or(0) == 0,
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).checked_shr(shift).unwrap_or(0) == 0,
        _ => false,
    }
}
