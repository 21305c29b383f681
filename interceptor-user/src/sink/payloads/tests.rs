mod rows;
mod stores;

use std::{collections::BTreeSet, fs, path::Path};

use super::*;
use crate::{
    config::PayloadsTo,
    model::{Dialect, Inference, Operation, SinkName, Sinks, Timestamp},
    sink::sample,
};

fn record(exchange: Exchange) -> Arc<Record> {
    Arc::new(Record::Exchange(Box::new(exchange)))
}

/// An inference of this model, so many hours after the sample began.
fn of_model(model: Option<&str>, hours: u64) -> Arc<Record> {
    let mut exchange = sample::exchange();
    let inference = Inference { model: model.map(str::to_owned), ..Inference::new(Dialect::Openai, Operation::Chat) };
    exchange.inference = Some(Box::new(inference));
    if let Some(request) = &mut exchange.request {
        request.first_byte = Timestamp::from_nanos(request.first_byte.as_nanos() + hours * 3_600_000_000_000);
    }
    record(exchange)
}

fn config(to: &str, format: Format, compression: Compression) -> Config {
    Config { to: to.parse().expect("a place"), format, compression, ..Config::default() }
}

fn payloads(directory: &Path, format: Format, compression: Compression) -> Payloads {
    let config = config(&format!("{}/", directory.display()), format, compression);
    Payloads::new(Place::open(&config.to).expect("opened").expect("a place"), &config)
}

fn parquet(directory: &Path) -> Payloads {
    payloads(directory, Format::Parquet, Compression::Zstd)
}

fn deliver(payloads: &mut Payloads, batch: &[Arc<Record>]) -> Attempt {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(payloads.deliver(batch.to_vec()))
}

/// Files below a directory, by their paths in it; hidden ones too.
fn files(directory: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![directory.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).expect("read") {
            let path = entry.expect("read").path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.insert(path.strip_prefix(directory).expect("below").display().to_string());
            }
        }
    }
    found
}

fn partitions(directory: &Path) -> BTreeSet<String> {
    files(directory).iter().filter_map(|file| Some(file.rsplit_once('/')?.0.to_owned())).collect()
}

#[test]
fn a_file_for_each_model_and_hour() {
    let directory = tempfile::tempdir().expect("a directory");
    let batch = [
        of_model(Some("a"), 0),
        of_model(Some("b"), 0),
        of_model(Some("a"), 1),
        of_model(Some("a"), 0),
        of_model(None, 24),
    ];
    let attempt = deliver(&mut parquet(directory.path()), &batch);
    assert_eq!((attempt.delivered, attempt.refused, attempt.left.len()), (5, 0, 0), "{:?}", attempt.error);
    let expected = [
        "model=__HIVE_DEFAULT_PARTITION__/date=2025-11-23/hour=02",
        "model=a/date=2025-11-22/hour=02",
        "model=a/date=2025-11-22/hour=03",
        "model=b/date=2025-11-22/hour=02",
    ];
    assert_eq!(partitions(directory.path()), expected.map(str::to_owned).into());
    let name = files(directory.path()).pop_first().expect("a file");
    assert!(name.ends_with("Z-000001.parquet"), "{name}");
}

#[test]
fn names_of_models_stay_in_their_place() {
    let directory = tempfile::tempdir().expect("a directory");
    let inner = directory.path().join("log");
    let long = "x".repeat(500);
    let names =
        ["../../x", "..", ".", "/etc/passwd", "a/b", "m:tag", "x=y", "50%", "a\0b\n", "\u{202e}x", "ünï", &long];
    let batch: Vec<_> = names.iter().map(|name| of_model(Some(name), 0)).collect();
    assert_eq!(deliver(&mut parquet(&inner), &batch).delivered, names.len() as u64);
    let found: BTreeSet<String> = fs::read_dir(&inner)
        .expect("read")
        .map(|entry| entry.expect("read").file_name().into_string().unwrap())
        .collect();
    let expected = [
        "..%2F..%2Fx",
        "..",
        ".",
        "%2Fetc%2Fpasswd",
        "a%2Fb",
        "m%3Atag",
        "x%3Dy",
        "50%25",
        "a%00b%0A",
        "%E2%80%AEx",
        "ünï",
        "__other__",
    ];
    assert_eq!(found, expected.map(|name| format!("model={name}")).into());
    assert_eq!(fs::read_dir(directory.path()).expect("read").count(), 1, "nothing is beside it");
}

#[test]
fn models_that_a_client_invents_share_a_file_beyond_a_number() {
    let batch: Vec<_> = (0..1_000).map(|number| of_model(Some(&format!("m{number}")), 0)).collect();
    let mut known = partition::Known::default();
    let split = partition::split(&batch, &mut known);
    assert_eq!(split.len(), partition::MODELS + 1);
    let other = split.iter().find(|(path, _)| path.starts_with("model=__other__/")).expect("it is there").1;
    assert_eq!(other.len(), 1_000 - partition::MODELS);
    let late: Vec<_> = (0..3_000).map(|hours| of_model(None, hours)).collect();
    let split = partition::split(&late, &mut known);
    assert_eq!((split.len(), split.values().map(Vec::len).sum::<usize>()), (1_024, 3_000));
}

