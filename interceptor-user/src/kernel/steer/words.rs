//! Rules as bits: for each port, network and cgroup a word of those that are about it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv6Addr,
};

use interceptor_common::SteerCgroup;

use super::SteerRule;
use crate::model::Cidr;

/// What is written into the maps.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Words {
    pub(super) ports: BTreeMap<u16, u32>,
    pub(super) any_port: u32,
    /// By address and prefix, IPv4 mapped. The kernel takes the longest one that fits, so it has what shorter ones say, too.
    pub(super) networks: BTreeMap<(Ipv6Addr, u32), u32>,
    pub(super) cgroups: BTreeMap<u64, SteerCgroup>,
    pub(super) any_cgroup: u32,
    pub(super) closed: u32,
    /// All of them.
    pub(super) active: u32,
}

impl Words {
    /// Of these rules, each with its bit, but for what runs in the cgroups `exempt`.
    pub(super) fn of(rules: &[(u32, &SteerRule)], exempt: &[u64]) -> Self {
        let mut words = Self::default();
        for (at, rule) in rules {
            let bit = 1 << at;
            words.active |= bit;
            for port in &rule.ports {
                *words.ports.entry(*port).or_default() |= bit;
            }
            for id in &rule.cgroups {
                words.cgroups.entry(*id).or_default().rules |= bit;
            }
            let set = |word: &mut u32, is_set: bool| *word |= if is_set { bit } else { 0 };
            set(&mut words.any_port, rule.ports.is_empty());
            set(&mut words.any_cgroup, rule.cgroups.is_empty());
            set(&mut words.closed, rule.closed);
        }
        for id in exempt {
            words.cgroups.entry(*id).or_default().exempt = 1;
        }
        let named = rules.iter().flat_map(|(_, rule)| &rule.networks).copied();
        let networks: BTreeSet<Cidr> = named.chain(here()).chain(link_local()).chain(all()).collect();
        for network in networks {
            let about = rules.iter().filter(|(_, rule)| is_about(rule, network));
            words.networks.insert(network.mapped(), about.fold(0, |word, (at, _)| word | 1 << at));
        }
        words
    }

    /// Only these rules.
    pub(super) fn only(mut self, rules: u32) -> Self {
        self.ports.values_mut().chain(self.networks.values_mut()).for_each(|word| *word &= rules);
        self.cgroups.values_mut().for_each(|said| said.rules &= rules);
        for word in [&mut self.any_port, &mut self.any_cgroup, &mut self.closed, &mut self.active] {
            *word &= rules;
        }
        self
    }

    /// Is the first of those in force closed that is about this port and this address, whoever asks?
    pub(super) fn is_closed(&self, port: u16, address: Ipv6Addr) -> bool {
        let by_port = self.ports.get(&port).copied().unwrap_or(0) | self.any_port;
        let about = by_port & self.about((address, 128)) & self.active;
        let first = about & about.wrapping_neg();
        self.closed & first != 0
    }

    /// What both say.
    pub(super) fn join(&self, other: &Self) -> Self {
        let mut both = self.clone();
        for (port, word) in &other.ports {
            *both.ports.entry(*port).or_default() |= word;
        }
        for (id, said) in &other.cgroups {
            let of = both.cgroups.entry(*id).or_default();
            *of = SteerCgroup { rules: of.rules | said.rules, exempt: of.exempt | said.exempt };
        }
        // What one of them says of a network it says where it knows a wider one.
        let all = self.networks.keys().chain(other.networks.keys());
        both.any_port |= other.any_port;
        both.any_cgroup |= other.any_cgroup;
        both.closed |= other.closed;
        both.active |= other.active;
        both.networks = all.map(|network| (*network, self.about(*network) | other.about(*network))).collect();
        both
    }

    /// What is said of addresses of which nothing narrower than this network is known.
    fn about(&self, (address, prefix): (Ipv6Addr, u32)) -> u32 {
        let around = |(ip, length): &(Ipv6Addr, u32)| {
            *length <= prefix && (ip.to_bits() ^ address.to_bits()).leading_zeros() >= *length
        };
        let longest =
            self.networks.iter().filter(|(network, _)| around(network)).max_by_key(|((_, length), _)| *length);
        longest.map_or(0, |(_, word)| *word)
    }
}

/// Is the rule about each address of it?
fn is_about(rule: &SteerRule, network: Cidr) -> bool {
    if link_local().any(|link_local| link_local.covers(network)) {
        return false;
    }
    if rule.networks.is_empty() {
        return !here().any(|here| here.covers(network));
    }
    rule.networks.iter().any(|named| named.covers(network))
}

/// A pod's own business: loopback addresses, and those without a meaning, for which connect(2) takes loopback's.
fn here() -> impl Iterator<Item = Cidr> {
    ["127.0.0.0/8", "::1/128", "0.0.0.0/32", "::/128"].into_iter().filter_map(|text| text.parse().ok())
}

