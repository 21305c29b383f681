use std::sync::Arc;

use super::policy;
use crate::{
    model::{Exchange, FlowInfo, Sampled},
    policy::Policy,
    protobuf::Registry,
    sink::sample,
};

fn exchange(number: u64, tenant: &str, status: u16) -> Exchange {
    let mut exchange = sample::exchange();
    exchange.number = number;
    exchange.flow = Arc::new(FlowInfo { id: number / 7 + 1, ..FlowInfo::clone(&exchange.flow) });
    exchange.request = Some(sample::request("GET", "/", &[("x-tenant", tenant)], b""));
    exchange.response = Some(sample::response(status, &[], b""));
    exchange
}

fn sampled(policy: &Policy, exchange: &Exchange) -> Sampled {
    policy.verdict(exchange, None, &Registry::builtin()).rules[0].sampled
}

#[test]
fn the_rate_is_what_is_taken() {
    for rate in [0.01, 0.1, 0.5, 0.9, 1.0] {
        for key in ["", ", key: 'request.headers[\"x-tenant\"]'"] {
            let policy = policy(&format!("  - {{name: r, sample: {{rate: {rate}{key}}}}}"));
            let taken = (0..10_000).filter(|n| sampled(&policy, &exchange(*n, &format!("t{n}"), 200)).is_in()).count();
            let share = f64::from(u32::try_from(taken).unwrap()) / 10_000.0;
            // Five standard deviations of a fair draw.
            let tolerance = 5.0 * (rate * (1.0 - rate) / 10_000.0_f64).sqrt();
            assert!((share - rate).abs() <= tolerance, "{rate}{key}: {share}");
        }
    }
}

#[test]
fn the_same_key_is_the_same_decision() {
    let policy = policy("  - {name: r, sample: {rate: 0.5, key: 'request.headers[\"x-tenant\"]'}}");
    for tenant in ["a", "b", "c", "d"] {
        let first = sampled(&policy, &exchange(1, tenant, 200));
        assert!((2..50).all(|n| sampled(&policy, &exchange(n, tenant, 500)) == first), "{tenant}");
    }
    // Written down, so that another version, or another machine, decides the same.
    let taken: Vec<&str> = ["a", "b", "c", "d", "e", "f", "g", "h"]
        .into_iter()
        .filter(|tenant| sampled(&policy, &exchange(1, tenant, 200)).is_in())
        .collect();
    insta::assert_snapshot!(taken.join(" "));
}

#[test]
fn what_is_always_taken_is_taken_and_said_so() {
    let policy = policy("  - {name: r, sample: {rate: 0.0000001, always: response.code >= 500}}");
    assert_eq!(sampled(&policy, &exchange(1, "", 503)), Sampled::Always);
    assert_eq!(sampled(&policy, &exchange(1, "", 200)), Sampled::Out);
}

#[test]
fn an_exchange_without_a_key_is_drawn_by_itself() {
    let policy = policy("  - {name: r, sample: {rate: 0.5, key: request.id}}");
    let taken = (0..1000).filter(|n| sampled(&policy, &exchange(*n, "", 200)).is_in()).count();
    assert!((400..600).contains(&taken), "{taken}");
}
