//! Inferences, what policies say, drift.

use super::*;
use crate::model::DriftRecord;

/// The same, as a local server or client sees it.
fn inferred(sides: &[Side], of: Exchange) -> Exchange {
    Exchange { flow: flow(sides), inference: of.inference, verdict: of.verdict, ..exchange("POST", "/v1/x", 200) }
}

fn after(exchanges: Vec<Exchange>) -> BTreeMap<String, f64> {
    let mut sink = sink(20);
    for exchange in exchanges {
        record(&mut sink, exchange);
    }
    samples(&sink)
}

#[test]
fn a_conversation_is_observed_under_the_conventions_labels() {
    let samples = after(vec![inferred(&[Side::Server], sample::chat())]);
    let of = "error_type=\"\",gen_ai_operation_name=\"chat\",gen_ai_provider_name=\"openai\",\
              gen_ai_request_model=\"llama\",gen_ai_response_model=\"llama-8b\"";
    let at = "server_address=\"10.0.0.2\",server_port=\"8080\"";
    for (name, sum) in [
        ("gen_ai_server_request_duration_seconds", 0.007),
        ("gen_ai_server_time_to_first_token_seconds", 0.25),
        ("gen_ai_server_time_per_output_token_seconds", 0.02),
    ] {
        assert_eq!(samples[&format!("{name}_sum{{{of},{at}}}")], sum, "{name}");
        assert_eq!(samples[&format!("{name}_count{{{of},{at}}}")], 1.0, "{name}");
    }
    for (kind, tokens) in [("input", 12.0), ("output", 5.0)] {
        let kind = format!("gen_ai_token_type=\"{kind}\"");
        assert_eq!(samples[&format!("gen_ai_client_token_usage_sum{{{of},{kind},{at}}}")], tokens);
    }
    assert_eq!(samples[&format!("inference_wasted_bytes_total{{{of},{at}}}")], 64.0);
    assert!(matching(&samples, "inference_server_request_duration_seconds_count", &[]).is_empty());
    assert!(matching(&samples, "gen_ai_client_operation_duration_seconds_count", &[]).is_empty());
}

#[test]
fn models_of_other_kinds_have_a_family_of_their_own() {
    let samples = after(vec![inferred(&[Side::Client], sample::tabular())]);
    let labels = ["error_type=\"bad_input\"", "gen_ai_request_model=\"iris\"", "gen_ai_operation_name=\"infer\""];
    for name in ["inference_client_request_duration_seconds_count", "inference_batch_size_count"] {
        assert_eq!(matching(&samples, name, &labels).len(), 1, "{name} {samples:?}");
    }
    assert_eq!(matching(&samples, "inference_batch_size_sum", &labels)[0].1, 3.0);
    assert!(matching(&samples, "gen_ai_client_operation_duration_seconds_count", &[]).is_empty());
}

/// Both ends of a conversation on one machine: two durations, but its tokens once.
#[test]
fn what_does_not_depend_on_the_side_is_counted_once() {
    let samples = after(vec![inferred(&Side::BOTH, sample::chat())]);
    for name in ["gen_ai_server_request_duration_seconds_count", "gen_ai_client_operation_duration_seconds_count"] {
        assert_eq!(matching(&samples, name, &[]).len(), 1, "{name}");
    }
    let count = |name: &str| matching(&samples, name, &[]).iter().map(|(_, count)| count).sum::<f64>();
    assert_eq!(count("gen_ai_client_token_usage_count"), 2.0, "input and output");
    assert_eq!(count("gen_ai_server_time_to_first_token_seconds_count"), 1.0);
}

#[test]
fn estimated_tokens_are_not_among_those_that_were_stated() {
    let mut estimated = sample::chat();
    estimated.inference.as_mut().expect("an inference").usage.estimated = true;
    let samples = after(vec![inferred(&[Side::Server], estimated)]);
    assert!(matching(&samples, "gen_ai_client_token_usage_count", &[]).is_empty());
}

