//! gRPC calls, and what HTTP/2 has that HTTP/1 has not.

use super::*;
use crate::model::{Abort, Format, Kind, Piece, Pieces, Role};

const SERVER: &str = "rpc_server_call_duration_seconds_count";
const CLIENT: &str = "rpc_client_call_duration_seconds_count";

fn fields(lines: &[(&str, &str)]) -> Fields {
    let mut fields = Fields::default();
    for (name, value) in lines {
        fields.push(name.as_bytes(), value.as_bytes());
    }
    fields
}

fn messages(mut part: Part, count: u64) -> Part {
    let mut pieces = Pieces::new(Format::Grpc);
    let piece =
        Piece { kind: Kind::Data, time: Timestamp::default(), size: 1, wire_size: 1, compression: None, whole: true };
    (0..count).for_each(|_| pieces.count(&piece));
    part.pieces = Some(pieces);
    part
}

/// A call with one message, answered with three in 7 ms, and this status.
pub(super) fn call(path: &str, status: Option<&str>) -> Exchange {
    let asked =
        fields(&[(":authority", "Models.Example:8080"), (":scheme", "https"), ("content-type", "application/grpc")]);
    let head = Head::response(200, Version::Http2, Fields::default());
    let mut response = messages(part(head, 30, 2 * MS, 7 * MS), 3);
    response.trailers = status.map(|status| fields(&[("grpc-status", status)])).unwrap_or_default();
    Exchange {
        request: Some(messages(part(Head::request("POST", path, Version::Http2, asked), 10, 0, MS), 1)),
        response: Some(response),
        stream: Some(1),
        ..Exchange::new(flow(&[Side::Server]), 1, Protocol::Http2)
    }
}

fn of_client(exchange: Exchange) -> Exchange {
    Exchange { flow: flow(&[Side::Client]), ..exchange }
}

fn after(exchanges: Vec<Exchange>) -> BTreeMap<String, f64> {
    let mut sink = sink(20);
    for exchange in exchanges {
        record(&mut sink, exchange);
    }
    samples(&sink)
}

#[test]
fn a_call_is_observed_under_the_conventions_labels_and_as_the_request_that_it_is() {
    let samples = after(vec![call("/p.S/Get", Some("5"))]);
    let labels = "{error_type=\"\",rpc_method=\"p.S/Get\",rpc_response_status_code=\"NOT_FOUND\",\
                  rpc_system_name=\"grpc\",server_address=\"10.0.0.2\",server_port=\"8080\"}";
    assert_eq!(samples[&format!("{SERVER}{labels}")], 1.0);
    assert_eq!(samples[&format!("rpc_server_call_duration_seconds_sum{labels}")], 0.007);
    assert_eq!(samples[&format!("interceptor_rpc_server_request_messages_sum{labels}")], 1.0);
    assert_eq!(samples[&format!("interceptor_rpc_server_response_messages_sum{labels}")], 3.0);
    let http = ["http_route=\"/p.S/Get\"", "network_protocol_version=\"2\"", "http_request_method=\"POST\""];
    assert_eq!(matching(&samples, "http_server_request_duration_seconds_count", &http).len(), 1);
    assert_eq!(samples["interceptor_exchange_protocols_total{protocol=\"grpc\"}"], 1.0);
    assert_eq!(samples["interceptor_exchange_protocols_total{protocol=\"http2\"}"], 0.0);
    assert_eq!(samples["interceptor_messages_total{direction=\"request\",format=\"grpc\"}"], 1.0);
    assert_eq!(samples["interceptor_messages_total{direction=\"response\",format=\"grpc\"}"], 3.0);
}

#[test]
fn whose_fault_a_status_is_depends_on_the_side() {
    for (status, server, client, name) in [
        (Some("0"), "", "", "OK"),
        (Some("5"), "", "NOT_FOUND", "NOT_FOUND"),
        (Some("14"), "UNAVAILABLE", "UNAVAILABLE", "UNAVAILABLE"),
        (Some("99"), "", "_OTHER", "_OTHER"),
        (Some("x"), "", "", ""),
        (None, "", "", ""),
    ] {
        let samples = after(vec![call("/p.S/M", status), of_client(call("/p.S/M", status))]);
        for (metric, error) in [(SERVER, server), (CLIENT, client)] {
            let labels = [&*format!("error_type=\"{error}\""), &*format!("status_code=\"{name}\"")];
            assert_eq!(matching(&samples, metric, &labels).len(), 1, "{status:?} {labels:?} {samples:?}");
        }
    }
}

