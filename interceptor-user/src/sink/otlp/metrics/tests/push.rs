use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use prost::Message as _;

use super::{counted, *};
use crate::{
    config::{Otlp, OtlpEndpoint, OtlpSignal, Period},
    sink::delivery::{Reason, Standing},
};

/// A receiver of OTLP over HTTP that answers with a status.
struct Receiver {
    url: String,
    status: Arc<AtomicU16>,
    requests: Arc<Mutex<Vec<ExportMetricsServiceRequest>>>,
    response: Arc<Mutex<Vec<u8>>>,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("bound");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let receiver =
            Self { url, status: Arc::new(AtomicU16::new(200)), requests: Arc::default(), response: Arc::default() };
        let (status, requests, response) =
            (Arc::clone(&receiver.status), Arc::clone(&receiver.requests), Arc::clone(&receiver.response));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.expect("connected"));
                let mut length = 0;
                let mut line = String::new();
                while stream.read_line(&mut line).is_ok_and(|read| read > 2) {
                    if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().expect("a length");
                    }
                    line.clear();
                }
                let mut body = vec![0; length];
                stream.read_exact(&mut body).expect("a body");
                let request = ExportMetricsServiceRequest::decode(&*body).expect("a request");
                requests.lock().expect("no panic").push(request);
                let (status, body) = (status.load(SeqCst), response.lock().expect("no panic").clone());
                let head =
                    format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
                stream.get_mut().write_all(&[head.as_bytes(), &body].concat()).ok();
            }
        });
        receiver
    }

    fn config(&self, interval: u64) -> Otlp {
        Otlp {
            endpoint: OtlpEndpoint(self.url.clone()),
            protocol: crate::config::OtlpProtocol::Http,
            signals: vec![OtlpSignal::Metrics],
            metrics_interval: Period(Duration::from_millis(interval)),
            ..Otlp::default()
        }
    }

    fn push(&self, interval: u64) -> Running {
        let settings = Settings::new(&self.config(interval), &|_| None);
        let target = settings.metrics.clone().expect("is on");
        start(&settings, &target, &counted(sample::exchange()).0, Duration::from_secs(2), || {}).expect("started")
    }

    fn received(&self) -> usize {
        self.requests.lock().expect("no panic").len()
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(10), "never: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

fn accounted(standing: &Standing) {
    let dropped: u64 = standing.dropped.iter().sum();
    assert_eq!(standing.offered, standing.delivered + dropped + standing.queued_records, "{standing:?}");
    assert_eq!((standing.queued_records, standing.queued_bytes), (0, 0));
}

#[test]
fn metrics_arrive_again_and_again_and_once_more_at_the_end() {
    let receiver = Receiver::start();
    let running = receiver.push(30);
    until("three pushes", || receiver.received() >= 3);
    let counts = Arc::clone(running.counts());
    running.join();
    let standing = counts.standing();
    accounted(&standing);
    assert!(standing.delivered > 0 && !standing.failing, "{standing:?}");
    let requests = receiver.requests.lock().expect("no panic");
    let resource = requests[0].resource_metrics[0].resource.as_ref().expect("a resource");
    let names: Vec<&str> = resource.attributes.iter().map(|attribute| attribute.key.as_str()).collect();
    assert_eq!(names, ["service.name", "service.version", "host.name", "process.executable.name", "process.pid"]);
}

#[test]
fn the_end_sends_what_no_interval_has_sent() {
    let receiver = Receiver::start();
    let running = receiver.push(60_000);
    let counts = Arc::clone(running.counts());
    running.join();
    assert_eq!(receiver.received(), 1);
    accounted(&counts.standing());
    assert_eq!(counts.standing().delivered, counts.standing().offered);
}

#[test]
fn what_is_not_taken_is_counted_and_the_next_push_is_complete_again() {
    let receiver = Receiver::start();
    receiver.status.store(503, SeqCst);
    let running = receiver.push(30);
    let expired = || running.counts().standing().dropped[Reason::Expired as usize];
    until("expired", || expired() > 0 && running.counts().standing().failing);
    receiver.status.store(400, SeqCst);
    until("refused", || running.counts().standing().dropped[Reason::Refused as usize] > 0);
    receiver.status.store(200, SeqCst);
    until("well again", || !running.counts().standing().failing);
    let points = {
        let requests = receiver.requests.lock().expect("no panic");
        let last = requests.last().expect("a request");
        last.resource_metrics[0].scope_metrics[0].metrics.len()
    };
    assert!(points > 30, "{points}");
    let partial = ExportMetricsPartialSuccess { rejected_data_points: 7, error_message: "too old".to_owned() };
    let before = running.counts().standing().dropped[Reason::Refused as usize];
    *receiver.response.lock().expect("no panic") =
        ExportMetricsServiceResponse { partial_success: Some(partial) }.encode_to_vec();
    until("partly refused", || running.counts().standing().dropped[Reason::Refused as usize] >= before + 7);
    until("told", || running.counts().standing().last_error.is_some_and(|error| error.contains("too old")));
    let counts = Arc::clone(running.counts());
    running.join();
    accounted(&counts.standing());
}

#[test]
fn a_receiver_that_is_gone_does_not_hold_up_the_end() {
    let receiver = Receiver { url: "http://127.0.0.1:1".to_owned(), ..Receiver::start() };
    let running = receiver.push(60_000);
    let counts = Arc::clone(running.counts());
    let began = Instant::now();
    running.join();
    assert!(began.elapsed() < Duration::from_secs(3));
    let standing = counts.standing();
    accounted(&standing);
    assert_eq!(standing.dropped[Reason::Shutdown as usize], standing.offered);
    assert!(standing.offered > 0);
}

#[test]
fn another_temporality_than_ours_is_told_to_be_passed_over() {
    let ask = |signals: &[OtlpSignal], value: &str| {
        let config = Otlp { signals: signals.to_vec(), ..Receiver::start().config(1) };
        let name = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
        Settings::new(&config, &|asked| (asked == name).then(|| value.to_owned())).warnings
    };
    assert_eq!(ask(&[OtlpSignal::Metrics], "Cumulative"), Vec::<String>::new());
    assert_eq!(ask(&[OtlpSignal::Traces], "delta"), Vec::<String>::new());
    for value in ["delta", "lowmemory"] {
        let warnings = ask(&[OtlpSignal::Metrics], value);
        assert!(matches!(&warnings[..], [one] if one.contains(value) && one.contains("cumulative")), "{warnings:?}");
    }
}
