//! The messages that a content consists of, and how each is shown.

use base64::{display::Base64Display, engine::general_purpose::STANDARD};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::compact::compact;
use crate::{
    model::{Coding, Exchange, Format, KeptPiece, Kind, Part, Pieces, Role},
    protobuf::{Decoded, How, Registry},
};

/// A message that was kept.
pub(super) struct Message<'a> {
    pub(super) kept: &'a KeptPiece,
    pub(super) bytes: &'a [u8],
    pub(super) content: Content<'a>,
}

impl Message<'_> {
    /// Less of it is shown than was sent; to be asked when it was written.
    pub(super) fn is_cut(&self) -> bool {
        cut(self.kept, self.bytes) || !self.content.is_complete()
    }
}

/// What is in it.
pub(super) enum Content<'a> {
    Protobuf(Decoded<'a>),
    Json(Box<RawValue>),
    Text(&'a str),
    Binary(&'a [u8]),
}

/// How the content of a message is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub(super) enum Form {
    /// A protobuf message in its JSON mapping, by its descriptor; what that does not know is under its number.
    Protobuf,
    /// A protobuf message of unknown type: an object of field numbers and of what the fields seem to hold.
    ProtobufWire,
    /// JSON that was sent.
    Json,
    /// A string: it is text.
    #[serde(rename = "utf-8")]
    Utf8,
    /// A string in base64 (RFC 4648 section 4): it is not text.
    Base64,
}

/// The messages of one side that were kept, as they can be read.
pub(super) fn of<'a>(
    exchange: &'a Exchange,
    role: Role,
    registry: &'a Registry,
) -> impl Iterator<Item = Message<'a>> + use<'a> {
    let part = match role {
        Role::Request => exchange.request.as_ref(),
        Role::Response => exchange.response.as_ref(),
    };
    let both = part.and_then(|part| Some((part, part.pieces.as_ref()?)));
    let path = both.and_then(|(_, pieces)| protobuf_path(exchange, pieces));
    both.into_iter().flat_map(|(part, pieces)| pieces.kept.iter().map(move |kept| (part, kept))).map(
        move |(part, kept)| {
            let bytes = kept.of(&part.body);
            Message { kept, bytes, content: Content::of(kept, bytes, path.map(|path| (registry, path, role))) }
        },
    )
}

/// The method whose messages these are, if they are protobuf: `application/grpc+json` and the like are not.
fn protobuf_path<'a>(exchange: &'a Exchange, pieces: &Pieces) -> Option<&'a str> {
    if !matches!(pieces.format, Format::Grpc | Format::GrpcWeb | Format::GrpcWebText) {
        return None;
    }
    let other = |part: &Part| {
        let kind = part.head.fields.get("content-type").unwrap_or_default();
        let format = kind.split(|byte| *byte == b';').next().unwrap_or_default().rsplit(|byte| *byte == b'+').next();
        kind.contains(&b'+') && !format.is_some_and(|format| format.trim_ascii().eq_ignore_ascii_case(b"proto"))
    };
    let parts = [&exchange.request, &exchange.response];
    if parts.into_iter().flatten().any(other) {
        return None;
    }
    Some(exchange.rpc().and_then(|rpc| rpc.method).unwrap_or_default())
}

fn cut(kept: &KeptPiece, bytes: &[u8]) -> bool {
    !kept.piece.whole || (bytes.len() as u64) < kept.piece.size
}

