//! The trace context that a request carries: W3C Trace Context (<https://www.w3.org/TR/trace-context-2/>), else gRPC's
//! binary form (`grpc-trace-bin`, OpenCensus' BinaryEncoding), else B3
//! (<https://github.com/openzipkin/b3-propagation>), single or in several fields. One that is malformed is none.

#[cfg(test)]
mod tests;

use base64::{Engine as _, alphabet::STANDARD, engine};

use crate::model::{Fields, from_hex, traceparent};

/// Id of a trace.
pub type TraceId = [u8; 16];
/// Id of a span.
pub type SpanId = [u8; 8];

/// Bytes of `tracestate` that are passed on (Trace Context section 3.3.1.5 asks for 512).
const STATE_MAX: usize = 512;

/// Base64 with padding or without: both are sent.
const BASE64: engine::GeneralPurpose = engine::GeneralPurpose::new(
    &STANDARD,
    engine::GeneralPurposeConfig::new().with_decode_padding_mode(engine::DecodePaddingMode::Indifferent),
);

/// What a request says of its trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// The span that it was sent for.
    pub parent: Option<Parent>,
    /// Is the trace recorded? None where that is left open.
    pub sampled: Option<bool>,
    /// `tracestate`, to be passed on.
    pub state: String,
}

/// A span of somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Parent {
    /// Its trace.
    pub trace: TraceId,
    /// Its id.
    pub span: SpanId,
}

impl Parent {
    /// Zero stands for none.
    fn new(trace: TraceId, span: SpanId) -> Option<Self> {
        (trace != [0; 16] && span != [0; 8]).then_some(Self { trace, span })
    }
}

impl Context {
    /// Of a request with these fields.
    pub fn of(fields: &Fields) -> Self {
        w3c(fields).or_else(|| binary(fields)).or_else(|| b3(fields)).or_else(|| b3_multi(fields)).unwrap_or_default()
    }
}

fn w3c(fields: &Fields) -> Option<Context> {
    let mut lines = fields.get_all("traceparent");
    let (Some(text), None) = (lines.next(), lines.next()) else { return None };
    let (trace, span, flags) = traceparent(text.trim_ascii())?;
    let parent = Parent { trace, span };
    Some(Context { parent: Some(parent), sampled: Some(flags & 1 == 1), state: state(fields) })
}

/// The list of `tracestate`, as many whole members as there is room for.
fn state(fields: &Fields) -> String {
    let mut state = String::new();
    let lines = fields.get_all("tracestate").filter_map(|line| str::from_utf8(line).ok());
    for member in lines.flat_map(|line| line.split(',')).map(str::trim) {
        let printable = member.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if member.is_empty() || !printable {
            continue;
        }
        if state.len() + 1 + member.len() > STATE_MAX {
            break;
        }
        if !state.is_empty() {
            state.push(',');
        }
        state.push_str(member);
    }
    state
}

/// A version, then fields by their numbers: 0 the trace, 1 the span, 2 options, the lowest bit of which says that it is
/// sampled. As sent in base64, or behind a zero byte (gRPC's true binary metadata).
fn binary(fields: &Fields) -> Option<Context> {
    let sent = fields.get("grpc-trace-bin")?;
    let decoded = match sent.split_first() {
        Some((0, raw)) => raw.to_vec(),
        _ if sent.len() > 128 => return None,
        _ => BASE64.decode(sent.trim_ascii()).ok()?,
    };
    let rest = decoded.strip_prefix(&[0, 0])?;
    let (trace, rest) = rest.split_first_chunk()?;
    let (span, rest) = rest.strip_prefix(&[1])?.split_first_chunk()?;
    let parent = Parent::new(*trace, *span)?;
    let sampled = rest.strip_prefix(&[2]).and_then(|options| options.first()).map(|options| options & 1 == 1);
    Some(Context { parent: Some(parent), sampled, state: String::new() })
}

/// `TRACE-SPAN[-SAMPLED[-PARENT]]`, or the sampling state alone.
fn b3(fields: &Fields) -> Option<Context> {
    let text = fields.get("b3")?.trim_ascii();
    let mut parts = text.split(|byte| *byte == b'-');
    let first = parts.next()?;
    let Some(span) = parts.next() else {
        let sampled = Some(decision(first)?);
        return Some(Context { sampled, ..Context::default() });
    };
    let parent = Parent::new(long_or_short(first)?, from_hex(span)?)?;
    let sampled = parts.next().map(|state| decision(state).ok_or(())).transpose().ok()?;
    Some(Context { parent: Some(parent), sampled, state: String::new() })
}

fn b3_multi(fields: &Fields) -> Option<Context> {
    let get = |name| fields.get(name).map(<[u8]>::trim_ascii);
    let debug = get("x-b3-flags") == Some(b"1");
    let sampled = if debug { Some(true) } else { get("x-b3-sampled").and_then(decision) };
    let ids = get("x-b3-traceid").zip(get("x-b3-spanid"));
    let parent = ids.and_then(|(trace, span)| Parent::new(long_or_short(trace)?, from_hex(span)?));
    (parent.is_some() || sampled.is_some()).then(|| Context { parent, sampled, state: String::new() })
}

/// B3's sampling state; `d` is debug, and sampled.
fn decision(state: &[u8]) -> Option<bool> {
    match state {
        b"1" | b"d" | b"true" => Some(true),
        b"0" | b"false" => Some(false),
        _ => None,
    }
}

/// B3's traces have 16 or 8 bytes; the short ones are the lower half.
fn long_or_short(text: &[u8]) -> Option<TraceId> {
    from_hex(text).or_else(|| from_hex::<8>(text).map(|low| u128::from(u64::from_be_bytes(low)).to_be_bytes()))
}
