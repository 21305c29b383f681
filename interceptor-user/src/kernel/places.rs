//! Everything that one load of the kernel object is attached to, and the steps that keep it so while interfaces,
//! namespaces and cgroups come and go.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use aya::{
    Ebpf,
    maps::{self, MapData},
    programs::cgroup_skb::CgroupSkbLink,
};

use super::{
    attach::{self, Attached, Attachment, Hook, Task},
    cgroup, clsact, leftover,
    netlink::{
        link::{self, Interface},
        nsid,
    },
    netns::{self, Netns},
    options::CaptureOptions,
    refusal,
};
use crate::model::glob;

/// Where programs are attached. Dropping it detaches them.
pub(super) struct Places {
    pub(super) ebpf: Ebpf,
    zones: maps::HashMap<MapData, u32, u32>,
    wanted: Wanted,
    spaces: BTreeMap<u32, Space>,
    /// With the number of each, as another one may be made at its path.
    cgroups: BTreeMap<PathBuf, (u64, Vec<CgroupSkbLink>)>,
    /// What stays as it is: sock_ops and connect.
    fixed: Vec<Attachment>,
}

/// Which interfaces of a namespace are captured.
struct Wanted {
    /// Names and patterns; none: all that are up.
    names: Vec<String>,
    /// By clsact even where there is TCX.
    clsact: bool,
    task: Task,
}

impl Wanted {
    fn allows(&self, interface: &Interface) -> bool {
        self.names.is_empty() || self.names.iter().any(|name| glob::matches(name, &interface.name))
    }

    /// One that is down carries nothing. If it was named, it is taken all the same.
    fn takes(&self, interface: &Interface) -> bool {
        // A pod's own business is not steered.
        let has_part = self.task == Task::Capture || !interface.loopback;
        has_part && self.allows(interface) && (interface.up || !self.names.is_empty())
    }
}

/// A network namespace of which interfaces are captured.
struct Space {
    netns: Netns,
    /// It is a pod's: what goes out of it by an interface whose other end is in this namespace is captured there.
    beside: Option<Netns>,
    interfaces: HashMap<i32, (Interface, Attached)>,
    /// Interfaces that take no programs: they are not asked again.
    refused: HashSet<i32>,
    /// What was left by interceptors that were killed is taken away.
    tidied: bool,
}

impl Places {
    /// Nothing is attached yet.
    pub(super) fn new(ebpf: Ebpf, options: &CaptureOptions) -> anyhow::Result<Self> {
        let wanted = Wanted { names: options.interfaces.clone(), clsact: options.clsact, task: Task::Capture };
        Self::of(ebpf, wanted)
    }

    /// The same, to give what comes in by all interfaces to the inline path.
    pub(super) fn to_assign(ebpf: Ebpf, clsact: bool) -> anyhow::Result<Self> {
        Self::of(ebpf, Wanted { names: Vec::new(), clsact, task: Task::Assign })
    }

    fn of(mut ebpf: Ebpf, wanted: Wanted) -> anyhow::Result<Self> {
        let zones = super::maps::take(&mut ebpf, "ZONES")?;
        Ok(Self { ebpf, zones, wanted, spaces: BTreeMap::new(), cgroups: BTreeMap::new(), fixed: Vec::new() })
    }

    /// Includes a namespace. `beside`: leave out what can be seen in that one.
    pub(super) fn enter(&mut self, netns: Netns, beside: Option<Netns>) -> anyhow::Result<()> {
        let inode = netns.inode();
        if let Some(space) = self.spaces.get_mut(&inode) {
            // The process that it was found by may be gone.
            space.netns = netns;
            return Ok(());
        }
        let outer = beside.as_ref().unwrap_or(&netns).inode();
        self.zones.insert(inode, outer, 0).context("too many network namespaces")?;
        self.spaces
            .insert(inode, Space { netns, beside, interfaces: HashMap::new(), refused: HashSet::new(), tidied: false });
        Ok(())
    }

