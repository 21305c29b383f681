//! What the head says of a content: its media type and its codings.

use crate::model::{Coding, Format, Head};

/// Media types of contents that hold a JSON text a line.
const LINES: [&str; 8] = [
    "application/x-ndjson",
    "application/ndjson",
    "application/x-jsonlines",
    "application/jsonlines",
    "application/jsonl",
    "application/x-jsonl",
    "application/x-json-stream",
    "application/stream+json",
];

/// What divides a content of this type into messages.
pub(super) fn format(content_type: &[u8]) -> Option<Format> {
    // What most contents are.
    if content_type == b"application/json" {
        return None;
    }
    let media = essence(content_type)?;
    let is = |name: &str| media.eq_ignore_ascii_case(name);
    let begins = |name: &str| media.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    // `application/grpc+proto`: what follows the plus is the messages' own format.
    let grpc = |name: &str| begins(name) && matches!(media.as_bytes().get(name.len()), None | Some(b'+'));
    if grpc("application/grpc") {
        Some(Format::Grpc)
    } else if grpc("application/grpc-web-text") {
        Some(Format::GrpcWebText)
    } else if grpc("application/grpc-web") {
        Some(Format::GrpcWeb)
    } else if is("text/event-stream") {
        Some(Format::EventStream)
    } else if begins("multipart/") {
        Some(Format::Multipart)
    } else {
        LINES.into_iter().any(is).then_some(Format::JsonLines)
    }
}

/// The type without its parameters.
fn essence(content_type: &[u8]) -> Option<&str> {
    let end = memchr::memchr(b';', content_type).unwrap_or(content_type.len());
    str::from_utf8(content_type.get(..end)?).ok().map(str::trim)
}

/// How the messages of a gRPC content that are compressed are compressed.
pub(super) fn message_coding(head: &Head) -> Option<Coding> {
    coding(head.fields.get("grpc-encoding")?)
}

/// The content codings, in the order they were applied (RFC 9110 section 8.4), `identity` left out.
pub(super) fn content_codings(head: &Head) -> impl Iterator<Item = Coding> {
    let values = head.fields.get_all("content-encoding");
    values.flat_map(|value| value.split(|byte| *byte == b',')).filter_map(coding)
}

/// A coding's name (RFC 9110 section 8.4.1, and what gRPC uses); `None` if it stands for none.
fn coding(name: &[u8]) -> Option<Coding> {
    let name = name.trim_ascii();
    let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
    if name.is_empty() || is("identity") {
        None
    } else if is("gzip") || is("x-gzip") {
        Some(Coding::Gzip)
    } else if is("deflate") {
        Some(Coding::Deflate)
    } else if is("br") {
        Some(Coding::Brotli)
    } else if is("zstd") {
        Some(Coding::Zstd)
    } else if is("snappy") || is("x-snappy-framed") {
        Some(Coding::Snappy)
    } else {
        Some(Coding::Unknown)
    }
}

/// The value of a parameter, quoted or not (RFC 9110 section 5.6.6), in a list divided by semicolons.
pub(super) fn parameter(value: &[u8], wanted: &str) -> Option<Vec<u8>> {
    let mut rest = value;
    loop {
        let (name, after) = rest.split_at_checked(rest.iter().position(|byte| matches!(byte, b';' | b'='))?)?;
        let (mark, after) = after.split_first()?;
        if *mark == b';' {
            rest = after;
            continue;
        }
        let (found, after) = parameter_value(after.trim_ascii_start());
        if name.trim_ascii().eq_ignore_ascii_case(wanted.as_bytes()) {
            return Some(found);
        }
        rest = after;
    }
}

/// A parameter's value, and what follows it.
fn parameter_value(text: &[u8]) -> (Vec<u8>, &[u8]) {
    let Some(quoted) = text.strip_prefix(b"\"") else {
        let end = memchr::memchr(b';', text).unwrap_or(text.len());
        let (token, rest) = text.split_at_checked(end).unwrap_or((text, &[]));
        return (token.trim_ascii().to_vec(), rest);
    };
    let mut value = Vec::new();
    let mut bytes = quoted.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => break,
            b'\\' => value.extend(bytes.next()),
            _ => value.push(*byte),
        }
    }
    (value, bytes.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Fields, Version};

    #[test]
    fn media_types_name_formats() {
        for (text, expected) in [
            ("application/grpc", Some(Format::Grpc)),
            ("Application/GRPC+proto", Some(Format::Grpc)),
            ("application/grpc; charset=utf-8", Some(Format::Grpc)),
            ("application/grpc-web", Some(Format::GrpcWeb)),
            ("application/grpc-web+json", Some(Format::GrpcWeb)),
            ("application/grpc-web-text+proto", Some(Format::GrpcWebText)),
            ("application/grpcx", None),
            ("text/event-stream;charset=utf-8", Some(Format::EventStream)),
            ("application/x-ndjson", Some(Format::JsonLines)),
            ("multipart/form-data; boundary=x", Some(Format::Multipart)),
            ("application/json", None),
            ("\u{fffd}", None),
        ] {
            assert_eq!(format(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(format(b"\xff"), None);
    }

    #[test]
    fn codings_come_in_the_order_they_were_applied() {
        let mut fields = Fields::default();
        fields.push(b"Content-Encoding", b"gzip, identity,,X-GZIP");
        fields.push(b"content-encoding", b" br ,zstd, foo");
        let head = Head::response(200, Version::Http11, fields);
        let expected = [Coding::Gzip, Coding::Gzip, Coding::Brotli, Coding::Zstd, Coding::Unknown];
        assert_eq!(content_codings(&head).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn parameters_are_found_quoted_or_not() {
        for (value, expected) in [
            ("multipart/mixed; boundary=abc", Some("abc")),
            ("multipart/mixed;BOUNDARY = abc ; x=y", Some("abc")),
            (r#"multipart/mixed; x="boundary=no;\""; boundary="a b\"c""#, Some(r#"a b"c"#)),
            ("multipart/mixed; boundary", None),
            ("multipart/mixed", None),
            ("", None),
        ] {
            assert_eq!(parameter(value.as_bytes(), "boundary").as_deref(), expected.map(str::as_bytes), "{value}");
        }
    }
}
