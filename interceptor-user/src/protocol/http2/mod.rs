//! HTTP/2 (RFC 9113) in cleartext: both sides' bytes to what they mean for each stream.
//!
//! | what | read as |
//! |---|---|
//! | a frame that its type, its stream or the frame before it does not allow | [`BadFrame`]; out of step |
//! | a field block that cannot be decoded | [`BadHeaderBlock`]; what the table held is not known any more |
//! | a field block larger than a head may be | lost ([`HeadTooLarge`]); the same |
//! | a reference to what the table held before we joined | a placeholder; [`UnknownField`] |
//! | content beyond the window, a window beyond 2^31-1, an increment of 0 | [`FlowControl`]; read on |
//! | a thousand frames without use, or requests taken back, within ten seconds | [`Flood`]; read on |
//! | a gap within content or a frame of which nothing is needed | that much content is missing; still in step |
//! | a gap anywhere else | out of step |
//!
//! Out of step, a [`search`] finds where frames begin. What header compression knew is forgotten, and learnt anew
//! ([`hpack`]).
//!
//! [`BadFrame`]: crate::model::Anomaly::BadFrame
//! [`BadHeaderBlock`]: crate::model::Anomaly::BadHeaderBlock
//! [`HeadTooLarge`]: crate::model::Anomaly::HeadTooLarge
//! [`UnknownField`]: crate::model::Anomaly::UnknownField
//! [`FlowControl`]: crate::model::Anomaly::FlowControl
//! [`Flood`]: crate::model::Anomaly::Flood

mod block;
mod connection;
mod flood;
mod frame;
pub mod hpack;
mod search;
mod section;
mod side;
mod windows;

pub use connection::{Connection, Event};
pub use section::{Content, Section};
pub(crate) use side::PREFACE;
