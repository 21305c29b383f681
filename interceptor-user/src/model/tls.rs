/// A version of TLS, or of its predecessor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// SSL 3.0 (RFC 6101).
    Ssl30,
    /// TLS 1.0 (RFC 2246).
    Tls10,
    /// TLS 1.1 (RFC 4346).
    Tls11,
    /// TLS 1.2 (RFC 5246).
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

impl TlsVersion {
    /// From a `ProtocolVersion` (RFC 8446 section 4.1.2). None of drafts, and of values that say nothing (RFC 8701).
    pub const fn from_wire(version: u16) -> Option<Self> {
        Some(match version {
            0x0300 => Self::Ssl30,
            0x0301 => Self::Tls10,
            0x0302 => Self::Tls11,
            0x0303 => Self::Tls12,
            0x0304 => Self::Tls13,
            _ => return None,
        })
    }

    /// `tls.protocol.name`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ssl30 => "ssl",
            Self::Tls10 | Self::Tls11 | Self::Tls12 | Self::Tls13 => "tls",
        }
    }

    /// `tls.protocol.version`.
    pub const fn number(self) -> &'static str {
        match self {
            Self::Ssl30 => "3.0",
            Self::Tls10 => "1.0",
            Self::Tls11 => "1.1",
            Self::Tls12 => "1.2",
            Self::Tls13 => "1.3",
        }
    }
}

/// What the two hellos of TLS show in the clear. From TLS 1.3 on the server's choice of a protocol is encrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsHello {
    /// Whom the client asks for (SNI, RFC 6066 section 3).
    pub server_name: Option<Box<str>>,
    /// Application protocols that the client offers (ALPN, RFC 7301), the one that it likes best first.
    pub offered: Vec<Box<str>>,
    /// The one that the server chose.
    pub chosen: Option<Box<str>>,
    /// The newest version that the client offers.
    pub offered_version: Option<TlsVersion>,
    /// The version that the server chose.
    pub version: Option<TlsVersion>,
}

impl TlsHello {
    /// Bytes of memory, itself included.
    pub fn memory(&self) -> usize {
        let names = self.offered.iter().chain(&self.chosen).chain(&self.server_name);
        size_of::<Self>()
            + self.offered.capacity() * size_of::<Box<str>>()
            + names.map(|name| name.len()).sum::<usize>()
    }
}
