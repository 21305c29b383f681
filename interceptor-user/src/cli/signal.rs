use std::{
    fs, process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use nix::sys::signal::{SigSet, Signal};

use crate::privilege;

/// Signals this soon after the first are the same request: `timeout` sends one to its child and one to the group.
const SAME: Duration = Duration::from_millis(250);

/// A flag that Ctrl-C, SIGTERM, the end of the terminal (SIGHUP) and Ctrl-\ (SIGQUIT) set, so that what was attached is
/// detached. A second one ends the program at once, unless it is the [same request](SAME). The caller's thread is unparked.
///
/// To be called before any thread is started: threads inherit what signals are blocked.
pub(super) fn stop_flag() -> anyhow::Result<Arc<AtomicBool>> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    // Whoever starts us with `nohup` wants us to stay. A blocked signal would come through though it is ignored.
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    for signal in [Signal::SIGHUP, Signal::SIGQUIT] {
        if !is_ignored(&status, signal) {
            signals.add(signal);
        }
    }
    signals.thread_block().context("cannot block signals")?;
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let waiting = thread::current();
    let wait = move || {
        privilege::settle();
        let mut first = None;
        while let Ok(signal) = signals.wait() {
            if first.get_or_insert_with(Instant::now).elapsed() > SAME {
                process::exit(128 + signal as i32);
            }
            flag.store(true, Relaxed);
            waiting.unpark();
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait).context("cannot start a thread for signals")?;
    Ok(stop)
}

/// By the mask of ignored signals in `/proc/PID/status`.
fn is_ignored(status: &str, signal: Signal) -> bool {
    let mask = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal as i32 - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_told() {
        let status = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n";
        assert!(is_ignored(status, Signal::SIGHUP) && is_ignored(status, Signal::SIGPIPE));
        assert!(!is_ignored(status, Signal::SIGQUIT) && !is_ignored("", Signal::SIGHUP));
    }
}
