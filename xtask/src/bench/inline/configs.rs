//! What the proxies are configured with: to carry, and nothing else.

use std::path::Path;

use super::servers::{EVENTS, HOST, PLAIN, UNARY};

/// Between a server's port and the proxies'.
pub(super) const OFFSET: u16 = 1000;
/// The same where `option http-no-delay` is set.
pub(super) const NO_DELAY: u16 = 2000;

/// What is steered: all that is measured.
pub(super) const STEER: &str = "\
apiVersion: interceptor/v1alpha1
kind: Policy
metadata: {name: bench}
spec:
  steer: [{name: all, ports: [8080-8082]}]
";

/// A field that each request gets.
pub(super) const RULES: &str = "  \
  rules:
  - {name: all, action: {rewrite: {requestHeaderModifier: {set: [{name: x-bench, value: inline}]}}}}
";

/// Answers over HTTP/2 and HTTP/1.1; connections to the servers stay open.
pub(super) fn nginx(directory: &Path) -> String {
    let root = directory.display();
    let server = |port: u16, http2: &str, location: &str| {
        format!("server {{ listen 127.0.0.1:{}{http2}; location / {{ {location} }} }}\n", port + OFFSET)
    };
    let upstream = |name: &str, port: u16| {
        format!("upstream {name} {{ server {HOST}:{port}; keepalive 256; keepalive_requests 1000000000; }}\n")
    };
    let http = "proxy_http_version 1.1; proxy_set_header Connection \"\"";
    [
        "user root;\nworker_processes 1;\ndaemon off;\nerror_log stderr error;\n".to_owned(),
        format!("pid {root}/pid;\nevents {{ worker_connections 16000; }}\nhttp {{\naccess_log off;\n"),
        "keepalive_requests 1000000000;\nkeepalive_timeout 600s;\n".to_owned(),
        ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {root}/{kind};\n"))
            .concat(),
        upstream("plain", PLAIN) + &upstream("unary", UNARY) + &upstream("events", EVENTS),
        server(PLAIN, "", &format!("{http}; proxy_pass http://plain;")),
        server(UNARY, " http2", "grpc_pass grpc://unary;"),
        server(EVENTS, "", &format!("{http}; proxy_buffering off; proxy_pass http://events;")),
        "}\n".to_owned(),
    ]
    .concat()
}

pub(super) fn haproxy() -> String {
    let listen = |name: &str, listen: u16, to: u16, proto: &str, more: &str| {
        format!("listen {name}\n  bind 127.0.0.1:{listen}{proto}\n  server server {HOST}:{to}{proto}\n{more}")
    };
    [
        "global\n  nbthread 1\n  maxconn 4000\n".to_owned(),
        "defaults\n  mode http\n  timeout connect 5s\n  timeout client 600s\n  timeout server 600s\n".to_owned(),
        listen("plain", PLAIN + OFFSET, PLAIN, "", ""),
        listen("plain_no_delay", PLAIN + NO_DELAY, PLAIN, "", "  option http-no-delay\n"),
        listen("unary", UNARY + OFFSET, UNARY, " proto h2", ""),
        listen("events", EVENTS + OFFSET, EVENTS, "", ""),
        listen("events_no_delay", EVENTS + NO_DELAY, EVENTS, "", "  option http-no-delay\n"),
    ]
    .concat()
}

/// JSON is YAML, too.
pub(super) fn envoy() -> String {
    let socket =
        |host: &str, port: u16| serde_json::json!({ "socket_address": { "address": host, "port_value": port } });
    let of = |kind: &str| format!("type.googleapis.com/envoy.extensions.{kind}");
    let listener = |name: &str, port: u16| {
        let route = serde_json::json!({ "match": { "prefix": "/" }, "route": { "cluster": name, "timeout": "0s" } });
        let router =
            serde_json::json!({ "name": "router", "typed_config": { "@type": of("filters.http.router.v3.Router") } });
        let manager = serde_json::json!({
            "@type": of("filters.network.http_connection_manager.v3.HttpConnectionManager"),
            "stat_prefix": name,
            "generate_request_id": false,
            "stream_idle_timeout": "0s",
            "route_config": { "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": [route] }] },
            "http_filters": [router],
        });
        serde_json::json!({
            "name": name,
            "address": socket("127.0.0.1", port + OFFSET),
            "filter_chains": [{ "filters": [{ "name": "http", "typed_config": manager }] }],
        })
    };
    let cluster = |name: &str, port: u16, http2: bool| {
        let version = if http2 { "http2_protocol_options" } else { "http_protocol_options" };
        let options = serde_json::json!({
            "@type": of("upstreams.http.v3.HttpProtocolOptions"),
            "explicit_http_config": { version: {} },
        });
        let limits =
            serde_json::json!({ "max_connections": 16000, "max_pending_requests": 16000, "max_requests": 16000 });
        serde_json::json!({
            "name": name,
            "type": "STATIC",
            "connect_timeout": "5s",
            "circuit_breakers": { "thresholds": [limits] },
            "typed_extension_protocol_options": { "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options },
            "load_assignment": {
                "cluster_name": name,
                "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": socket(HOST, port) } }] }],
            },
        })
    };
    let all = [("plain", PLAIN, false), ("unary", UNARY, true), ("events", EVENTS, false)];
    let listeners = all.map(|(name, port, _)| listener(name, port));
    let clusters = all.map(|(name, port, http2)| cluster(name, port, http2));
    serde_json::json!({ "static_resources": { "listeners": listeners, "clusters": clusters } }).to_string()
}
