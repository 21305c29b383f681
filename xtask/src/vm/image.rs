//! The first file system of an emulated machine: the tests, what they call, the modules that they need.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use super::kernel::Kernel;
use crate::{
    project::{Project, on_path},
    step,
};

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// What the tests need that these kernels have as modules, in the order of loading.
const MODULES: [&str; 4] =
    ["net/sched/sch_ingress.ko", "net/sched/cls_bpf.ko", "drivers/net/veth.ko", "drivers/net/tun.ko"];

/// Programs of this machine that the tests call, with their libraries. (`env` of busybox knows no signals, its `setpriv` no
/// capabilities.)
const CALLED: [&str; 4] = ["ip", "tc", "env", "setpriv"];

/// Runs the tests and switches the machine off.
const INIT: &str = "#!/bin/busybox sh
/bin/busybox --install -s /sbin
export PATH=/bin:/sbin HOME=/root REQUIRE_ROOT=1 INTERCEPTOR_BIN=/bin/interceptor
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs run /run
mount -t cgroup2 cgroup /sys/fs/cgroup
mount -t bpf bpf /sys/fs/bpf
for module in /modules/*; do insmod $module; done
ip link set lo up
echo
echo \"kernel $(uname -r)\"
kernel-tests --color never 2>&1
echo \"ended $?\"
poweroff -f
";

/// The programs under test.
pub(crate) struct Programs {
    interceptor: PathBuf,
    tests: PathBuf,
}

/// Builds them without libraries, apart from other builds: fast to build, fast enough where a processor is emulated.
pub(crate) fn programs(project: &Project) -> Result<Programs> {
    let mut command = project.cargo();
    let target = project.path("target/vm/build");
    command.args(["test", "--no-run", "--release", "--locked", "--target", TARGET]);
    command.args(["--package", "interceptor-user", "--test", "kernel", "--message-format", "json-render-diagnostics"]);
    command.env("CARGO_TARGET_DIR", &target).env("RUSTFLAGS", "-C target-feature=+crt-static");
    let profile = [("LTO", "off"), ("OPT_LEVEL", "1"), ("CODEGEN_UNITS", "16"), ("DEBUG", "0"), ("STRIP", "symbols")];
    for (key, value) in profile {
        command.env(format!("CARGO_PROFILE_RELEASE_{key}"), value);
    }
    eprintln!("==> Building the kernel tests for emulated machines");
    let output = command.stderr(std::process::Stdio::inherit()).output().context("cannot start cargo")?;
    ensure!(output.status.success(), "the kernel tests do not build");
    let messages = String::from_utf8_lossy(&output.stdout);
    let tests = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "kernel")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .context("cargo names no test program")?;
    Ok(Programs { interceptor: target.join(TARGET).join("release/interceptor"), tests })
}

/// Everything for this kernel, as the kernel takes it (Documentation/driver-api/early-userspace/buffer-format.rst).
pub(crate) fn pack(kernel: &Kernel, programs: &Programs) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for directory in ["proc", "sys", "dev", "run", "tmp", "sbin", "root"] {
        archive.directory(Path::new(directory));
    }
    let read = |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    archive.file("init", INIT.as_bytes());
    archive.file("etc/hostname", b"emulated\n");
    archive.file("bin/interceptor", &read(&programs.interceptor)?);
    archive.file("bin/kernel-tests", &read(&programs.tests)?);
    archive.file("bin/busybox", &read(&find("busybox")?)?);
    let mut libraries = BTreeSet::new();
    for name in CALLED {
        let program = find(name)?;
        archive.file(&format!("bin/{name}"), &read(&program)?);
        libraries.extend(libraries_of(&program)?);
    }
    for library in libraries {
        let inside = library.strip_prefix("/").unwrap_or(&library);
        archive.file(&inside.to_string_lossy(), &read(&library)?);
    }
    for (number, path) in MODULES.iter().enumerate() {
        if let Some(module) = kernel.module(path)? {
            archive.file(&format!("modules/{number}.ko"), &module);
        }
    }
    Ok(archive.end())
}

fn find(name: &str) -> Result<PathBuf> {
    on_path(name).with_context(|| format!("no program {name}"))
}

fn libraries_of(program: &Path) -> Result<Vec<PathBuf>> {
    let output = step::output("ldd", Command::new("ldd").arg(program))?;
    Ok(output.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect())
}

/// A cpio archive of the format "newc".
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    directories: BTreeSet<PathBuf>,
}

impl Archive {
    fn directory(&mut self, path: &Path) {
        if path.as_os_str().is_empty() || !self.directories.insert(path.to_owned()) {
            return;
        }
        if let Some(parent) = path.parent() {
            self.directory(parent);
        }
        self.entry(&path.to_string_lossy(), 0o40_755, &[]);
    }

    /// With its directories; executable, which does no harm.
    fn file(&mut self, path: &str, content: &[u8]) {
        if let Some(parent) = Path::new(path).parent() {
            self.directory(parent);
        }
        self.entry(path, 0o100_755, content);
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        let mut header = String::from("070701");
        // Inode, mode, user, group, links, time, size, device and its place (two each), length of the name, checksum.
        let fields = [0, mode, 0, 0, 1, 0, content.len() as u32, 0, 0, 0, 0, name.len() as u32 + 1, 0];
        for field in fields {
            write!(header, "{field:08x}").ok();
        }
        self.bytes.extend(header.as_bytes());
        self.bytes.extend(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn end(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_read_by_others() {
        let mut archive = Archive::default();
        archive.file("a/deep/file", b"four");
        archive.file("a/other", b"odd");
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("archive");
        fs::write(&path, archive.end()).unwrap();
        let listed = Command::new("cpio").arg("-it").arg("-F").arg(&path).output();
        // Part of the packages that nearly every machine has, but not of all.
        let Ok(listed) = listed else { return };
        assert_eq!(String::from_utf8_lossy(&listed.stdout), "a\na/deep\na/deep/file\na/other\n");
    }
}
