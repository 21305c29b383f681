//! `cargo xtask doctor`: what a build would use, what is missing, and the command that fixes it.

use std::process::ExitCode;

use anyhow::Result;

use crate::{
    apt::{self, Privilege},
    linker, packages,
    project::{Project, on_path},
    toolchain::{self, Toolchain, Version},
};

pub(crate) fn run(project: &Project) -> Result<ExitCode> {
    println!("Building for the kernel");
    let compiler = compilers(project.rust_version()?);
    // Without a compiler yet: what the distribution or rustup would give.
    let linker = linkers(project, compiler.as_ref().map_or(22, |compiler| compiler.llvm));
    println!("\nTests and benchmark");
    let complete = tools() && compiler.is_some() && linker;
    match apt::privilege() {
        Privilege::Root => row("ok", "root", "tests that attach to the kernel can run"),
        Privilege::Sudo => row("-", "root", "packages are installed with sudo; tests that need root are skipped"),
        Privilege::None => row("-", "root", "nothing can be installed; tests that need root are skipped"),
    }
    if complete {
        println!("\nNothing is missing.");
    } else {
        println!("\n`cargo xtask run`, `test` and `ci` install what is missing themselves, as root or with sudo.");
    }
    println!("What the kernel of this machine offers: cargo xtask run -- doctor");
    Ok(if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn compilers(oldest: Version) -> Option<Toolchain> {
    let picked = toolchain::present(oldest);
    for other in toolchain::rustup().iter().chain(&toolchain::distribution()) {
        let is_picked = picked.as_ref().is_some_and(|picked| picked.rustc == other.rustc);
        match (is_picked, other.version >= oldest, other.has_source) {
            (true, ..) => row("ok", "compiler", &other.to_string()),
            (_, false, _) => row("-", "compiler", &format!("{other}: older than {oldest}")),
            (_, _, false) => row("-", "compiler", &format!("{other}: has no rust-src")),
            _ => row("-", "compiler", &format!("{other}: fits, not needed")),
        }
    }
    if picked.is_none() {
        row("missing", "compiler", "none that has the sources of core");
        fix(&toolchain::advice());
    }
    picked
}

/// Says whether there is one that reads what a compiler with this LLVM writes.
fn linkers(project: &Project, llvm: u32) -> bool {
    let linkers = linker::present(project);
    let picked = linkers.iter().position(|linker| linker.fits(llvm));
    for (index, linker) in linkers.iter().enumerate() {
        match (picked == Some(index), linker.fits(llvm)) {
            (true, _) => row("ok", "linker", &linker.to_string()),
            (_, true) => row("-", "linker", &format!("{linker}: fits, not needed")),
            (_, false) => row("-", "linker", &format!("{linker}: older than the compiler's LLVM {llvm}")),
        }
    }
    if picked.is_none() {
        row("missing", "linker", "no bpf-linker that fits");
        fix(&linker::advice(llvm));
    }
    picked.is_some()
}

/// Says whether all are there.
fn tools() -> bool {
    let for_tests = |tool: &&packages::Tool| packages::FOR_TESTS.iter().any(|other| other.program == tool.program);
    let bench_only = packages::FOR_BENCH.iter().filter(|tool| !for_tests(tool));
    let mut complete = true;
    for tool in packages::FOR_TESTS.iter().chain(bench_only) {
        if let Some(path) = on_path(tool.program) {
            row("ok", tool.program, &path.display().to_string());
        } else {
            complete = false;
            row("missing", tool.program, "what needs it is skipped");
            fix(&packages::advice(&[tool]));
        }
    }
    complete
}

fn row(state: &str, what: &str, detail: &str) {
    println!("  {state:<8} {what:<9} {detail}");
}

fn fix(command: &str) {
    println!("  {:<8} {:<9} fix: {command}", "", "");
}
