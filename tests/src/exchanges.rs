use std::{path::Path, sync::LazyLock};

use anyhow::{Context as _, Result, bail};
use jsonschema::Validator;
use serde_json::Value;

/// Lines of `-o json` that are exchanges, each line checked against the committed schema.
pub type Exchanges = Vec<Value>;

static SCHEMA: LazyLock<Result<Validator>> = LazyLock::new(|| {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/exchange.schema.json");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(jsonschema::validator_for(&serde_json::from_str(&text)?)?)
});

/// Is the line an exchange, and not a flow that none shows?
pub(crate) fn is_exchange(line: &str) -> bool {
    line.contains("\"interceptor.exchange.number\"")
}

/// Parses the lines; each has to be what the schema says. Gives those that are exchanges.
pub fn check<S: AsRef<str>>(lines: &[S]) -> Result<Exchanges> {
    let schema = SCHEMA.as_ref().map_err(|error| anyhow::anyhow!("{error:#}"))?;
    lines
        .iter()
        .map(|line| {
            let line = line.as_ref();
            let value: Value = serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))?;
            if let Err(error) = schema.validate(&value) {
                bail!("not what the schema says: {error} at {}\n{line}", error.instance_path());
            }
            Ok(is_exchange(line).then_some(value))
        })
        .filter_map(Result::transpose)
        .collect()
}

/// What two captures of the same traffic must agree on: everything but times, what only a kernel knows, how much it left out of
/// contents that nobody wants (it depends on how soon it was told), and our own numbers. Sorted, as flows may end in another
/// order.
pub fn normalise(exchanges: &[Value]) -> Vec<String> {
    const APART: [&str; 12] = [
        "timestamp",
        "duration",
        "interceptor.request.last_byte",
        "interceptor.response.first_byte",
        "interceptor.response.last_byte",
        "interceptor.flow.id",
        "interceptor.interface.index",
        "interceptor.process.side",
        "process.pid",
        "process.command",
        "interceptor.peer.process.pid",
        "interceptor.peer.process.command",
    ];
    let mut lines: Vec<String> = exchanges
        .iter()
        .map(|exchange| {
            let mut exchange = exchange.clone();
            if let Some(object) = exchange.as_object_mut() {
                object.retain(|key, _| {
                    let of_kernel = [".cookie", "cgroup.id", ".body.skipped"];
                    !APART.contains(&key.as_str()) && !of_kernel.iter().any(|end| key.ends_with(end))
                });
            }
            exchange.to_string()
        })
        .collect();
    lines.sort_unstable();
    lines
}
