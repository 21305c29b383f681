//! How many exchanges there were and what was in them, whoever's they are.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry, local::LocalIntCounter};

use super::metrics::{array, by_label, register};
use crate::model::{Abort, Exchange, Format, Protocol, Role, Rpc};

/// How whole an exchange is; the values of the label `completeness`.
const COMPLETENESS: [&str; 4] = ["complete", "partial", "no_request", "no_response"];
/// The values of the label `protocol`.
const PROTOCOLS: [&str; 4] = ["http1", "http2", "websocket", "grpc"];
/// The values of the label `by`.
const ABORTERS: [Role; 2] = [Role::Request, Role::Response];
/// Codes of RFC 9113 section 7; all that others have no name for is one.
const ABORT_CODES: u32 = 14;

/// Exchanges by completeness that a worker has seen end. They are told last, so that whoever sees one counted finds all else that is
/// counted of it.
pub(super) struct Over([LocalIntCounter; 4]);

impl Over {
    pub(super) fn count(&self, exchange: &Exchange) {
        let [complete, partial, no_request, no_response] = &self.0;
        let counter = match (&exchange.request, &exchange.response) {
            (None, _) => no_request,
            (Some(_), None) => no_response,
            _ if exchange.complete() => complete,
            _ => partial,
        };
        counter.inc();
    }

    pub(super) fn flush(&self) {
        self.0.iter().for_each(LocalIntCounter::flush);
    }
}

pub(super) struct Exchanges {
    completeness: [IntCounter; 4],
    protocols: [IntCounter; 4],
    /// By [`Format`], then by [`Role`].
    messages: Vec<IntCounter>,
    /// By [`ABORTERS`], then by code.
    aborted: Vec<IntCounter>,
}

impl Exchanges {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let messages = register(
            registry,
            IntCounterVec::new(
                Opts::new(
                    "interceptor_messages_total",
                    "Messages in the contents of exchanges that are over, by what divides the content and by who sent it.",
                ),
                &["format", "direction"],
            ),
        )?;
        let aborted = register(
            registry,
            IntCounterVec::new(
                Opts::new(
                    "interceptor_streams_aborted_total",
                    "HTTP/2 streams that a RST_STREAM or GOAWAY ended, by whose it was and by its error code.",
                ),
                &["by", "code"],
            ),
        )?;
        let formats =
            Format::ALL.into_iter().flat_map(|format| [[format.name(), "request"], [format.name(), "response"]]);
        let codes = ABORTERS.into_iter().flat_map(|by| (0..=ABORT_CODES).map(move |code| Abort { by, code }));
        Ok(Self {
            completeness: array(by_label(
                registry,
                "interceptor_exchanges_total",
                "Exchanges that are over, by how whole they were seen.",
                "completeness",
                COMPLETENESS,
            )?)?,
            protocols: array(by_label(
                registry,
                "interceptor_exchange_protocols_total",
                "Exchanges that are over, by what was spoken: a gRPC call is one of grpc only.",
                "protocol",
                PROTOCOLS,
            )?)?,
            messages: formats.map(|values| messages.get_metric_with_label_values(&values)).collect::<Result<_, _>>()?,
            aborted: codes
                .map(|abort| {
                    aborted.get_metric_with_label_values(&[abort.by_name(), abort.code_name().unwrap_or("_OTHER")])
                })
                .collect::<Result<_, _>>()?,
        })
    }

    /// For a worker.
    pub(super) fn over(&self) -> Over {
        Over(self.completeness.each_ref().map(IntCounter::local))
    }

    pub(super) fn count(&self, exchange: &Exchange, rpc: Option<&Rpc<'_>>) {
        let [http1, http2, websocket, grpc] = &self.protocols;
        let counter = match exchange.protocol {
            _ if rpc.is_some() => grpc,
            Protocol::WebSocket => websocket,
            Protocol::Http2 => http2,
            _ => http1,
        };
        counter.inc();
        for (direction, part) in [&exchange.request, &exchange.response].into_iter().enumerate() {
            let Some(pieces) = part.as_ref().and_then(|part| part.pieces.as_ref()) else { continue };
            if let Some(counter) = self.messages.get(2 * pieces.format as usize + direction) {
                counter.inc_by(pieces.count);
            }
        }
        if let Some(Abort { by, code }) = exchange.abort {
            let codes = ABORT_CODES as usize + 1;
            let place = by as usize * codes + code.min(ABORT_CODES) as usize;
            self.aborted.get(place).inspect(|counter| counter.inc());
        }
    }
}
