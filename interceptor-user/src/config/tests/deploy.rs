//! What `deploy/` holds is held to what the program takes.

use std::{fs, path::PathBuf};

use serde_json::Value;

use super::super::{
    Config,
    keys::{KEYS, Key},
    schema,
};

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

fn read(name: &str) -> String {
    fs::read_to_string(directory().join(name)).expect("the file is there")
}

fn documents(name: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(&read(name)).expect("is YAML")
}

#[test]
fn the_example_configuration_is_valid_to_parser_and_schema() {
    let text = read("config.yaml");
    let config = Config::parse("deploy/config.yaml", &text).expect("is valid");
    let value: Value = serde_saphyr::from_str(&text).expect("is YAML");
    let validator = jsonschema::validator_for(schema().as_value()).expect("is a schema");
    assert_eq!(validator.iter_errors(&value).map(|error| error.to_string()).collect::<Vec<_>>(), Vec::<String>::new());
    // Apart from what it marks, it shows the defaults.
    let unmarked: String =
        text.lines().filter(|line| !line.ends_with("# not the default")).map(|l| l.to_owned() + "\n").collect();
    assert_eq!(Config::parse("unmarked", &unmarked).expect("is valid"), Config::default());
    assert_ne!(config, Config::default());
    for Key { section, name, .. } in KEYS.iter() {
        let at = format!("/{}/{name}", section.replace('.', "/"));
        assert!(value.pointer(&at).is_some(), "it does not show {section}.{name}");
    }
}

/// Every container of a manifest's pods.
fn containers(document: &Value) -> Vec<&Value> {
    let pod = document.pointer("/spec/template/spec").or_else(|| document.get("spec"));
    let of = |kind| pod.and_then(|pod| pod.get(kind)).and_then(Value::as_array).into_iter().flatten();
    of("initContainers").chain(of("containers")).collect()
}

/// The interceptor among a manifest's containers.
fn interceptor(documents: &[Value]) -> &Value {
    let mut all = documents.iter().flat_map(containers).filter(|container| container["name"] == "interceptor");
    let found = all.next().expect("an interceptor");
    assert!(all.next().is_none(), "more than one interceptor");
    found
}

/// `base`, with what the container's environment sets.
fn with_environment(base: Config, container: &Value) -> Config {
    container["env"].as_array().expect("a list").iter().fold(base, |config, variable| {
        let (name, value) = (&variable["name"], variable["value"].as_str().expect("text"));
        let key = KEYS.iter().find(|key| key.variable == *name).unwrap_or_else(|| panic!("{name} is no variable"));
        let values: Vec<String> = value.split(',').map(str::to_owned).collect();
        key.set(&config, &values).expect("is valid")
    })
}

/// The configuration in a manifest's `ConfigMap`, if it has one.
fn config_map(documents: &[Value]) -> Config {
    let map = documents.iter().find(|document| document["kind"] == "ConfigMap");
    map.map_or_else(Config::default, |map| {
        Config::parse("config.yaml", map["data"]["config.yaml"].as_str().expect("text")).expect("is valid")
    })
}

/// A process that keeps all that it may keep is not killed for it.
#[test]
fn bounds_stay_below_the_memory_limits() {
    /// What it takes beside, in bytes: without connections, and for each (`docs/benchmarks.md`, rounded up).
    const ITSELF: u64 = 17 << 20;
    const CONNECTION: u64 = 2 << 10;
    for (name, limit) in [("daemonset.yaml", "256Mi"), ("sidecar.yaml", "128Mi")] {
        let documents = documents(&format!("kubernetes/{name}"));
        let container = interceptor(&documents);
        let Config { capture, flow, session, .. } = with_environment(config_map(&documents), container);
        assert_eq!(container["resources"]["limits"]["memory"], limit, "{name}");
        let limit = limit.trim_end_matches("Mi").parse::<u64>().expect("a number") << 20;
        let kept = u64::from(capture.ring_size.0) + flow.buffer_total.0 + session.memory_total.0;
        let all = ITSELF + CONNECTION * u64::from(flow.max_flows.0) + kept;
        assert!(all <= limit, "{name}: {} MiB", all >> 20);
    }
}

#[test]
fn manifests_configure_what_there_is_with_the_least_capabilities() {
    for (name, documents) in
        ["daemonset.yaml", "sidecar.yaml"].map(|name| (name, documents(&format!("kubernetes/{name}"))))
    {
        let container = interceptor(&documents);
        with_environment(config_map(&documents), container);
        let expected = serde_json::json!({
            "runAsUser": 0,
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "seccompProfile": { "type": "RuntimeDefault" },
            "capabilities": { "drop": ["ALL"], "add": ["BPF", "NET_ADMIN", "PERFMON"] },
        });
        assert_eq!(container["securityContext"], expected, "{name}");
        for (probe, path) in [("startupProbe", "/readyz"), ("livenessProbe", "/healthz")] {
            assert_eq!(container[probe]["httpGet"]["path"], path, "{name} {probe}");
        }
        // Every mount has its volume.
        let pod = documents.iter().find(|document| !containers(document).is_empty()).expect("a pod");
        let pod = pod.pointer("/spec/template/spec").unwrap_or(&pod["spec"]);
        for mount in container["volumeMounts"].as_array().expect("a list") {
            let volumes = pod["volumes"].as_array().expect("a list");
            assert!(volumes.iter().any(|volume| volume["name"] == mount["name"]), "{name}: {mount}");
        }
    }
}

#[test]
fn the_config_map_is_there() {
    assert_ne!(config_map(&documents("kubernetes/daemonset.yaml")), Config::default());
}

#[test]
fn the_unit_runs_what_there_is() {
    let unit = read("systemd/interceptor.service");
    for line in unit.lines().filter(|line| line.starts_with("Exec")) {
        assert!(line.contains("/usr/bin/interceptor run --config /etc/interceptor/config.yaml"), "{line}");
    }
    for set in ["CapabilityBoundingSet", "AmbientCapabilities"] {
        assert!(unit.contains(&format!("\n{set}=CAP_BPF CAP_NET_ADMIN CAP_PERFMON\n")), "{set}");
    }
    // Its own sandbox is let through, and what is not is refused instead of killing it.
    let allowed = unit.lines().find(|line| line.starts_with("SystemCallFilter=")).expect("a filter");
    for call in ["bpf", "setns", "seccomp", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"] {
        assert!(allowed.split_whitespace().any(|word| word == call), "{call}");
    }
    assert!(unit.contains("\nNoNewPrivileges=yes\n") && unit.contains("\nSystemCallErrorNumber=EPERM\n"));
}