#[test]
fn models_of_many_batches_share_files_beyond_a_number_a_day() {
    let mut known = partition::Known::default();
    let mut seen = std::collections::BTreeSet::new();
    for batch in 0..100 {
        let batch: Vec<_> = (0..60).map(|number| of_model(Some(&format!("m{batch}-{number}")), 0)).collect();
        let split = partition::split(&batch, &mut known);
        assert_eq!(split.values().map(Vec::len).sum::<usize>(), 60);
        seen.extend(split.into_keys());
    }
    assert_eq!(seen.len(), partition::MODELS_A_DAY + 1);
    let next_day = partition::split(&[of_model(Some("new"), 24)], &mut known);
    assert!(next_day.keys().all(|path| path.starts_with("model=new/")), "{next_day:?}");
}

/// `model=b` cannot be written, as there is a file in its place.
#[test]
fn what_failed_is_left_and_keeps_its_name() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut payloads = parquet(directory.path());
    fs::write(directory.path().join("model=b"), "").expect("written");
    let batch = [of_model(Some("a"), 0), of_model(Some("b"), 0), of_model(Some("c"), 0), of_model(Some("b"), 0)];
    let attempt = deliver(&mut payloads, &batch);
    assert_eq!((attempt.delivered, attempt.left.len()), (2, 2));
    assert!(format!("{:#}", attempt.error.expect("an error")).contains("model=b"));
    let again = deliver(&mut payloads, &attempt.left);
    assert_eq!((again.delivered, again.left.len()), (0, 2));
    fs::remove_file(directory.path().join("model=b")).expect("removed");
    assert_eq!(deliver(&mut payloads, &again.left).delivered, 2);
    let names: BTreeSet<_> =
        files(directory.path()).iter().filter_map(|file| Some(file.rsplit_once('/')?.1.to_owned())).collect();
    assert_eq!((names.len(), files(directory.path()).len()), (1, 3), "one name: {names:?}");
    // The next batch has another one.
    assert_eq!(deliver(&mut payloads, &batch).delivered, 4);
    assert_eq!(files(directory.path()).len(), 6);
}

/// What was given up meanwhile is not mixed up with what comes next.
#[test]
fn another_batch_is_not_taken_for_what_was_left() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut payloads = parquet(directory.path());
    fs::write(directory.path().join("model=a"), "").expect("written");
    assert_eq!(deliver(&mut payloads, &[of_model(Some("a"), 0)]).left.len(), 1);
    fs::remove_file(directory.path().join("model=a")).expect("removed");
    let attempt = deliver(&mut payloads, &[of_model(Some("b"), 0)]);
    assert_eq!((attempt.delivered, attempt.left.len()), (1, 0));
    assert_eq!(partitions(directory.path()), ["model=b/date=2025-11-22/hour=02".to_owned()].into());
}

/// A file system of 64 KiB.
#[test]
fn a_disk_that_is_full_keeps_nothing_half_and_loses_nothing() {
    use nix::mount::{MntFlags, MsFlags, mount, umount2};
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    mount(Some("none"), directory.path(), Some("tmpfs"), MsFlags::empty(), Some("size=64k")).expect("mounted");
    let large = directory.path().join("filler");
    fs::write(&large, vec![1; 60 << 10]).expect("there is room");
    let mut payloads = parquet(directory.path());
    let batch = [of_model(Some("a"), 0), of_model(Some("b"), 0)];
    let full = deliver(&mut payloads, &batch);
    let during = files(directory.path());
    fs::remove_file(&large).expect("removed");
    let after = deliver(&mut payloads, &full.left);
    let both = files(directory.path());
    umount2(directory.path(), MntFlags::MNT_DETACH).expect("unmounted");
    assert!(full.left.len() == 2 && format!("{:#}", full.error.expect("an error")).contains("No space left"));
    assert_eq!(during, ["filler".to_owned()].into(), "nothing half");
    assert_eq!((after.delivered, after.left.len(), both.len()), (2, 0, 2));
}

#[test]
fn it_is_for_inferences_and_what_rules_send_there() {
    let wants = |exchange: Exchange| Payloads::wants(&record(exchange));
    assert!(wants(sample::tabular()) && wants(sample::chat()));
    assert!(!wants(sample::exchange()));
    let ruled = Exchange { inference: None, ..sample::chat() };
    assert!(wants(ruled), "a rule matches it");
    assert!(!Payloads::wants(&Record::Flow(Box::new(sample::tls_flow()))));
    let mut elsewhere = sample::chat();
    elsewhere.verdict.as_mut().expect("one").sinks = Sinks::only(SinkName::Lines);
    assert!(!record(elsewhere).sinks().has(SinkName::Payloads));
}

#[test]
fn places_are_told_from_what_is_none() {
    let place = |text: &str| text.parse::<PayloadsTo>();
    assert_eq!(place("none"), Ok(PayloadsTo::None));
    assert!(matches!(place("./log"), Ok(PayloadsTo::Directory(_))));
    for url in ["s3://bucket", "s3://bucket/a/b", "gs://bucket/x", "az://container/x"] {
        assert_eq!(place(url).map(|to| to.to_string()), Ok(url.to_owned()));
    }
    for wrong in ["log", "", "http://h/x", "s3:///x", "s3://user:secret@bucket/x", "s3://bucket/x?y"] {
        assert!(place(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn as_much_waits_as_two_batches() {
    let limits = Payloads::limits(&Config::default(), Limits::default());
    assert_eq!((limits.batch_records, limits.queue_records), (BATCH, 2 * BATCH));
    assert_eq!((limits.batch_bytes, limits.queue_bytes), (32 << 20, 64 << 20));
    assert_eq!(limits.batch_wait, Duration::from_mins(1));
}
