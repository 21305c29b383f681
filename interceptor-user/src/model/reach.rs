//! Which connections are worth capturing.

use std::fmt;

use interceptor_common::{PORT_WORDS, REACH_NETWORKS_MAX};

use super::Cidr;

/// Networks that are told apart; of more, all are meant. While one set of them takes another's place, both are in the
/// kernel's map.
const NETWORKS: usize = REACH_NETWORKS_MAX as usize / 2;

/// Connections of which an end has one of these ports, and an end is in one of these networks. It may hold more than are
/// meant, never less.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Ports of either end.
    pub ports: Ports,
    /// Networks of either end.
    pub networks: Networks,
}

impl Reach {
    /// Every connection.
    pub fn all() -> Self {
        Self { ports: Ports::all(), networks: Networks::All }
    }

    /// No connection.
    pub fn none() -> Self {
        Self { ports: Ports::none(), networks: Networks::Of(Vec::new()) }
    }

    /// Is there no connection in it?
    pub fn is_none(&self) -> bool {
        self.ports.is_none() || self.networks.is_none()
    }

    /// Is every connection in it?
    pub fn is_all(&self) -> bool {
        self.ports.is_all() && self.networks == Networks::All
    }

    /// What is in one of them, or in both.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        if self.is_none() {
            return other;
        }
        if other.is_none() {
            return self;
        }
        Self { ports: self.ports.or(&other.ports), networks: self.networks.or(other.networks) }
    }
}

/// `ports 80, 8000-8010 in networks 10.0.0.0/8`, `no connection`, `all connections`.
impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_none() {
            return f.write_str("no connection");
        }
        let Networks::Of(networks) = &self.networks else {
            return if self.ports.is_all() {
                f.write_str("all connections")
            } else {
                write!(f, "ports {}", self.ports)
            };
        };
        if !self.ports.is_all() {
            write!(f, "ports {} in ", self.ports)?;
        }
        f.write_str("networks ")?;
        listed(f, networks)
    }
}

/// Ports, each of them in or out.
#[derive(Clone, PartialEq, Eq)]
pub struct Ports(Box<[u64; Self::WORDS]>);

impl Ports {
    /// Words of 64 ports each, the lowest port in the lowest bit.
    pub const WORDS: usize = PORT_WORDS;

    /// Each port.
    pub fn all() -> Self {
        Self(Box::new([u64::MAX; Self::WORDS]))
    }

    /// No port.
    pub fn none() -> Self {
        Self(Box::new([0; Self::WORDS]))
    }

    /// One port.
    pub fn one(port: u16) -> Self {
        let mut ports = Self::none();
        ports.insert(port);
        ports
    }

    /// One more port.
    pub fn insert(&mut self, port: u16) {
        if let Some(word) = self.0.get_mut(usize::from(port >> 6)) {
            *word |= 1 << (port & 63);
        }
    }

    /// Is this port one of them?
    pub fn contains(&self, port: u16) -> bool {
        self.0.get(usize::from(port >> 6)).is_some_and(|word| word >> (port & 63) & 1 != 0)
    }

    /// Is there none?
    pub fn is_none(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Is each port one of them?
    pub fn is_all(&self) -> bool {
        self.0.iter().all(|word| *word == u64::MAX)
    }

    /// How many they are.
    pub fn count(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// What is in one of them, or in both.
    #[must_use]
    pub fn or(mut self, other: &Self) -> Self {
        self.0.iter_mut().zip(other.words()).for_each(|(word, other)| *word |= other);
        self
    }

    /// What is in both.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.0.iter_mut().zip(other.words()).for_each(|(word, other)| *word &= other);
        self
    }

    /// The others.
    #[must_use]
    pub fn others(mut self) -> Self {
        self.0.iter_mut().for_each(|word| *word = !*word);
        self
    }

    /// As the kernel programs have them: words of 64 ports each.
    pub fn words(&self) -> &[u64; Self::WORDS] {
        &self.0
    }

    /// Ports that follow each other, as first and last.
    fn ranges(&self) -> Vec<(u16, u16)> {
        let mut ranges: Vec<(u16, u16)> = Vec::new();
        for port in (0..=u16::MAX).filter(|port| self.contains(*port)) {
            match ranges.last_mut() {
                Some((_, last)) if last.checked_add(1) == Some(port) => *last = port,
                _ => ranges.push((port, port)),
            }
        }
        ranges
    }
}

impl FromIterator<u16> for Ports {
    fn from_iter<I: IntoIterator<Item = u16>>(all: I) -> Self {
        let mut ports = Self::none();
        all.into_iter().for_each(|port| ports.insert(port));
        ports
    }
}

impl fmt::Debug for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |(first, last)| if first == last { format!("{first}") } else { format!("{first}-{last}") };
        listed(f, &self.ranges().into_iter().map(text).collect::<Vec<_>>())
    }
}

/// Networks; where they overlap, the union is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Networks {
    /// Each address.
    All,
    /// Addresses in one of these.
    Of(Vec<Cidr>),
}

impl Networks {
    /// Is there no address in them?
    pub fn is_none(&self) -> bool {
        matches!(self, Self::Of(networks) if networks.is_empty())
    }

    /// How many they are; none where they are not told apart.
    pub fn count(&self) -> Option<usize> {
        match self {
            Self::All => None,
            Self::Of(networks) => Some(networks.len()),
        }
    }

    /// What is in one of them, or in both.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Of(one), Self::Of(other)) => Self::of(one.into_iter().chain(other).collect()),
            _ => Self::All,
        }
    }

    /// What is in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::All, some) | (some, Self::All) => some,
            (Self::Of(one), Self::Of(other)) => {
                // Two networks lie apart, or one lies in the other.
                let inner = |a: &Cidr| {
                    let (a, other) = (*a, &other);
                    other.iter().filter_map(move |b| match (a.covers(*b), b.covers(a)) {
                        (true, _) => Some(*b),
                        (_, true) => Some(a),
                        _ => None,
                    })
                };
                Self::of(one.iter().flat_map(|a| inner(a).collect::<Vec<_>>()).collect())
            }
        }
    }

    fn of(mut networks: Vec<Cidr>) -> Self {
        networks.sort_unstable();
        networks.dedup();
        if networks.len() > NETWORKS { Self::All } else { Self::Of(networks) }
    }
}

/// So many are told at the most.
const TOLD: usize = 16;

fn listed(f: &mut fmt::Formatter<'_>, all: &[impl fmt::Display]) -> fmt::Result {
    for (at, one) in all.iter().take(TOLD).enumerate() {
        write!(f, "{}{one}", if at == 0 { "" } else { ", " })?;
    }
    match all.len().saturating_sub(TOLD) {
        0 => Ok(()),
        more => write!(f, " and {more} more"),
    }
}

#[cfg(test)]
mod tests;
