//! Against receivers with real sockets.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io::Read as _,
    net::SocketAddr,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use bytes::{BufMut as _, Bytes, BytesMut};
use flate2::read::GzDecoder;
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::{
    HeaderMap, Request, Response,
    body::Frame,
    body::Incoming,
    header::{HeaderName, HeaderValue},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message as _;
use tokio::{net::TcpListener, sync::oneshot};

use crate::{
    config::{Otlp, OtlpCompression},
    model::{Record, SinkName},
    sink::{
        delivery::{self, Limits, Outlet, Running, Standing},
        otlp::{Settings, trace::Traces},
        sample,
    },
};

/// What a receiver answers, once.
#[derive(Clone, Default)]
struct Answer {
    /// Of HTTP.
    status: u16,
    /// Of gRPC.
    code: u32,
    fields: Vec<(&'static str, String)>,
    refused: i64,
}

impl Answer {
    fn http(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    fn grpc(code: u32) -> Self {
        Self { code, ..Self::default() }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.fields.push((name, value.to_owned()));
        self
    }

    fn body(&self) -> Vec<u8> {
        let partial = (self.refused > 0)
            .then(|| ExportTracePartialSuccess { rejected_spans: self.refused, error_message: "too old".to_owned() });
        ExportTraceServiceResponse { partial_success: partial }.encode_to_vec()
    }
}

/// A request that arrived.
struct Arrived {
    path: String,
    headers: HeaderMap,
    request: ExportTraceServiceRequest,
    time: Instant,
}

type Guard = oneshot::Sender<()>;

#[derive(Clone, Default)]
struct Receiver {
    arrived: Arc<Mutex<Vec<Arrived>>>,
    answers: Arc<Mutex<VecDeque<Answer>>>,
}

impl Receiver {
    /// Answers like this first, then well.
    fn start(answers: &[Answer]) -> (Self, SocketAddr, Guard) {
        let receiver = Self { answers: Arc::new(Mutex::new(answers.to_vec().into())), ..Self::default() };
        let (guard, address) = receiver.listen("127.0.0.1:0".parse().unwrap());
        (receiver, address, guard)
    }

    /// Until the guard is dropped.
    fn listen(&self, address: SocketAddr) -> (Guard, SocketAddr) {
        let listener = std::net::TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (guard, dropped) = oneshot::channel::<()>();
        let receiver = self.clone();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let serve = async {
                let listener = TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    () = receiver.accept(listener) => {}
                    _ = dropped => {}
                }
            };
            runtime.block_on(serve);
        });
        (guard, address)
    }

    async fn accept(self, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            let receiver = self.clone();
            tokio::spawn(async move {
                let mut first = [0; 3];
                let is_http2 = stream.peek(&mut first).await.is_ok() && &first == b"PRI";
                let io = TokioIo::new(stream);
                let service = service_fn(move |request| receiver.clone().answer(request));
                if is_http2 {
                    drop(http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await);
                } else {
                    drop(http1::Builder::new().serve_connection(io, service).await);
                }
            });
        }
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let is_grpc = head.headers.get("content-type").is_some_and(|value| value == "application/grpc");
        let gzipped = |name| head.headers.get(name).is_some_and(|value| value == "gzip");
        let message = if is_grpc { body.slice(5..) } else { body.clone() };
        let compressed = if is_grpc { body[0] == 1 } else { gzipped("content-encoding") };
        assert!(!is_grpc || !compressed || gzipped("grpc-encoding"));
        let mut plain = Vec::new();
        if compressed {
            GzDecoder::new(&*message).read_to_end(&mut plain).unwrap();
        } else {
            plain.extend_from_slice(&message);
        }
        self.arrived.lock().unwrap().push(Arrived {
            path: head.uri.path().to_owned(),
            headers: head.headers,
            request: ExportTraceServiceRequest::decode(&*plain).unwrap(),
            time: Instant::now(),
        });
        let answer = self.answers.lock().unwrap().pop_front().unwrap_or_default();
        Ok(if is_grpc { grpc(&answer) } else { http(&answer) })
    }

    fn spans(&self) -> usize {
        let count = |arrived: &Arrived| {
            let scopes = arrived.request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
            scopes.map(|scope| scope.spans.len()).sum::<usize>()
        };
        self.arrived.lock().unwrap().iter().map(count).sum()
    }
}