    /// Forgets a namespace that is gone.
    pub(super) fn leave(&mut self, inode: u32) {
        let Some(space) = self.spaces.remove(&inode) else { return };
        tracing::info!(namespace = %space.netns, "gone");
        drop(self.zones.remove(&inode));
        space.interfaces.into_values().for_each(|(_, attached)| attached.forget());
    }

    /// The namespaces that are included.
    pub(super) fn namespaces(&self) -> impl Iterator<Item = &Netns> {
        self.spaces.values().map(|space| &space.netns)
    }

    /// Brings a namespace up to date: attaches to interfaces that are new, which it names, and forgets those that are
    /// gone. One that refuses is an error if it was asked for by name.
    pub(super) fn update(&mut self, inode: u32) -> anyhow::Result<Vec<String>> {
        let Self { ebpf, spaces, wanted, zones, .. } = self;
        let Some(space) = spaces.get_mut(&inode) else { return Ok(Vec::new()) };
        let netns = space.netns.clone();
        let new = netns.run(|| space.update(ebpf, wanted))?;
        if let Some(beside) = &space.beside {
            let all_there = space.interfaces.values().all(|(interface, _)| interface.loopback);
            let outer = if all_there { beside.inode() } else { inode };
            zones.insert(inode, outer, 0)?;
        }
        Ok(new)
    }

    /// Refuses names that no interface of the namespace has.
    pub(super) fn expect_named(&self, inode: u32) -> anyhow::Result<()> {
        let Some(space) = self.spaces.get(&inode) else { return Ok(()) };
        let plain = self.wanted.names.iter().filter(|name| !glob::is_pattern(name));
        for name in plain {
            if !space.interfaces.values().any(|(interface, _)| interface.name == *name) {
                let existing = space.netns.run(|| Ok(link::interfaces()?))?;
                let existing: Vec<_> = existing.iter().map(|interface| interface.name.as_str()).collect();
                bail!("no interface {name:?} here; there are: {}", existing.join(", "));
            }
        }
        Ok(())
    }

    /// Attaches to a cgroup, unless that is done.
    pub(super) fn cgroup(&mut self, path: &Path) -> anyhow::Result<()> {
        if !self.cgroups.contains_key(path) {
            let id = cgroup::id(&cgroup::resolve(path)).unwrap_or(0);
            let links = attach::cgroup_skb(&mut self.ebpf, path)?;
            self.cgroups.insert(path.to_owned(), (id, links));
        }
        Ok(())
    }

    /// Forgets cgroups that are gone.
    pub(super) fn forget_gone_cgroups(&mut self) {
        self.cgroups.retain(|path, (id, _)| cgroup::id(path).is_ok_and(|now| now == *id));
    }

    /// Notes what was attached once and for all.
    pub(super) fn note(&mut self, hook: Hook, place: &Path) {
        self.fixed.push(Attachment { hook, place: place.display().to_string() });
    }

    /// All of it.
    pub(super) fn attachments(&self) -> Vec<Attachment> {
        let mut all: Vec<Attachment> = self
            .cgroups
            .keys()
            .map(|path| Attachment { hook: Hook::CgroupSkb, place: path.display().to_string() })
            .collect();
        let several = self.spaces.len() > 1;
        for space in self.spaces.values() {
            let mut interfaces: Vec<_> = space.interfaces.values().collect();
            interfaces.sort_by_key(|(interface, _)| interface.index);
            all.extend(interfaces.into_iter().map(|(interface, attached)| {
                let place = if several && !space.netns.is_own() {
                    format!("{} in {}", interface.name, space.netns)
                } else {
                    interface.name.clone()
                };
                Attachment { hook: attached.hook, place }
            }));
        }
        all.extend(self.fixed.iter().cloned());
        all
    }
}

