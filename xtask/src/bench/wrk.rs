//! What wrk says: it has no machine-readable output.

use anyhow::{Context as _, Result, bail};

use super::load::Report;

/// Reads `  123456 requests in 6.00s, …` and `     50%  512.00us`.
pub(super) fn parse(text: &str) -> Result<Report> {
    if let Some(errors) = text.lines().find(|line| line.contains("Socket errors") || line.contains("Non-2xx")) {
        bail!("requests failed: {}", errors.trim());
    }
    let report = || -> Option<Report> {
        let (requests, rest) = text.lines().find_map(|line| line.trim().split_once(" requests in "))?;
        let p50 = text.lines().find_map(|line| line.trim().strip_prefix("50%"))?;
        Some(Report {
            completed: requests.parse().ok()?,
            seconds: nanos(rest.split(',').next()?)? / 1e9,
            p50_nanos: nanos(p50)?,
            cpu_nanos: 0.0,
        })
    };
    report().with_context(|| format!("wrk's output is not understood:\n{text}"))
}

/// `512.00us`, `1.20ms`, `6.00s`, `1.00m`.
fn nanos(text: &str) -> Option<f64> {
    let text = text.trim();
    let unit = text.find(|c: char| c.is_ascii_alphabetic())?;
    let scale = match &text[unit..] {
        "us" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" => 60e9,
        _ => return None,
    };
    Some(text[..unit].parse::<f64>().ok()? * scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrk_is_understood() {
        let text = "Running 2s test @ http://127.0.0.1:8080/file\n  1 threads and 32 connections\n  Latency Distribution\n     \
                    50%  512.00us\n     75%    1.20ms\n  123456 requests in 2.10s, 150.00MB read\nRequests/sec:  58788.57\n";
        let report = parse(text).unwrap();
        assert!((report.completed - 123_456.0).abs() < 1e-9);
        assert!((report.seconds - 2.1).abs() < 1e-9);
        assert!((report.p50_nanos - 512_000.0).abs() < 1e-3);
        assert!(parse("nothing").is_err());
        assert!(parse(&format!("{text}  Non-2xx or 3xx responses: 7\n")).is_err());
    }
}
