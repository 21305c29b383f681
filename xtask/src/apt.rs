//! Debian packages: what is there to install, and installing it.

use std::{fs, path::Path, process::Command, sync::Mutex};

use anyhow::{Context as _, Result, bail};

use crate::{project, step, toolchain::Version};

/// How we may become root.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Privilege {
    Root,
    /// `sudo` that asks for no password.
    Sudo,
    None,
}

pub(crate) fn privilege() -> Privilege {
    if nix::unistd::geteuid().is_root() {
        return Privilege::Root;
    }
    let sudo = Command::new("sudo").args(["-n", "true"]).output();
    if sudo.is_ok_and(|output| output.status.success()) { Privilege::Sudo } else { Privilege::None }
}

/// The command that a user would type.
pub(crate) fn install_command(packages: &[&str]) -> String {
    format!("sudo apt-get update && sudo apt-get install -y --no-install-recommends {}", packages.join(" "))
}

fn apt_get(privilege: Privilege) -> Command {
    let mut command = match privilege {
        Privilege::Root => Command::new("env"),
        Privilege::Sudo | Privilege::None => {
            let mut sudo = Command::new("sudo");
            sudo.args(["-n", "env"]);
            sudo
        }
    };
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-y", "-o", "DPkg::Lock::Timeout=300"]);
    // Sources of a compiler are thousands of small files: syncing each takes minutes on a slow disk.
    command.args(["-o", "Dpkg::Options::=--force-unsafe-io"]);
    command
}

/// Installs packages; the lists are updated first if they do not know one of them.
pub(crate) fn install(why: &str, packages: &[&str]) -> Result<()> {
    if project::on_path("apt-get").is_none() {
        bail!("{why}: this is no Debian-like system (no apt-get); install what corresponds to: {}", packages.join(" "));
    }
    let privilege = privilege();
    if privilege == Privilege::None {
        bail!("{why}: root is needed to install packages. Run:\n    {}", install_command(packages));
    }
    if packages.iter().any(|package| candidate(package).is_none()) {
        update(privilege)?;
    }
    let attempt = || {
        let mut command = apt_get(privilege);
        command.args(["install", "--no-install-recommends"]).args(packages);
        step::run(&format!("{why}: installing {}", packages.join(" ")), &mut command)
    };
    let _no_services = NoServices::new(privilege);
    // Lists that are older than the archive name files that are gone.
    attempt().or_else(|_| {
        update(privilege)?;
        attempt()
    })
}

/// Fetches the package lists, once.
fn update(privilege: Privilege) -> Result<()> {
    static UPDATED: Mutex<bool> = Mutex::new(false);
    let mut updated = UPDATED.lock().map_err(|_| anyhow::anyhow!("another thread failed"))?;
    if !*updated {
        step::run("Fetching package lists (apt-get update)", apt_get(privilege).arg("update"))?;
        *updated = true;
    }
    Ok(())
}

/// Makes sure that [`candidate`] knows the archive: fresh images carry no lists.
pub(crate) fn know(package: &str) -> Result<()> {
    if project::on_path("apt-get").is_some() && candidate(package).is_none() && privilege() != Privilege::None {
        update(privilege())?;
    }
    Ok(())
}

/// Version that would be installed (or is), as the upstream part of it reads.
pub(crate) fn candidate(package: &str) -> Option<Version> {
    let output = Command::new("apt-cache").args(["policy", package]).env("LC_ALL", "C").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find_map(|line| line.trim().strip_prefix("Candidate: "))?;
    // Epoch and revision are Debian's own: 1:22.1.8-1~deb12u1.
    let upstream = line.split_once(':').map_or(line, |(_, rest)| rest);
    Version::parse(upstream)
}

/// Keeps package scripts from starting servers while it lives: we want nginx's binary, not a server on port 80.
struct NoServices {
    ours: bool,
}

impl NoServices {
    const POLICY: &str = "/usr/sbin/policy-rc.d";

    fn new(privilege: Privilege) -> Self {
        let ours = privilege == Privilege::Root && !Path::new(Self::POLICY).exists() && Self::write().is_ok();
        Self { ours }
    }

    fn write() -> Result<()> {
        use std::os::unix::fs::PermissionsExt as _;
        fs::write(Self::POLICY, "#!/bin/sh\nexit 101\n").context("policy-rc.d")?;
        Ok(fs::set_permissions(Self::POLICY, fs::Permissions::from_mode(0o755))?)
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.ours {
            fs::remove_file(Self::POLICY).ok();
        }
    }
}
