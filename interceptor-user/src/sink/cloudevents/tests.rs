use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Mutex,
    thread,
};

use super::*;
use crate::{
    config::Pair,
    model::{Coding, Dialect, Format, Inference, Kind, Operation, Part},
    sink::sample,
};

/// An event as it arrived.
#[derive(Clone, Debug)]
struct Arrived {
    fields: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Arrived {
    fn get(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

type Answer = fn(usize, &Arrived) -> &'static str;

/// A receiver that answers as the test says: by the ordinal of the event, and by the event.
struct Receiver {
    address: SocketAddr,
    arrived: Arc<Mutex<Vec<Arrived>>>,
}

impl Receiver {
    fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let arrived = Arc::<Mutex<Vec<Arrived>>>::default();
        let all = Arc::clone(&arrived);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, all) = (stream.expect("a connection"), Arc::clone(&all));
                thread::spawn(move || serve(&stream, answer, &all));
            }
        });
        Self { address, arrived }
    }

    fn events(&self) -> Vec<Arrived> {
        self.arrived.lock().expect("no panic").clone()
    }

    fn sink(&self, change: impl FnOnce(&mut config::Cloudevents)) -> Cloudevents {
        let mut config = config::Cloudevents {
            url: format!("http://{}/in", self.address).parse().expect("a URL"),
            ..Default::default()
        };
        change(&mut config);
        Cloudevents::new(&config).expect("is configured")
    }
}

fn serve(stream: &TcpStream, answer: Answer, all: &Mutex<Vec<Arrived>>) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if line.trim_end().is_empty() {
                break;
            }
            lines.push(line.trim_end().to_owned());
        }
        assert_eq!(lines[0], "POST /in HTTP/1.1");
        let fields: BTreeMap<String, String> = lines[1..]
            .iter()
            .filter_map(|line| line.split_once(": "))
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
            .collect();
        let length = fields.get("content-length").map_or(0, |length| length.parse().expect("a number"));
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("a body");
        let arrived = Arrived { fields, body };
        let status = {
            let mut all = all.lock().expect("no panic");
            all.push(arrived.clone());
            answer(all.len(), &arrived)
        };
        let mut stream = stream;
        if write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").is_err() {
            return;
        }
    }
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

fn inference() -> Exchange {
    let mut exchange = sample::exchange();
    let inference =
        Inference { model: Some("tiny é".into()), ..Inference::new(Dialect::OpenInference, Operation::Infer) };
    exchange.inference = Some(Box::new(inference));
    exchange
}

fn record(exchange: Exchange) -> Arc<Record> {
    Arc::new(Record::Exchange(Box::new(exchange)))
}

fn numbered(count: u64) -> Vec<Arc<Record>> {
    (0..count).map(|number| record(Exchange { number, ..inference() })).collect()
}

