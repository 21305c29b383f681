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
use crate::{inspect::drift::baseline::Learner, model::Role};

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
    Ok(names.into_iter().map(column).collect())
}

/// Learns from text with a column of each feature, named in its first line (RFC 4180).
pub(super) fn csv(
    path: &Path,
    delimiter: u8,
    args: &Args,
    learner: &mut Learner,
    progress: &mut Progress,
    stop: &AtomicBool,
) -> anyhow::Result<()> {
    let cannot = || format!("cannot read {}", path.display());
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_path(path).with_context(cannot)?;
    let columns = columns(reader.headers().with_context(cannot)?.iter(), path, args)?;
    let model = args.model.as_deref();
    let mut row = csv::StringRecord::new();
    let mut rows = 0_usize;
    while reader.read_record(&mut row).with_context(cannot)? {
        for (column, text) in columns.iter().zip(&row) {
            match column {
                Some(Column { role, name }) if MISSING.contains(&text) => learner.text(model, *role, name, None),
                Some(Column { role, name }) => learner.written(model, *role, name, text),
                None => {}
            }
        }
        rows += 1;
        if rows.is_multiple_of(ROWS) {
            progress.tell(learner);
            if stop.load(Relaxed) {
                break;
            }
        }
    }
    Ok(())
}

/// Learns from a Parquet file. Columns of dates, lists and the like are left out.
pub(super) fn parquet(
    path: &Path,
    args: &Args,
    learner: &mut Learner,
    progress: &mut Progress,
    stop: &AtomicBool,
) -> anyhow::Result<()> {
    let cannot = || format!("cannot read {}", path.display());
    let file = File::open(path).with_context(cannot)?;
    let reader = SerializedFileReader::new(file).with_context(cannot)?;
    let schema = reader.metadata().file_metadata().schema_descr_ptr();
    let columns = columns(schema.root_schema().get_fields().iter().map(|field| field.name()), path, args)?;
    let model = args.model.as_deref();
    for (row, number) in reader.get_row_iter(None).with_context(cannot)?.zip(1_usize..) {
        let row = row.with_context(cannot)?;
        for (column, (_, field)) in columns.iter().zip(row.get_column_iter()) {
            if let Some(Column { role, name }) = column {
                learn(field, learner, model, *role, name);
            }
        }
        if number.is_multiple_of(ROWS) {
            progress.tell(learner);
            if stop.load(Relaxed) {
                break;
            }
        }
    }
    Ok(())
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
        Field::Null => learner.text(model, role, name, None),
        Field::Bytes(bytes) => learner.text(model, role, name, bytes.as_utf8().ok()),
        Field::Date(_)
        | Field::TimeMillis(_)
        | Field::TimeMicros(_)
        | Field::TimestampMillis(_)
        | Field::TimestampMicros(_)
        | Field::Group(_)
        | Field::ListInternal(_)
        | Field::MapInternal(_) => {}
    }
}
