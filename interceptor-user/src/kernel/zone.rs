//! How the programs tell network namespaces apart: see `zone.rs` of the kernel object.

use std::sync::OnceLock;

use super::{
    btf::Btf,
    features::{Feature, Features, Support},
};

/// Where the kernel's structures keep what the programs read; 0: not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    /// `sk_flags` in `struct sock`.
    pub(super) sk_flags: u32,
    /// The namespace in `struct sock`.
    pub(super) sock_net: u32,
    /// The device in `struct sk_buff`.
    pub(super) skb_dev: u32,
    /// The namespace in `struct net_device`.
    pub(super) dev_net: u32,
    /// The inode number in `struct net`.
    pub(super) net_inum: u32,
}

impl Layout {
    /// Of the running kernel. Where it does not let programs read its memory nothing is known, and the verifier removes the
    /// reads, for which it would refuse the whole program. Looked for once: it is megabytes to read.
    pub(super) fn get() -> Self {
        static LAYOUT: OnceLock<Layout> = OnceLock::new();
        *LAYOUT.get_or_init(Self::read)
    }

    fn read() -> Self {
        let may_read = Features::get().support(Feature::ReadKernel) == Support::Here;
        let Some(btf) = Btf::read().filter(|_| may_read) else { return Self::default() };
        let sk_flags = btf.offset_of("sock_common", "skc_flags").unwrap_or(0);
        Self::of_namespaces(&btf)
            .map_or_else(|| Self { sk_flags, ..Self::default() }, |found| Self { sk_flags, ..found })
    }

    /// All of it or nothing: half of it leads nowhere.
    fn of_namespaces(btf: &Btf) -> Option<Self> {
        Some(Self {
            sk_flags: 0,
            sock_net: btf.offset_of("sock_common", "skc_net")?,
            skb_dev: btf.offset_of("sk_buff", "dev")?,
            dev_net: btf.offset_of("net_device", "nd_net")?,
            net_inum: btf.offset_of("net", "ns")? + btf.offset_of("ns_common", "inum")?,
        })
    }

    /// Can namespaces be told apart?
    pub(super) const fn tells_namespaces(&self) -> bool {
        self.net_inum != 0
    }
}

/// Which namespaces' packets and sockets are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Zones {
    /// The only one that packets come from; 0: there are several.
    pub(super) only: u32,
    /// The one in which what leaves any that is not captured itself is seen; 0 and `ZONE_OWN` as in the kernel object.
    pub(super) outer: u32,
}
