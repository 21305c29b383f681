use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    sync::atomic::Ordering::Relaxed,
    time::Instant,
};

use interceptor_common::{DropCount, DropReason};
use serde_json::Value;

use super::*;
use crate::{
    model::{Counts, Record},
    sink::{
        map::{Chart, Limits, Shared},
        prometheus::{Metrics, Totals, Worker},
        sample,
    },
};

fn start() -> (Arc<State>, Server) {
    let (metrics, map) = (Metrics::new(10).expect("metrics"), Shared::new(Limits::default(), None));
    let state = Arc::new(State::new(Arc::new(metrics), Arc::new(map)));
    let server = Server::start((Ipv4Addr::LOCALHOST, 0).into(), Arc::clone(&state)).expect("a server");
    (state, server)
}

/// Sends `request` as it is and reads until the server closes.
fn send(server: &Server, request: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("received");
    response
}

fn get(server: &Server, path: &str) -> (u16, String) {
    let response = send(server, &format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
    let (head, body) = response.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, body.to_owned())
}

fn worker(state: &State) -> Arc<Counts> {
    let counts = Arc::new(Counts::default());
    let published = Arc::clone(&counts);
    let totals = move || {
        let (polls, open_flows) = (published.polls.load(Relaxed), published.open_flows.load(Relaxed));
        let mut totals = Totals { open_flows, polls, ..Totals::default() };
        totals.set_aside = published.set_aside();
        totals.dropped = vec![Default::default(); 2];
        totals.dropped[0][DropReason::RingFull as usize] = DropCount { packets: 1, bytes: 1000 };
        totals.dropped[1][DropReason::RingFull as usize] = DropCount { packets: 2, bytes: 3000 };
        totals
    };
    state.watch(Worker {
        name: "host".to_owned(),
        attachments: Box::new(|| vec!["tc ingress on eth0".to_owned()]),
        totals: Box::new(totals),
    });
    counts
}

#[test]
fn ready_only_once_attached_and_polled_and_not_while_draining() {
    let (state, server) = start();
    assert_eq!(get(&server, "/readyz"), (503, "starting: programs are not attached yet\n".to_owned()));
    let counts = worker(&state);
    state.enter(Phase::Running);
    assert_eq!(get(&server, "/readyz"), (503, "starting: host has not looked into its ring yet\n".to_owned()));
    counts.polls.store(1, Relaxed);
    assert_eq!(get(&server, "/readyz"), (200, "ok\n".to_owned()));
    state.enter(Phase::Draining);
    assert_eq!(get(&server, "/readyz"), (503, "draining: asked to end\n".to_owned()));
    assert_eq!(get(&server, "/healthz"), (200, "ok\n".to_owned()), "draining is no reason to be killed");
}

#[test]
fn a_stuck_worker_is_not_healthy() {
    let (state, _server) = start();
    let counts = worker(&state);
    let start = Instant::now();
    assert_eq!(state.healthy(start), Ok(()));
    assert_eq!(state.healthy(start + Duration::from_secs(29)), Ok(()));
    let late = state.healthy(start + Duration::from_secs(31)).expect_err("is stuck");
    assert!(late.starts_with("host has not looked into its ring for 3"), "{late}");
    counts.polls.fetch_add(1, Relaxed);
    assert_eq!(state.healthy(start + Duration::from_mins(1)), Ok(()));
}