/// Names come from the wire: there may be any number of them, of any length.
#[test]
fn models_beyond_the_cap_and_what_is_no_name_are_other() {
    let named = |name: String| {
        let mut one = sample::chat();
        one.inference.as_mut().expect("an inference").model = Some(name);
        inferred(&[Side::Server], one)
    };
    let samples = after((0..60).map(|number| named(format!("m{number}"))).collect());
    let sets = matching(&samples, "gen_ai_server_request_duration_seconds_count", &[]);
    assert_eq!(sets.iter().map(|(_, count)| count).sum::<f64>(), 60.0);
    assert!(sets.len() <= 21, "{}", sets.len());
    assert!(samples["interceptor_metrics_folded_total"] >= 40.0, "{samples:?}");
    for name in ["a\u{1b}".to_owned(), "a".repeat(200)] {
        let samples = after(vec![named(name)]);
        let other = ["gen_ai_request_model=\"other\""];
        assert_eq!(matching(&samples, "gen_ai_server_request_duration_seconds_count", &other).len(), 1);
    }
}

#[test]
fn what_policies_say_is_counted_by_rule() {
    let samples = after(vec![inferred(&[Side::Server], sample::chat())]);
    for (sample, count) in [
        ("interceptor_policy_matches_total{rule=\"audit/prompts\",sampled=\"always\"}", 1.0),
        ("interceptor_policy_matches_total{rule=\"audit/keys\",sampled=\"out\"}", 1.0),
        ("interceptor_policy_would_total{action=\"deny\",rule=\"audit/keys\"}", 1.0),
    ] {
        assert_eq!(samples.get(sample), Some(&count), "{sample}");
    }
    let found = ["rule=\"audit/prompts\"", "inspector=\"pii\"", "kind=\"EMAIL_ADDRESS\"", "direction=\"request\""];
    assert_eq!(matching(&samples, "interceptor_findings_total", &found)[0].1, 2.0, "as often as it was seen");
    let not = ["inspector=\"pii\"", "direction=\"response\"", "reason=\"not_kept\""];
    assert_eq!(matching(&samples, "interceptor_uninspected_total", &not)[0].1, 1.0);
}

#[test]
fn drift_is_a_gauge_of_the_last_window() {
    let mut sink = sink(20);
    let same = DriftRecord { score: Some(0.5), drifted: false, missing: 0, ..sample::drift() };
    let few = DriftRecord { test: None, score: None, drifted: false, ..sample::drift() };
    for (drift, score, drifted) in [(sample::drift(), 0.001, 1.0), (same, 0.5, 0.0), (few, 0.5, 0.0)] {
        sink.record(&Record::Drift(Box::new(drift))).expect("recorded");
        let samples = samples(&sink);
        let labels = ["rule=\"drift/features\"", "inference_drift_feature=\"x[0]\""];
        let value = |name: &str| matching(&samples, name, &labels)[0].1;
        assert_eq!((value("inference_drift_score"), value("inference_drift_detected")), (score, drifted));
    }
    let samples = samples(&sink);
    let windows = |drifted: &str| matching(&samples, "inference_drift_windows_total", &[drifted])[0].1;
    assert_eq!((windows("drifted=\"true\""), windows("drifted=\"false\"")), (1.0, 2.0));
}

#[test]
fn reloads_and_refusals_are_told_apart() {
    let sink = sink(20);
    sink.metrics.policy_taken(3);
    sink.metrics.policy_refused();
    let samples = samples(&sink);
    assert_eq!(samples["interceptor_policy_reloads_total{result=\"taken\"}"], 1.0);
    assert_eq!(samples["interceptor_policy_reloads_total{result=\"refused\"}"], 1.0);
    assert_eq!(samples["interceptor_policy_rules"], 3.0, "a refusal changes nothing");
}
