//! Waits for programs that are at work.

use std::{io, thread, time::Duration};

use nix::{
    errno::Errno,
    libc::{self, SYS_membarrier, syscall},
};

/// Where the kernel does not tell: no program takes that long.
const LONG_ENOUGH: Duration = Duration::from_millis(50);

/// Returns once every program is over that ran when it was called, and so may still use what it found in a map.
///
/// membarrier(2) waits for a grace period of RCU, in which programs run (`MEMBARRIER_CMD_GLOBAL`); on kernels with tickless
/// processors it does not.
pub(super) fn wait_for_programs() {
    if let Err(error) = barrier() {
        tracing::debug!(%error, "no membarrier: programs are given {LONG_ENOUGH:?}");
        thread::sleep(LONG_ENOUGH);
    }
}

fn barrier() -> io::Result<()> {
    // SAFETY: no pointers.
    #[expect(unsafe_code, reason = "no crate wraps this system call")]
    let result = unsafe { syscall(SYS_membarrier, libc::MEMBARRIER_CMD_GLOBAL, 0, 0) };
    Errno::result(result).map(drop).map_err(Into::into)
}
