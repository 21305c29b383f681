//! Which exchanges `tail` and `replay` show.
//!
//! Each condition is parsed from what the user wrote into a type that holds valid values only; the errors say what is
//! allowed. A [`Filter`] is the conjunction of its conditions; a condition that was given several values takes any of them.

mod call;
mod host;
mod method;
mod path;
mod status;

use std::ops::RangeInclusive;

use crate::model::{Exchange, FlowInfo, FlowRecord, Peer};

pub use self::{call::CallStatus, host::HostPattern, method::MethodName, path::PathPattern, status::StatusRange};

/// A condition that cannot be understood; the text says what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub(crate) String);

/// Which exchanges to show. A list that is empty allows everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Port of either end.
    pub ports: Vec<RangeInclusive<u16>>,
    /// Address of either end, or the host that the request names.
    pub hosts: Vec<HostPattern>,
    /// Request method.
    pub methods: Vec<MethodName>,
    /// Path of the request target.
    pub paths: Vec<PathPattern>,
    /// Status of the final response.
    pub statuses: Vec<StatusRange>,
    /// Status of the gRPC call.
    pub calls: Vec<CallStatus>,
    /// Process at either end.
    pub processes: Vec<ProcessPattern>,
}

/// A process, by its id and by the cgroup that its sockets belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessPattern {
    /// Process (thread group) id.
    pub pid: u32,
    /// Its cgroup, for sockets whose process the kernel did not tell.
    pub cgroup: Option<u64>,
}

impl ProcessPattern {
    fn matches(self, peer: &Peer) -> bool {
        match &peer.process {
            Some(process) => process.pid == self.pid,
            None => self.cgroup.is_some() && peer.cgroup == self.cgroup,
        }
    }
}

impl Filter {
    /// Does it allow everything?
    pub const fn is_empty(&self) -> bool {
        self.ports.is_empty()
            && self.hosts.is_empty()
            && self.methods.is_empty()
            && self.paths.is_empty()
            && self.statuses.is_empty()
            && self.calls.is_empty()
            && self.processes.is_empty()
    }

    /// Is this exchange to be shown? What is unknown of it (a missing request, say) meets no condition.
    pub fn matches(&self, exchange: &Exchange) -> bool {
        let head = exchange.request.as_ref().map(|part| &part.head);
        let status = || exchange.response.as_ref().and_then(|part| part.head.status());

        self.matches_ends(&exchange.flow)
            && any(&self.statuses, |range| status().is_some_and(|status| range.contains(status)))
            && any(&self.calls, |call| {
                exchange.rpc().and_then(|rpc| rpc.status).is_some_and(|status| call.fits(status))
            })
            && any(&self.methods, |method| head.and_then(|head| head.method()).is_some_and(|sent| method.matches(sent)))
            && self.matches_target(exchange)
    }

    /// Is this flow, which no exchange shows, to be shown? Whom it asks for is what its TLS names.
    pub fn matches_flow(&self, record: &FlowRecord) -> bool {
        let flow = &record.flow;
        let named = record.tls.as_ref().and_then(|hello| hello.server_name.as_deref());
        let addresses = [flow.client.endpoint.ip(), flow.server.endpoint.ip()];
        self.methods.is_empty()
            && self.paths.is_empty()
            && self.statuses.is_empty()
            && self.calls.is_empty()
            && self.matches_ends(flow)
            && any(&self.hosts, |host| host.matches(named, addresses))
    }

    /// Do the ends of the flow meet the conditions on ports and processes?
    pub fn matches_ends(&self, flow: &FlowInfo) -> bool {
        let either = |test: &dyn Fn(&Peer) -> bool| test(&flow.client) || test(&flow.server);
        any(&self.ports, |ports| either(&|peer| ports.contains(&peer.endpoint.port())))
            && any(&self.processes, |process| either(&|peer| process.matches(peer)))
    }

    fn matches_target(&self, exchange: &Exchange) -> bool {
        if self.hosts.is_empty() && self.paths.is_empty() {
            return true;
        }
        let target = exchange.request.as_ref().map(|part| part.target()).unwrap_or_default();
        let named = target.authority.map(|authority| authority.host);
        let addresses = [exchange.flow.client.endpoint.ip(), exchange.flow.server.endpoint.ip()];
        any(&self.hosts, |host| host.matches(named, addresses))
            && any(&self.paths, |path| target.path.is_some_and(|sent| path.matches(sent)))
    }
}

/// No values, or one of them fits.
fn any<T>(values: &[T], fits: impl FnMut(&T) -> bool) -> bool {
    values.is_empty() || values.iter().any(fits)
}

#[cfg(test)]
mod tests;
