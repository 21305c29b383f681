//! The inline path as an HTTP peer: what the RFCs require, requirement by requirement, with bytes that no library would send.
//!
//! A row is a section, what is said, and what has to come of it. All rows that do not hold are told at once.

mod http1;
mod http2;
mod turns;

use std::{
    fs,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

use anyhow::{Result, ensure};
use interceptor_tests::{Case, Need};

const NEEDS: &[Need] = &[
    Need::Root,
    Need::Program("nginx", "nginx-light"),
    Need::Program("curl", "curl"),
    Need::Program("nghttpd", "nghttp2-server"),
];
/// Rows at a time.
const CLIENTS: usize = 6;

pub(crate) fn cases() -> Vec<Case> {
    let rows = vec![
        Case::new("conformance::http1_is_spoken_as_its_rfcs_require", NEEDS, http1::test),
        Case::new("conformance::http2_is_spoken_as_its_rfcs_require", NEEDS, http2::test),
    ];
    rows.into_iter().chain(turns::cases()).collect()
}

/// Runs all rows, and gives what is to be said of those that do not hold.
fn at_once<R: Sync>(rows: &[R], run: impl Fn(usize, &R) -> Result<Option<String>> + Sync) -> Vec<String> {
    let (failed, next) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Relaxed);
                    let Some(row) = rows.get(number) else { break };
                    let came = run(number, row).unwrap_or_else(|error| Some(format!("row {number}: {error:#}")));
                    failed.lock().unwrap().extend(came);
                }
            });
        }
    });
    failed.into_inner().unwrap()
}

fn all_hold(mut failed: Vec<String>, rows: usize) -> Result<()> {
    failed.sort();
    ensure!(failed.is_empty(), "of {rows} rows do not hold:\n{}", failed.join("\n"));
    Ok(())
}

/// The page says how many hold.
fn told_in_the_docs(rows: usize, known: usize, of: &str) -> Result<()> {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/inline.md"))?;
    let counts = format!("{} of {rows} requirements of {of}", rows - known);
    ensure!(page.contains(&counts), "docs/inline.md does not say {counts:?}");
    Ok(())
}
