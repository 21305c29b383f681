//! Keys of lines against the list of the conventions' attributes, with their version.

use std::collections::BTreeSet;

/// Of the line itself; not dotted, so that no attribute is called so.
const OF_THE_LINE: [&str; 4] = ["anomalies", "complete", "duration", "timestamp"];
/// Kept, though the conventions have given them up.
const OLD: [&str; 2] = [
    // Now `rpc.system.name`, which is there, too.
    "rpc.system",
    // Now `server.address`, which is the address here.
    "tls.client.server_name",
];

/// Types that are lines; others are values in them, whose keys are not attributes.
const LINES: [&str; 5] = ["ExchangeLine", "FlowLine", "MessageLine", "DriftLine", "EdgeLine"];

#[test]
fn keys_are_attributes_of_the_conventions_or_ours() {
    let schema: serde_json::Value =
        serde_json::from_str(&crate::sink::json::schema::exchange().expect("a schema")).expect("JSON");
    let listed: BTreeSet<&str> = include_str!("../../../../../tests/semconv/attributes.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let mut found = BTreeSet::new();
    for line in LINES {
        let keys = schema["$defs"][line]["properties"].as_object().unwrap_or_else(|| panic!("no {line}"));
        for key in keys.keys().map(String::as_str) {
            let ours = key.starts_with("interceptor.") || key.starts_with("inference.");
            let known = listed.contains(key) || OF_THE_LINE.contains(&key) || OLD.contains(&key);
            assert!(ours || known, "{line}: {key} is no name of the conventions");
            assert!(!(ours && listed.contains(key)), "{key} is not only ours");
            found.insert(key.to_owned());
        }
    }
    for exception in OF_THE_LINE.iter().chain(&OLD) {
        assert!(found.contains(*exception), "{exception} needs no exception");
        assert!(!listed.contains(exception), "{exception} needs no exception");
    }
}
