//! Emulated machines: booted all at once, each until it switches itself off.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::kernel::Kernel;

/// A kernel that says nothing for so long is not going to.
const SILENCE: Duration = Duration::from_secs(4);
/// No machine runs longer.
const LIMIT: Duration = Duration::from_mins(15);
/// A line at this interval says how far they are.
const REMIND: Duration = Duration::from_secs(15);

/// Who runs the processor's instructions.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accelerator {
    Kvm,
    Emulation,
}

impl Accelerator {
    /// Tries it: a machine may have /dev/kvm, and hang when it is used.
    pub(crate) fn find(kernel: &Kernel, emulate: bool) -> Result<Self> {
        if emulate || File::options().read(true).write(true).open("/dev/kvm").is_err() {
            return Ok(Self::Emulation);
        }
        let log = kernel.directory.join("kvm.log");
        let mut machine = Machine(Self::Kvm.command(kernel, "console=ttyS0 panic=-1", &log)?.spawn()?);
        let end = Instant::now() + SILENCE;
        while Instant::now() < end {
            if text(&log).contains("Linux version") {
                return Ok(Self::Kvm);
            }
            if machine.0.try_wait()?.is_some() {
                break;
            }
            thread::sleep(Duration::from_millis(100));
        }
        eprintln!("/dev/kvm is there, but no kernel starts with it: the processor is emulated");
        Ok(Self::Emulation)
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Kvm => "with KVM",
            Self::Emulation => "emulated",
        }
    }

    fn command(self, kernel: &Kernel, arguments: &str, log: &Path) -> Result<Command> {
        let accelerator = match self {
            Self::Kvm => ["-accel", "kvm", "-cpu", "host"],
            // Not with what makes emulation slow (a fifth level of page tables) or wrong: qemu 7.2 mistakes the 16-byte
            // compare-and-exchange of Linux 6.12's allocator.
            Self::Emulation => ["-accel", "tcg,thread=multi", "-cpu", "max,la57=off,cx16=off"],
        };
        let mut command = Command::new("qemu-system-x86_64");
        command.args(accelerator).args(["-m", "768", "-smp", "1", "-nographic", "-no-reboot"]);
        command.arg("-kernel").arg(&kernel.image).args(["-append", arguments]);
        let log = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        command.stdin(Stdio::null()).stderr(log.try_clone()?).stdout(log);
        Ok(command)
    }
}

/// A machine that is switched off when we end.
struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Runs them side by side: they wait more than they work. Gives what each wrote to its console.
pub(crate) fn boot(kernels: &[Kernel], images: &[PathBuf], accelerator: Accelerator) -> Result<Vec<String>> {
    let names: Vec<_> = kernels.iter().map(|kernel| kernel.series.as_str()).collect();
    eprintln!("==> Running the kernel tests on {}, {}", names.join(", "), accelerator.name());
    // What these switch off costs time, and what they hasten, and nothing of it is under test.
    let mut arguments =
        "console=ttyS0 quiet panic=-1 mitigations=off init_on_alloc=0 rcupdate.rcu_expedited=1".to_owned();
    if accelerator == Accelerator::Emulation {
        // The kernel hands what it does not know to init as a variable.
        arguments.push_str(" INTERCEPTOR_EMULATED=1");
    }
    let mut machines = Vec::new();
    let mut logs = Vec::new();
    for (kernel, image) in kernels.iter().zip(images) {
        let log = kernel.directory.join("console.log");
        let mut command = accelerator.command(kernel, &arguments, &log)?;
        machines.push(Machine(command.arg("-initrd").arg(image).spawn().context("cannot start qemu")?));
        logs.push(log);
    }
    let started = Instant::now();
    let mut said = Instant::now();
    while machines.iter_mut().any(|machine| matches!(machine.0.try_wait(), Ok(None))) && started.elapsed() < LIMIT {
        if said.elapsed() > REMIND {
            said = Instant::now();
            let done: Vec<_> = logs.iter().map(|log| text(log).matches("\ntest ").count().to_string()).collect();
            eprintln!("    {} s: {} tests", started.elapsed().as_secs(), done.join(", "));
        }
        thread::sleep(Duration::from_millis(200));
    }
    drop(machines);
    Ok(logs.iter().map(|log| text(log)).collect())
}

fn text(log: &Path) -> String {
    String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).replace('\r', "")
}
