//! Which container a cgroup is of, by its path: runtimes and the kubelet put ids into the names of directories.

use crate::model::{Container, Pod, Qos};

/// containerd's namespace for what the kubelet asks it for.
const KUBERNETES: &str = "k8s.io";
/// containerd's namespace for what does not ask for one (`ctr`, `nerdctl`).
const DEFAULT: &str = "default";
/// containerd's namespaces that appear as directories. Another may be any parent's name, so it tells nothing.
const NAMESPACES: [&str; 3] = [KUBERNETES, DEFAULT, "moby"];

/// The container of a process, by its `/proc/PID/cgroup`: a line a hierarchy, `NUMBER:CONTROLLERS:PATH`.
///
/// Sockets know their version 2 cgroup only, so that one goes first. Beside version 1 it may be the root, or stop at the
/// node's own container (kind), while the hierarchies of version 1 reach down to the pod's.
pub(super) fn of_list(list: &str) -> Option<Container> {
    let of_version = |second: bool| {
        let lines = list.lines().filter(move |line| line.starts_with("0::") == second);
        lines.filter_map(|line| of_path(line.splitn(3, ':').nth(2)?))
    };
    let all = || of_version(true).chain(of_version(false));
    all().find(|container| container.pod.is_some()).or_else(|| all().next())
}

/// The container of a cgroup. Cgroups that a container makes inside its own belong to it; those of the runtimes'
/// monitors belong to none.
pub(super) fn of_path(path: &str) -> Option<Container> {
    // A process may stay in a cgroup whose directory is gone.
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
    let mut at = names.as_slice();
    while let [above @ .., name] = at {
        if let Some((id, namespace)) = id_in(above, name) {
            return Some(Container { id: id.into(), namespace, pod: pod_of(at) });
        }
        at = above;
    }
    None
}

/// The container that a directory is named for: `ID`, `RUNTIME-ID`, `RUNTIME-ID.scope` or `SLICE:RUNTIME:ID`; and the
/// namespace that it is of.
fn id_in<'a>(above: &[&str], name: &'a str) -> Option<(&'a str, Option<&'static str>)> {
    let unit = name.strip_suffix(".scope").unwrap_or(name);
    let (runtime, id) = unit.rsplit_once(['-', ':']).unwrap_or(("", unit));
    if runtime.ends_with("conmon") {
        return None;
    }
    if id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let of_parent = || NAMESPACES.into_iter().find(|namespace| above.last() == Some(namespace));
        let namespace = if runtime.ends_with("cri-containerd") { Some(KUBERNETES) } else { of_parent() };
        return Some((id, namespace));
    }
    // Whoever uses `ctr run` chooses the id.
    (above == [DEFAULT]).then_some((name, Some(DEFAULT)))
}

/// The pod that the last of these directories is in.
fn pod_of(names: &[&str]) -> Option<Pod> {
    let mut at = names;
    while let [above @ .., name] = at {
        if let Some(pod) = pod_in(above, name) {
            return Some(pod);
        }
        at = above;
    }
    None
}

/// The pod that a directory is named for: `CLASS/podUID`, or `…-CLASS-podUID.slice`, where the class of guaranteed pods
/// is `kubepods` itself.
fn pod_in(above: &[&str], name: &str) -> Option<Pod> {
    let name = name.split(':').next().unwrap_or(name);
    let (class, uid) = match name.strip_suffix(".slice") {
        Some(slice) => {
            let (above, uid) = slice.rsplit_once("-pod")?;
            (above.rsplit('-').next(), uid)
        }
        None => (above.last().copied(), name.strip_prefix("pod")?),
    };
    let qos = match class {
        Some("kubepods") => Some(Qos::Guaranteed),
        Some("burstable") => Some(Qos::Burstable),
        Some("besteffort") => Some(Qos::BestEffort),
        _ => None,
    };
    Some(Pod { uid: uid_of(uid)?, qos })
}

/// A UUID, in which systemd's slices have `_` for `-` (which means a level to them); or the 32 digits of a static pod.
fn uid_of(text: &str) -> Option<Box<str>> {
    let uid = text.replace('_', "-");
    let hexadecimal = uid.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    let parts: Vec<usize> = uid.split('-').map(str::len).collect();
    (hexadecimal && matches!(parts[..], [8, 4, 4, 4, 12] | [32])).then(|| uid.into())
}

#[cfg(test)]
mod tests;
