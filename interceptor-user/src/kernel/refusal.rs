//! A program that the kernel refused: what went wrong in one line, and the verifier's log in full.

use std::io;

use super::features::release;

/// The kernel refused a program.
#[derive(Debug, thiserror::Error)]
#[error("Linux {release} refused the program {program}: {reason}")]
pub struct Refusal {
    program: String,
    release: String,
    reason: String,
    log: String,
}

impl Refusal {
    pub(super) fn new(program: &str, error: &io::Error, log: String) -> Self {
        let reason = last_words(&log).map_or_else(|| error.to_string(), |words| format!("{error}: {words}"));
        Self { program: program.to_owned(), release: release(), reason, log }
    }

    /// The one behind an error, if there is one.
    pub fn behind(error: &anyhow::Error) -> Option<&Self> {
        error.downcast_ref().filter(|refusal: &&Self| !refusal.log.is_empty())
    }

    /// The verifier's log as the kernel wrote it, many lines.
    pub fn log(&self) -> &str {
        self.log.trim_end()
    }
}

/// What the verifier said last, before it says how much work it had.
fn last_words(log: &str) -> Option<&str> {
    const STATISTICS: [&str; 3] = ["processed ", "verification time ", "stack depth "];
    let is_said = |line: &&str| !line.is_empty() && !STATISTICS.iter().any(|start| line.starts_with(start));
    log.lines().map(str::trim).rfind(is_said)
}

/// Warns that something is not available, with the verifier's log if that is why.
pub(super) fn warn(what: &str, error: &anyhow::Error) {
    tracing::warn!("{what} is not available: {error:#}");
    if let Some(refusal) = Refusal::behind(error) {
        tracing::warn!("the verifier's log of {}:\n{}", refusal.program, refusal.log());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_says_what_and_the_log_is_kept_whole() {
        let log = "func#0 @0\n0: R1=ctx() R10=fp0\n0: (bf) r0 = r9\nR9 !read_ok\nverification time 45 usec\n\
                   stack depth 0\nprocessed 1 insns (limit 1000000) max_states_per_insn 0\n";
        let refusal = Refusal::new("intercept_out", &io::Error::from_raw_os_error(13), log.to_owned());
        let error = anyhow::Error::new(refusal).context("cannot attach");
        let line = format!("{error:#}");
        let told = format!(
            "Linux {} refused the program intercept_out: Permission denied (os error 13): R9 !read_ok",
            release()
        );
        assert_eq!(line, format!("cannot attach: {told}"));
        assert_eq!(Refusal::behind(&error).expect("is one").log(), log.trim_end());
    }

    #[test]
    fn a_refusal_without_a_word_is_told_by_its_error_alone() {
        let error = anyhow::Error::new(Refusal::new("x", &io::Error::from_raw_os_error(22), String::new()));
        assert!(format!("{error:#}").ends_with("refused the program x: Invalid argument (os error 22)"), "{error:#}");
        assert!(Refusal::behind(&error).is_none());
    }
}