#[test]
fn a_call_without_a_status_says_why() {
    let mut aborted = call("/p.S/M", None);
    aborted.abort = Some(Abort { by: Role::Request, code: 8 });
    aborted.anomalies.insert(Anomaly::StreamReset);
    let mut unavailable = call("/p.S/M", None);
    unavailable.response.as_mut().expect("a response").head = Head::response(503, Version::Http2, Fields::default());
    let mut odd = aborted.clone();
    odd.abort = Some(Abort { by: Role::Response, code: 77 });
    let samples = after(vec![aborted, unavailable, odd]);
    let count = |error: &str| matching(&samples, SERVER, &[&format!("error_type=\"{error}\"")]);
    assert_eq!((count("stream_reset")[0].1, count("503")[0].1), (2.0, 1.0));
    assert_eq!(samples["interceptor_streams_aborted_total{by=\"client\",code=\"CANCEL\"}"], 1.0);
    assert_eq!(samples["interceptor_streams_aborted_total{by=\"server\",code=\"_OTHER\"}"], 1.0);
    assert_eq!(matching(&samples, "interceptor_streams_aborted_total", &[]).iter().map(|(_, n)| n).sum::<f64>(), 2.0);
}

#[test]
fn a_client_names_the_server_by_the_authority() {
    let samples = after(vec![of_client(call("/p.S/M", Some("0")))]);
    for name in [CLIENT, "http_client_request_duration_seconds_count"] {
        assert_eq!(matching(&samples, name, &["server_address=\"models.example\""]).len(), 1, "{samples:?}");
    }
}

#[test]
fn methods_beyond_the_cap_and_what_is_none_are_other() {
    let many = (0..60).map(|number| call(&format!("/p.S/M{number}"), Some("0"))).collect();
    let samples = after(many);
    let sets = matching(&samples, SERVER, &[]);
    assert_eq!(sets.len(), 19, "18 as they are, and the others together");
    assert_eq!(sets.iter().map(|(_, count)| count).sum::<f64>(), 60.0);
    assert_eq!(matching(&samples, SERVER, &["rpc_method=\"_OTHER\"", "status_code=\"OK\""])[0].1, 42.0);
    for path in ["/p.S/M\u{1b}", "/p", "/p.S/M?x;y", &format!("/p/{}", "a".repeat(254))] {
        let samples = after(vec![call(path, Some("0"))]);
        let other = matches!(path, "/p.S/M?x;y").then_some("p.S/M").unwrap_or("_OTHER");
        assert_eq!(matching(&samples, SERVER, &[&format!("rpc_method=\"{other}\"")]).len(), 1, "{path:?}");
    }
}

#[test]
fn what_is_not_known_of_a_request_has_no_label() {
    let mut late = call("/p.S/M", Some("0"));
    let lines = fields(&[("?1", "?"), ("content-type", "application/grpc")]);
    late.request.as_mut().expect("a request").head = Head::unknown_request(Version::Http2, lines);
    let samples = after(vec![late]);
    assert_eq!(matching(&samples, SERVER, &["rpc_method=\"\""]).len(), 1, "{samples:?}");
    let nothing = ["http_request_method=\"\"", "http_route=\"\""];
    assert_eq!(matching(&samples, "http_server_request_duration_seconds_count", &nothing).len(), 1);
}

#[test]
fn the_scheme_is_that_of_the_request_if_it_is_one_of_https_or_http() {
    for (scheme, label) in [
        (Some("https"), "https"),
        (Some("HTTPS"), "https"),
        (Some("HTTP"), "http"),
        (Some("gopher"), "http"),
        (None, "http"),
    ] {
        let mut one = call("/p.S/M", None);
        let lines = scheme.map(|scheme| fields(&[(":scheme", scheme)])).unwrap_or_default();
        one.request.as_mut().expect("a request").head = Head::request("POST", "/", Version::Http2, lines);
        let mut sink = sink(20);
        sink.open(&mut [&one].into_iter()).expect("shown");
        let label = format!("url_scheme=\"{label}\"");
        record(&mut sink, one);
        let samples = samples(&sink);
        for family in ["http_server_active_requests", "http_server_request_duration_seconds_count"] {
            assert_eq!(matching(&samples, family, &[&label]).len(), 1, "{family} {scheme:?}");
        }
    }
}

#[test]
fn a_method_that_was_seen_is_found_again() {
    let mut sink = sink(20);
    record(&mut sink, call("/p.S/M", Some("0")));
    record(&mut sink, call("/p.S/N", Some("0")));
    assert_eq!(sink.rpc.iter().count(), 2);
    record(&mut sink, call("/p.S/M", Some("0")));
    assert_eq!(sink.rpc.iter().count(), 2, "found again");
}
