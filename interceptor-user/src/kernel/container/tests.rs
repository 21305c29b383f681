use super::*;

const ID: &str = "4f2a9c0e6b1d8f3a5c7e9b0d2f4a6c8e0b1d3f5a7c9e1b3d5f7a9c0e2b4d6f8a";
const NODE: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const UID: &str = "6c2e4f1a-0b1c-4d5e-8f90-a1b2c3d4e5f6";
const STATIC: &str = "7f1b2c3d4e5f60718293a4b5c6d7e8f9";

/// What a path tells: id, namespace, pod, class.
type Told<'a> = Option<(&'a str, Option<&'a str>, Option<&'a str>, Option<&'a str>)>;

fn told(container: Option<&Container>) -> Told<'_> {
    let Container { id, namespace, pod } = container?;
    let pod = pod.as_ref();
    Some((&**id, *namespace, pod.map(|pod| &*pod.uid), pod.and_then(|pod| pod.qos).map(Qos::name)))
}

/// `{id}`, `{node}`, `{uid}`, `{u_i_d}` and `{static}` filled in.
fn filled(text: &str) -> String {
    let slice = UID.replace('-', "_");
    [("{id}", ID), ("{node}", NODE), ("{uid}", UID), ("{u_i_d}", &slice), ("{static}", STATIC)]
        .into_iter()
        .fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
}

const KUBERNETES: Option<&str> = Some("k8s.io");
const BURSTABLE: Option<&str> = Some("Burstable");
const BEST_EFFORT: Option<&str> = Some("BestEffort");
const GUARANTEED: Option<&str> = Some("Guaranteed");

