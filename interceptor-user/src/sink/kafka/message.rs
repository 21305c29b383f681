use rskafka::protocol::record::{Record as Encoded, RecordHeader};

use crate::{
    model::{Exchange, Part, Record, Target},
    sink::{
        Sink as _,
        json::{self, JsonSink},
    },
};

/// Version of the records' schema, `docs/exchange.schema.json`: counted up when a name changes its meaning.
const SCHEMA: &str = "1";
/// What a record has beside key, value and headers, about.
const OVERHEAD: usize = 128;

/// A record as Kafka has it.
pub(super) struct Message {
    key: Option<String>,
    value: Vec<u8>,
    headers: Vec<(&'static str, &'static str)>,
    /// Milliseconds since the Unix epoch.
    pub(super) time: i64,
}

impl Message {
    pub(super) fn key(&self) -> Option<&[u8]> {
        self.key.as_deref().map(str::as_bytes)
    }

    /// About the bytes that it takes in a batch, not compressed.
    pub(super) fn size(&self) -> usize {
        OVERHEAD + self.value.len() + self.key.as_ref().map_or(0, String::len)
    }

    /// As it lies in a batch whose first record has this time.
    pub(super) fn encoded(self, index: usize, first: i64) -> Encoded {
        let header = |(name, value): (&str, &str)| RecordHeader { key: name.to_owned(), value: value.into() };
        Encoded {
            timestamp_delta: self.time.saturating_sub(first),
            offset_delta: i32::try_from(index).unwrap_or(i32::MAX),
            key: self.key.map(String::into_bytes),
            value: Some(self.value),
            headers: self.headers.into_iter().map(header).collect(),
        }
    }
}

/// Makes messages of records.
pub(super) struct Writer(JsonSink<Vec<u8>>);

impl Writer {
    pub(super) fn new(contents: bool) -> Self {
        Self(JsonSink::new(Vec::new(), json::Options { bodies: contents, ..json::Options::default() }))
    }

    pub(super) fn message(&mut self, record: &Record) -> anyhow::Result<Message> {
        self.0.record(record)?;
        let mut value = self.0.take_lines()?;
        value.pop_if(|last| *last == b'\n');
        let (kind, key, dialect, time) = match record {
            Record::Exchange(exchange) => {
                let dialect = exchange.inference.as_ref().map(|inference| inference.dialect);
                ("exchange", Some(key(exchange)), dialect, start(exchange))
            }
            Record::Drift(drift) => {
                ("drift", drift.model.as_deref().map(str::to_owned), Some(drift.dialect), drift.end.as_nanos())
            }
            Record::Edge(edge) => ("edge", edge.model.as_deref().map(str::to_owned), None, edge.end.as_nanos()),
            Record::Flow(flow) => {
                ("flow", Some(flow.flow.server.endpoint.ip().to_string()), None, flow.time.as_nanos())
            }
            Record::Message(message) => ("message", Some(key(&message.exchange)), None, start(&message.exchange)),
        };
        let mut headers =
            vec![("content-type", "application/json"), ("interceptor-record", kind), ("interceptor-schema", SCHEMA)];
        headers.extend(dialect.map(|dialect| ("interceptor-dialect", dialect.name())));
        Ok(Message { key, value, headers, time: (time / 1_000_000).cast_signed() })
    }
}

fn start(exchange: &Exchange) -> u64 {
    let part = exchange.request.as_ref().or(exchange.response.as_ref());
    part.map_or(exchange.flow.start, |part| part.first_byte).as_nanos()
}

/// The model, as the request names it, else the response; where none is named the server, by its name or address.
fn key(exchange: &Exchange) -> String {
    let model = exchange
        .inference
        .as_ref()
        .and_then(|inference| inference.model.as_ref().or(inference.response_model.as_ref()));
    let named = || match exchange.request.as_ref().map(Part::target) {
        Some(Target { authority: Some(authority), .. }) => authority.host.to_owned(),
        _ => exchange.flow.server.endpoint.ip().to_string(),
    };
    model.cloned().unwrap_or_else(named)
}
