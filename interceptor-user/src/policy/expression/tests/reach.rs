use proptest::prelude::*;

use super::{Scene, compile};
use crate::{
    model::{Cidr, Endpoint, Networks, Ports, Reach},
    sink::sample,
};

#[test]
fn conditions_that_narrow_and_those_that_do_not() {
    let ports = |text: &str| {
        let Reach { ports, networks } = compile(text).reach();
        assert_eq!(networks, Networks::All, "{text}");
        if ports.is_all() { "all".to_owned() } else { ports.to_string() }
    };
    for (text, expected) in [
        ("true", "all"),
        ("request.method == 'GET'", "all"),
        ("destination.port == 8080", "8080"),
        ("8080 == destination.port", "8080"),
        ("destination.port in [80, 8080]", "80, 8080"),
        ("destination.port != 80", "0-79, 81-65535"),
        ("destination.port != 80 && destination.port < 100 && destination.port >= 78", "78-79, 81-99"),
        ("65000 <= destination.port", "65000-65535"),
        ("destination.port == 80 && request.method == 'GET'", "80"),
        ("destination.port == 80 || destination.port == 81", "80-81"),
        ("destination.port == 80 || request.method == 'GET'", "all"),
        ("!(destination.port != 80 || request.method == 'GET')", "80"),
        ("!(destination.port in [80] && request.method == 'GET')", "all"),
        ("!(destination.port > 2)", "0-2"),
        ("(destination.port == 80 || destination.port == 81) && destination.port != 80", "81"),
        ("source.port == 5000", "5000"),
        // Of each end by itself: one port cannot be both.
        ("source.port == 5000 && destination.port == 80", "80"),
        ("source.port == 5000 || destination.port == 80", "all"),
        // Not looked into, or nothing that narrows.
        ("request.method == 'GET' ? destination.port == 80 : destination.port == 81", "all"),
        ("destination.port % 2 == 0", "all"),
        ("destination.port > 80.5", "all"),
        ("[80, 81].exists(port, port == destination.port)", "all"),
        ("has(destination.port)", "all"),
        ("destination.address == '10.0.0.1:80'", "all"),
        ("destination.port == number", "all"),
    ] {
        assert_eq!(ports(text), expected, "{text}");
    }
}

#[test]
fn networks_narrow_too_and_what_is_never_true_reaches_nothing() {
    for (text, expected) in [
        ("destination.ip == '10.0.0.1'", "networks 10.0.0.1/32"),
        (
            "destination.ip in ['10.0.0.1', 'fd00::1'] && destination.port == 80",
            "ports 80 in networks 10.0.0.1/32, fd00::1/128",
        ),
        ("cidr('10.0.0.0/8').containsIP(source.ip)", "networks 10.0.0.0/8"),
        (
            "cidr('10.0.0.0/8').containsIP(source.ip) && cidr('10.1.0.0/16').containsIP(source.ip)",
            "networks 10.1.0.0/16",
        ),
        ("!cidr('10.0.0.0/8').containsIP(source.ip)", "all connections"),
        ("destination.ip != '10.0.0.1'", "all connections"),
        ("destination.ip == 'localhost'", "all connections"),
        ("destination.ip == '10.0.0.1' || destination.port == 80", "all connections"),
        ("destination.port == 80 && destination.port == 81", "no connection"),
        ("destination.port == 70000", "no connection"),
        ("false", "no connection"),
        ("destination.port == 70000 || destination.port == 80", "ports 80"),
        ("(source.port == 1 && source.port == 2 && destination.port == 9) || destination.port == 80", "ports 80"),
    ] {
        assert_eq!(compile(text).reach().to_string(), expected, "{text}");
    }
}

fn leaf() -> impl Strategy<Value = String> {
    let port = || prop::sample::select(vec!["source.port", "destination.port"]);
    let ip = || prop::sample::select(vec!["source.ip", "destination.ip"]);
    let address = || prop::sample::select(ADDRESSES.to_vec());
    let comparison = prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]);
    prop_oneof![
        (port(), comparison.clone(), PORTS).prop_map(|(a, is, b)| format!("{a} {is} {b}")),
        (PORTS, comparison, port()).prop_map(|(a, is, b)| format!("{a} {is} {b}")),
        (port(), prop::collection::vec(PORTS, 0..4)).prop_map(|(a, list)| format!("{a} in {list:?}")),
        (port(), port()).prop_map(|(a, b)| format!("{a} == {b}")),
        (ip(), prop_oneof![Just("=="), Just("!=")], address()).prop_map(|(a, is, b)| format!("{a} {is} '{b}'")),
        (ip(), address(), address()).prop_map(|(a, b, c)| format!("{a} in ['{b}', '{c}']")),
        (prop::sample::select(vec!["10.0.0.0/31", "10.0.0.0/8", "fd00::/8", "::/0"]), ip())
            .prop_map(|(network, a)| format!("cidr('{network}').containsIP({a})")),
        Just("request.method == 'GET'".to_owned()),
        Just("response.code == 200".to_owned()),
        Just("has(response.grpc_status)".to_owned()),
        any::<bool>().prop_map(|truth| truth.to_string()),
    ]
}

const PORTS: std::ops::Range<i64> = -1..5;
const ADDRESSES: [&str; 4] = ["10.0.0.1", "10.0.0.2", "192.168.0.1", "fd00::1"];

fn condition() -> impl Strategy<Value = String> {
    leaf().prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} && {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} || {b})")),
            inner.clone().prop_map(|a| format!("!({a})")),
            (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
        ]
    })
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    let address = prop::sample::select(ADDRESSES.to_vec());
    (address, 0_u16..5).prop_map(|(ip, port)| Endpoint::new(ip.parse().expect("an address"), port))
}

/// As the kernel programs decide: whichever end it is.
fn holds(Reach { ports, networks }: &Reach, ends: [Endpoint; 2]) -> bool {
    let network = |end: Endpoint| end.ip().to_string().parse::<Cidr>().expect("an address");
    let near = |end: Endpoint| match networks {
        Networks::All => true,
        Networks::Of(networks) => networks.iter().any(|one| one.covers(network(end))),
    };
    ends.iter().any(|end| ports.contains(end.port())) && ends.into_iter().any(near)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// At the end, and with the head alone.
    #[test]
    fn whatever_a_condition_is_true_of_is_within_its_reach(text in condition(), client in endpoint(), server in endpoint()) {
        let Ok(condition) = super::Expression::compile(&text) else { return Ok(()) };
        let exchange = sample::exchange();
        let mut flow = (*exchange.flow).clone();
        (flow.client.endpoint, flow.server.endpoint) = (client, server);
        let over = Scene { flow: &flow, ..Scene::of(&exchange, None) };
        let head = Scene { over: None, response: None, ..over };
        for scene in [over, head] {
            if condition.test(&scene) == Ok(true) {
                prop_assert!(holds(&condition.reach(), [client, server]), "{text}: {:?}", condition.reach());
            }
        }
    }
}

#[test]
fn the_longest_conditions_take_no_time() {
    let text = vec!["destination.port > 1"; 160].join(" && ");
    let start = std::time::Instant::now();
    assert_eq!(compile(&text).reach().ports, Ports::one(0).or(&Ports::one(1)).others());
    assert!(start.elapsed() < std::time::Duration::from_secs(2), "{:?}", start.elapsed());
}
