//! Rows to lines of JSON: an object each, without what is null.

use std::io::Write as _;

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::{Compression, write::GzEncoder};
use jiff::tz::TimeZone;
use serde::{
    Serialize, Serializer,
    ser::{Error as _, SerializeMap as _},
};
use serde_json::value::RawValue;

use super::{
    cell::Cell,
    schema::{COLUMNS, Kind},
};
use crate::{
    config::PayloadsCompression,
    model::{Exchange, Timestamp},
    sink::{clock::Clock, printable::Printable},
};

/// zstd's own default.
const LEVEL: i32 = 3;

/// A whole file.
pub(super) fn file(rows: &[&Exchange], compression: PayloadsCompression) -> anyhow::Result<Vec<u8>> {
    let mut text = Vec::new();
    for row in rows {
        Line(row).serialize(&mut serde_json::Serializer::with_formatter(&mut text, Printable))?;
        text.push(b'\n');
    }
    match compression {
        PayloadsCompression::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(&text).context("cannot compress")?;
            encoder.finish().context("cannot compress")
        }
        PayloadsCompression::Zstd => {
            let mut out = Vec::with_capacity(zstd_safe::compress_bound(text.len()));
            zstd_safe::compress(&mut out, &text, LEVEL)
                .map_err(|code| anyhow::anyhow!("cannot compress: {}", zstd_safe::get_error_name(code)))?;
            Ok(out)
        }
        PayloadsCompression::None | PayloadsCompression::Snappy => Ok(text),
    }
}

struct Line<'a>(&'a Exchange);

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for column in COLUMNS {
            match (column.kind, (column.get)(self.0)) {
                (_, Cell::Null) => {}
                (Kind::Time, Cell::Integer(micros)) => {
                    let time = Timestamp::from_nanos(micros.cast_unsigned().saturating_mul(1_000));
                    let stamp = Clock::new(TimeZone::UTC).stamp(time);
                    // Microseconds, as in Parquet.
                    let text = stamp.as_str().get(..26).unwrap_or_default();
                    map.serialize_entry(column.name, &format_args!("{text}Z"))?;
                }
                (Kind::Json, Cell::Text(text)) => {
                    let raw: &RawValue = serde_json::from_str(&text).map_err(S::Error::custom)?;
                    map.serialize_entry(column.name, raw)?;
                }
                (_, Cell::Boolean(value)) => map.serialize_entry(column.name, &value)?,
                (_, Cell::Integer(value)) => map.serialize_entry(column.name, &value)?,
                (_, Cell::Text(text)) => map.serialize_entry(column.name, &text)?,
                (_, Cell::Bytes(bytes)) => map.serialize_entry(column.name, &STANDARD.encode(bytes))?,
            }
        }
        map.end()
    }
}
