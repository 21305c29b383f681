//! End to end: real servers and clients in pods, the real program in between.

mod pods;

use std::process::ExitCode;

fn main() -> ExitCode {
    let cases = [pods::cases()];
    interceptor_tests::run(cases.into_iter().flatten().collect())
}
