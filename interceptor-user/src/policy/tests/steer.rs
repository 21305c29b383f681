use crate::{
    model::Sinks,
    policy::{Policy, document::Direction},
};

const TEXT: &str = "\
apiVersion: interceptor/v1alpha1
kind: Policy
metadata: {name: p}
spec:
  steer:
  - name: models
    ports: [8001, 8000-8002]
    networks: [10.0.0.0/8, fd00::/8]
    cgroups: [kubepods.slice]
    onFailure: closed
  - {name: all, direction: inbound}
";

#[test]
fn what_is_steered_needs_no_rule() {
    let policy = Policy::parse(&[("p.yaml", TEXT)]).unwrap_or_else(|error| panic!("{error}"));
    let [models, all] = policy.steer() else { panic!("{:?}", policy.steer()) };
    assert_eq!((&*models.name, models.direction, models.closed), ("p/models", Direction::Outbound, true));
    assert_eq!(models.ports, [8000, 8001, 8002]);
    assert_eq!(models.networks, ["10.0.0.0/8", "fd00::/8"].map(|text| text.parse().unwrap()));
    assert_eq!(models.cgroups, ["kubepods.slice"]);
    assert_eq!((&*all.name, all.direction, all.closed), ("p/all", Direction::Inbound, false));
    assert!(all.ports.is_empty() && all.networks.is_empty() && all.cgroups.is_empty());
    // Nothing is looked at more closely, and all is reported.
    assert!(policy.rules().is_empty() && policy.unmatched() == Sinks::ALL);
}

#[test]
fn tenants_are_their_cgroups_and_networks() {
    let text = "\
apiVersion: interceptor/v1alpha1
kind: Policy
metadata: {name: p}
spec:
  tenants:
  - {name: acme, cgroups: [acme.slice], networks: [10.1.0.0/16]}
  - {name: initech, cgroups: [initech.slice, more.slice]}
  steer:
  - {name: calls, tenants: [acme, initech], cgroups: [own.slice], networks: [10.9.0.0/16]}
  - {name: served, direction: inbound, tenants: [acme]}
";
    let policy = Policy::parse(&[("p.yaml", text)]).unwrap_or_else(|error| panic!("{error}"));
    let [calls, served] = policy.steer() else { panic!("{:?}", policy.steer()) };
    assert_eq!(calls.cgroups, ["own.slice", "acme.slice", "initech.slice", "more.slice"]);
    assert_eq!(calls.networks, ["10.9.0.0/16".parse().unwrap()]);
    assert_eq!((&served.cgroups[..], &served.networks[..]), (&[][..], &["10.1.0.0/16".parse().unwrap()][..]));
}

#[test]
fn a_policy_that_is_not_in_force_steers_nothing() {
    let text = TEXT.replace("spec:", "spec:\n  enabled: false");
    assert!(Policy::parse(&[("p.yaml", &text)]).unwrap_or_else(|error| panic!("{error}")).steer().is_empty());
}
