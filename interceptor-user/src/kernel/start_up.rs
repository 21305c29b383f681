//! What only starting took is given back.
//!
//! Reading the configuration, compiling policies and loading programs go through megabytes of code and of small pieces of memory that
//! a daemon then never touches again.

use std::{ptr, slice};

use nix::libc::{MADV_DONTNEED, PF_W, PT_LOAD, c_int, c_void, dl_iterate_phdr, dl_phdr_info, madvise, size_t};

use super::ring::page_size;

/// To be called when all is loaded. What is needed after all comes back by itself.
pub(super) fn give_back() {
    give_back_heap();
    give_back_code();
}

/// The allocator keeps what was freed.
fn give_back_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: no pointers; it may be called at any time, from any thread.
    #[expect(unsafe_code, reason = "no crate wraps malloc_trim")]
    unsafe {
        nix::libc::malloc_trim(0);
    }
}

/// Pages of the program's and its libraries' files that were looked at: they stay in the page cache, where they are shared and may be
/// reclaimed, and no longer count as resident.
fn give_back_code() {
    // SAFETY: the callback keeps nothing, and needs no data.
    #[expect(unsafe_code, reason = "no crate wraps dl_iterate_phdr")]
    unsafe {
        dl_iterate_phdr(Some(give_back_object), ptr::null_mut());
    }
}

/// dl_iterate_phdr(3): called for the program and each of its libraries.
#[expect(unsafe_code, reason = "C's loader calls it with its own list")]
unsafe extern "C" fn give_back_object(info: *mut dl_phdr_info, _size: size_t, _data: *mut c_void) -> c_int {
    // SAFETY: the loader gives a valid entry, whose headers are mapped as long as the object is.
    let (base, headers) = unsafe {
        let info = &*info;
        if info.dlpi_phdr.is_null() {
            return 0;
        }
        (info.dlpi_addr as usize, slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)))
    };
    let page = page_size();
    // A segment that may be written was changed by the loader (relocations); of the others the file has all.
    for header in headers.iter().filter(|header| header.p_type == PT_LOAD && header.p_flags & PF_W == 0) {
        let start = base.wrapping_add(header.p_vaddr as usize);
        let end = start.wrapping_add(header.p_memsz as usize);
        let start = start / page * page;
        // SAFETY: pages of a private mapping of a file that nobody can have written: read again when touched.
        unsafe {
            madvise(start as *mut c_void, end.saturating_sub(start), MADV_DONTNEED);
        }
    }
    // On to the next.
    0
}

#[cfg(test)]
mod tests {
    use std::{env, fs, process::Command};

    use super::give_back;

    /// Set where the test is alone in its process.
    const ALONE: &str = "INTERCEPTOR_TEST_ALONE";

    /// KiB of files' pages that are resident (proc(5)).
    fn of_files() -> u64 {
        let status = fs::read_to_string("/proc/self/status").expect("proc");
        let line = status.lines().find_map(|line| line.strip_prefix("RssFile:")).expect("RssFile");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    #[test]
    fn code_is_given_back() {
        // Other tests go on touching code: it is looked at in a process without them.
        if env::var_os(ALONE).is_none() {
            let this = env::current_exe().expect("our own program");
            let test = ["--exact", "kernel::start_up::tests::code_is_given_back", "--nocapture"];
            let output = Command::new(this).args(test).env(ALONE, "1").output().expect("it runs");
            let told = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && told.contains("1 passed"), "{told}");
            return;
        }
        let before = of_files();
        give_back();
        let after = of_files();
        assert!(after < before / 2, "{after} of {before} KiB");
    }
}
