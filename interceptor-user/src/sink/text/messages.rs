use std::io::{self, Write};

use serde::Serialize as _;

use super::{Options, block::lines, style::Styles};
use crate::{
    model::{Exchange, Kind, Pieces, Role},
    sink::{
        messages::{self, Content, Message},
        printable::Printable,
    },
};

/// The messages of one side, a line each, or several where a text has several.
pub(super) fn write(
    out: &mut Vec<u8>,
    exchange: &Exchange,
    role: Role,
    pieces: &Pieces,
    options: &Options,
    styles: &Styles,
) -> io::Result<()> {
    let dim = styles.dim;
    let (mark, style) = match role {
        Role::Request => ('>', styles.sent),
        Role::Response => ('<', styles.received),
    };
    let mut shown = 0;
    for message in messages::of(exchange, role, &options.registry) {
        shown += 1;
        let (kind, size) = (message.kept.piece.kind, message.kept.piece.size);
        let control = match kind {
            Kind::Data | Kind::Text | Kind::Binary => None,
            Kind::Close(code) => Some(format!("{} {code}", kind.name())),
            Kind::Ping | Kind::Pong => Some(kind.name().to_owned()),
        };
        if let Some(control) = control {
            write!(out, "\n    {style}{mark}{style:#} {dim}[{control}]{dim:#}")?;
            if let Content::Text("") = message.content {
                continue;
            }
        }
        content(out, &message, mark, style)?;
        if let Content::Binary(_) = message.content {
            write!(out, "\n    {style}{mark}{style:#} {dim}[{size} bytes: not text]{dim:#}")?;
        } else if message.is_cut() {
            write!(out, "\n    {style}{mark}{style:#} {dim}[{} of {size} bytes]{dim:#}", message.bytes.len())?;
        }
    }
    if shown < pieces.count {
        write!(out, "\n    {style}{mark}{style:#} {dim}[{shown} of {} messages]{dim:#}", pieces.count)?;
    }
    Ok(())
}

fn content(out: &mut Vec<u8>, message: &Message<'_>, mark: char, style: anstyle::Style) -> io::Result<()> {
    match &message.content {
        Content::Text("") => write!(out, "\n    {style}{mark}{style:#}"),
        Content::Text(text) => lines(out, text, mark, style),
        Content::Binary(_) => Ok(()),
        json @ (Content::Protobuf(_) | Content::Json(_)) => {
            write!(out, "\n    {style}{mark}{style:#} ")?;
            let json = json.serialize(&mut serde_json::Serializer::with_formatter(out, Printable));
            json.map_err(io::Error::from)
        }
    }
}
