//! Which namespaces and cgroups are captured, of those that there are.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::ensure;
use aya::Ebpf;
use interceptor_common::ZONE_OWN;

use super::{
    attach, cgroup,
    netns::{self, Netns},
    options::CaptureOptions,
    refusal,
    zone::{Layout, Zones},
};
use crate::model::glob;

/// What was asked for.
pub(super) struct Scope {
    interfaces: bool,
    pods: bool,
    netns: Vec<PathBuf>,
    cgroups: Vec<PathBuf>,
    /// Connections below a cgroup that was named: they are wanted whatever their namespace.
    connections_of_cgroup: bool,
}

/// A namespace whose interfaces are captured.
pub(super) struct Wanted {
    pub(super) netns: Netns,
    /// It is a pod's, and this is the namespace that the other ends of its interfaces may be in.
    pub(super) beside: Option<Netns>,
}

impl Scope {
    pub(super) fn of(options: &CaptureOptions) -> Self {
        Self {
            interfaces: !options.interfaces.is_empty() || options.cgroups.is_empty() || options.pods,
            pods: options.pods,
            netns: options.netns.clone(),
            cgroups: options.cgroups.iter().map(|path| cgroup::resolve(path)).collect(),
            connections_of_cgroup: options.sock_ops_cgroup.is_some(),
        }
    }

    /// Interfaces at all, or cgroups only?
    pub(super) const fn captures_interfaces(&self) -> bool {
        self.interfaces
    }

    /// Do namespaces come and go?
    pub(super) fn follows_namespaces(&self) -> bool {
        self.interfaces && (self.pods || !self.netns.is_empty())
    }

    /// Do cgroups?
    pub(super) fn follows_cgroups(&self) -> bool {
        self.cgroups.iter().any(|path| is_pattern(path))
    }

    /// Is it all namespaces?
    pub(super) const fn follows_pods(&self) -> bool {
        self.pods
    }

    /// Loads what is to be attached, now or later: the verifier takes its time. Programs for links without an Ethernet
    /// header may never be needed, and their refusal is no reason to end.
    pub(super) fn prepare(&self, ebpf: &mut Ebpf) -> anyhow::Result<()> {
        if self.interfaces {
            attach::load_classifiers(ebpf)?;
        }
        if self.follows_namespaces()
            && let Err(error) = attach::load_raw_classifiers(ebpf)
        {
            refusal::warn("TC on links without an Ethernet header", &error);
        }
        if self.follows_cgroups() {
            attach::load_cgroup_skb(ebpf)?;
        }
        Ok(())
    }

    /// The namespaces that there are now. `all`: it is an error if one that was named is not.
    pub(super) fn namespaces(&self, all: bool) -> anyhow::Result<Vec<Wanted>> {
        if !self.interfaces {
            return Ok(Vec::new());
        }
        let own = Netns::own()?;
        let mut found = Vec::new();
        let mut include = |netns: Netns, beside| {
            // Two names may be one's.
            if !found.iter().any(|known: &Wanted| known.netns.inode() == netns.inode()) {
                found.push(Wanted { netns, beside });
            }
        };
        for path in self.netns.iter().flat_map(|path| expand(path)) {
            match Netns::open(Some(&path)) {
                Ok(netns) => include(netns, None),
                Err(error) if all => return Err(error),
                Err(_) => {}
            }
        }
        if self.netns.is_empty() {
            include(own.clone(), None);
        }
        if self.pods {
            if all {
                netns::may_enter()?;
                netns::warn_of_hidden();
            }
            for (inode, path) in netns::all() {
                include(Netns::at(inode, path), Some(own.clone()));
            }
        }
        Ok(found)
    }