/// Where a spelling comes from, the spelling, and what it tells.
///
/// The kubelet's names of pods and classes: `pkg/kubelet/cm/{pod_container_manager,cgroup_manager}_linux.go`; uids of
/// static pods: `pkg/kubelet/config/common.go`. Sources without a host are in the repository of the project they name.
const PODS: &[(&str, &str, Told<'_>)] = &[
    (
        "containerd, systemd: docs/cri/config.md (SystemdCgroup); getCgroupsPath of its CRI plugin",
        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{u_i_d}.slice/cri-containerd-{id}.scope",
        Some((ID, KUBERNETES, Some(UID), BURSTABLE)),
    ),
    (
        "the same, best effort, and a cgroup that the container made itself (cgroups(7), delegation)",
        "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{u_i_d}.slice/cri-containerd-{id}.scope/a/init.scope",
        Some((ID, KUBERNETES, Some(UID), BEST_EFFORT)),
    ),
    (
        "the same, guaranteed: kubernetes pkg/kubelet/cm/pod_container_manager_linux.go (no directory for the class)",
        "/kubepods.slice/kubepods-pod{u_i_d}.slice/cri-containerd-{id}.scope",
        Some((ID, KUBERNETES, Some(UID), GUARANTEED)),
    ),
    (
        "a static pod: kubernetes pkg/kubelet/config/common.go (the uid is a hash in hexadecimal)",
        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{static}.slice/cri-containerd-{id}.scope",
        Some((ID, KUBERNETES, Some(STATIC), BURSTABLE)),
    ),
    (
        "cgroupfs driver: kubernetes pkg/kubelet/cm/cgroup_manager_linux.go (ToCgroupfs)",
        "/kubepods/burstable/pod{uid}/{id}",
        Some((ID, None, Some(UID), BURSTABLE)),
    ),
    ("the same, best effort", "/kubepods/besteffort/pod{uid}/{id}", Some((ID, None, Some(UID), BEST_EFFORT))),
    ("the same, guaranteed", "/kubepods/pod{uid}/{id}", Some((ID, None, Some(UID), GUARANTEED))),
    ("the same, static", "/kubepods/burstable/pod{static}/{id}", Some((ID, None, Some(STATIC), BURSTABLE))),
    (
        "kind: pkg/cluster/internal/kubeadm/config.go (cgroupRoot: /kubelet), below the node's own container",
        "/docker/{node}/kubelet/kubepods/burstable/pod{uid}/{id}",
        Some((ID, None, Some(UID), BURSTABLE)),
    ),
    (
        "the same with systemd: kubernetes cgroup_manager_linux.go (ToSystemd: each level repeats the names above it)",
        "/docker/{node}/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/\
         kubelet-kubepods-besteffort-pod{u_i_d}.slice/cri-containerd-{id}.scope",
        Some((ID, KUBERNETES, Some(UID), BEST_EFFORT)),
    ),
    (
        "the same, guaranteed",
        "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{u_i_d}.slice/cri-containerd-{id}.scope",
        Some((ID, KUBERNETES, Some(UID), GUARANTEED)),
    ),
    (
        "another pod of the node, seen from within a cgroup namespace: cgroup_namespaces(7)",
        "/../../pod{uid}/{id}",
        Some((ID, None, Some(UID), None)),
    ),
    (
        "the same, further up, systemd",
        "/../../../kubepods-burstable.slice/kubepods-burstable-pod{u_i_d}.slice/cri-containerd-{id}.scope",
        Some((ID, KUBERNETES, Some(UID), BURSTABLE)),
    ),
    ("a neighbour in the same pod, seen so", "/../cri-containerd-{id}.scope", Some((ID, KUBERNETES, None, None))),
    (
        "containerd without SystemdCgroup below a kubelet with it: runc docs/systemd.md (slice:prefix:name) as a plain path",
        "/system.slice/containerd.service/kubepods-burstable-pod{u_i_d}.slice:cri-containerd:{id}",
        Some((ID, KUBERNETES, Some(UID), BURSTABLE)),
    ),
    (
        "the same at the root, guaranteed",
        "/kubepods-pod{u_i_d}.slice:cri-containerd:{id}",
        Some((ID, KUBERNETES, Some(UID), GUARANTEED)),
    ),
    (
        "the same in system.slice",
        "/system.slice/kubepods-besteffort-pod{u_i_d}.slice:cri-containerd:{id}",
        Some((ID, KUBERNETES, Some(UID), BEST_EFFORT)),
    ),
    (
        "CRI-O, systemd: cri-o internal/config/cgmgr/systemd_linux.go",
        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{u_i_d}.slice/crio-{id}.scope",
        Some((ID, None, Some(UID), BURSTABLE)),
    ),
    (
        "CRI-O with crun, which puts the container one level deeper: crun(1), run.oci.systemd.subgroup",
        "/kubepods.slice/kubepods-pod{u_i_d}.slice/crio-{id}.scope/container",
        Some((ID, None, Some(UID), GUARANTEED)),
    ),
    (
        "CRI-O, cgroupfs: cri-o internal/config/cgmgr/cgroupfs_linux.go",
        "/kubepods/besteffort/pod{uid}/crio-{id}",
        Some((ID, None, Some(UID), BEST_EFFORT)),
    ),
    (
        "CRI-O's monitor in the pod: cri-o internal/config/cgmgr/cgroupfs_linux.go (MoveConmonToCgroup)",
        "/kubepods/burstable/pod{uid}/crio-conmon-{id}",
        None,
    ),
    ("the same, systemd", "/system.slice/crio-conmon-{id}.scope", None),
    (
        "cri-dockerd, systemd: moby daemon/oci_linux.go (docker as the prefix, the pod's slice as the parent)",
        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{u_i_d}.slice/docker-{id}.scope",
        Some((ID, None, Some(UID), BURSTABLE)),
    ),
    ("cri-dockerd, cgroupfs", "/kubepods/besteffort/pod{uid}/{id}", Some((ID, None, Some(UID), BEST_EFFORT))),
    (
        "a container in a container of a pod (Docker in Docker)",
        "/kubepods/burstable/pod{uid}/{node}/docker/{id}",
        Some((ID, None, Some(UID), BURSTABLE)),
    ),
];

const OTHERS: &[(&str, &str, Told<'_>)] = &[
    (
        "Docker, systemd: https://docs.docker.com/engine/containers/runmetrics/",
        "/system.slice/docker-{id}.scope",
        Some((ID, None, None, None)),
    ),
    ("Docker, cgroupfs: the same page", "/docker/{id}", Some((ID, None, None, None))),
    ("Docker, and systemd inside", "/docker/{id}/init.scope", Some((ID, None, None, None))),
    (
        "Docker rootless: https://docs.docker.com/engine/security/rootless/",
        "/user.slice/user-1000.slice/user@1000.service/user.slice/docker-{id}.scope",
        Some((ID, None, None, None)),
    ),
    (
        "podman: libpod/container_internal_linux.go (getOCICgroupPath)",
        "/machine.slice/libpod-{id}.scope/container",
        Some((ID, None, None, None)),
    ),
    ("podman, cgroupfs", "/libpod_parent/libpod-{id}", Some((ID, None, None, None))),
    (
        "podman in a pod of its own: libpod/runtime_pod_linux.go",
        "/machine.slice/machine-libpod_pod_{node}.slice/libpod-{id}.scope",
        Some((ID, None, None, None)),
    ),
    (
        "podman in a unit: podman-run(1), --cgroups=split",
        "/system.slice/web.service/libpod-payload-{id}",
        Some((ID, None, None, None)),
    ),
    ("podman's monitor", "/machine.slice/libpod-conmon-{id}.scope", None),
    (
        "containerd: pkg/oci/spec.go (/NAMESPACE/ID); `ctr run` leaves the id to its user",
        "/default/web-1",
        Some(("web-1", Some("default"), None, None)),
    ),
    ("the same, a generated id", "/default/{id}", Some((ID, Some("default"), None, None))),
    ("the same, another namespace", "/k8s.io/{id}", Some((ID, KUBERNETES, None, None))),
    ("the same, Docker's", "/moby/{id}", Some((ID, Some("moby"), None, None))),
    ("the same, one of a user: its name may be any directory's", "/mine/{id}", Some((ID, None, None, None))),
    ("the same, and the user's id", "/mine/web-1", None),
    (
        "nerdctl, systemd: nerdctl pkg/cmd/container/run_cgroup_linux.go",
        "/system.slice/nerdctl-{id}.scope",
        Some((ID, None, None, None)),
    ),
    ("the directory is gone: cgroups(7), /proc/PID/cgroup", "/docker/{id} (deleted)", Some((ID, None, None, None))),
    ("runc alone: runtime spec config-linux.md, cgroupsPath is anything", "/any/where/web", None),
    ("no container: systemd", "/user.slice/user-1000.slice/session-3.scope", None),
    ("no container: the root", "/", None),
    ("no container: the pod itself", "/kubepods/burstable/pod{uid}", None),
    ("no container: containerd", "/system.slice/containerd.service", None),
    ("no container: the namespace", "/default", None),
    ("no id: too long", "/docker/a{id}", None),
    ("no id: not hexadecimal", "/docker/g123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", None),
    ("no uid: too short", "/kubepods/pod6c2e4f1a/{id}", Some((ID, None, None, None))),
    ("no uid: not hexadecimal", "/kubepods/podg1b2c3d4e5f60718293a4b5c6d7e8f9/{id}", Some((ID, None, None, None))),
];

#[test]
fn every_spelling_is_known() {
    for (source, path, expected) in PODS.iter().chain(OTHERS) {
        let container = of_path(&filled(path));
        assert_eq!(told(container.as_ref()), *expected, "{source}: {path}");
    }
}

/// Hierarchies of `/proc/PID/cgroup` (cgroups(7)).
#[test]
fn the_hierarchy_that_has_the_container_is_found() {
    let in_pod = Some((ID, None, Some(UID), BURSTABLE));
    let cases: &[(&str, &str, Told<'_>)] = &[
        ("version 2 alone", "0::/kubepods/burstable/pod{uid}/{id}\n", in_pod),
        (
            "version 1 alone",
            "12:pids:/kubepods/burstable/pod{uid}/{id}\n11:cpu,cpuacct:/kubepods/burstable/pod{uid}/{id}\n\
             1:name=systemd:/kubepods/burstable/pod{uid}/{id}\n",
            in_pod,
        ),
        (
            "both, and the runtime knows version 1 only: systemd's hybrid set-up",
            "12:pids:/kubepods/burstable/pod{uid}/{id}\n1:name=systemd:/kubepods/burstable/pod{uid}/{id}\n\
             0::/system.slice/containerd.service\n",
            in_pod,
        ),
        (
            "both: the container is in either",
            "12:pids:/kubepods/burstable/pod{uid}/{id}\n0::/kubepods/burstable/pod{uid}/{id}\n",
            in_pod,
        ),
        (
            "both, in kind: version 2 stops at the node",
            "12:pids:/docker/{node}/kubelet/kubepods/burstable/pod{uid}/{id}\n0::/docker/{node}\n",
            in_pod,
        ),
        ("some hierarchies only", "9:cpuset:/\n8:memory:/docker/{id}\n0::/\n", Some((ID, None, None, None))),
        (
            "colons in the path",
            "1:name=systemd:/kubepods-pod{u_i_d}.slice:cri-containerd:{id}\n",
            Some((ID, KUBERNETES, Some(UID), GUARANTEED)),
        ),
        ("no container", "12:pids:/user.slice\n0::/user.slice/user-0.slice/session-1.scope\n", None),
        ("nothing", "", None),
        ("garbage", "0:\n::\n\n/docker/{id}\n", None),
    ];
    for (name, list, expected) in cases {
        let container = of_list(&filled(list));
        assert_eq!(told(container.as_ref()), *expected, "{name}");
    }
}