#[test]
fn a_request_and_its_response_are_two_events_as_kserve_sends_them() {
    let receiver = Receiver::start(|_, _| "202 Accepted");
    let mut sink = receiver.sink(|config| {
        config.namespace = "models".into();
        config.metadata_headers = vec!["accept".into(), "x-absent".into()];
        config.headers = vec!["Authorization=Bearer x".parse::<Pair>().expect("a pair")];
    });
    let attempt = run(sink.deliver(vec![record(inference())]));
    assert_eq!((attempt.delivered, attempt.refused, attempt.left.len()), (1, 0, 0), "{attempt:?}");
    let [request, response] = &receiver.events()[..] else { panic!("{:?}", receiver.events()) };
    for event in [request, response] {
        assert_eq!(event.get("ce-specversion"), "1.0");
        assert_eq!(event.get("ce-source"), "http://model.default.svc:8000/");
        assert_eq!(event.get("ce-inferenceservicename"), "tiny%20%C3%A9");
        assert_eq!(event.get("ce-namespace"), "models");
        assert_eq!(event.get("ce-endpoint"), "default");
        assert_eq!(event.get("ce-component"), "predictor");
        assert_eq!(event.get("ce-metadata"), "{%22Accept%22:[%22a/b%22,%22c/d%22]}");
        assert_eq!(event.get("authorization"), "Bearer x");
        assert_eq!(event.get("ce-interceptorcomplete"), "");
    }
    assert_eq!(request.get("ce-type"), "org.kubeflow.serving.inference.request");
    assert_eq!(response.get("ce-type"), "org.kubeflow.serving.inference.response");
    assert_eq!(response.get("content-type"), "application/json");
    assert_eq!(request.get("ce-time"), "2025-11-22T02:19:59.123466789Z");
    assert_eq!((&*request.body, &*response.body), (&b"{\"inputs\":[1]}"[..], &b"{\"outputs\":[2]}"[..]));
    assert_eq!(request.get("ce-id"), response.get("ce-id"));
    let id: Vec<&str> = request.get("ce-id").split('-').collect();
    assert_eq!(id.iter().map(|group| group.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
    assert!(id[2].starts_with('8') && "89ab".contains(&id[3][..1]), "{id:?}");
}

#[test]
fn each_exchange_has_an_id_of_its_own_unless_its_client_gave_one() {
    let ids = |exchange: &Exchange| {
        let source = Source::new(&config::Cloudevents::default());
        let part = exchange.request.as_ref().expect("a request");
        let headers = source.headers(exchange, part, Role::Request, true, &mut Clock::new(TimeZone::UTC));
        headers["ce-id"].to_str().expect("text").to_owned()
    };
    let all: BTreeSet<String> = (0..100).map(|number| ids(&Exchange { number, ..inference() })).collect();
    assert_eq!(all.len(), 100);
    let mut given = inference();
    given.request = Some(sample::request("POST", "/", &[("CE-Id", "mine \"1\"")], b"x"));
    assert_eq!(ids(&given), "mine%20%221%22");
    given.request = Some(sample::request("POST", "/", &[("CE-Id", "")], b"x"));
    assert_eq!(ids(&given).len(), 36);
}

#[test]
fn what_is_no_work_of_a_model_or_failed_is_no_event() {
    let all = Cloudevents::wants(EventsMode::All);
    let response = Cloudevents::wants(EventsMode::Response);
    assert!(!all(&Record::Exchange(Box::new(sample::exchange()))));
    let mut asked = inference();
    asked.inference = Some(Box::new(Inference::new(Dialect::OpenInference, Operation::Metadata)));
    assert!(!all(&Record::Exchange(Box::new(asked))));
    let mut failed = inference();
    failed.response = Some(sample::response(500, &[], b"no"));
    assert!(all(&Record::Exchange(Box::new(failed.clone()))));
    assert!(!response(&Record::Exchange(Box::new(failed.clone()))));
    let receiver = Receiver::start(|_, _| "200 OK");
    assert_eq!(run(receiver.sink(|_| ()).deliver(vec![record(failed)])).delivered, 1);
    assert_eq!(receiver.events().len(), 1);
    let mode = |config: &mut config::Cloudevents| config.mode = EventsMode::Response;
    assert_eq!(run(receiver.sink(mode).deliver(vec![record(inference())])).delivered, 1);
    let types: Vec<String> = receiver.events()[1..].iter().map(|event| event.get("ce-type").to_owned()).collect();
    assert_eq!(types, ["org.kubeflow.serving.inference.response"]);
}

fn changed(change: fn(&mut Part)) -> Exchange {
    let mut exchange = inference();
    change(exchange.response.as_mut().expect("a response"));
    exchange
}

#[test]
fn what_is_not_whole_says_so_or_is_skipped_and_counted() {
    let cases: [fn(&mut Part); 4] = [
        |part| part.body.truncate(3),
        |part| part.replace_body("{\"outputs\":[*]}".into()),
        |part| part.body_missing = 1,
        |part| part.ended = false,
    ];
    for case in cases {
        let receiver = Receiver::start(|_, _| "200 OK");
        assert_eq!(run(receiver.sink(|_| ()).deliver(vec![record(changed(case))])).delivered, 1);
        let marks: Vec<String> =
            receiver.events().iter().map(|event| event.get("ce-interceptorcomplete").to_owned()).collect();
        assert_eq!(marks, ["", "false"]);
        let mut skips = receiver.sink(|config| config.incomplete = EventsIncomplete::Skip);
        let attempt = run(skips.deliver(vec![record(changed(case))]));
        assert_eq!((attempt.delivered, attempt.refused), (0, 1));
        assert_eq!(receiver.events().len(), 2);
    }
    let receiver = Receiver::start(|_, _| "200 OK");
    let attempt = run(receiver.sink(|_| ()).deliver(vec![record(changed(Part::hide_body))]));
    assert_eq!((attempt.delivered, attempt.refused), (0, 1));
    assert_eq!(receiver.events().len(), 0, "of what was not kept there is nothing to send");
}

#[test]
fn grpc_has_its_frames_and_a_coding_that_is_still_there_is_named() {
    let head = sample::request("POST", "/x", &[("content-type", "application/grpc")], b"");
    let mut part = sample::framed(head, Format::Grpc, &[(Kind::Data, b"ab"), (Kind::Data, b"")]);
    part.decoded_size = 2;
    let (body, whole) = event::payload(&part);
    assert_eq!((&*body, whole), (&b"\0\0\0\0\x02ab\0\0\0\0\0"[..], true));
    let coded = |decoded| {
        let mut exchange = inference();
        let mut part = sample::request("POST", "/x", &[("content-encoding", "gzip")], b"ab");
        part.decoded = decoded;
        let source = Source::new(&config::Cloudevents::default());
        let headers = source.headers(&exchange, &part, Role::Request, true, &mut Clock::new(TimeZone::UTC));
        exchange.request = Some(part);
        headers.get("content-encoding").is_some()
    };
    assert!(coded(None) && !coded(Some(Coding::Gzip)));
}

#[test]
fn what_fails_is_tried_again_from_where_it_failed_and_what_is_refused_is_not() {
    // The first response is not taken.
    let receiver = Receiver::start(|count, _| if count == 2 { "503 No\r\nRetry-After: 7" } else { "200 OK" });
    let mut sink = receiver.sink(|_| ());
    let attempt = run(sink.deliver(numbered(1)));
    assert_eq!((attempt.delivered, attempt.left.len()), (0, 1));
    assert_eq!(attempt.wait, Some(Duration::from_secs(7)));
    let attempt = run(sink.deliver(attempt.left));
    assert_eq!((attempt.delivered, attempt.left.len()), (1, 0));
    let types: Vec<String> = receiver.events().iter().map(|event| event.get("ce-type").to_owned()).collect();
    assert_eq!(types.iter().filter(|kind| kind.ends_with("request")).count(), 1, "{types:?}");
    assert!(sink.half.is_empty());

    for (status, refused) in [("404 Not Found", 5), ("302 Found\r\nlocation: /", 5), ("429 Slow", 0), ("408 Late", 0)] {
        static STATUS: Mutex<&str> = Mutex::new("");
        *STATUS.lock().expect("no panic") = status;
        let receiver = Receiver::start(|_, _| *STATUS.lock().expect("no panic"));
        let attempt = run(receiver.sink(|_| ()).deliver(numbered(5)));
        assert_eq!(
            (attempt.delivered, attempt.refused, attempt.left.len()),
            (0, refused, 5 - refused as usize),
            "{status}"
        );
        assert!(attempt.error.is_some());
    }
}

#[test]
fn a_receiver_that_is_gone_is_asked_by_no_more_than_are_under_way() {
    let receiver = Receiver::start(|_, _| "503 No");
    let attempt = run(receiver.sink(|_| ()).deliver(numbered(100)));
    assert_eq!(attempt.left.len(), 100);
    assert!(receiver.events().len() <= AT_ONCE, "{}", receiver.events().len());
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let receiver = Receiver { address: nobody, arrived: Arc::default() };
    let attempt = run(receiver.sink(|_| ()).deliver(numbered(3)));
    assert_eq!((attempt.left.len(), attempt.error.is_some()), (3, true));
}

#[test]
fn requests_come_before_their_responses_however_many_are_under_way() {
    let receiver = Receiver::start(|_, event| {
        if event.get("ce-type").ends_with("request") {
            thread::sleep(Duration::from_millis(2));
        }
        "200 OK"
    });
    assert_eq!(run(receiver.sink(|_| ()).deliver(numbered(40))).delivered, 40);
    let mut asked = BTreeSet::new();
    for event in receiver.events() {
        let id = event.get("ce-id").to_owned();
        assert_eq!(event.get("ce-type").ends_with("request"), asked.insert(id));
    }
    assert_eq!((asked.len(), receiver.events().len()), (40, 80));
}
