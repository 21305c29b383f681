use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::Instant,
};

use super::*;
use crate::{model::SinkName, sink::sample};

/// A place that does what the test says.
#[derive(Clone, Default)]
struct Place {
    arrived: Arc<AtomicU64>,
    attempts: Arc<Mutex<Vec<usize>>>,
    down: Arc<AtomicBool>,
    hangs: Arc<AtomicBool>,
    refuses: Arc<AtomicBool>,
}

impl Deliver for Place {
    async fn deliver(&mut self, batch: Vec<Arc<Record>>) -> Attempt {
        self.attempts.lock().expect("no panic").push(batch.len());
        if self.hangs.load(SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.refuses.load(SeqCst) {
            return Attempt::refused(&batch, anyhow::anyhow!("never"));
        }
        if self.down.load(SeqCst) {
            return Attempt::later(batch, anyhow::anyhow!("down"));
        }
        self.arrived.fetch_add(batch.len() as u64, SeqCst);
        Attempt::delivered(&batch)
    }
}

fn limits() -> Limits {
    Limits { batch_wait: Duration::from_millis(5), grace: Duration::from_secs(2), ..Limits::default() }
}

fn begin(limits: Limits, place: &Place) -> (Outlet, Running) {
    start(SinkName::Kafka, |_| true, limits, || {}, place.clone()).expect("started")
}

fn offer(outlet: &Outlet, count: usize) {
    for _ in 0..count {
        let record = Arc::new(Record::Exchange(Box::new(sample::exchange())));
        let bytes = record.memory();
        outlet.offer(record, bytes);
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
}

#[test]
fn all_that_is_offered_arrives_in_batches() {
    let place = Place::default();
    let (outlet, running) = begin(Limits { batch_records: 10, ..limits() }, &place);
    offer(&outlet, 95);
    until("delivered", || place.arrived.load(SeqCst) == 95);
    let counts = Arc::clone(running.counts());
    running.join();
    let standing = counts.standing();
    accounted(&standing);
    assert_eq!((standing.delivered, standing.queued_records, standing.queued_bytes), (95, 0, 0));
    assert!(place.attempts.lock().expect("no panic").iter().all(|size| *size <= 10));
}

#[test]
fn a_place_that_is_down_fills_its_queue_and_drops_the_rest_and_gets_the_queued_ones_once_it_is_back() {
    let place = Place::default();
    place.down.store(true, SeqCst);
    let (outlet, running) = begin(Limits { queue_records: 20, ..limits() }, &place);
    offer(&outlet, 100);
    let standing = running.counts().standing();
    accounted(&standing);
    assert_eq!((standing.queued_records, standing.dropped[Reason::QueueFull as usize]), (20, 80));
    until("failing", || running.counts().standing().failing);
    assert_eq!(running.counts().standing().last_error.as_deref(), Some("down"));
    place.down.store(false, SeqCst);
    until("back", || running.counts().standing().delivered == 20);
    let standing = running.counts().standing();
    accounted(&standing);
    assert!(!standing.failing && standing.retries > 0, "{standing:?}");
}

#[test]
fn the_queue_is_bounded_by_bytes_too_and_takes_one_that_is_larger_than_itself() {
    let place = Place::default();
    place.down.store(true, SeqCst);
    let one = Record::Exchange(Box::new(sample::exchange())).memory();
    let (outlet, running) = begin(Limits { queue_bytes: 3 * one, ..limits() }, &place);
    offer(&outlet, 10);
    assert_eq!(running.counts().standing().queued_records, 3);
    let (outlet, running) = begin(Limits { queue_bytes: 1, ..limits() }, &place);
    offer(&outlet, 10);
    assert_eq!(running.counts().standing().queued_records, 1);
}

#[test]
fn what_is_never_taken_is_dropped_at_once_and_what_is_tried_too_long_after_its_time() {
    let place = Place::default();
    place.refuses.store(true, SeqCst);
    let (outlet, running) = begin(Limits { retry_for: Duration::from_millis(300), ..limits() }, &place);
    offer(&outlet, 5);
    until("refused", || running.counts().standing().dropped[Reason::Refused as usize] == 5);
    place.refuses.store(false, SeqCst);
    place.down.store(true, SeqCst);
    offer(&outlet, 5);
    until("expired", || running.counts().standing().dropped[Reason::Expired as usize] == 5);
    place.down.store(false, SeqCst);
    place.hangs.store(true, SeqCst);
    offer(&outlet, 5);
    until("hangs", || running.counts().standing().dropped[Reason::Expired as usize] == 10);
    accounted(&running.counts().standing());
}

#[test]
fn at_the_end_what_is_queued_is_delivered_for_as_long_as_the_grace() {
    let place = Place::default();
    place.down.store(true, SeqCst);
    let (outlet, running) = begin(Limits { batch_wait: Duration::from_mins(1), ..limits() }, &place);
    offer(&outlet, 7);
    place.down.store(false, SeqCst);
    let counts = Arc::clone(running.counts());
    let began = Instant::now();
    running.join();
    assert_eq!(counts.standing().delivered, 7, "the batch is not waited for");
    assert!(began.elapsed() < Duration::from_secs(1));
    offer(&outlet, 1);
    assert_eq!(counts.standing().dropped[Reason::Shutdown as usize], 1);

    place.hangs.store(true, SeqCst);
    let (outlet, running) = begin(Limits { grace: Duration::from_millis(200), ..limits() }, &place);
    offer(&outlet, 7);
    until("begun", || place.attempts.lock().expect("no panic").len() > 1);
    let counts = Arc::clone(running.counts());
    let began = Instant::now();
    running.join();
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(counts.standing().dropped[Reason::Shutdown as usize], 7);
    accounted(&counts.standing());
}

#[test]
fn a_sink_that_panics_is_failing_and_what_it_had_is_counted() {
    struct Broken;
    impl Deliver for Broken {
        async fn deliver(&mut self, _: Vec<Arc<Record>>) -> Attempt {
            panic!("a defect")
        }
    }
    let (outlet, running) = start(SinkName::Kafka, |_| true, limits(), || {}, Broken).expect("started");
    offer(&outlet, 5);
    until("failing", || running.counts().standing().failing);
    until("counted", || running.counts().standing().queued_records == 0);
    offer(&outlet, 1);
    let standing = running.counts().standing();
    accounted(&standing);
    assert_eq!(standing.dropped[Reason::Shutdown as usize], 6);
    assert!(standing.last_error.is_some_and(|error| error.contains("panicked")));
}

#[test]
fn waits_grow_up_to_a_bound_and_differ() {
    let mut backoff = backoff::Backoff::new(7);
    let waits: Vec<Duration> = (0..12).map(|_| backoff.wait(None)).collect();
    assert!(waits[0] >= Duration::from_millis(50) && waits[0] <= Duration::from_millis(100), "{waits:?}");
    assert!(waits.windows(2).take(6).all(|pair| pair[1] > pair[0] / 2), "{waits:?}");
    assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(10)), "{waits:?}");
    assert_eq!(backoff.wait(Some(Duration::from_mins(10))), Duration::from_secs(10), "bounded, whatever is asked for");
    assert_ne!(backoff::Backoff::new(1).wait(None), backoff::Backoff::new(123_456_789).wait(None));
}
