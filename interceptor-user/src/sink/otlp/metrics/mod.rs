//! Metrics over OTLP: all that `/metrics` shows, by the names of the semantic conventions, pushed regularly.
//!
//! Data points are cumulative, so one export supersedes those before it: what could not be sent is not kept, and counted
//! as expired.

mod link;
mod names;
mod points;
mod push;
#[cfg(test)]
mod tests;

use std::{fs, process, sync::Arc, time::Duration};

use opentelemetry_proto::tonic::{common::v1::any_value::Value, resource::v1::Resource};

pub use self::link::linker;
use self::{points::attribute, push::Push};
use super::{Settings, Target};
use crate::sink::{
    delivery::{self, Counts, Running},
    prometheus::Metrics,
};

/// Begins to push to `target`, where `settings` say it, and once more at the end, for which it has `grace`. Its thread calls
/// `begin` first.
pub fn start(
    settings: &Settings,
    target: &Target,
    metrics: &Arc<Metrics>,
    grace: Duration,
    begin: fn(),
) -> anyhow::Result<Running> {
    let counts = Arc::new(Counts::new("metrics"));
    let runtime = delivery::runtime()?;
    let resource = resource(settings);
    let push = Push::new(target, Arc::clone(metrics), resource, Arc::clone(&counts))?;
    let interval = settings.metrics_interval;
    delivery::spawn(&counts, grace, runtime, begin, move |ended| push.run(interval, grace, ended))
}

/// Who counts: this process. Whose exchanges are counted is in the attributes.
fn resource(settings: &Settings) -> Resource {
    let text = |name: &str, value: &str| attribute(name, Value::StringValue(value.to_owned()));
    let service = settings.service_name.as_deref().unwrap_or("interceptor");
    let mut attributes = vec![text("service.name", service), text("service.version", env!("CARGO_PKG_VERSION"))];
    // There may be no /proc; then the name is not told.
    if let Ok(host) = fs::read_to_string("/proc/sys/kernel/hostname") {
        attributes.push(text("host.name", host.trim()));
    }
    attributes.push(text("process.executable.name", "interceptor"));
    attributes.push(attribute("process.pid", Value::IntValue(process::id().into())));
    for (name, value) in &settings.resource {
        attributes.retain(|attribute| attribute.key != *name);
        attributes.push(text(name, value));
    }
    Resource { attributes, ..Resource::default() }
}
