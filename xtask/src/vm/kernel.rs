//! Kernels: Debian's packages of them, fetched with apt into a place of our own.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{apt, project::Project, step};

/// A series of kernels that nodes run, and the Debian release that has it.
pub(crate) struct Series {
    pub(crate) name: &'static str,
    release: &'static str,
}

pub(crate) const SERIES: [Series; 3] = [
    Series { name: "5.10", release: "bullseye" },
    Series { name: "6.1", release: "bookworm" },
    Series { name: "6.12", release: "trixie" },
];

/// Depends on the newest kernel of a release that is built for emulated machines.
const PACKAGE: &str = "linux-image-cloud-amd64";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Names the archive on machines that are no Debian.
const MIRROR: &str = "INTERCEPTOR_DEBIAN_MIRROR";

/// A kernel, unpacked.
pub(crate) struct Kernel {
    /// `6.1`
    pub(crate) series: String,
    /// Everything of it.
    pub(crate) directory: PathBuf,
    pub(crate) image: PathBuf,
    modules: PathBuf,
}

impl Kernel {
    /// The newest of a series; one that was fetched before is as good. To get a newer one, remove target/vm/kernels.
    pub(crate) fn of_series(project: &Project, series: &Series) -> Result<Self> {
        let directory = project.path("target/vm/kernels").join(series.name);
        let root = directory.join("root");
        if !root.is_dir() {
            unpack(&download(series, &directory)?, &root)?;
        }
        Self::at(series.name.to_owned(), directory)
    }

    /// One that somebody has.
    pub(crate) fn of_package(project: &Project, package: &Path) -> Result<Self> {
        let names: Vec<_> = SERIES.iter().map(|series| series.name).collect();
        ensure!(
            package.is_file(),
            "{} is neither a series ({}) nor a package of a kernel",
            package.display(),
            names.join(", ")
        );
        let name = package.file_stem().context("a file without a name")?.to_string_lossy().into_owned();
        let directory = project.path("target/vm/kernels").join(&name);
        unpack(package, &directory.join("root"))?;
        Self::at(name, directory)
    }

    fn at(series: String, directory: PathBuf) -> Result<Self> {
        let root = directory.join("root");
        let image = only(&root.join("boot"), "vmlinuz-")?;
        // Debian 13 has moved them.
        let modules = ["usr/lib/modules", "lib/modules"].map(|path| root.join(path));
        let modules = modules.into_iter().find(|path| path.is_dir()).context("the package has no modules")?;
        Ok(Self { series, directory, image, modules: only(&modules, "")? })
    }

    /// The bytes of a module, or `None` if the kernel has it built in.
    pub(crate) fn module(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let plain = self.modules.join("kernel").join(path);
        if plain.is_file() {
            return Ok(Some(fs::read(plain)?));
        }
        let compressed = plain.with_added_extension("xz");
        if !compressed.is_file() {
            return Ok(None);
        }
        let output = Command::new("busybox").args(["xz", "-dc"]).arg(&compressed).output()?;
        ensure!(output.status.success(), "cannot unpack {}", compressed.display());
        Ok(Some(output.stdout))
    }
}

/// The file of a directory whose name begins so.
fn only(directory: &Path, prefix: &str) -> Result<PathBuf> {
    let entries = fs::read_dir(directory).with_context(|| format!("no {}", directory.display()))?;
    let mut paths = entries.flatten().map(|entry| entry.path());
    paths
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix)))
        .with_context(|| format!("no {prefix}* in {}", directory.display()))
}

/// Whole or not at all.
fn unpack(package: &Path, root: &Path) -> Result<()> {
    let part = root.with_extension("part");
    fs::remove_dir_all(&part).ok();
    step::run(&format!("Unpacking {}", package.display()), Command::new("dpkg-deb").arg("-x").arg(package).arg(&part))?;
    fs::remove_dir_all(root).ok();
    Ok(fs::rename(&part, root)?)
}

fn download(series: &Series, directory: &Path) -> Result<PathBuf> {
    if !Path::new(KEYRING).is_file() {
        apt::install("Keys of the Debian archive", &["debian-archive-keyring"])?;
    }
    let archive = directory.join("apt");
    for part in ["lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(archive.join(part))?;
    }
    let (main, security) = mirror()?;
    let options = format!("[arch=amd64 lang=none target=Packages signed-by={KEYRING}]");
    let release = series.release;
    let sources = format!("deb {options} {main} {release} main\ndeb {options} {security} {release}-security main\n");
    fs::write(archive.join("sources.list"), sources)?;
    let what = format!("Fetching the list of packages of Debian {release}");
    step::run(&what, private("apt-get", &archive).arg("update"))?;
    let text = step::output(PACKAGE, private("apt-cache", &archive).args(["depends", "--important", PACKAGE]))?;
    let package = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("Depends: "))
        .with_context(|| format!("Debian {release} has no {PACKAGE}"))?;
    let what = format!("Downloading {package}");
    step::run(&what, private("apt-get", &archive).args(["download", package]).current_dir(directory))?;
    only(directory, package)
}

/// apt with lists and sources of its own: the machine's stay as they are.
fn private(program: &str, archive: &Path) -> Command {
    let mut command = Command::new(program);
    let option = |name: &str, path: &str| format!("{name}={}", archive.join(path).display());
    for option in [
        option("Dir::Etc::sourcelist", "sources.list"),
        "Dir::Etc::sourceparts=-".to_owned(),
        option("Dir::State::lists", "lists"),
        option("Dir::Cache", "cache"),
        // It would not be let into a home directory.
        "APT::Sandbox::User=root".to_owned(),
    ] {
        command.args(["-o", &option]);
    }
    command
}

/// Where this machine's own Debian packages come from, and their security updates.
fn mirror() -> Result<(String, String)> {
    let beside = |main: &str| format!("{}-security", main.trim_end_matches('/'));
    if let Some(named) = env::var(MIRROR).ok().filter(|named| !named.is_empty()) {
        return Ok((named.clone(), beside(&named)));
    }
    apt::know("busybox-static")?;
    let format = "$(ORIGIN)|$(LABEL)|$(REPO_URI)";
    let text = step::output("sources of packages", Command::new("apt-get").args(["indextargets", "--format", format]))?;
    let of = |label: &str| text.lines().find_map(|line| line.strip_prefix(&format!("Debian|{label}|")));
    let Some(main) = of("Debian") else {
        bail!(
            "kernels come from a mirror of Debian's archive, and apt knows none here: name one in {MIRROR}, such as \
             http://HOST/debian (security updates are then taken from http://HOST/debian-security)"
        );
    };
    Ok((main.to_owned(), of("Debian-Security").map_or_else(|| beside(main), str::to_owned)))
}
