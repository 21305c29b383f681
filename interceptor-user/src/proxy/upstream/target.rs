//! Where a request is to go.

use std::{net::SocketAddr, rc::Rc};

use crate::{
    policy::document::{BackendRef, Route},
    proxy::fields,
};

/// A name for an upstream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::proxy) enum Target {
    /// Where the client's connection was going.
    Destination(SocketAddr),
    /// A backend of a route: `host:port`.
    Backend(Rc<str>),
}

impl Target {
    /// One of the route's backends, by their weights.
    pub(in crate::proxy) fn of(route: Option<&Route>, destination: SocketAddr) -> Self {
        let Some(backend) = route.and_then(|route| chosen(&route.backend_refs)) else {
            return Self::Destination(destination);
        };
        let namespace = backend.namespace.as_ref().map(|namespace| format!(".{namespace}")).unwrap_or_default();
        let port = backend.port.as_ref().map_or(destination.port(), |port| port.value);
        Self::Backend(format!("{}{namespace}:{port}", backend.name).into())
    }
}

fn chosen(backends: &[BackendRef]) -> Option<&BackendRef> {
    let all: u64 = backends.iter().map(|backend| u64::from(backend.weight)).sum();
    let mut at = fields::random() % all.max(1);
    let chosen = backends.iter().find(|backend| {
        let weight = u64::from(backend.weight);
        let is_here = at < weight;
        at = at.saturating_sub(weight);
        is_here
    });
    chosen.or_else(|| backends.first())
}
