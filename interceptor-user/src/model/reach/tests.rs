use super::*;

fn networks(list: &[&str]) -> Networks {
    Networks::Of(list.iter().map(|text| text.parse().expect("a network")).collect())
}

#[test]
fn ports_are_sets() {
    let some: Ports = [0, 63, 64, 8080, 65535].into_iter().collect();
    assert!(some.contains(0) && some.contains(64) && some.contains(65535) && !some.contains(1));
    assert_eq!(some.count(), 5);
    assert!(some.clone().and(&some.clone().others()).is_none() && some.clone().or(&some.clone().others()).is_all());
    assert_eq!(some.words()[1], 1);
    assert_eq!(some.to_string(), "0, 63-64, 8080, 65535");
    assert_eq!(Ports::one(80).others().to_string(), "0-79, 81-65535");
}

#[test]
fn networks_are_united_and_intersected() {
    let (ten, some) = (networks(&["10.0.0.0/8", "fd00::/8"]), networks(&["10.1.0.0/16", "192.168.0.0/16"]));
    assert_eq!(ten.clone().and(some.clone()), networks(&["10.1.0.0/16"]));
    assert_eq!(some.clone().and(ten.clone()), networks(&["10.1.0.0/16"]));
    assert_eq!(ten.clone().or(Networks::All), Networks::All);
    assert_eq!(ten.clone().and(Networks::All), ten);
    assert!(networks(&["10.0.0.0/8"]).and(networks(&["11.0.0.0/8"])).is_none());
    assert_eq!(some.clone().or(some.clone()), some);
    let many: Vec<Cidr> =
        (0..=NETWORKS as u32).map(|at| std::net::Ipv4Addr::from(at << 8).to_string().parse().unwrap()).collect();
    assert_eq!(Networks::Of(many.clone()).or(networks(&[])), Networks::All, "too many are all");
}

#[test]
fn it_is_told_in_words() {
    let reach = |ports: &[u16], networks| Reach { ports: ports.iter().copied().collect(), networks };
    let ten = || networks(&["10.0.0.0/8"]);
    assert_eq!(Reach::all().to_string(), "all connections");
    assert_eq!(Reach::none().to_string(), "no connection");
    assert_eq!(reach(&[], Networks::All).to_string(), "no connection");
    assert_eq!(reach(&[8080, 9000], Networks::All).to_string(), "ports 8080, 9000");
    assert_eq!(reach(&[8080], ten()).to_string(), "ports 8080 in networks 10.0.0.0/8");
    assert_eq!(Reach { ports: Ports::all(), networks: ten() }.to_string(), "networks 10.0.0.0/8");
    let odd: Vec<u16> = (0..40).map(|at| 2 * at + 1).collect();
    assert!(reach(&odd, Networks::All).to_string().ends_with("29, 31 and 24 more"));
}

#[test]
fn what_is_in_none_does_not_widen_what_it_is_joined_with() {
    let none = Reach { ports: Ports::none(), networks: Networks::All };
    let some = Reach { ports: Ports::one(80), networks: networks(&["10.0.0.0/8"]) };
    assert_eq!(none.clone().or(some.clone()), some);
    assert_eq!(some.clone().or(none), some);
}
