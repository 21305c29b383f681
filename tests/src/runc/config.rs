use std::path::Path;

use serde_json::{Value, json};

/// What makes a container: its program, and what that may see and do.
#[derive(Clone)]
pub struct Config {
    arguments: Vec<String>,
    capabilities: Vec<&'static str>,
    /// Bound to the same place inside, with its mount options.
    binds: Vec<(String, String, &'static str)>,
    cgroup_namespace: bool,
}

impl Config {
    /// A container of the host's programs, without any right.
    pub fn new<S: Into<String>>(arguments: impl IntoIterator<Item = S>) -> Self {
        let system = ["/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc"];
        // Not every distribution has all of them.
        let system = system.into_iter().filter(|place| Path::new(place).exists());
        Self {
            arguments: arguments.into_iter().map(Into::into).collect(),
            capabilities: Vec::new(),
            binds: system.map(|place| (place.to_owned(), place.to_owned(), "ro")).collect(),
            cgroup_namespace: false,
        }
    }

    /// Rights of its user, which is root.
    #[must_use]
    pub fn capabilities(mut self, names: &[&'static str]) -> Self {
        self.capabilities.extend(names);
        self
    }

    /// A file or directory of the host, as a volume.
    #[must_use]
    pub fn bind(mut self, source: &Path, destination: &str, mode: &'static str) -> Self {
        self.binds.push((source.display().to_string(), destination.to_owned(), mode));
        self
    }

    /// It sees its own cgroup as the root, as runtimes do it on version 2.
    #[must_use]
    pub const fn cgroup_namespace(mut self) -> Self {
        self.cgroup_namespace = true;
        self
    }

    /// The runtime specification's `config.json`.
    pub(super) fn json(&self, netns: &Path, cgroup: &Path) -> Value {
        let sets = ["bounding", "effective", "permitted"].map(|set| (set.to_owned(), json!(self.capabilities)));
        let mut namespaces = ["pid", "mount", "uts", "ipc"].map(|kind| json!({ "type": kind })).to_vec();
        namespaces.push(json!({ "type": "network", "path": netns }));
        if self.cgroup_namespace {
            namespaces.push(json!({ "type": "cgroup" }));
        }
        json!({
            "ociVersion": "1.0.2",
            "process": {
                "args": self.arguments,
                "cwd": "/",
                "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
                "user": { "uid": 0, "gid": 0 },
                "capabilities": sets.into_iter().collect::<serde_json::Map<_, _>>(),
                "noNewPrivileges": true,
                "rlimits": [],
            },
            "root": { "path": "rootfs", "readonly": true },
            "mounts": self.mounts(),
            "linux": { "cgroupsPath": cgroup, "namespaces": namespaces },
        })
    }

    fn mounts(&self) -> Vec<Value> {
        let file_system = |kind: &str, place: &str, options: &[&str]| json!({ "destination": place, "type": kind, "source": kind, "options": options });
        let mut mounts = vec![
            file_system("proc", "/proc", &[]),
            file_system("tmpfs", "/dev", &[]),
            file_system("tmpfs", "/tmp", &[]),
            file_system("sysfs", "/sys", &["ro", "nosuid", "noexec", "nodev"]),
            file_system("cgroup", "/sys/fs/cgroup", &["ro", "nosuid", "noexec", "nodev"]),
        ];
        mounts.extend(self.binds.iter().map(|(source, destination, mode)| {
            json!({ "destination": destination, "type": "none", "source": source, "options": ["rbind", mode] })
        }));
        mounts
    }
}
