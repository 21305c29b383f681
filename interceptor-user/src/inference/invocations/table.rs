//! CSV (RFC 4180): a column a tensor, numbers where all its cells are.

use csv::{ByteRecord, ReaderBuilder};

use crate::{
    inference::{
        columns::{Columns, TENSORS, tensor},
        tree::{Array, Room, Tree},
    },
    model::{Tensor, Values},
};

/// `header=present` or `header=absent` of the content type (RFC 4180 section 3).
pub(super) fn header_said(content_type: &[u8]) -> Option<bool> {
    let parameter = |parameter: &[u8]| match parameter.trim_ascii() {
        b"header=present" => Some(true),
        b"header=absent" => Some(false),
        _ => None,
    };
    content_type.split(|byte| *byte == b';').find_map(parameter)
}

/// Columns; false where not all of it is rows. Where nothing says whether the first row is a header, it is if no cell of it
/// is a number or empty while one below is a number. Without header (SageMaker) a table of numbers is one tensor.
pub(super) fn read(content: &[u8], header: Option<bool>, room: &Room) -> (Vec<Tensor>, bool) {
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(content);
    let mut rows = reader.byte_records();
    let Some(Ok(first)) = rows.next() else { return (Vec::new(), content.trim_ascii().is_empty()) };
    let (mut well, mut cut) = (true, false);
    let mut data = Vec::new();
    for row in rows {
        match row {
            Ok(row) if room.take(row.len()) == row.len() => data.push(row),
            Ok(_) => {
                cut = true;
                break;
            }
            Err(_) => well = false,
        }
    }
    let names_all = || first.iter().all(|cell| !cell.is_empty() && number(cell).is_none());
    let below = || data.first().is_some_and(|row| row.iter().any(|cell| number(cell).is_some()));
    let named = header.unwrap_or_else(|| names_all() && below());
    let width = first.len().min(TENSORS);
    let names: Vec<String> = (0..width)
        .map(|at| match first.get(at) {
            Some(name) if named => String::from_utf8_lossy(name).into_owned(),
            _ => at.to_string(),
        })
        .collect();
    well &= data.iter().all(|row| row.len() == first.len());
    if !named {
        data.insert(0, first);
    }
    let all_numbers = data.iter().all(|row| row.iter().all(|cell| number(cell).is_some()));
    if !named && all_numbers && well {
        return (vec![matrix(&data, cut, room)], well);
    }
    (columns(&data, &names, named, cut, room), well)
}

fn matrix(rows: &[ByteRecord], cut: bool, room: &Room) -> Tensor {
    let mut table = Array::new();
    for row in rows {
        let mut cells = Array::new();
        for cell in row {
            cells.push(value(cell, true), room);
        }
        table.push(Tree::Array(cells), room);
    }
    table.cut |= cut;
    tensor(String::new(), Tree::Array(table))
}

fn columns(rows: &[ByteRecord], names: &[String], named: bool, cut: bool, room: &Room) -> Vec<Tensor> {
    let mut numeric = vec![true; names.len()];
    for row in rows {
        for (numeric, cell) in numeric.iter_mut().zip(row.iter()) {
            *numeric &= cell.is_empty() || number(cell).is_some();
        }
    }
    let mut columns = Columns::new(room);
    for row in rows {
        let cells = row.iter().zip(&numeric).map(|(cell, numeric)| value(cell, *numeric));
        columns.row(names.iter().cloned().zip(cells).collect());
    }
    let mut columns = columns.end(cut);
    if !named {
        for column in &mut columns {
            column.name = "".into();
        }
    }
    columns.retain(|column| !matches!(column.values, Values::Unread));
    columns
}

fn value(cell: &[u8], numeric: bool) -> Tree {
    if cell.is_empty() {
        return Tree::Null;
    }
    match number(cell) {
        Some(number) if numeric => serde_json::Number::from_f64(number).map_or(Tree::Null, Tree::Number),
        _ => Tree::String(String::from_utf8_lossy(cell).into_owned()),
    }
}

fn number(cell: &[u8]) -> Option<f64> {
    str::from_utf8(cell).ok()?.trim().parse().ok()
}
