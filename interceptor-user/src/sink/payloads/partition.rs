//! Which file a record goes to.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    sync::Arc,
};

use jiff::tz::TimeZone;

use super::schema;
use crate::{
    model::{Exchange, Record},
    sink::{clock::Clock, escape::acts},
};

/// Models that have partitions of their own in one batch: clients choose names, and each is a file.
pub(super) const MODELS: usize = 64;
/// Models that have partitions of their own on one day, over all batches.
pub(super) const MODELS_A_DAY: usize = 1_000;
/// Partitions of one batch; records of odd hours beyond go to the last one.
const PARTITIONS: usize = 1_024;
/// Bytes of a model's name as it is written; file systems have 255 for `model=` and it.
const NAME: usize = 200;
/// Where a model has no name: as Hive and Spark write null.
const NO_NAME: &str = "__HIVE_DEFAULT_PARTITION__";
/// Models beyond [`MODELS`] and [`MODELS_A_DAY`], and names beyond [`NAME`].
const OTHER: &str = "__other__";

/// Models that have had partitions of their own on the last day that was seen: clients could make directories without end.
#[derive(Debug, Default)]
pub(super) struct Known {
    date: String,
    models: BTreeSet<String>,
}

impl Known {
    /// Has it had one, or is there room for it?
    fn admits(&mut self, model: &str, date: &str) -> bool {
        if date > self.date.as_str() {
            date.clone_into(&mut self.date);
            self.models.clear();
        }
        if self.models.contains(model) {
            return true;
        }
        let room = self.models.len() < MODELS_A_DAY;
        if room {
            self.models.insert(model.to_owned());
        }
        room
    }
}

/// The records of each partition, by its path: `model=NAME/date=2026-11-22/hour=19`.
pub(super) fn split(batch: &[Arc<Record>], known: &mut Known) -> BTreeMap<String, Vec<Arc<Record>>> {
    let mut clock = Clock::new(TimeZone::UTC);
    let mut models = BTreeSet::new();
    let mut partitions: BTreeMap<String, Vec<Arc<Record>>> = BTreeMap::new();
    for record in batch {
        let Record::Exchange(exchange) = &**record else { continue };
        let stamp = clock.stamp(schema::time(exchange));
        let (date, hour) =
            (stamp.as_str().get(..10).unwrap_or_default(), stamp.as_str().get(11..13).unwrap_or_default());
        let mut model = name(exchange);
        if model != NO_NAME && !models.contains(&model) {
            if models.len() < MODELS && known.admits(&model, date) {
                models.insert(model.clone());
            } else {
                OTHER.clone_into(&mut model);
            }
        }
        let path = format!("model={model}/date={date}/hour={hour}");
        let records = if partitions.len() < PARTITIONS || partitions.contains_key(&path) {
            partitions.entry(path).or_default()
        } else if let Some(mut last) = partitions.last_entry() {
            last.get_mut().push(Arc::clone(record));
            continue;
        } else {
            continue;
        };
        records.push(Arc::clone(record));
    }
    partitions
}

fn name(exchange: &Exchange) -> String {
    match schema::model(exchange) {
        None | Some("") => NO_NAME.to_owned(),
        Some(model) => escaped(model, NAME).unwrap_or_else(|| OTHER.to_owned()),
    }
}

/// With what has a meaning in paths percent-encoded, as Hive and Spark do (`FileUtils.escapePathName`), and what acts on
/// terminals; other characters beyond ASCII stay, since these two decode no UTF-8. None if it gets too long.
pub(super) fn escaped(name: &str, most: usize) -> Option<String> {
    let mut out = String::new();
    for c in name.chars() {
        let plain = c.is_ascii_alphanumeric() || "-_. @+,!".contains(c) || !(c.is_ascii() || acts(c));
        if plain {
            out.push(c);
        } else {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                let _ = write!(out, "%{byte:02X}");
            }
        }
        if out.len() > most {
            return None;
        }
    }
    Some(out)
}
