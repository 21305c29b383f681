use std::{
    process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
};

use anyhow::Context as _;
use nix::sys::signal::{SigSet, Signal};

/// A flag that Ctrl-C and SIGTERM set, so that what was attached is detached. A second one ends the program at once.
///
/// To be called before any thread is started: threads inherit what signals are blocked.
pub(super) fn stop_flag() -> anyhow::Result<Arc<AtomicBool>> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    signals.thread_block().context("cannot block signals")?;
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let wait = move || {
        while let Ok(signal) = signals.wait() {
            if flag.swap(true, Relaxed) {
                process::exit(128 + signal as i32);
            }
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait).context("cannot start a thread for signals")?;
    Ok(stop)
}
