use std::{
    collections::HashSet,
    fs::File,
    path::Path,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use anyhow::{Context as _, ensure};
use parquet::{
    file::reader::{FileReader as _, SerializedFileReader},
    record::Field,
};

use super::{learn::Args, progress::Progress};
use crate::{
    inspect::drift::baseline::{FEATURES, Learner},
    model::Role,
};

/// Rows between looks at the clock.
const ROWS: usize = 4_096;

/// What pandas takes for missing when it reads CSV.
const MISSING: [&str; 18] = [
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan",
];

/// A column that is learned.
struct Column {
    role: Role,
    name: String,
}

/// Columns by their place; None for those that are not learned.
fn columns<'a>(names: impl Iterator<Item = &'a str>, path: &Path, args: &Args) -> anyhow::Result<Vec<Option<Column>>> {
    let names: Vec<&str> = names.collect();
    let mut seen = HashSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(**name)) {
        anyhow::bail!("{} has column '{twice}' twice; rename one", path.display());
    }
    for prediction in &args.table.predictions {
        ensure!(
            names.contains(&prediction.as_str()),
            "{} has no column '{prediction}' (--predictions); it has {}",
            path.display(),
            names.join(", ")
        );
    }
    let inputs_count = names.len() - args.table.predictions.len();
    let mut inputs = 0..;
    let column = |name: &str| {
        let output = args.table.predictions.iter().any(|prediction| prediction == name);
        match &args.table.tensor {
            _ if output && args.input_only => None,
            _ if output => Some(Column { role: Role::Response, name: name.to_owned() }),
            Some(tensor) => {
                let index: usize = inputs.next()?;
                // As live traffic names them: what has one column has no index.
                let name = if inputs_count == 1 { tensor.clone() } else { format!("{tensor}[{index}]") };
                Some(Column { role: Role::Request, name })
            }
            None => Some(Column { role: Role::Request, name: name.to_owned() }),
        }
    };
    let columns: Vec<Option<Column>> = names.into_iter().map(column).collect();
    let count = columns.iter().flatten().count();
    ensure!(
        count <= FEATURES,
        "{} has {count} columns to learn, and {FEATURES} features are the most that a baseline holds; learn {} fewer",
        path.display(),
        count - FEATURES
    );
    Ok(columns)
}

/// A table that is learned.
pub(super) struct Table<'a> {
    pub(super) path: &'a Path,
    pub(super) args: &'a Args,
    pub(super) learner: &'a mut Learner,
    pub(super) progress: &'a mut Progress,
    pub(super) stop: &'a AtomicBool,
}

impl Table<'_> {
    /// Learns from text with a column of each feature, named in its first line (RFC 4180).
    pub(super) fn csv(mut self, delimiter: u8) -> anyhow::Result<()> {
        let cannot = self.cannot();
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_path(self.path).with_context(&cannot)?;
        let columns = columns(reader.headers().with_context(&cannot)?.iter(), self.path, self.args)?;
        let model = self.args.model.as_deref();
        let mut row = csv::StringRecord::new();
        self.each_row(|learner| {
            let there = reader.read_record(&mut row).with_context(&cannot)?;
            // The last row stays where there is none any more.
            for (column, text) in columns.iter().zip(&row).filter(|_| there) {
                match column {
                    Some(Column { role, name }) if MISSING.contains(&text) => learner.text(model, *role, name, None),
                    Some(Column { role, name }) => learner.written(model, *role, name, text),
                    None => {}
                }
            }
            Ok(there)
        })
    }

    /// Learns from a Parquet file. Columns of dates, lists and the like hold no values that are features.
    pub(super) fn parquet(mut self) -> anyhow::Result<()> {
        let cannot = self.cannot();
        let file = File::open(self.path).with_context(&cannot)?;
        let reader = SerializedFileReader::new(file).with_context(&cannot)?;
        let schema = reader.metadata().file_metadata().schema_descr_ptr();
        let names = schema.root_schema().get_fields().iter().map(|field| field.name());
        let columns = columns(names, self.path, self.args)?;
        let model = self.args.model.as_deref();
        let mut rows = reader.get_row_iter(None).with_context(&cannot)?;
        self.each_row(|learner| {
            let Some(row) = rows.next().transpose().with_context(&cannot)? else { return Ok(false) };
            for (column, (_, field)) in columns.iter().zip(row.get_column_iter()) {
                if let Some(Column { role, name }) = column {
                    learn(field, learner, model, *role, name);
                }
            }
            Ok(true)
        })
    }

    fn cannot(&self) -> impl Fn() -> String + use<> {
        let text = format!("cannot read {}", self.path.display());
        move || text.clone()
    }

    /// Learns row by row, until there is none or it is told to stop.
    fn each_row(&mut self, mut next: impl FnMut(&mut Learner) -> anyhow::Result<bool>) -> anyhow::Result<()> {
        let mut rows = 0_usize;
        while next(self.learner)? {
            rows += 1;
            if rows.is_multiple_of(ROWS) {
                self.progress.tell(self.learner);
                if self.stop.load(Relaxed) {
                    break;
                }
            }
        }
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "integers beyond 2^53 are rounded, as they are from the wire")]
fn learn(field: &Field, learner: &mut Learner, model: Option<&str>, role: Role, name: &str) {
    let mut number = |number: f64| learner.number(model, role, name, number);
    match field {
        Field::Bool(truth) => number(f64::from(u8::from(*truth))),
        Field::Byte(value) => number(f64::from(*value)),
        Field::Short(value) => number(f64::from(*value)),
        Field::Int(value) => number(f64::from(*value)),
        Field::Long(value) => number(*value as f64),
        Field::UByte(value) => number(f64::from(*value)),
        Field::UShort(value) => number(f64::from(*value)),
        Field::UInt(value) => number(f64::from(*value)),
        Field::ULong(value) => number(*value as f64),
        Field::Float16(value) => number(f64::from(*value)),
        Field::Float(value) => learner.single(model, role, name, *value),
        Field::Double(value) => number(*value),
        Field::Decimal(_) => learner.written(model, role, name, &field.to_string()),
        Field::Str(text) => learner.text(model, role, name, Some(text)),
        Field::Bytes(bytes) => learner.text(model, role, name, bytes.as_utf8().ok()),
        Field::Null
        | Field::Date(_)
        | Field::TimeMillis(_)
        | Field::TimeMicros(_)
        | Field::TimestampMillis(_)
        | Field::TimestampMicros(_)
        | Field::Group(_)
        | Field::ListInternal(_)
        | Field::MapInternal(_) => learner.text(model, role, name, None),
    }
}
