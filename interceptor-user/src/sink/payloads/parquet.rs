//! Rows to a Parquet file: flat, without repeated columns, so that no Arrow is needed to write it.

use std::{ops::Range, sync::Arc};

use parquet::{
    basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel},
    column::writer::ColumnWriter,
    data_type::ByteArray,
    errors::{ParquetError, Result},
    file::{
        metadata::KeyValue,
        properties::{EnabledStatistics, WriterProperties, WriterVersion},
        writer::SerializedFileWriter,
    },
    schema::types::{ColumnPath, Type},
};

use super::{
    cell::Cell,
    schema::{COLUMNS, Column, Kind},
};
use crate::{config::PayloadsCompression, model::Exchange};

/// Rows of a row group at the most.
const GROUP_ROWS: usize = 10_000;
/// Memory of their records at the most; one that is larger is a group of its own.
const GROUP_BYTES: usize = 16 << 20;
/// Longer values are cut in statistics.
const STATISTICS_BYTES: usize = 64;
/// Beyond it a dictionary is given up.
const DICTIONARY_BYTES: usize = 256 << 10;

/// A whole file.
pub(super) fn file(rows: &[&Exchange], compression: PayloadsCompression) -> Result<Vec<u8>> {
    let mut file = SerializedFileWriter::new(Vec::new(), Arc::new(schema()?), Arc::new(properties(compression)))?;
    for group in groups(rows) {
        let rows = rows.get(group).unwrap_or_default();
        let mut writer = file.next_row_group()?;
        for column in COLUMNS {
            let missing = || ParquetError::General(format!("{} has no writer", column.name));
            let mut writer = writer.next_column()?.ok_or_else(missing)?;
            write(writer.untyped(), column, rows)?;
            writer.close()?;
        }
        writer.close()?;
    }
    file.into_inner()
}

fn groups(rows: &[&Exchange]) -> Vec<Range<usize>> {
    let mut groups = Vec::new();
    let (mut start, mut bytes) = (0, 0_usize);
    for (index, row) in rows.iter().enumerate() {
        let memory = row.memory();
        if index > start && (index - start == GROUP_ROWS || bytes.saturating_add(memory) > GROUP_BYTES) {
            groups.push(start..index);
            (start, bytes) = (index, 0);
        }
        bytes = bytes.saturating_add(memory);
    }
    if start < rows.len() {
        groups.push(start..rows.len());
    }
    groups
}

fn schema() -> Result<Type> {
    let fields = COLUMNS.iter().map(|column| {
        let (physical, logical) = match column.kind {
            Kind::Time => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MICROS))),
            Kind::Integer => (Physical::INT64, None),
            Kind::Boolean => (Physical::BOOLEAN, None),
            // Not marked as JSON: readers differ in what they make of that, and all read strings.
            Kind::Text | Kind::Json => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            Kind::Bytes => (Physical::BYTE_ARRAY, None),
        };
        let builder = Type::primitive_type_builder(column.name, physical);
        Ok(Arc::new(builder.with_repetition(Repetition::OPTIONAL).with_logical_type(logical).build()?))
    });
    Type::group_type_builder("exchange").with_fields(fields.collect::<Result<_>>()?).build()
}

fn properties(compression: PayloadsCompression) -> WriterProperties {
    let compression = match compression {
        PayloadsCompression::None => Compression::UNCOMPRESSED,
        PayloadsCompression::Snappy => Compression::SNAPPY,
        PayloadsCompression::Gzip => Compression::GZIP(parquet::basic::GzipLevel::default()),
        PayloadsCompression::Zstd => Compression::ZSTD(ZstdLevel::default()),
    };
    let version = KeyValue::new("interceptor.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    let builder = WriterProperties::builder()
        .set_compression(compression)
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_created_by(concat!("interceptor version ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_key_value_metadata(Some(vec![version]))
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        .set_statistics_truncate_length(Some(STATISTICS_BYTES))
        .set_column_index_truncate_length(Some(STATISTICS_BYTES));
    // The smallest and largest content help nobody to find one.
    let contents = COLUMNS.iter().filter(|column| is_large(column));
    contents
        .fold(builder, |builder, column| {
            let path = ColumnPath::from(column.name);
            builder
                .set_column_statistics_enabled(path.clone(), EnabledStatistics::None)
                .set_column_dictionary_enabled(path, false)
        })
        .build()
}

fn is_large(column: &Column) -> bool {
    matches!(column.kind, Kind::Bytes | Kind::Json) || column.name.ends_with("_content")
}

fn write(writer: &mut ColumnWriter<'_>, column: &Column, rows: &[&Exchange]) -> Result<()> {
    let cells = rows.iter().map(|row| (column.get)(row));
    // Rust's match on both: a cell of another kind than its column's would be written as null.
    match writer {
        ColumnWriter::BoolColumnWriter(writer) => {
            let (levels, values) =
                split(cells, |cell| if let Cell::Boolean(value) = cell { Some(value) } else { None });
            writer.write_batch(&values, Some(&levels), None)?;
        }
        ColumnWriter::Int64ColumnWriter(writer) => {
            let (levels, values) =
                split(cells, |cell| if let Cell::Integer(value) = cell { Some(value) } else { None });
            writer.write_batch(&values, Some(&levels), None)?;
        }
        ColumnWriter::ByteArrayColumnWriter(writer) => {
            let (levels, values) = split(cells, |cell| match cell {
                Cell::Text(text) => Some(ByteArray::from(text.into_owned().into_bytes())),
                Cell::Bytes(bytes) => Some(ByteArray::from(bytes.into_owned())),
                Cell::Null | Cell::Boolean(_) | Cell::Integer(_) => None,
            });
            writer.write_batch(&values, Some(&levels), None)?;
        }
        _ => return Err(ParquetError::General(format!("{} has a type that is not written", column.name))),
    }
    Ok(())
}

/// Definition levels, and the values that are there.
fn split<'a, T>(cells: impl Iterator<Item = Cell<'a>>, value: impl Fn(Cell<'a>) -> Option<T>) -> (Vec<i16>, Vec<T>) {
    let (mut levels, mut values) = (Vec::new(), Vec::new());
    for value in cells.map(value) {
        levels.push(i16::from(value.is_some()));
        values.extend(value);
    }
    (levels, values)
}
