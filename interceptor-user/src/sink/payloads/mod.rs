//! Payload log: what was asked of models and answered, in Parquet files or lines of JSON, by model and hour, in a directory
//! or a store of objects. The columns are in `docs/payloads.md`.

mod cell;
mod jsonl;
mod meaning;
mod parquet;
mod partition;
mod place;
mod schema;
#[cfg(test)]
mod tests;

use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

pub use self::place::Place;
use super::delivery::{Attempt, Deliver, Limits};
use crate::{
    config::{Payloads as Config, PayloadsCompression as Compression, PayloadsFormat as Format},
    model::{Exchange, Record},
};

/// Records of a batch.
const BATCH: usize = 50_000;
/// An attempt that takes longer is ended between two files, so that what it has delivered counts.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of the host's name in a file's.
const HOST: usize = 63;

/// Writes a file for each model and hour of a batch.
pub struct Payloads {
    place: Place,
    format: Format,
    compression: Compression,
    /// What names of files begin with: who wrote them, since when.
    run: String,
    batches: u64,
    known: partition::Known,
    /// Files of a batch that are not written yet. They keep their names and their records until they are, so that writing
    /// one twice gives one.
    left: Vec<File>,
}

struct File {
    name: String,
    records: Vec<Arc<Record>>,
}

impl Payloads {
    /// To this place.
    pub fn new(place: Place, config: &Config) -> Self {
        let start = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S%3fZ");
        let run = format!("{}-{start}", host());
        Self {
            place,
            format: config.format,
            compression: config.compression,
            run,
            batches: 0,
            known: partition::Known::default(),
            left: Vec::new(),
        }
    }

    /// Is it for the payload log? Inferences, and what a rule sends there.
    pub fn wants(record: &Record) -> bool {
        let Record::Exchange(exchange) = record else { return false };
        exchange.inference.is_some() || exchange.verdict.as_ref().is_some_and(|verdict| !verdict.rules.is_empty())
    }

    /// Batches are larger than those of other sinks: each is a file, and small files are slow to read.
    pub fn limits(config: &Config, limits: Limits) -> Limits {
        let batch_bytes = config.max_size.to_usize().max(1);
        Limits {
            queue_records: limits.queue_records.max(2 * BATCH),
            queue_bytes: limits.queue_bytes.max(batch_bytes.saturating_mul(2)),
            batch_records: BATCH,
            batch_bytes,
            batch_wait: config.interval.0,
            ..limits
        }
    }

    /// The files of a batch: those that are left of it, if some are.
    fn files(&mut self, batch: &[Arc<Record>]) -> Vec<File> {
        let left = std::mem::take(&mut self.left);
        let records = left.iter().flat_map(|file| &file.records);
        let same = !left.is_empty() && records.clone().count() == batch.len();
        if same && records.zip(batch).all(|(ours, theirs)| Arc::ptr_eq(ours, theirs)) {
            return left;
        }
        self.batches += 1;
        let end = format!("{}-{:06}.{}", self.run, self.batches, self.extension());
        let partitions = partition::split(batch, &mut self.known).into_iter();
        partitions.map(|(path, records)| File { name: format!("{path}/{end}"), records }).collect()
    }

    const fn extension(&self) -> &'static str {
        match (self.format, self.compression) {
            (Format::Parquet, _) => "parquet",
            (Format::Jsonl, Compression::Gzip) => "jsonl.gz",
            (Format::Jsonl, Compression::Zstd) => "jsonl.zst",
            (Format::Jsonl, Compression::None | Compression::Snappy) => "jsonl",
        }
    }

    fn encode(&self, records: &[Arc<Record>]) -> anyhow::Result<Vec<u8>> {
        let rows: Vec<&Exchange> = records.iter().filter_map(|record| exchange(record)).collect();
        match self.format {
            Format::Parquet => Ok(parquet::file(&rows, self.compression)?),
            Format::Jsonl => jsonl::file(&rows, self.compression),
        }
    }
}

fn exchange(record: &Record) -> Option<&Exchange> {
    if let Record::Exchange(exchange) = record { Some(exchange) } else { None }
}

/// Our host's name, fit for a file's.
fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '.' { c } else { '-' };
    let name: String = name.trim().chars().take(HOST).map(plain).collect();
    if name.is_empty() { "interceptor".to_owned() } else { name }
}

impl Deliver for Payloads {
    async fn deliver(&mut self, batch: Vec<Arc<Record>>) -> Attempt {
        let began = Instant::now();
        let mut files = self.files(&batch).into_iter();
        let mut attempt = Attempt::default();
        let count = |records: &Vec<Arc<Record>>| records.len() as u64;
        let mut accepted = 0;
        for file in files.by_ref() {
            accepted += count(&file.records);
            match self.encode(&file.records) {
                Err(error) => {
                    attempt.refused += count(&file.records);
                    attempt.error = Some(error);
                }
                Ok(bytes) => match self.place.put(&file.name, bytes).await {
                    Ok(()) => attempt.delivered += count(&file.records),
                    Err(error) => {
                        attempt.error = Some(error);
                        self.left.push(file);
                    }
                },
            }
            if began.elapsed() > PATIENCE {
                break;
            }
        }
        for file in files {
            accepted += count(&file.records);
            attempt.error.get_or_insert_with(|| anyhow::anyhow!("it takes long"));
            self.left.push(file);
        }
        // What is no exchange is never asked for.
        attempt.refused += (batch.len() as u64).saturating_sub(accepted);
        attempt.left = self.left.iter().flat_map(|file| &file.records).cloned().collect();
        attempt
    }
}