impl<'a> Content<'a> {
    fn of(kept: &KeptPiece, bytes: &'a [u8], protobuf: Option<(&'a Registry, &str, Role)>) -> Self {
        let cut = cut(kept, bytes);
        // The status code is told by the kind; what follows it is a reason (RFC 6455 section 5.5.1).
        let bytes = if let Kind::Close(_) = kept.piece.kind { bytes.get(2..).unwrap_or_default() } else { bytes };
        if kept.piece.compression == Some(Coding::Unknown) {
            return Self::Binary(bytes);
        }
        if let (Some((registry, path, role)), Kind::Data) = (protobuf, kept.piece.kind) {
            let decoded = registry.to_json(path, role, bytes, cut);
            if decoded.how() != How::Opaque {
                return Self::Protobuf(decoded);
            }
        }
        let text = match str::from_utf8(bytes) {
            Err(error) if cut && error.error_len().is_none() => {
                bytes.get(..error.valid_up_to()).and_then(|whole| str::from_utf8(whole).ok())
            }
            text => text.ok(),
        };
        match text.filter(|text| !text.contains('\0')) {
            Some(text) => compact(text).map_or(Self::Text(text), Self::Json),
            None => Self::Binary(bytes),
        }
    }

    pub(super) fn form(&self) -> Form {
        match self {
            Self::Protobuf(decoded) if decoded.how() == How::Descriptor => Form::Protobuf,
            Self::Protobuf(_) => Form::ProtobufWire,
            Self::Json(_) => Form::Json,
            Self::Text(_) => Form::Utf8,
            Self::Binary(_) => Form::Base64,
        }
    }

    fn is_complete(&self) -> bool {
        match self {
            Self::Protobuf(decoded) => decoded.is_complete(),
            Self::Json(_) | Self::Text(_) | Self::Binary(_) => true,
        }
    }
}

impl Serialize for Content<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Protobuf(decoded) => decoded.serialize(serializer),
            Self::Json(json) => json.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Binary(bytes) => serializer.collect_str(&Base64Display::new(bytes, &STANDARD)),
        }
    }
}

/// Takes over what a server tells about its messages, if this exchange is a call of its reflection service.
pub(crate) fn learn(exchange: &Exchange, registry: &Registry) {
    let reflection = |method: &str| {
        matches!(
            method,
            "grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
                | "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
        )
    };
    if !exchange.rpc().and_then(|rpc| rpc.method).is_some_and(reflection) {
        return;
    }
    let Some(part) = &exchange.response else { return };
    for kept in part.pieces.iter().flat_map(|pieces| &pieces.kept) {
        let bytes = kept.of(&part.body);
        if cut(kept, bytes) {
            tracing::debug!(size = kept.piece.size, kept = bytes.len(), "a server's descriptors were not kept whole");
        }
        let learnt = registry.learn(bytes);
        tracing::debug!(?learnt, "a server told its descriptors");
    }
}

#[cfg(test)]
mod tests {
    use prost_reflect::{
        prost::Message as _,
        prost_types::{DescriptorProto, FileDescriptorProto, MethodDescriptorProto, ServiceDescriptorProto},
    };

    use super::*;
    use crate::{
        model::{Head, Version},
        sink::sample,
    };

    /// A `ServerReflectionResponse` with a file that defines `p.S/M`.
    fn response() -> Vec<u8> {
        let name = |name: &str| Some(name.to_owned());
        let method = MethodDescriptorProto {
            name: name("M"),
            input_type: name(".p.A"),
            output_type: name(".p.A"),
            ..MethodDescriptorProto::default()
        };
        let file = FileDescriptorProto {
            name: name("p.proto"),
            package: name("p"),
            message_type: vec![DescriptorProto { name: name("A"), ..DescriptorProto::default() }],
            service: vec![ServiceDescriptorProto { name: name("S"), method: vec![method], options: None }],
            ..FileDescriptorProto::default()
        }
        .encode_to_vec();
        let len = file.len() as u8;
        [&[0x22, len + 2, 0x0a, len], file.as_slice()].concat()
    }

    fn learns(path: &str, cut: usize) -> bool {
        let bytes = response();
        let mut exchange = sample::call();
        let fields = sample::fields(&[("content-type", "application/grpc")]);
        exchange.request = Some(sample::part(Head::request("POST", path, Version::Http2, fields), b"", 0, 1));
        let part = sample::framed(sample::response(200, &[], b""), Format::Grpc, &[(Kind::Data, &bytes)]);
        exchange.response = Some(part);
        let pieces = exchange.response.as_mut().and_then(|part| part.pieces.as_mut()).expect("messages");
        pieces.kept[0].len -= cut as u32;
        let registry = Registry::builtin();
        learn(&exchange, &registry);
        registry.method("/p.S/M").is_some()
    }

    #[test]
    fn servers_tell_what_they_speak() {
        assert!(learns("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", 0));
        assert!(learns("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", 0));
        assert!(!learns("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", 1), "not whole");
        assert!(!learns("/any.Other/Method", 0));
    }
}
