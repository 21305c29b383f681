//! What `deploy/policies` and `docs/` hold is held to what the program takes.

use std::{fs, path::PathBuf};

use serde_json::Value;

use crate::policy::{Policy, document::schema_text};

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn policies() -> Vec<(String, String)> {
    let entries = fs::read_dir(directory().join("deploy/policies")).expect("is there");
    let mut all: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| {
            (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).expect("is text"))
        })
        .collect();
    all.sort();
    all
}

#[test]
fn the_ready_made_policies_are_right_by_themselves_and_together() {
    let all = policies();
    let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["drift-tabular.yaml", "observe-llm.yaml", "payload-log.yaml", "pii-audit.yaml"]);
    let files: Vec<(&str, &str)> = all.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    for file in &files {
        Policy::parse(std::slice::from_ref(file)).unwrap_or_else(|error| panic!("{error}"));
    }
    Policy::parse(&files).unwrap_or_else(|error| panic!("{error}"));
    let schema: Value = serde_json::from_str(&schema_text()).expect("is JSON");
    let validator = jsonschema::validator_for(&schema).expect("is a schema");
    for (name, text) in files {
        let value: Value = serde_saphyr::from_str(text).expect("is YAML");
        let errors: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert_eq!(errors, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn the_committed_schema_is_the_generated_one() {
    let committed = directory().join("docs/policy.schema.json");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&committed, schema_text()).expect("written");
    }
    let committed = fs::read_to_string(committed).expect("docs/policy.schema.json is there");
    assert!(committed == schema_text(), "docs/policy.schema.json is outdated; run this test with UPDATE_DOCS=1");
}

#[test]
fn the_schema_refuses_unknown_keys_and_takes_short_forms() {
    let schema: Value = serde_json::from_str(&schema_text()).expect("is JSON");
    let validator = jsonschema::validator_for(&schema).expect("is a schema");
    let valid = |rule: &str| {
        let text = format!(
            r#"{{"apiVersion": "interceptor/v1alpha1", "kind": "Policy", "metadata": {{"name": "p"}}, "spec": {{"rules": [{rule}]}}}}"#
        );
        validator.is_valid(&serde_json::from_str(&text).expect("is JSON"))
    };
    assert!(valid(r#"{"name": "r"}"#));
    assert!(valid(
        r#"{"name": "r", "inspect": {"pii": {}, "transport": null}, "keep": {"request": 5, "response": "1MiB"}}"#
    ));
    assert!(!valid(r#"{"name": "r", "mtach": "true"}"#));
    assert!(!valid(r#"{"name": "r", "sinks": ["line"]}"#));
    assert!(!valid(r#"{"match": "true"}"#));
}
