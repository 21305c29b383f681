//! The kernel programs on real traffic: what applications write is what comes out of the ring, or is accounted for.
//!
//! Needs root. Without it each test is reported as ignored, with the reason; with `REQUIRE_ROOT=1` it fails.

mod attaching;
mod bed;
mod capturing;
mod collect;
mod counting;
mod filtering;
mod following;
mod frames;
mod killed;
mod large;
mod leaving;
mod privilege;
mod program;
mod refusing;

use std::{path::Path, process::ExitCode};

use interceptor::kernel::{Capture, CaptureOptions};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    if let Some(arguments) = std::env::var_os(killed::CHILD) {
        return killed::child(&arguments.to_string_lossy());
    }
    if let Some(directory) = std::env::var_os(privilege::SANDBOXED) {
        return privilege::child(Path::new(&directory));
    }
    let mut arguments = Arguments::from_args();
    // They look at system-wide state (`lo`, programs, our own cgroup).
    arguments.test_threads.get_or_insert(1);
    let missing = missing();
    let required = std::env::var_os("REQUIRE_ROOT").is_some_and(|value| value == "1");
    if let Some(missing) = &missing {
        eprintln!("skipped: {missing}");
    }
    let groups = [
        capturing::tests(),
        filtering::tests(),
        counting::tests(),
        attaching::tests(),
        following::tests(),
        leaving::tests(),
        killed::tests(),
        frames::tests(),
        large::tests(),
        refusing::tests(),
        privilege::tests(),
    ];
    let trials = groups
        .into_iter()
        .flatten()
        .map(|(name, test)| {
            let failure = missing.clone().filter(|_| required);
            let trial = Trial::test(name, move || match failure {
                Some(missing) => Err(Failed::from(missing)),
                None => test().map_err(|error| Failed::from(format!("{error:#}"))),
            });
            trial.with_ignored_flag(missing.is_some() && !required)
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A test and its name.
type Test = (&'static str, fn() -> anyhow::Result<()>);

/// What keeps these tests from running here.
fn missing() -> Option<String> {
    let options =
        CaptureOptions { interfaces: vec!["lo".to_owned()], ring_bytes: 64 << 10, ..CaptureOptions::default() };
    Capture::start(&options).err().map(|error| format!("{error:#}"))
}
