//! Names of Prometheus back to those of the semantic conventions, by the rules that lead there ("Prometheus and
//! OpenMetrics compatibility", section "OTLP Metric points to Prometheus"): dots become underscores, the unit and `_total`
//! are appended.

use prometheus::proto::MetricType;

/// Words that have an underscore in the conventions' names, and in ours; all others are joined by dots.
const COMPOUNDS: [&str; 16] = [
    "active_requests",
    "batch_size",
    "build_info",
    "connection_type",
    "exchange_protocols",
    "flow_protocols",
    "gen_ai",
    "given_up",
    "label_sets",
    "open_exchanges",
    "set_aside",
    "smoothed_rtt",
    "start_time",
    "status_code",
    "time_per_output_token",
    "time_to_first_token",
];

/// What the conventions call otherwise.
const RENAMED: [(&str, &str); 2] =
    [("process_cpu_seconds_total", "process.cpu.time"), ("process_resident_memory_bytes", "process.memory.usage")];

/// What the names of the service map's families begin with.
const SERVICE_GRAPH: &str = "traces_service_graph_";

/// What a number of things is a number of, by the last word of its name.
const THINGS: [(&str, &str); 7] = [
    ("exchanges", "{exchange}"),
    ("messages", "{message}"),
    ("packets", "{packet}"),
    ("records", "{record}"),
    ("requests", "{request}"),
    ("segments", "{segment}"),
    ("usage", "{token}"),
];

/// Attributes that are numbers.
const NUMBERS: [&str; 2] = ["http.response.status_code", "server.port"];

/// What it is called, and counted in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) name: String,
    /// UCUM.
    pub(super) unit: &'static str,
}

/// Of a metric.
pub(super) fn metric(name: &str, kind: MetricType) -> Name {
    let bare = if kind == MetricType::COUNTER { name.strip_suffix("_total").unwrap_or(name) } else { name };
    let (stem, unit) = unit(bare);
    if let Some((_, renamed)) = RENAMED.iter().find(|(ours, _)| *ours == name) {
        return Name { name: (*renamed).to_owned(), unit };
    }
    // Whoever reads these reads them by Tempo's names, in which nothing is a namespace.
    let name = if stem.starts_with(SERVICE_GRAPH) { stem.to_owned() } else { dotted(stem) };
    Name { name, unit }
}

/// Of a label.
pub(super) fn attribute(label: &str) -> String {
    dotted(label)
}

/// Is the value of this attribute a number?
pub(super) fn is_number(attribute: &str) -> bool {
    NUMBERS.contains(&attribute)
}

/// Is it added up from what comes and goes, so that a sum of several is one? The conventions call it an UpDownCounter.
pub(super) fn is_up_and_down(name: &str) -> bool {
    name == "process.memory.usage" || (name.starts_with("http.") && name.ends_with(".active_requests"))
}

/// The name without its unit, and that.
fn unit(name: &str) -> (&str, &'static str) {
    if let Some(stem) = name.strip_suffix("_seconds") {
        return (stem, "s");
    }
    if let Some(stem) = name.strip_suffix("_ratio") {
        return (stem, "1");
    }
    if let Some(stem) = name.strip_suffix("_bytes") {
        // A size is in bytes; else bytes are what is counted, as packets are.
        return (if stem.ends_with("_size") { stem } else { name }, "By");
    }
    let last = name.rsplit('_').next().unwrap_or_default();
    (name, THINGS.iter().find(|(word, _)| *word == last).map_or("", |(_, unit)| unit))
}

fn dotted(mut name: &str) -> String {
    let mut dotted = String::with_capacity(name.len());
    loop {
        let word = COMPOUNDS.into_iter().find_map(|compound| {
            let after = name.strip_prefix(compound)?;
            (after.is_empty() || after.starts_with('_')).then_some((compound, after))
        });
        let (word, after) = word.unwrap_or_else(|| name.split_at(name.find('_').unwrap_or(name.len())));
        dotted.push_str(word);
        match after.strip_prefix('_') {
            Some(after) => name = after,
            None => return dotted,
        }
        dotted.push('.');
    }
}
