//! Log records: what was found in exchanges, what a policy would have done, what is odd about them, and drift.

mod entries;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use opentelemetry_proto::tonic::{
    collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
};

use super::{
    Client, LOGS, Settings, Target, attributes,
    export::export,
    resource::{Common, Entity},
};
use crate::{
    model::{Exchange, Record, Side},
    sink::{
        delivery::{Attempt, Deliver},
        json::Said,
        prometheus::sides,
    },
};

/// Sends log records.
pub struct Logs {
    client: Client<ExportLogsServiceRequest, ExportLogsServiceResponse>,
    common: Common,
    /// The part of the traces that begin here that is sent.
    sample: f64,
    said: Said,
}

impl Logs {
    /// To this target.
    pub fn new(target: &Target, settings: &Settings) -> anyhow::Result<Self> {
        Ok(Self {
            client: Client::new(&LOGS, target)?,
            common: Common::new(settings),
            sample: settings.sample,
            said: Said::new(),
        })
    }

    /// Is there something to say of it?
    pub fn wants(record: &Record) -> bool {
        match record {
            Record::Exchange(exchange) => {
                let told = exchange.verdict.as_ref().is_some_and(|verdict| {
                    !verdict.findings.is_empty() || verdict.rules.iter().any(|rule| rule.would.is_some())
                });
                told || entries::is_odd(exchange)
            }
            Record::Drift(_) | Record::Edge(_) => true,
            Record::Message(_) | Record::Flow(_) => false,
        }
    }

    fn request(&mut self, batch: &[Arc<Record>]) -> ExportLogsServiceRequest {
        let mut by_entity: BTreeMap<Entity<'_>, Vec<LogRecord>> = BTreeMap::new();
        for record in batch {
            match &**record {
                Record::Exchange(exchange) => {
                    let side = side(exchange);
                    let logs = entries::of_exchange(exchange, side, self.sample, &mut self.said);
                    by_entity.entry(Entity::of(exchange.flow.peer(side))).or_default().extend(logs);
                }
                // It is of many exchanges.
                Record::Drift(drift) => {
                    by_entity.entry(Entity::ours()).or_default().push(entries::of_drift(drift, &mut self.said));
                }
                Record::Edge(edge) => {
                    by_entity.entry(Entity::ours()).or_default().push(entries::of_edge(edge, &mut self.said));
                }
                Record::Message(_) | Record::Flow(_) => {}
            }
        }
        let of_one = |(entity, log_records)| ResourceLogs {
            resource: Some(self.common.resource(&entity)),
            scope_logs: vec![ScopeLogs { scope: Some(attributes::scope()), log_records, ..ScopeLogs::default() }],
            ..ResourceLogs::default()
        };
        ExportLogsServiceRequest { resource_logs: by_entity.into_iter().map(of_one).collect() }
    }
}

/// At which end it is told: the server's, if that is on this machine.
fn side(exchange: &Exchange) -> Side {
    sides(&exchange.flow).next().unwrap_or(Side::Server)
}

impl Deliver for Logs {
    async fn deliver(&mut self, batch: Vec<Arc<Record>>) -> Attempt {
        let request = self.request(&batch);
        export(&self.client, &request, batch).await
    }
}
