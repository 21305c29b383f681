//! What h2load says: it has no machine-readable output.

use anyhow::{Context as _, Result, bail};

use crate::bench::load::Report;

/// Reads `finished in 4.00s, …`, `requests: 1 total, 1 started, 1 done, 1 succeeded, 0 failed, …` and `status codes: 1 2xx, …`.
pub(super) fn parse(text: &str) -> Result<Report> {
    let line = |start: &str| text.lines().find_map(|line| line.trim().strip_prefix(start));
    let report = || -> Option<(Report, [f64; 4])> {
        let seconds = seconds(line("finished in ")?.split(',').next()?)?;
        let (requests, codes) = (line("requests: ")?, line("status codes: ")?);
        let failed = [count(requests, "failed")?, count(requests, "errored")?, count(requests, "timeout")?];
        let completed = count(requests, "succeeded")?;
        let others = count(codes, "3xx")? + count(codes, "4xx")? + count(codes, "5xx")?;
        let [failed, errored, late] = failed;
        Some((Report { completed, seconds, p50_nanos: 0.0, cpu_nanos: 0.0 }, [failed, errored, late, others]))
    };
    let (report, failures) = report().with_context(|| format!("h2load's output is not understood:\n{text}"))?;
    if failures.iter().sum::<f64>() > 0.0 || report.completed < 1.0 {
        bail!("requests failed:\n{text}");
    }
    Ok(report)
}

/// Of `3 total, 2 done`.
fn count(text: &str, what: &str) -> Option<f64> {
    text.split(',').find_map(|part| part.trim().strip_suffix(what)?.trim().parse().ok())
}

/// `4.00s`, `950.12ms`.
fn seconds(text: &str) -> Option<f64> {
    let text = text.trim();
    match text.strip_suffix("ms") {
        Some(millis) => Some(millis.parse::<f64>().ok()? / 1e3),
        None => text.strip_suffix('s')?.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h2load_is_understood() {
        let text = "starting benchmark...\n\nfinished in 4.00s, 81226.25 req/s, 12.65MB/s\n\
                    requests: 324905 total, 325033 started, 324905 done, 324905 succeeded, 0 failed, 0 errored, 0 timeout\n\
                    status codes: 324905 2xx, 0 3xx, 0 4xx, 0 5xx\n";
        let report = parse(text).unwrap();
        assert!((report.completed - 324_905.0).abs() < 1e-9 && (report.seconds - 4.0).abs() < 1e-9);
        assert!(parse("nothing").is_err());
        assert!(parse(&text.replace("0 4xx", "7 4xx")).is_err());
        assert!(parse(&text.replace("0 errored", "7 errored")).is_err());
    }
}
