use std::fmt::Write as _;

use bytes::{BufMut as _, Bytes, BytesMut};
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest as _, Sha256};

use crate::{
    config,
    model::{Exchange, Format, Part, Role, Target},
    sink::clock::Clock,
};

/// An id of a client longer than this is not taken over.
const ID_MAX: usize = 256;

/// What is posted.
pub(super) struct Event {
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// What is the same in each event.
pub(super) struct Source {
    given: String,
    service: String,
    /// Names and values.
    fixed: Vec<(HeaderName, HeaderValue)>,
    metadata: Vec<String>,
}

const ID: HeaderName = HeaderName::from_static("ce-id");
const TYPE: HeaderName = HeaderName::from_static("ce-type");
const SOURCE: HeaderName = HeaderName::from_static("ce-source");
const TIME: HeaderName = HeaderName::from_static("ce-time");
const SERVICE: HeaderName = HeaderName::from_static("ce-inferenceservicename");
const METADATA: HeaderName = HeaderName::from_static("ce-metadata");
const COMPLETE: HeaderName = HeaderName::from_static("ce-interceptorcomplete");

impl Source {
    pub(super) fn new(config: &config::Cloudevents) -> Self {
        let fixed = [
            ("ce-specversion", "1.0"),
            ("ce-namespace", &config.namespace),
            ("ce-endpoint", &config.endpoint),
            ("ce-component", &config.component),
        ];
        Self {
            given: config.source.clone(),
            service: config.inference_service.clone(),
            fixed: fixed
                .into_iter()
                .filter(|(_, value)| !value.is_empty())
                .map(|(name, value)| (HeaderName::from_static(name), encoded(value)))
                .collect(),
            metadata: config.metadata_headers.clone(),
        }
    }

    /// Attributes of the event of this side, and what its content is.
    pub(super) fn headers(
        &self,
        exchange: &Exchange,
        part: &Part,
        role: Role,
        whole: bool,
        clock: &mut Clock,
    ) -> HeaderMap {
        let mut headers: HeaderMap = self.fixed.iter().cloned().collect();
        headers.insert(ID, encoded(&id(exchange)));
        headers.insert(
            TYPE,
            HeaderValue::from_static(match role {
                Role::Request => "org.kubeflow.serving.inference.request",
                Role::Response => "org.kubeflow.serving.inference.response",
            }),
        );
        headers.insert(SOURCE, encoded(&self.source(exchange)));
        headers.insert(TIME, encoded(clock.stamp(part.last_byte).as_str()));
        let model = exchange.inference.as_ref().and_then(|inference| inference.model.as_deref());
        if let Some(service) = Some(&*self.service).filter(|service| !service.is_empty()).or(model) {
            headers.insert(SERVICE, encoded(service));
        }
        headers.insert(METADATA, encoded(&self.metadata(exchange)));
        if !whole {
            headers.insert(COMPLETE, HeaderValue::from_static("false"));
        }
        let content_type = part.head.fields.get("content-type").and_then(|value| HeaderValue::from_bytes(value).ok());
        headers.extend(content_type.map(|value| (CONTENT_TYPE, value)));
        // A coding that was not removed is still there.
        let coding = part.head.fields.get("content-encoding").filter(|_| part.decoded.is_none());
        headers.extend(
            coding.and_then(|value| HeaderValue::from_bytes(value).ok()).map(|value| (CONTENT_ENCODING, value)),
        );
        headers
    }

    fn source(&self, exchange: &Exchange) -> String {
        if !self.given.is_empty() {
            return self.given.clone();
        }
        let server = exchange.flow.server.endpoint;
        let named = exchange.request.as_ref().map(Part::target).and_then(|Target { authority, .. }| authority);
        match named {
            Some(authority) => format!("http://{}:{}/", authority.host, authority.port.unwrap_or(server.port())),
            None => format!("http://{server}/"),
        }
    }