fn fields(answer: &Answer) -> HeaderMap {
    let field =
        |(name, value): &(&'static str, String)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    answer.fields.iter().map(field).collect()
}

fn http(answer: &Answer) -> Response<BoxBody<Bytes, Infallible>> {
    let mut response = Response::new(Full::new(Bytes::from(answer.body())).boxed());
    *response.status_mut() = if answer.status == 0 { 200 } else { answer.status }.try_into().unwrap();
    *response.headers_mut() = fields(answer);
    response
}

fn grpc(answer: &Answer) -> Response<BoxBody<Bytes, Infallible>> {
    let mut trailers = fields(answer);
    trailers.insert("grpc-status", answer.code.into());
    let mut message = BytesMut::new();
    if answer.code == 0 {
        let body = answer.body();
        message.put_u8(0);
        message.put_u32(body.len() as u32);
        message.extend_from_slice(&body);
    }
    let body = Full::new(message.freeze()).with_trailers(async move { Some(Ok(trailers)) });
    let mut response = Response::new(body.map_frame(|frame: Frame<Bytes>| frame).boxed());
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}

fn limits() -> Limits {
    Limits {
        batch_wait: Duration::from_millis(20),
        retry_for: Duration::from_secs(8),
        grace: Duration::from_secs(3),
        ..Limits::default()
    }
}

fn begin(config: &Otlp) -> (Outlet, Running) {
    let settings = Settings::new(config, &|_| None);
    let traces = Traces::new(settings.traces.as_ref().unwrap(), &settings, limits()).unwrap();
    delivery::start(SinkName::Traces, |record| Traces::wants(record, 1.0), limits(), || {}, traces).unwrap()
}

fn config(address: SocketAddr, protocol: &str) -> Otlp {
    let protocol = serde_json::from_value(protocol.into()).unwrap();
    Otlp { endpoint: format!("http://{address}").parse().unwrap(), protocol, ..Otlp::default() }
}

fn offer(outlet: &Outlet, count: u64) {
    for number in 1..=count {
        let exchange = crate::model::Exchange { number, ..sample::exchange() };
        let record = Arc::new(Record::Exchange(Box::new(exchange)));
        assert!(outlet.wants(&record));
        let bytes = record.memory();
        outlet.offer(record, bytes);
    }
}

/// What became of so many exchanges, with these answers first, and what arrived.
fn sent(protocol: &str, change: impl FnOnce(&mut Otlp), answers: &[Answer], count: u64) -> (Standing, Receiver) {
    let (receiver, address, _guard) = Receiver::start(answers);
    let mut config = config(address, protocol);
    change(&mut config);
    let (outlet, running) = begin(&config);
    offer(&outlet, count);
    let standing = settled(&running);
    running.join();
    (standing, receiver)
}

/// Once nothing is queued.
fn settled(running: &Running) -> Standing {
    let began = Instant::now();
    loop {
        let standing = running.counts().standing();
        if standing.queued_records == 0 {
            assert_eq!(standing.offered, standing.delivered + standing.dropped.iter().sum::<u64>());
            return standing;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{standing:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

const BOTH: [(&str, &str); 2] =
    [("grpc", "/opentelemetry.proto.collector.trace.v1.TraceService/Export"), ("http/protobuf", "/v1/traces")];

#[test]
fn spans_arrive_over_both_protocols() {
    for (protocol, path) in BOTH {
        for compression in [OtlpCompression::None, OtlpCompression::Gzip] {
            let change = |config: &mut Otlp| {
                config.compression = compression;
                config.headers = ["X-Api-Key=secret", "x-tenant=a"].map(|pair| pair.parse().unwrap()).into();
            };
            let (standing, receiver) = sent(protocol, change, &[], 10);
            assert_eq!((standing.delivered, receiver.spans()), (10, 10), "{protocol} {compression:?}");
            let arrived = receiver.arrived.lock().unwrap();
            assert_eq!(arrived[0].path, path);
            assert_eq!(arrived[0].headers.get("x-api-key").unwrap(), "secret");
            assert_eq!(arrived[0].headers.get("x-tenant").unwrap(), "a");
            let name = if protocol == "grpc" { "grpc-encoding" } else { "content-encoding" };
            assert_eq!(arrived[0].headers.contains_key(name), compression == OtlpCompression::Gzip, "{protocol}");
        }
    }
}

#[test]
fn what_is_refused_in_part_is_counted_and_not_sent_again() {
    for (protocol, _) in BOTH {
        let (standing, receiver) = sent(protocol, |_| {}, &[Answer { refused: 3, ..Answer::default() }], 10);
        assert_eq!((standing.delivered, standing.dropped.iter().sum::<u64>()), (7, 3), "{protocol}");
        assert_eq!(receiver.arrived.lock().unwrap().len(), 1);
        assert!(standing.last_error.is_some_and(|error| error.contains("too old")));
    }
}

#[test]
fn what_passes_is_tried_again_and_the_same_spans_are_sent() {
    let cases = [
        ("http/protobuf", vec![Answer::http(503), Answer::http(429), Answer::http(502)]),
        ("grpc", vec![Answer::grpc(14), Answer::grpc(4), Answer::grpc(10)]),
    ];
    for (protocol, answers) in cases {
        let (standing, receiver) = sent(protocol, |_| {}, &answers, 5);
        assert_eq!((standing.delivered, standing.retries), (5, 3), "{protocol}: {standing:?}");
        let arrived = receiver.arrived.lock().unwrap();
        assert!(arrived.len() == 4 && arrived.iter().all(|one| one.request == arrived[0].request), "{protocol}");
    }
}

#[test]
fn who_says_how_long_to_wait_is_heard() {
    // google.rpc.Status with a RetryInfo of 2 s.
    let details = "CAgaMAoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLlJldHJ5SW5mbxIECgIIAg";
    let cases = [
        ("http/protobuf", Answer::http(429).with("retry-after", "2")),
        ("grpc", Answer::grpc(8).with("grpc-status-details-bin", details)),
    ];
    for (protocol, answer) in cases {
        let (standing, receiver) = sent(protocol, |_| {}, &[answer], 1);
        assert_eq!((standing.delivered, standing.retries), (1, 1), "{protocol}: {standing:?}");
        let arrived = receiver.arrived.lock().unwrap();
        let waited = arrived[1].time - arrived[0].time;
        assert!(waited >= Duration::from_millis(1_900), "{protocol}: {waited:?}");
    }
}

#[test]
fn what_will_never_pass_is_refused_at_once() {
    let cases = [
        ("http/protobuf", Answer::http(400)),
        ("http/protobuf", Answer::http(401)),
        ("http/protobuf", Answer::http(302).with("location", "http://127.0.0.1:1/")),
        ("grpc", Answer::grpc(16)),
        ("grpc", Answer::grpc(3)),
        ("grpc", Answer::grpc(8)),
    ];
    for (protocol, answer) in cases {
        let what = format!("{protocol} {} {}", answer.status, answer.code);
        let (standing, receiver) = sent(protocol, |_| {}, &[answer], 4);
        assert_eq!((standing.delivered, standing.retries), (0, 0), "{what}");
        assert_eq!(standing.dropped[delivery::Reason::Refused as usize], 4, "{what}");
        assert_eq!(receiver.arrived.lock().unwrap().len(), 1, "{what}");
    }
}

#[test]
fn a_receiver_that_comes_later_gets_all() {
    for (protocol, _) in BOTH {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let (outlet, running) = begin(&config(address, protocol));
        offer(&outlet, 3);
        let began = Instant::now();
        while running.counts().standing().retries == 0 {
            assert!(began.elapsed() < Duration::from_secs(10), "{protocol}");
            thread::sleep(Duration::from_millis(5));
        }
        let standing = running.counts().standing();
        assert!(standing.failing && standing.last_error.is_some(), "{protocol}: {standing:?}");
        let receiver = Receiver::default();
        let _guard = receiver.listen(address);
        assert_eq!(settled(&running).delivered, 3, "{protocol}");
        running.join();
        assert_eq!(receiver.spans(), 3);
    }
}

#[test]
fn clients_that_wait_for_their_parent_are_sent_at_the_end() {
    let (receiver, address, _guard) = Receiver::start(&[]);
    let (outlet, running) = begin(&config(address, "grpc"));
    let mut exchange = sample::exchange();
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    exchange.request = Some(sample::request("GET", "/", &[("traceparent", parent)], b""));
    let record = Arc::new(Record::Exchange(Box::new(exchange)));
    outlet.offer(Arc::clone(&record), record.memory());
    thread::sleep(Duration::from_millis(300));
    let standing = running.counts().standing();
    assert_eq!((standing.delivered, standing.queued_records), (0, 1), "it waits, and counts as queued");
    let counts = Arc::clone(running.counts());
    running.join();
    assert_eq!((counts.standing().delivered, counts.standing().queued_bytes, receiver.spans()), (1, 0, 1));
}

#[test]
fn what_is_wrong_with_the_configuration_is_told_at_the_start() {
    let wrong = |change: fn(&mut Otlp), protocol: &str| {
        let mut config = config("127.0.0.1:4317".parse().unwrap(), protocol);
        change(&mut config);
        let settings = Settings::new(&config, &|_| None);
        let made = Traces::new(settings.traces.as_ref().unwrap(), &settings, limits());
        made.err().map(|error| format!("{error:#}")).unwrap_or_default()
    };
    for (protocol, _) in BOTH {
        let text = wrong(|config| config.headers = vec!["a b=secret".parse().unwrap()], protocol);
        assert!(text.contains("`a b`") && !text.contains("secret"), "{text}");
        let missing = |config: &mut Otlp| {
            config.endpoint = "https://127.0.0.1:4317".parse().unwrap();
            config.certificate = "/nonexistent/ca.pem".parse().unwrap();
        };
        assert!(wrong(missing, protocol).contains("/nonexistent/ca.pem"), "{protocol}");
    }
}
