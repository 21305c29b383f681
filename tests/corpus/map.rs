//! The map of a capture, in each format that it has.

use std::{fmt::Write as _, path::Path, time::Duration};

use anyhow::Result;
use interceptor_tests::{Process, interceptor};

/// All of them, one after the other.
pub(crate) fn page(capture: &Path) -> Result<String> {
    let mut page = String::new();
    for format in ["text", "dot", "mermaid", "json"] {
        let mut command = interceptor()?;
        command.args(["map", "--format", format]).arg(capture);
        let drawn = Process::start(&mut command)?.end(Duration::from_secs(20))?.success()?.stdout;
        writeln!(page, "# {format}\n{}", drawn.join("\n"))?;
    }
    Ok(page)
}
