//! Two pods, a model server and a client, to see the interceptor at work.

pub mod client;
mod inference;
mod model;
mod namespace;
mod netlink;
pub mod pod;
mod quantiles;
pub mod server;
mod summary;

pub use namespace::Namespace;
