//! Stores of objects.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    thread,
};

use object_store::{ObjectStoreExt as _, aws::AmazonS3Builder, memory::InMemory, path::Path as Key};

use super::*;

#[test]
fn a_store_has_what_was_put_under_its_prefix() {
    let store = Arc::new(InMemory::new());
    let place = Place::Store(store.clone(), "a/b".to_owned());
    let config = config("s3://bucket/a/b", Format::Jsonl, Compression::None);
    let mut payloads = Payloads::new(place, &config);
    assert_eq!(deliver(&mut payloads, &[of_model(Some("m/1"), 0)]).delivered, 1);
    let name = format!("a/b/model=m%2F1/date=2025-11-22/hour=02/{}-000001.jsonl", payloads.run);
    let key = Key::parse(name).expect("a key");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let bytes = runtime.block_on(async { store.get(&key).await.expect("it is there").bytes().await.expect("read") });
    assert!(bytes.starts_with(b"{\"time\":\"2025-11-22T02:19:59.123456Z\","), "{bytes:?}");
}

/// The objects of a server that takes what it is given, and fails to say so as often as `silent` tells.
#[derive(Clone, Default)]
struct Bucket {
    objects: Arc<Mutex<BTreeMap<String, u32>>>,
    silent: Arc<AtomicU32>,
}

impl Bucket {
    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream);
        let (mut target, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).is_err() || line.trim().is_empty() {
                break;
            }
            if target.is_empty() {
                line.split(' ').nth(1).unwrap_or_default().clone_into(&mut target);
            }
            if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = text.trim().parse().expect("a number");
            }
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() || !body.starts_with(b"PAR1") {
            return;
        }
        *self.objects.lock().expect("no panic").entry(target).or_default() += 1;
        if self.silent.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok() {
            return;
        }
        let answer = "HTTP/1.1 200 OK\r\nETag: \"x\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let _ = reader.get_mut().write_all(answer.as_bytes());
    }
}

/// The worst case of trying again: it is there, and we were not told.
#[test]
fn what_was_stored_without_an_answer_is_put_under_the_same_name_again() {
    crate::sink::http::secure();
    let bucket = Bucket::default();
    bucket.silent.store(3, SeqCst);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let served = bucket.clone();
    thread::spawn(move || listener.incoming().flatten().for_each(|stream| served.serve(stream)));
    let once = object_store::RetryConfig { max_retries: 0, ..object_store::RetryConfig::default() };
    let builder = AmazonS3Builder::new().with_url("s3://bucket/log").with_endpoint(endpoint).with_allow_http(true);
    let store = builder.with_access_key_id("k").with_secret_access_key("s").with_retry(once).build().expect("a store");
    let config = config("s3://bucket/log", Format::Parquet, Compression::Zstd);
    let mut payloads = Payloads::new(Place::Store(Arc::new(store), "log".to_owned()), &config);
    // The same runtime throughout: connections live in it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut left = vec![of_model(Some("a"), 0), of_model(Some("b"), 0)];
    let (mut attempts, mut delivered) = (0, 0);
    while !left.is_empty() {
        let attempt = runtime.block_on(payloads.deliver(left));
        (left, delivered, attempts) = (attempt.left, delivered + attempt.delivered, attempts + 1);
        assert!(attempts < 10, "{:?}", attempt.error);
    }
    let objects = bucket.objects.lock().expect("no panic").clone();
    assert_eq!((delivered, attempts), (2, 3));
    assert_eq!(objects.len(), 2, "{objects:?}");
    assert_eq!(objects.values().sum::<u32>(), 5);
}

#[test]
fn a_store_that_is_not_there_may_come() {
    crate::sink::http::secure();
    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let store =
        AmazonS3Builder::new().with_url("s3://bucket").with_endpoint(format!("http://{free}")).with_allow_http(true);
    let once = object_store::RetryConfig { max_retries: 0, ..object_store::RetryConfig::default() };
    let store = store.with_access_key_id("k").with_secret_access_key("s").with_retry(once).build().expect("a store");
    let mut payloads = Payloads::new(
        Place::Store(Arc::new(store), String::new()),
        &config("s3://bucket", Format::Parquet, Compression::Zstd),
    );
    let attempt = deliver(&mut payloads, &[of_model(None, 0)]);
    assert_eq!((attempt.left.len(), attempt.refused), (1, 0), "it may come");
    assert!(attempt.error.is_some());
}
