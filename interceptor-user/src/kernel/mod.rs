//! Loading, attaching, feature detection, and the maps.
//!
//! One [`Capture`] is one load of the kernel object and one set of rings, attached to interfaces of any number of network
//! namespaces ("zones") and to cgroups, which may come and go. Dropping it detaches everything and leaves nothing in the
//! kernel.

mod attach;
mod btf;
mod capture;
pub mod cgroup;
pub mod checks;
mod clsact;
mod container;
mod cut_off;
pub mod features;
mod follow;
mod identity;
mod leftover;
mod link;
mod maps;
pub(crate) mod netlink;
mod netns;
mod object;
mod options;
mod owned;
mod pins;
mod places;
mod quiescence;
mod reach;
mod refusal;
mod ring;
mod rings;
mod scope;
mod start_up;
mod steer;
mod zone;

pub use attach::{Attachment, Hook};
pub use capture::Capture;
pub use cut_off::{CutOffs, TURN_FIRST, Way};
pub use identity::Identity;
pub use maps::{Drops, Sweep};
pub use netns::own_number;
pub use options::{CaptureOptions, Filters};
pub use refusal::Refusal;
pub use rings::Rings;
pub use steer::{Inbound, InboundHook, InboundOptions, Original, SteerOptions, SteerRule, Steering};
