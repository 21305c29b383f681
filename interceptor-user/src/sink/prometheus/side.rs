//! How one side sees an exchange: what metrics and spans say alike.

use super::{inferences::error_kind, labels::Outcome, route::push_route, rpc::Call};
use crate::{
    config::Paths,
    model::{Exchange, FlowInfo, Head, Rpc, Side},
};

/// Whose an exchange is. A socket that the kernel told us of is a local one. Where neither is known (a router, an old
/// kernel), the exchange is taken as the server's.
pub(in crate::sink) fn sides(flow: &FlowInfo) -> impl Iterator<Item = Side> + use<> {
    let local = |side| is_local(flow, side);
    let (server, client) = (local(Side::Server), local(Side::Client));
    let server = (server || !client).then_some(Side::Server);
    server.into_iter().chain(client.then_some(Side::Client))
}

/// Is the socket at this end one of this machine's?
pub(in crate::sink) const fn is_local(flow: &FlowInfo, side: Side) -> bool {
    let peer = flow.peer(side);
    peer.cookie.is_some() || peer.cgroup.is_some()
}

/// `error.type`, as this side sees it; empty where all is well.
pub(in crate::sink) fn error_type(exchange: &Exchange, request: &Head, rpc: Option<&Rpc<'_>>, side: Side) -> String {
    if let Some(error) = exchange.inference.as_ref().and_then(|inference| inference.error.as_ref()) {
        return error_kind(error);
    }
    if let Some(rpc) = rpc {
        return Call::new(exchange, request, rpc, side).error_type();
    }
    let [_, error] = Outcome::of(exchange, side).values();
    error
}

/// The method of a call; `_OTHER` where it cannot be one, empty where it is not known.
pub(in crate::sink) fn called<'a>(rpc: &Rpc<'a>) -> &'a str {
    super::rpc::method(rpc)
}

/// The route of a request target: of what differs from request to request there are placeholders.
pub(in crate::sink) fn route(target: &str) -> String {
    let mut route = Vec::new();
    push_route(target, Paths::Template, &mut route);
    String::from_utf8_lossy(&route).into_owned()
}