#[test]
fn metrics_are_served_in_the_text_format() {
    let (_state, server) = start();
    let response = send(&server, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    assert!(response.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{response}");
    assert!(response.contains("\ninterceptor_build_info{version=\""), "{response}");
}

#[test]
fn status_says_what_is_attached_and_what_was_dropped() {
    let (state, server) = start();
    let counts = worker(&state);
    counts.open_flows.store(5, Relaxed);
    counts.strangers.store(6, Relaxed);
    state.enter(Phase::Running);
    let (code, body) = get(&server, "/status");
    let status: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(code, 200);
    assert_eq!(status["phase"], "running");
    assert_eq!(status["workers"][0]["attachments"][0], "tc ingress on eth0");
    assert_eq!(status["workers"][0]["flows_open"], 5);
    assert_eq!(status["workers"][0]["dropped"]["ring_full"]["bytes"], 4000);
    assert_eq!(status["workers"][0]["set_aside"]["segments"]["stranger"], 6);
    assert_eq!(status["ledger"]["carried"], 0);
    assert_eq!(status["ledger"]["lost"]["ring_full"], 0);
}

#[test]
fn what_is_not_there_is_said_so() {
    let (_state, server) = start();
    assert_eq!(get(&server, "/").0, 200);
    assert_eq!(get(&server, "/metric").0, 404);
    let response = send(&server, "POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert!(response.starts_with("HTTP/1.1 405 "), "{response}");
    assert!(response.contains("allow: GET, HEAD\r\n"), "{response}");
    let head = send(&server, "HEAD /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
    assert!(send(&server, "nonsense\r\n\r\n").starts_with("HTTP/1.1 400 "));
}

#[test]
fn slow_clients_up_to_the_cap_do_not_keep_others_out_for_long() {
    let (_state, server) = start();
    let begin = Instant::now();
    let slow: Vec<TcpStream> =
        (0..CONNECTIONS_MAX).map(|_| TcpStream::connect(server.address()).expect("connected")).collect();
    for mut stream in &slow {
        stream.write_all(b"GET /metrics HTTP/1.1\r\n").expect("sent");
    }
    assert_eq!(get(&server, "/healthz").0, 200);
    let waited = begin.elapsed();
    assert!(waited < HEAD_TIME + Duration::from_secs(4), "waited {waited:?}");
}

#[test]
fn many_at_once_are_all_served() {
    let (_state, server) = start();
    thread::scope(|scope| {
        let clients: Vec<_> = (0..32).map(|_| scope.spawn(|| get(&server, "/metrics").0)).collect();
        for client in clients {
            assert_eq!(client.join().expect("a client"), 200);
        }
    });
}

#[test]
fn an_address_in_use_is_one_clear_line() {
    let (state, server) = start();
    let error = Server::start(server.address(), state).err().expect("is refused");
    let expected = format!(
        "cannot serve metrics on {} (choose another address with --metrics-address): Address already in use (os error 98)",
        server.address()
    );
    assert_eq!(format!("{error:#}"), expected);
}

#[test]
fn a_dropped_server_frees_its_address() {
    let (state, server) = start();
    let address = server.address();
    drop(server);
    assert!(TcpStream::connect(address).is_err());
    Server::start(address, state).expect("the address is free");
}

#[test]
fn metrics_are_in_the_format_that_is_asked_for() {
    let (_state, server) = start();
    let ask = |accept: &str| {
        let response = send(&server, &format!("GET /metrics HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\n\r\n"));
        let (head, body) = response.split_once("\r\n\r\n").expect("a head");
        (head.to_ascii_lowercase(), body.to_owned())
    };
    let (head, body) = ask("*/*");
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    assert!(head.contains("vary: accept"), "{head}");
    assert!(!body.contains("# EOF") && body.contains("# TYPE interceptor_polls_total counter"), "{body}");
    let (head, body) = ask("application/openmetrics-text;version=1.0.0,text/plain;q=0.5");
    assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"), "{head}");
    assert!(body.ends_with("\n# EOF\n") && body.contains("# TYPE interceptor_polls counter"), "{body}");
}

#[test]
fn the_map_is_the_one_that_is_drawn() {
    let (state, server) = start();
    let empty: Chart = serde_json::from_str(&get(&server, "/map").1).expect("a chart");
    assert!(empty.edges.is_empty());
    state.map().record(&Record::Exchange(Box::new(sample::exchange())));
    let (status, body) = get(&server, "/map");
    let chart: Chart = serde_json::from_str(&body).expect("a chart");
    assert_eq!((status, chart.edges.len(), &chart), (200, 1, &state.map().chart()));
}