/// They mean something with their interface only, which the inline path does not know.
fn link_local() -> impl Iterator<Item = Cidr> {
    ["fe80::/10"].into_iter().filter_map(|text| text.parse().ok())
}

fn all() -> impl Iterator<Item = Cidr> {
    ["::/0"].into_iter().filter_map(|text| text.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(list: &[&str]) -> Vec<Cidr> {
        list.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// What the kernel finds: the longest one that fits.
    fn found(words: &Words, address: &str) -> u32 {
        words.about(address.parse::<Cidr>().unwrap().mapped())
    }

    fn words(rules: &[SteerRule], exempt: &[u64]) -> Words {
        Words::of(&(0..).zip(rules).collect::<Vec<_>>(), exempt)
    }

    #[test]
    fn the_longest_network_says_what_those_around_it_say() {
        let rules = [
            SteerRule { networks: networks(&["10.0.0.0/8"]), ..SteerRule::default() },
            SteerRule { networks: networks(&["10.1.0.0/16", "fd00::/8"]), ..SteerRule::default() },
            SteerRule::default(),
        ];
        let words = words(&rules, &[]);
        let expected =
            [("10.2.0.1", 0b101), ("10.1.0.1", 0b111), ("192.0.2.1", 0b100), ("fd00::1", 0b110), ("::2", 0b100)];
        for (address, rules) in expected {
            assert_eq!(found(&words, address), rules, "{address}");
        }
    }

    #[test]
    fn loopback_is_only_for_those_that_name_it() {
        let named = SteerRule { networks: networks(&["127.0.0.1/32"]), ..SteerRule::default() };
        let wide = SteerRule { networks: networks(&["0.0.0.0/0"]), ..SteerRule::default() };
        let words = words(&[SteerRule::default(), named, wide], &[]);
        for (address, rules) in [("127.0.0.1", 0b110), ("127.0.0.2", 0b100), ("::1", 0), ("192.0.2.1", 0b101)] {
            assert_eq!(found(&words, address), rules, "{address}");
        }
        // These are loopback's to connect(2).
        for (address, rules) in [("0.0.0.0", 0b100), ("::", 0)] {
            assert_eq!(found(&words, address), rules, "{address}");
        }
    }

    #[test]
    fn what_means_something_on_one_link_only_is_never_steered() {
        let named = SteerRule { networks: networks(&["fe80::/10", "fe80::7/128"]), ..SteerRule::default() };
        let wide = SteerRule { networks: networks(&["::/0"]), ..SteerRule::default() };
        let words = words(&[SteerRule::default(), named, wide], &[]);
        for (address, rules) in [("fe80::7", 0), ("fe80::8", 0), ("fec0::1", 0b101)] {
            assert_eq!(found(&words, address), rules, "{address}");
        }
    }

    #[test]
    fn two_sets_joined_say_of_each_address_what_each_says() {
        let rule =
            |list: &[&str], port| SteerRule { networks: networks(list), ports: vec![port], ..SteerRule::default() };
        let old = words(&[rule(&["10.0.0.0/8", "fd00::/8"], 80), SteerRule::default()], &[]);
        let new = rule(&["10.1.0.0/16", "0.0.0.0/0"], 81);
        let new = Words::of(&[(16, &new)], &[7]);
        let both = old.join(&new);
        for address in ["10.1.2.3", "10.2.0.1", "192.0.2.1", "127.0.0.1", "fd00::1", "fe80::1", "::2"] {
            assert_eq!(found(&both, address), found(&old, address) | found(&new, address), "{address}");
        }
        assert_eq!(both.ports, BTreeMap::from([(80, 1), (81, 1 << 16)]));
        assert_eq!(both.cgroups[&7].exempt, 1);
        assert_eq!(both.only(new.active).ports, BTreeMap::from([(80, 0), (81, 1 << 16)]));
    }

    #[test]
    fn what_is_not_given_is_any() {
        let rules = [
            SteerRule { ports: vec![80, 8000], closed: true, ..SteerRule::default() },
            SteerRule { ports: vec![8000], cgroups: vec![7], ..SteerRule::default() },
            SteerRule { cgroups: vec![7, 9], ..SteerRule::default() },
        ];
        let words = words(&rules, &[9]);
        assert_eq!(words.ports, BTreeMap::from([(80, 0b1), (8000, 0b11)]));
        assert_eq!((words.any_port, words.any_cgroup, words.closed), (0b100, 0b1, 0b1));
        let closed = |port, address: &str| words.is_closed(port, address.parse().unwrap());
        assert!(closed(80, "::ffff:10.0.0.1") && closed(8000, "2001:db8::1"));
        assert!(!closed(81, "::ffff:10.0.0.1") && !closed(80, "fe80::1") && !closed(80, "::1"));
        let said = |rules, exempt| SteerCgroup { rules, exempt };
        assert_eq!(words.cgroups, BTreeMap::from([(7, said(0b110, 0)), (9, said(0b100, 1))]));
    }
}
