//! Puts the kernel object where `include_bytes!` finds it.

use std::{env, fs, path::PathBuf, process::ExitCode};

/// Names the object, where it is not in the usual place.
const OBJECT: &str = "INTERCEPTOR_BPF_OBJECT";

fn main() -> ExitCode {
    let object = env::var_os(OBJECT).map_or_else(
        || PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("../target/bpf/interceptor-ebpf"),
        PathBuf::from,
    );
    println!("cargo::rerun-if-env-changed={OBJECT}");
    println!("cargo::rerun-if-changed={}", object.display());
    // Written beside it by `cargo xtask build`; an object from elsewhere may have none.
    let tools = object.with_added_extension("tools");
    if tools.is_file() {
        println!("cargo::rerun-if-changed={}", tools.display());
    }
    let tools = fs::read_to_string(tools).unwrap_or_else(|_| "tools that are not known".to_owned());
    println!("cargo::rustc-env=INTERCEPTOR_BPF_TOOLS={}", tools.trim());
    let copy = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("interceptor-ebpf");
    match fs::copy(&object, copy) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            println!(
                "cargo::error=the kernel object {} cannot be read ({error}): build it with `cargo xtask build`, or \
                 name it in {OBJECT}",
                object.display()
            );
            ExitCode::FAILURE
        }
    }
}