impl Space {
    /// Runs in the namespace.
    fn update(&mut self, ebpf: &mut Ebpf, wanted: &Wanted) -> anyhow::Result<Vec<String>> {
        if !self.tidied {
            leftover::remove();
            self.tidied = true;
        }
        let mut present: HashMap<i32, Interface> = link::interfaces()
            .context("cannot list the network interfaces")?
            .into_iter()
            .map(|interface| (interface.index, interface))
            .collect();
        self.forget_gone(&present);
        // Where interfaces were named, those are taken wherever they are.
        let host = if wanted.names.is_empty() { self.host()? } else { None };
        let seen_there = |interface: &Interface| host.is_some() && interface.peer == host;
        for (known, _) in self.interfaces.values_mut() {
            if let Some(now) = present.remove(&known.index) {
                *known = now;
            }
        }
        // The other end may have been moved only now, or the name changed. These are detached here, in their namespace.
        self.interfaces.retain(|_, (known, _)| wanted.allows(known) && !seen_there(known));
        let is_new = |interface: &Interface| {
            wanted.takes(interface) && !seen_there(interface) && !self.refused.contains(&interface.index)
        };
        let mut new: Vec<Interface> = present.into_values().filter(is_new).collect();
        new.sort_by_key(|interface| interface.index);
        self.attach(ebpf, wanted, new)
    }

    fn attach(&mut self, ebpf: &mut Ebpf, wanted: &Wanted, new: Vec<Interface>) -> anyhow::Result<Vec<String>> {
        let mut names = Vec::new();
        for interface in new {
            match attach::interface(ebpf, &interface, wanted.task, wanted.clsact) {
                Ok(attached) => {
                    names.push(interface.name.clone());
                    self.interfaces.insert(interface.index, (interface, attached));
                }
                Err(error) if wanted.names.contains(&interface.name) => return Err(error),
                // One of all may be of a kind that takes no programs, or be gone by now.
                Err(error) => {
                    self.refused.insert(interface.index);
                    refusal::warn(&interface.name, &error);
                }
            }
        }
        Ok(names)
    }

    fn forget_gone(&mut self, present: &HashMap<i32, Interface>) {
        let is_gone = |index: &i32, known: &Interface| {
            // The number may be another one's by now.
            present.get(index).is_none_or(|now| now.loopback != known.loopback || now.ethernet != known.ethernet)
        };
        self.refused.retain(|index| present.contains_key(index));
        let gone = self.interfaces.extract_if(|index, (known, _)| is_gone(index, known));
        for (_, (interface, attached)) in gone {
            tracing::info!(namespace = %self.netns, interface = interface.name, "gone");
            attached.forget();
        }
    }

    /// The number that the namespace beside has here.
    fn host(&self) -> anyhow::Result<Option<i32>> {
        let Some(beside) = &self.beside else { return Ok(None) };
        Ok(nsid::get(beside.file()?)?)
    }

    /// A clsact filter is removed by a message to the namespace that it is in.
    fn detach(self) {
        let Self { netns, interfaces, .. } = self;
        let by_clsact = interfaces.values().any(|(_, attached)| attached.hook == Hook::Clsact);
        if !by_clsact {
            return;
        }
        let netns = if netns.file().is_ok() {
            netns
        } else {
            match netns::all().remove(&netns.inode()) {
                Some(path) => Netns::at(netns.inode(), path),
                None => return interfaces.into_values().for_each(|(_, attached)| attached.forget()),
            }
        };
        let detached = netns.run(move || {
            let _lock = clsact::Lock::wait();
            let mut emptied = Vec::new();
            for (index, (_, attached)) in interfaces {
                if attached.qdisc_added {
                    emptied.push(index);
                }
                drop(attached);
            }
            emptied.into_iter().for_each(clsact::remove_unused);
            Ok(())
        });
        if let Err(error) = detached {
            tracing::warn!("could not detach: {error:#}");
        }
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        std::mem::take(&mut self.spaces).into_values().for_each(Space::detach);
    }
}
