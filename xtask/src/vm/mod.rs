//! `cargo xtask vm`: the kernel tests on the kernels of other machines, in emulated ones.
//!
//! Fetches the kernels ([`kernel`]), packs them a first file system with the test program ([`image`]), boots them all at
//! once ([`machine`]), reads what they say ([`report`]) and compares it with `docs/kernels.md` ([`expected`]).

mod expected;
mod image;
mod kernel;
mod machine;
mod report;

use std::{fs, process::ExitCode, time::Instant};

use anyhow::{Context as _, Result, bail};

use self::{expected::Expected, kernel::Kernel, report::Report};
use crate::{apt, build, project::Project, project::on_path};

/// What `cargo xtask vm` takes.
#[derive(Default, clap::Args)]
pub(crate) struct Args {
    /// Series of kernels, such as 6.1, or the path of a Debian package with a kernel; without any, all series.
    kernels: Vec<String>,
    /// Write what is found to docs/kernels.md instead of comparing with it; always in emulated machines.
    #[arg(long)]
    update: bool,
}

/// What it takes, and the package that has it.
const TOOLS: [(&str, &str); 5] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("busybox", "busybox-static"),
    ("ip", "iproute2"),
    ("apt-get", "apt"),
    ("dpkg-deb", "dpkg"),
];

/// Fails with what got worse; what should be known is printed, and given.
pub(crate) fn run(project: &Project, args: &Args) -> Result<Vec<String>> {
    if !cfg!(target_arch = "x86_64") {
        bail!("`cargo xtask vm` boots x86_64 kernels with programs built here: it takes an x86_64 machine");
    }
    provide()?;
    let kernels = chosen(project, &args.kernels)?;
    build::object(project)?;
    let programs = image::programs(project)?;
    let started = Instant::now();
    let accelerator = machine::Accelerator::find(&kernels[0], args.update)?;
    let images = kernels
        .iter()
        .map(|kernel| {
            let path = kernel.directory.join("initramfs");
            fs::write(&path, image::pack(kernel, &programs)?)?;
            Ok(path)
        })
        .collect::<Result<Vec<_>>>()?;
    let logs = machine::boot(&kernels, &images, accelerator)?;
    let reports: Vec<Report> =
        kernels.iter().zip(&logs).map(|(kernel, log)| Report::read(&kernel.series, log)).collect();
    println!("\n{}", expected::table(&reports));
    eprintln!("{} kernels in {} s, {}", kernels.len(), started.elapsed().as_secs(), accelerator.name());
    compare(project, args, &reports)
}

/// For the command line.
pub(crate) fn command(project: &Project, args: &Args) -> Result<ExitCode> {
    run(project, args).map(|_| ExitCode::SUCCESS)
}

fn compare(project: &Project, args: &Args, reports: &[Report]) -> Result<Vec<String>> {
    let path = project.path("docs/kernels.md");
    let text = fs::read_to_string(&path).unwrap_or_default();
    let mut expected = Expected::parse(&text);
    let mut comparison = expected.compare(reports);
    if args.update {
        expected.update(reports);
        fs::write(&path, expected.to_string()).with_context(|| format!("cannot write {}", path.display()))?;
        // A test that fails is never what is expected.
        comparison = Expected::parse(&expected.to_string()).compare(reports);
    }
    for note in &comparison.notes {
        eprintln!("NOTE: {note}");
    }
    if comparison.failures.is_empty() {
        return Ok(comparison.notes);
    }
    bail!("worse than docs/kernels.md says:\n    {}", comparison.failures.join("\n    "))
}

fn provide() -> Result<()> {
    let missing: Vec<_> =
        TOOLS.iter().filter(|(program, _)| on_path(program).is_none()).map(|(_, name)| *name).collect();
    if missing.is_empty() { Ok(()) } else { apt::install("Emulated machines", &missing) }
}

fn chosen(project: &Project, names: &[String]) -> Result<Vec<Kernel>> {
    if names.is_empty() {
        return kernel::SERIES.iter().map(|series| Kernel::of_series(project, series)).collect();
    }
    names
        .iter()
        .map(|name| match kernel::SERIES.iter().find(|series| series.name == name) {
            Some(series) => Kernel::of_series(project, series),
            None => Kernel::of_package(project, name.as_ref()),
        })
        .collect()
}