    /// As Go writes `map[string][]string`, which KServe's logger sends: names in canonical form, and in order.
    fn metadata(&self, exchange: &Exchange) -> String {
        let mut found = serde_json::Map::new();
        for name in &self.metadata {
            let Some(request) = &exchange.request else { break };
            let values: Vec<serde_json::Value> =
                request.head.fields.get_all(name).map(|value| String::from_utf8_lossy(value).into()).collect();
            if !values.is_empty() {
                found.insert(canonical(name), values.into());
            }
        }
        serde_json::Value::from(found).to_string()
    }
}

/// `x-request-id` as `X-Request-Id`.
fn canonical(name: &str) -> String {
    let mut begins = true;
    let letter = |letter: char| {
        let letter = if begins { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() };
        begins = letter == '-';
        letter
    };
    name.chars().map(letter).collect()
}

/// The one that the client gave (`Ce-Id`, which KServe's logger takes too), else one that belongs to this exchange: a UUID
/// of version 8 (RFC 9562 section 5.8) from what tells it from any other. Request and response have the same.
fn id(exchange: &Exchange) -> String {
    let given = exchange.request.as_ref().and_then(|part| part.head.fields.get("ce-id"));
    let given = given.and_then(|id| str::from_utf8(id).ok()).filter(|id| !id.is_empty() && id.len() <= ID_MAX);
    if let Some(given) = given {
        return given.to_owned();
    }
    let flow = &exchange.flow;
    let first = exchange.request.as_ref().or(exchange.response.as_ref()).map_or(flow.start, |part| part.first_byte);
    let numbers = [flow.id, flow.start.as_nanos(), first.as_nanos(), exchange.number];
    let mut hash = Sha256::new();
    hash.update(format!("{:?} {} {}", flow.key, flow.client.endpoint, flow.server.endpoint));
    for number in numbers {
        hash.update(number.to_be_bytes());
    }
    let digest = hash.finalize();
    let mut bits = digest.iter().take(16).fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
    bits = bits & !(0xf << 76) | 8 << 76;
    bits = bits & !(0b11 << 62) | 0b10 << 62;
    let digits = format!("{bits:032x}");
    let group = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", group(0, 8), group(8, 12), group(12, 16), group(16, 20), group(20, 32))
}

/// A header's value as the HTTP protocol binding has it (section 3.1.3.2): what is not printable ASCII, and space, quotation
/// mark and percent sign, percent-encoded.
pub(super) fn encoded(text: &str) -> HeaderValue {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if matches!(byte, b'!'..=b'~') && !matches!(byte, b'"' | b'%') {
            out.push(char::from(byte));
        } else {
            // Into a string nothing fails.
            let _written = write!(out, "%{byte:02X}");
        }
    }
    HeaderValue::try_from(out).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// What was sent, as far as it is there, and whether that is all. Content coding is removed; gRPC has its framing again.
pub(super) fn payload(part: &Part) -> (Bytes, bool) {
    let whole = part.ended && part.body_missing == 0 && !part.redacted && !part.body_cut();
    match part.pieces.as_ref().map(|pieces| pieces.format) {
        None | Some(Format::EventStream | Format::JsonLines) => (part.body.clone(), whole),
        Some(Format::Grpc) => (framed(part), whole),
        // The frames are not kept, and nothing tells them.
        Some(Format::GrpcWeb | Format::GrpcWebText | Format::WebSocket | Format::Multipart) => {
            (part.body.clone(), false)
        }
    }
}

/// Messages of gRPC with their prefix, none compressed (gRPC over HTTP/2, "Length-Prefixed-Message").
fn framed(part: &Part) -> Bytes {
    let pieces = part.pieces.iter().flat_map(|pieces| &pieces.kept);
    let mut out = BytesMut::with_capacity(part.body.len() + 5 * pieces.clone().count());
    for kept in pieces {
        let message = kept.of(&part.body);
        out.put_u8(0);
        out.put_u32(message.len() as u32);
        out.put_slice(message);
    }
    out.freeze()
}
