use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

/// A network: `10.0.0.0/8`, `fd00::/8`; an address alone is a network of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cidr {
    /// Its first address.
    address: IpAddr,
    /// Bits that its addresses have in common: up to 32 for IPv4, to 128 for IPv6.
    prefix: u8,
}

impl Cidr {
    /// First address and common bits with IPv4 mapped into IPv6, as the kernel programs compare them.
    pub const fn mapped(self) -> (Ipv6Addr, u32) {
        match self.address {
            IpAddr::V4(v4) => (v4.to_ipv6_mapped(), self.prefix as u32 + 96),
            IpAddr::V6(v6) => (v6, self.prefix as u32),
        }
    }

    /// Is each address of `other` one of its own, as the kernel programs compare them?
    pub fn covers(self, other: Self) -> bool {
        let ((address, prefix), (inner, longer)) = (self.mapped(), other.mapped());
        let differing = address.to_bits() ^ inner.to_bits();
        prefix <= longer && differing.leading_zeros() >= prefix
    }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "expected a network, such as 10.0.0.0/8, fd00::/8 or 192.0.2.7".to_owned();
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse().map_err(|_| expected())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| expected())?;
        let bits: u8 = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(bits);
        if prefix > bits {
            return Err(format!("the prefix length of such an address is at most {bits}"));
        }
        let network = match address {
            IpAddr::V4(v4) => {
                IpAddr::V4((v4.to_bits() & u32::MAX.checked_shl(u32::from(bits - prefix)).unwrap_or(0)).into())
            }
            IpAddr::V6(v6) => {
                IpAddr::V6((v6.to_bits() & u128::MAX.checked_shl(u32::from(bits - prefix)).unwrap_or(0)).into())
            }
        };
        // 10.1.2.3/8 is more often a typing error than meant as 10.0.0.0/8.
        if network == address {
            Ok(Self { address, prefix })
        } else {
            Err(format!("it has bits set beyond its prefix; did you mean `{network}/{prefix}`?"))
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_valid_and_mapped() {
        let mapped = |text: &str| text.parse::<Cidr>().map(Cidr::mapped).ok();
        assert_eq!(mapped("10.0.0.0/8"), Some(("::ffff:10.0.0.0".parse().unwrap(), 104)));
        assert_eq!(mapped("::/0"), Some((Ipv6Addr::UNSPECIFIED, 0)));
        assert_eq!(mapped("fd00::1"), Some(("fd00::1".parse().unwrap(), 128)));
        for bad in ["10.0.0.0/33", "10.0.0.0/x", "10.0.0/8", "", "/8", "fd00::/129", "10.1.2.3/8"] {
            assert_eq!(mapped(bad), None, "{bad:?}");
        }
    }
}
