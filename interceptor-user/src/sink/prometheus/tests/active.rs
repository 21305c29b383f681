//! The gauges of active requests.

use super::*;

const SERVER: &str = "http_server_active_requests";
const CLIENT: &str = "http_client_active_requests";

/// A request without an answer.
fn asked(local: &[Side], target: &str) -> Exchange {
    Exchange { flow: flow(local), response: None, ..exchange("GET", target, 200) }
}

fn show(sink: &mut Prometheus, exchanges: &[Exchange]) {
    sink.open(&mut exchanges.iter()).expect("shown");
}

/// Requests in all series of a gauge, and how many of these there are.
fn active(sink: &Prometheus, name: &str) -> (f64, usize) {
    let samples = samples(sink);
    let found = matching(&samples, name, &[]);
    (found.iter().map(|(_, value)| value).sum(), found.len())
}

#[test]
fn requests_are_active_until_they_are_answered_to_the_end() {
    let mut sink = sink(100);
    show(&mut sink, &[asked(&[Side::Server], "/v1/items/42?x"), asked(&[Side::Server], "/v1/items/43")]);
    let labels = "{http_request_method=\"GET\",http_route=\"/v1/items/{id}\",network_protocol_version=\"1.1\",\
                  server_address=\"10.0.0.2\",server_port=\"8080\",url_scheme=\"http\"}";
    assert_eq!(samples(&sink)[&format!("{SERVER}{labels}")], 2.0);
    // One has its response's head by now; the status is none of the labels.
    show(&mut sink, &[exchange("GET", "/v1/items/43", 503)]);
    assert_eq!(samples(&sink)[&format!("{SERVER}{labels}")], 1.0);
    show(&mut sink, &[]);
    assert_eq!(active(&sink, SERVER), (0.0, 1));
    assert_eq!(active(&sink, CLIENT), (0.0, 0));
}

#[test]
fn what_becomes_known_of_a_flow_leaves_nothing_behind() {
    let mut sink = sink(100);
    // Neither socket is known, then the client's, then both.
    for (local, server, client) in
        [(&[][..], 1.0, 0.0), (&[Side::Client], 0.0, 1.0), (&Side::BOTH, 1.0, 1.0), (&[Side::Server], 1.0, 0.0)]
    {
        show(&mut sink, &[asked(local, "/")]);
        assert_eq!((active(&sink, SERVER).0, active(&sink, CLIENT).0), (server, client), "{local:?}");
    }
    show(&mut sink, &[]);
    assert_eq!((active(&sink, SERVER).0, active(&sink, CLIENT).0), (0.0, 0.0));
}

#[test]
fn a_client_names_the_server_and_a_response_alone_is_no_request() {
    let mut sink = sink(100);
    show(&mut sink, &[asked(&[Side::Client], "/"), Exchange { request: None, ..exchange("GET", "/", 200) }]);
    let samples = samples(&sink);
    assert_eq!(matching(&samples, CLIENT, &["server_address=\"models.example\""]).len(), 1);
    assert!(matching(&samples, SERVER, &[]).is_empty());
}

#[test]
fn label_sets_are_capped_and_every_request_is_in_one() {
    let mut sink = sink(20);
    let flood: Vec<_> =
        (0..100).map(|number| asked(&[Side::Server], &format!("/word{}", "x".repeat(number)))).collect();
    for _ in 0..2 {
        show(&mut sink, &flood);
        let (requests, sets) = active(&sink, SERVER);
        assert_eq!(requests, 100.0);
        assert!(sets <= 21, "{sets}");
    }
    show(&mut sink, &flood[90..]);
    assert_eq!(active(&sink, SERVER).0, 10.0, "folded ones are taken off as they were added");
    show(&mut sink, &[]);
    assert_eq!(active(&sink, SERVER).0, 0.0);
}

#[test]
fn workers_add_up() {
    let metrics = Arc::new(Metrics::new(10).expect("metrics"));
    let mut sinks = [(); 2].map(|()| Prometheus::new(Arc::clone(&metrics), Paths::Template));
    for sink in &mut sinks {
        show(sink, &[asked(&[Side::Server], "/")]);
    }
    assert_eq!(active(&sinks[0], SERVER), (2.0, 1));
    show(&mut sinks[0], &[]);
    assert_eq!(active(&sinks[0], SERVER), (1.0, 1));
}