    /// Those of `directories` that are wanted.
    pub(super) fn cgroups<'a>(&self, directories: impl Iterator<Item = &'a Path>) -> Vec<PathBuf> {
        let wanted = |directory: &&Path| self.cgroups.iter().any(|pattern| path_matches(pattern, directory));
        directories.filter(wanted).map(Path::to_owned).collect()
    }

    /// The cgroups that were named.
    pub(super) fn named_cgroups(&self) -> impl Iterator<Item = &Path> {
        self.cgroups.iter().map(PathBuf::as_path).filter(|path| !is_pattern(path))
    }

    /// How packets of these namespaces are told apart.
    pub(super) fn zones(&self, found: &[Wanted], layout: Layout) -> anyhow::Result<Zones> {
        if !self.interfaces {
            return Ok(Zones { only: 0, outer: ZONE_OWN });
        }
        let several = found.len() > 1 || self.pods || self.netns.iter().any(|path| is_pattern(path));
        ensure!(
            !several || layout.tells_namespaces(),
            "this kernel has no type information (/sys/kernel/btf/vmlinux), so that connections of several network \
             namespaces cannot be told apart: capture one, or use a kernel with CONFIG_DEBUG_INFO_BTF"
        );
        let first = found.first().map(|wanted| &wanted.netns);
        let only = first.filter(|_| !several).map_or(0, Netns::inode);
        let own = found.iter().map(|wanted| &wanted.netns).find(|netns| netns.is_own());
        // The traffic of pods that are not captured themselves is seen at the interfaces of the host.
        let outer = match own {
            Some(own) => own.inode(),
            None if self.connections_of_cgroup || !self.cgroups.is_empty() => first.map_or(0, Netns::inode),
            None => 0,
        };
        Ok(Zones { only, outer })
    }
}

/// Those that a pattern in the last part of a path stands for; else the path.
fn expand(path: &Path) -> Vec<PathBuf> {
    let (Some(pattern), Some(directory)) = (path.file_name().and_then(|name| name.to_str()), path.parent()) else {
        return vec![path.to_owned()];
    };
    if !glob::is_pattern(pattern) {
        return vec![path.to_owned()];
    }
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| glob::matches(pattern, name)))
        .map(|entry| entry.path())
        .filter(|path| netns::is_one(path))
        .collect();
    found.sort();
    found
}

fn is_pattern(path: &Path) -> bool {
    path.to_str().is_some_and(glob::is_pattern)
}

/// Part by part: a `*` does not reach into directories below.
fn path_matches(pattern: &Path, path: &Path) -> bool {
    let (mut pattern, mut path) = (pattern.components(), path.components());
    loop {
        match (pattern.next(), path.next()) {
            (None, None) => return true,
            (Some(pattern), Some(path)) => {
                let fits = match (pattern.as_os_str().to_str(), path.as_os_str().to_str()) {
                    (Some(pattern), Some(path)) => glob::matches(pattern, path),
                    _ => pattern == path,
                };
                if !fits {
                    return false;
                }
            }
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_paths_stay_in_their_directory() {
        let fits = |pattern: &str, path: &str| path_matches(Path::new(pattern), Path::new(path));
        assert!(fits("/c/kubepods/pod*", "/c/kubepods/pod1"));
        assert!(!fits("/c/kubepods/pod*", "/c/kubepods/pod1/container"));
        assert!(!fits("/c/kubepods/pod*", "/c/kubepods"));
        assert!(fits("/c/*/pod?", "/c/kubepods/pod1"));
        assert!(fits("/c/a", "/c/a/"));
    }

    #[test]
    fn without_anything_said_our_own_namespace_is_captured() {
        let scope = Scope::of(&CaptureOptions::default());
        let found = scope.namespaces(true).unwrap();
        assert_eq!(found.len(), 1);
        assert!(found[0].netns.is_own() && found[0].beside.is_none());
        let zones = scope.zones(&found, Layout::default()).unwrap();
        assert_eq!((zones.only, zones.outer), (found[0].netns.inode(), found[0].netns.inode()));
        assert!(!scope.follows_namespaces() && !scope.follows_cgroups());
    }

    #[test]
    fn several_namespaces_need_the_kernels_layout() {
        let scope = Scope::of(&CaptureOptions { pods: true, ..CaptureOptions::default() });
        let found = scope.namespaces(true).unwrap();
        assert!(scope.zones(&found, Layout::default()).unwrap_err().to_string().contains("BTF"));
        let layout = Layout { net_inum: 8, ..Layout::default() };
        assert_eq!(scope.zones(&found, layout).unwrap().only, 0);
    }

    #[test]
    fn cgroups_alone_are_in_their_own_namespaces() {
        let options = CaptureOptions { cgroups: vec!["pods/*".into()], ..CaptureOptions::default() };
        let scope = Scope::of(&options);
        assert!(scope.namespaces(true).unwrap().is_empty() && scope.follows_cgroups());
        assert_eq!(scope.zones(&[], Layout::default()).unwrap(), Zones { only: 0, outer: ZONE_OWN });
    }
}
