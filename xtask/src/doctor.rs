//! `cargo xtask doctor`: what a build would use, what is missing, and the command that fixes it.

use std::process::ExitCode;

use anyhow::Result;

use crate::{
    apt::{self, Privilege},
    linker, packages,
    project::{Project, on_path},
    toolchain,
};

pub(crate) fn run(project: &Project) -> Result<ExitCode> {
    let oldest = project.rust_version()?;
    println!("Building for the kernel");
    let compiler = toolchain::present(oldest);
    let mut complete = true;
    for other in toolchain::rustup().iter().chain(&toolchain::distribution()) {
        let picked = compiler.as_ref().is_some_and(|compiler| compiler.rustc == other.rustc);
        match (picked, other.version >= oldest, other.has_source) {
            (true, ..) => row("ok", "compiler", &other.to_string()),
            (_, false, _) => row("-", "compiler", &format!("{other}: older than {oldest}")),
            (_, _, false) => row("-", "compiler", &format!("{other}: has no rust-src")),
            _ => row("-", "compiler", &format!("{other}: fits, not needed")),
        }
    }
    if compiler.is_none() {
        complete = false;
        row("missing", "compiler", "none that has the sources of core");
        fix(&toolchain::advice());
    }
    // Without a compiler yet: the newest that the distribution or rustup would give.
    let llvm = compiler.map_or(22, |compiler| compiler.llvm);
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
        complete = false;
        row("missing", "linker", "no bpf-linker that fits");
        fix(&linker::advice(llvm));
    }

    println!("\nTests and benchmark");
    for tool in packages::FOR_TESTS.iter().chain(packages::FOR_BENCH.iter().filter(|tool| tool.program == "wrk")) {
        match on_path(tool.program) {
            Some(path) => row("ok", tool.program, &path.display().to_string()),
            None => {
                complete = false;
                row("missing", tool.program, "tests that need it are skipped");
                fix(&packages::advice(&[tool]));
            }
        }
    }
    match apt::privilege() {
        Privilege::Root => row("ok", "root", "tests that attach to the kernel can run"),
        Privilege::Sudo => row("-", "root", "not root; packages are installed with sudo, tests that need root are skipped"),
        Privilege::None => row("-", "root", "not root: nothing can be installed, tests that need root are skipped"),
    }
    if complete {
        println!("\nNothing is missing.");
    } else {
        println!("\n`cargo xtask run`, `test` and `ci` install what is missing themselves, as root or with sudo.");
    }
    println!("What the kernel of this machine offers: cargo xtask run -- doctor");
    Ok(if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn row(state: &str, what: &str, detail: &str) {
    println!("  {state:<8} {what:<9} {detail}");
}

fn fix(command: &str) {
    println!("  {:<8} {:<9} fix: {command}", "", "");
}
