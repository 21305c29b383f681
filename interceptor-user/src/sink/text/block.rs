use std::io::{self, Write};

use super::{Options, messages, style::Styles};
use crate::{
    model::{Exchange, Fields, Part, Role, StartLine},
    sink::escape::Escaped,
};

/// The indented lines under an exchange: the head of one side, its content, its trailers.
pub(super) fn write(
    out: &mut Vec<u8>,
    exchange: &Exchange,
    role: Role,
    options: &Options,
    styles: &Styles,
) -> io::Result<()> {
    let (mark, style, part) = match role {
        Role::Request => ('>', styles.sent, &exchange.request),
        Role::Response => ('<', styles.received, &exchange.response),
    };
    let Some(part) = part else { return Ok(()) };
    if options.headers {
        write!(out, "\n    {style}{mark}{style:#} ")?;
        match part.head.start_line() {
            StartLine::Request { .. } => {
                let method = part.head.method().unwrap_or("?");
                let mut target = String::new();
                let _ = super::write_target(&mut target, Some(part), &options.mask);
                write!(out, "{} {target} ", Escaped(method.as_bytes()))?;
                write!(out, "HTTP/{}", part.head.version.name())?;
            }
            StartLine::Response { status: 0 } => write!(out, "HTTP/{} ?", part.head.version.name())?,
            StartLine::Response { status } => write!(out, "HTTP/{} {status:03}", part.head.version.name())?,
        }
        fields(out, &part.head.fields, mark, options, styles)?;
    }
    let told = options.messages && part.pieces.is_some();
    if options.bodies && !told && part.content_size() > 0 {
        if options.headers {
            write!(out, "\n    {style}{mark}{style:#}")?;
        }
        match part.pieces.as_ref().filter(|pieces| !pieces.kept.is_empty()) {
            Some(pieces) => messages::write(out, exchange, role, pieces, options, styles)?,
            None => content(out, part, mark, styles)?,
        }
    }
    if options.headers && !part.trailers.is_empty() {
        write!(out, "\n    {style}{mark}{style:#}")?;
        fields(out, &part.trailers, mark, options, styles)?;
    }
    Ok(())
}

fn fields(out: &mut Vec<u8>, fields: &Fields, mark: char, options: &Options, styles: &Styles) -> io::Result<()> {
    let (dim, style) = (styles.dim, if mark == '>' { styles.sent } else { styles.received });
    for (name, value) in fields.iter() {
        write!(out, "\n    {style}{mark}{style:#} {dim}{}:{dim:#} ", Escaped(name.as_bytes()))?;
        if options.mask.hides(name) {
            write!(out, "{dim}{}{dim:#}", crate::sink::mask::MASKED)?;
        } else {
            write!(out, "{}", Escaped(&options.mask.field_bytes(name, value)))?;
        }
    }
    Ok(())
}

fn content(out: &mut Vec<u8>, part: &Part, mark: char, styles: &Styles) -> io::Result<()> {
    let (dim, style) = (styles.dim, if mark == '>' { styles.sent } else { styles.received });
    let size = part.content_size();
    let text = match part.body_text() {
        _ if part.body.is_empty() => {
            return write!(out, "\n    {style}{mark}{style:#} {dim}[{size} bytes, not kept]{dim:#}");
        }
        Some(text) if !text.contains('\0') => text,
        _ => {
            let kind = part.head.fields.get("content-type").unwrap_or(b"unknown type");
            return write!(
                out,
                "\n    {style}{mark}{style:#} {dim}[{size} bytes of {}: not text]{dim:#}",
                Escaped(kind)
            );
        }
    };
    lines(out, text, mark, style)?;
    if part.body_cut() {
        write!(out, "\n    {style}{mark}{style:#} {dim}[{} of {size} bytes]{dim:#}", text.len())?;
    }
    Ok(())
}

/// Each line after its mark.
pub(super) fn lines(out: &mut Vec<u8>, text: &str, mark: char, style: anstyle::Style) -> io::Result<()> {
    for line in text.lines() {
        let line = line.replace('\t', "    ");
        write!(out, "\n    {style}{mark}{style:#} {}", Escaped(line.as_bytes()))?;
    }
    Ok(())
}
