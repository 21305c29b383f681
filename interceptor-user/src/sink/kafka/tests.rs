use super::{message::Message, *};
use crate::{
    model::{Dialect, Exchange, Inference, Operation},
    sink::sample,
};

fn sink(change: impl FnOnce(&mut config::Kafka)) -> anyhow::Result<Kafka> {
    let mut config = config::Kafka { brokers: vec!["127.0.0.1:1".parse().expect("a broker")], ..Default::default() };
    change(&mut config);
    Kafka::new(&config, None)
}

fn of(model: &str, number: u64) -> Arc<Record> {
    let inference = Inference { model: Some(model.into()), ..Inference::new(Dialect::OpenInference, Operation::Infer) };
    let exchange = Exchange { number, inference: Some(Box::new(inference)), ..sample::exchange() };
    Arc::new(Record::Exchange(Box::new(exchange)))
}

fn message(record: &Record) -> Message {
    Writer::new(false).message(record).expect("is written")
}

#[test]
fn a_record_is_its_line_with_its_model_as_key() {
    let written = message(&of("iris", 3));
    assert_eq!(written.key(), Some(&b"iris"[..]));
    assert_eq!(written.time, 1_763_777_999_123);
    let encoded = written.encoded(4, 1_763_777_999_100);
    assert_eq!((encoded.offset_delta, encoded.timestamp_delta), (4, 23));
    let headers: Vec<_> =
        encoded.headers.iter().map(|header| (&*header.key, str::from_utf8(&header.value).expect("text"))).collect();
    assert_eq!(
        headers,
        [
            ("content-type", "application/json"),
            ("interceptor-record", "exchange"),
            ("interceptor-schema", "1"),
            ("interceptor-dialect", "open_inference"),
        ]
    );
    let value = encoded.value.expect("a value");
    let line: serde_json::Value = serde_json::from_slice(&value).expect("is JSON");
    assert_eq!(line["gen_ai.request.model"], "iris");
    assert_ne!(value.last(), Some(&b'\n'));
    let other = message(&Record::Exchange(Box::new(sample::exchange())));
    assert_eq!(other.key(), Some(&b"model.default.svc"[..]));
    assert_eq!(message(&Record::Flow(Box::new(sample::tls_flow()))).key(), Some(&b"10.0.0.1"[..]));
}

#[test]
fn a_batch_is_divided_by_key_and_into_chunks_in_order() {
    let mut kafka = sink(|_| ()).expect("is configured");
    let one = message(&of("a", 1)).size();
    kafka.chunk = 2 * one + 40;
    let leaders: Leaders = (0..3).map(|partition| (partition, None)).collect();
    let batch: Vec<_> = (0..30).map(|number| of(["a", "b", "c"][number as usize % 3], number)).collect();
    let mut attempt = Attempt::default();
    let (sent, lanes) = kafka.divide(batch, &leaders, &mut attempt);
    assert_eq!(sent.values().flatten().flatten().count(), 30);
    for lane in &lanes {
        let lengths: Vec<usize> = lane.chunks.iter().map(Vec::len).collect();
        assert_eq!(sent[&lane.partition].iter().map(Vec::len).collect::<Vec<_>>(), lengths);
        assert!(lengths.iter().all(|length| (1..=2).contains(length)), "{lengths:?}");
        for chunk in &lane.chunks {
            assert!(chunk.iter().all(|one| partition::of(one.key().expect("a key"), 3) == lane.partition));
        }
    }
    for chunks in sent.values() {
        let numbers: Vec<u64> = chunks.iter().flatten().map(|record| number(record)).collect();
        assert!(numbers.is_sorted(), "{numbers:?}");
    }
}

fn number(record: &Record) -> u64 {
    let Record::Exchange(exchange) = record else { panic!("no exchange") };
    exchange.number
}

#[test]
fn what_a_leader_says_of_its_chunks_is_entered_and_the_rest_is_left() {
    let mut kafka = sink(|_| ()).expect("is configured");
    let chunk = |count: u64| (0..count).map(|number| of("a", number)).collect::<Vec<_>>();
    let mut sent: Sent = [(0, [chunk(3), chunk(1), chunk(4)].into()), (1, [chunk(5)].into())].into();
    let fates = vec![(0, Fate::Written), (0, Fate::Refused), (1, Fate::TooLarge)];
    let outcome = Outcome { fates, throttled: Duration::from_hours(1), ..Outcome::default() };
    let mut attempt = Attempt::default();
    kafka.enter("broker", outcome, &mut sent, &mut attempt);
    assert_eq!((attempt.delivered, attempt.refused), (3, 1));
    assert_eq!(sent.values().flatten().flatten().count(), 4 + 5);
    assert_eq!(kafka.chunk, CHUNK / 2);
    assert!(kafka.muted.is_some_and(|until| until <= Instant::now() + kafka.timeout), "the wait is bounded");
}

#[test]
fn a_cluster_that_cannot_be_reached_leaves_all_and_says_so() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let mut kafka =
        sink(|config| config.brokers = vec![nobody.to_string().parse().expect("a broker")]).expect("is configured");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let attempt = runtime.block_on(kafka.deliver(vec![of("a", 1), of("b", 2)]));
    assert_eq!((attempt.left.len(), attempt.delivered, attempt.refused), (2, 0, 0));
    let error = format!("{:#}", attempt.error.expect("an error"));
    assert!(error.contains(&nobody.to_string()) && error.contains("cannot connect"), "{error}");

    // One that takes the connection and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut kafka = sink(|config| {
        config.brokers = vec![silent.local_addr().expect("an address").to_string().parse().expect("a broker")];
        config.timeout = config::Period(Duration::from_millis(200));
    })
    .expect("is configured");
    let began = std::time::Instant::now();
    assert_eq!(runtime.block_on(kafka.deliver(vec![of("a", 1)])).left.len(), 1);
    assert!(began.elapsed() < Duration::from_secs(2), "an attempt is bounded");
}

#[test]
fn a_password_comes_from_a_file_or_the_variable_and_is_asked_for() {
    let scram = |config: &mut config::Kafka| config.sasl = config::KafkaSasl::ScramSha256;
    let error = sink(scram).err().expect("no password").to_string();
    assert!(error.contains("INTERCEPTOR_KAFKA_PASSWORD"), "{error}");
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(&file, "hunter2\n").expect("written");
    assert!(
        sink(|config| {
            scram(config);
            config.password_file = config::MaybePath(Some(file.path().to_owned()));
        })
        .is_ok()
    );
}
