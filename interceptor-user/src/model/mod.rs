//! The words of this program: what every stage hands to the next.
//!
//! Stages import this module and never each other. It imports nothing local but `interceptor-common`.

mod anomaly;
mod cidr;
mod container;
mod content;
mod counts;
mod drift;
mod edge;
mod entity;
mod event;
mod exchange;
mod finding;
mod flow;
pub(crate) mod glob;
mod head;
mod inference;
mod ledger;
mod message;
mod reach;
mod record;
mod rpc;
mod target;
mod tensor;
mod time;
mod tls;
mod trace;
mod verdict;

pub use anomaly::{Anomalies, Anomaly};
pub use cidr::Cidr;
pub use container::{Container, Pod, Qos};
pub use content::{Coding, Format, KeptPiece, Kind, Piece, Pieces};
pub use counts::{Counts, SetAside};
pub use drift::{DriftRecord, DriftTest};
pub use edge::{EdgeEnd, EdgeRecord};
pub use entity::Entity;
pub use event::{Event, LossReport, Owner, Segment, SocketChange, SocketReport, TcpFlags};
pub use exchange::{Abort, Delays, Exchange, Gone, Part, Tail};
pub use finding::{Concealed, Finding, InspectorName, Uninspected, UninspectedReason};
pub use flow::{Endpoint, FlowInfo, FlowKey, Peer, Process, Side, SocketFigures};
pub use head::{Draft, Fields, Head, StartLine, Version, Word};
pub use inference::{Dialect, Inference, ModelError, Operation, Text, Timing, ToolCall, Unread, Usage};
pub use ledger::{Ledger, LossReason, SideLedger};
pub use message::{Chunk, Expects, FlowEnd, FlowEvent, Message, Role};
pub use reach::{Networks, Ports, Reach};
pub use record::{FlowRecord, MessageRecord, Protocol, Record};
pub use rpc::{Rpc, STATUS_CODES, percent_decoded, status_name};
pub use target::{Authority, Target};
pub use tensor::{Datatype, Tensor, Values};
pub use time::Timestamp;
pub use tls::{TlsHello, TlsVersion};
pub use trace::{from_hex, traceparent};
pub use verdict::{Decide, Needs, RuleVerdict, Sampled, SinkName, Sinks, Verdict, Would};
