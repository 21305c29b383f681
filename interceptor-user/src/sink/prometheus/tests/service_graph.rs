use super::*;

#[test]
fn the_map_is_read_as_grafana_reads_it() {
    let sink = sink(10);
    let map = Arc::new(map::Shared::new(map::Limits::default(), None));
    sink.metrics.show_map(Arc::clone(&map)).expect("shown");
    assert!(!sink.metrics.text().expect("a scrape").contains("traces_service_graph_request"), "nobody called anybody");
    for status in [200, 200, 404, 503] {
        let exchange = Exchange { flow: flow(&[Side::Client]), ..exchange("GET", "/", status) };
        map.record(&Record::Exchange(Box::new(exchange)));
    }
    map.record(&Record::Flow(Box::new(FlowRecord {
        flow: flow(&[Side::Client]),
        protocol: Protocol::Redis,
        ..sample::tls_flow()
    })));
    let text = sink.metrics.text().expect("a scrape");
    let of = |start: &str| {
        let line = text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{start} in {text}"));
        line.rsplit_once(' ').map(|(_, value)| value.to_owned()).unwrap_or_default()
    };
    let labels = r#"{client="10.0.0.1",connection_type="",server="10.0.0.2""#;
    assert_eq!(of(&format!("traces_service_graph_request_total{labels}")), "4");
    assert_eq!(of(&format!("traces_service_graph_request_failed_total{labels}")), "1");
    // Only the client's end was here.
    assert_eq!(of(&format!("traces_service_graph_request_client_seconds_count{labels}")), "4");
    assert_eq!(of(&format!("traces_service_graph_request_server_seconds_count{labels}")), "0");
    let bucket = |le: &str| of(&format!("traces_service_graph_request_client_seconds_bucket{labels},le=\"{le}\""));
    assert_eq!([bucket("0.0015625"), bucket("12.8"), bucket("+Inf")], ["0", "4", "4"]);
    assert!(
        text.contains(r#"traces_service_graph_request_total{client="10.0.0.1",connection_type="database""#),
        "{text}"
    );
    assert_eq!(of("interceptor_map_folded_total"), "0");
}
