use clap::Args;

use crate::{
    config::Ports,
    policy::{CallStatus, Filter, HostPattern, MethodName, PathPattern, StatusRange},
};

/// Conditions on exchanges: an exchange is shown if it meets each that is given.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Filters (all must hold; of several values of one, any)")]
pub(super) struct FilterArgs {
    /// Port of either end: 8080, 9000-9010
    #[arg(long, value_name = "PORT", value_delimiter = ',')]
    pub(super) port: Vec<Ports>,
    /// Host that the request names (* and ? allowed), or address or CIDR block of either end
    #[arg(long, value_delimiter = ',')]
    pub(super) host: Vec<HostPattern>,
    /// Request method
    #[arg(long, value_delimiter = ',')]
    pub(super) method: Vec<MethodName>,
    /// Beginning of the path; with * or ? a pattern for all of it (* stands for / too)
    #[arg(long)]
    pub(super) path: Vec<PathPattern>,
    /// Status code, class or range: 200, 4xx, 500-599
    #[arg(long, value_delimiter = ',')]
    pub(super) status: Vec<StatusRange>,
    /// Status of the gRPC call, by name or number; with ! any but that: NOT_FOUND, 14, '!OK'
    #[arg(long, value_name = "STATUS", value_delimiter = ',')]
    pub(super) grpc_status: Vec<CallStatus>,
}

impl FilterArgs {
    pub(super) fn filter(&self) -> Filter {
        Filter {
            ports: self.port.iter().map(|ports| ports.first..=ports.last).collect(),
            hosts: self.host.clone(),
            methods: self.method.clone(),
            paths: self.path.clone(),
            statuses: self.status.clone(),
            calls: self.grpc_status.clone(),
            processes: Vec::new(),
        }
    }
}
