//! The sinks of the daemon, each on its thread.

use std::{env, fs, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;

use crate::{
    config::{Config, LinesTo, Otlp, PayloadsCompression, PayloadsFormat, PayloadsTo},
    model::{Record, SinkName, Sinks as Names},
    privilege,
    sink::{
        cloudevents::Cloudevents,
        delivery::{self, Deliver, Limits, Outlet, Running},
        kafka::{self, Kafka},
        lines::Lines,
        otlp::{self, Settings, logs::Logs, trace::Traces},
        payloads::{Payloads, Place},
        prometheus::{Linker, Metrics},
    },
};

/// Those that are configured.
pub(super) struct Sinks {
    outlets: Vec<Outlet>,
    running: Vec<Running>,
    limits: Limits,
    metrics: Arc<Metrics>,
    linker: Linker,
}

impl Sinks {
    /// Opens what they write to, so that what cannot be is told before anything is captured.
    pub(super) fn start(config: &Config, metrics: &Arc<Metrics>) -> anyhow::Result<Self> {
        let limits = Limits::from(&config.delivery);
        let otlp = otlp_settings(&config.otlp);
        let linker = otlp::metrics::linker(&otlp);
        let mut sinks = Self { outlets: Vec::new(), running: Vec::new(), limits, metrics: Arc::clone(metrics), linker };
        sinks.lines(&config.lines)?;
        sinks.otlp(&otlp)?;
        sinks.kafka(&config.kafka)?;
        sinks.cloudevents(&config.cloudevents)?;
        sinks.payloads(&config.payloads)?;
        Ok(sinks)
    }

    fn lines(&mut self, config: &crate::config::Lines) -> anyhow::Result<()> {
        let limits = self.limits;
        match &config.to {
            LinesTo::None => Ok(()),
            LinesTo::Stdout => self.add(SinkName::Lines, Lines::wants, limits, Lines::to_stdout()),
            LinesTo::File(path) => {
                let lines = Lines::to_file(path, config.max_size.0, config.files.0)?;
                self.add(SinkName::Lines, Lines::wants, limits, lines)
            }
        }
    }

    fn otlp(&mut self, settings: &Settings) -> anyhow::Result<()> {
        let limits = self.limits;
        for warning in &settings.warnings {
            tracing::warn!("{warning}");
        }
        if let Some(target) = &settings.traces {
            let (traces, sample) = (Traces::new(target, settings, limits)?, settings.sample);
            self.add(SinkName::Traces, move |record| Traces::wants(record, sample), limits, traces)?;
        }
        if let Some(target) = &settings.metrics {
            let running = otlp::metrics::start(settings, target, &self.metrics, limits.grace, privilege::settle)?;
            self.metrics.watch_sink(Arc::clone(running.counts()));
            self.running.push(running);
        }
        if let Some(target) = &settings.logs {
            self.add(SinkName::Logs, Logs::wants, limits, Logs::new(target, settings)?)?;
        }
        Ok(())
    }

    fn kafka(&mut self, config: &crate::config::Kafka) -> anyhow::Result<()> {
        if config.brokers.is_empty() {
            return Ok(());
        }
        let sink = Kafka::new(config, env::var(kafka::PASSWORD).ok())?;
        self.add(SinkName::Kafka, Kafka::wants, self.limits, sink)
    }

    fn cloudevents(&mut self, config: &crate::config::Cloudevents) -> anyhow::Result<()> {
        if config.url.0.is_empty() {
            return Ok(());
        }
        // Each record is two requests: a batch that is small is counted soon.
        let limits = Limits { batch_records: 64, batch_wait: Duration::from_millis(100), ..self.limits };
        self.add(SinkName::Cloudevents, Cloudevents::wants(config.mode), limits, Cloudevents::new(config)?)
    }

    fn payloads(&mut self, config: &crate::config::Payloads) -> anyhow::Result<()> {
        let Some(place) = Place::open(&config.to)? else { return Ok(()) };
        if config.format == PayloadsFormat::Jsonl && config.compression == PayloadsCompression::Snappy {
            anyhow::bail!(
                "payloads.compression: lines of JSON are not compressed by snappy (choose none, gzip or zstd)"
            );
        }
        if let Err(error) = Place::probe(&config.to) {
            tracing::warn!(sink = "payloads", "{} cannot be reached now, and is tried again: {error:#}", config.to);
        }
        let limits = Payloads::limits(config, self.limits);
        self.add(SinkName::Payloads, Payloads::wants, limits, Payloads::new(place, config))
    }

    fn add<D: Deliver>(
        &mut self,
        name: SinkName,
        wants: impl Fn(&Record) -> bool + Send + Sync + 'static,
        limits: Limits,
        to: D,
    ) -> anyhow::Result<()> {
        let (outlet, running) = delivery::start(name, wants, limits, privilege::settle, to)?;
        self.metrics.watch_sink(Arc::clone(running.counts()));
        self.outlets.push(outlet);
        self.running.push(running);
        Ok(())
    }

    /// Where workers put records.
    pub(super) fn outlets(&self) -> &[Outlet] {
        &self.outlets
    }

    /// What the metrics' exemplars name.
    pub(super) const fn linker(&self) -> &Linker {
        &self.linker
    }

    /// Ends all of them at once, and waits until what they could deliver is delivered.
    pub(super) fn end(self) {
        drop(self.outlets);
        self.running.iter().for_each(Running::end);
        self.running.into_iter().for_each(Running::join);
    }
}

fn otlp_settings(config: &Otlp) -> Settings {
    Settings::new(config, &|name| env::var(name).ok())
}

/// Those that are configured and get contents, as far as policies keep them.
pub(super) fn contents(config: &Config) -> Names {
    let configured = [
        (SinkName::Payloads, config.payloads.to != PayloadsTo::None),
        (SinkName::Cloudevents, !config.cloudevents.url.0.is_empty()),
        (SinkName::Kafka, !config.kafka.brokers.is_empty() && config.kafka.contents.0),
    ];
    configured.into_iter().filter_map(|(name, is)| is.then_some(name)).collect()
}

/// Does one of them speak to another machine?
pub(super) fn outbound(config: &Config) -> bool {
    let otlp = otlp_settings(&config.otlp);
    [otlp.traces, otlp.metrics, otlp.logs].iter().any(Option::is_some)
        || !config.cloudevents.url.0.is_empty()
        || !config.kafka.brokers.is_empty()
        || matches!(config.payloads.to, PayloadsTo::Store(_))
}

/// Directories that they write to. They have to be there before files are restricted.
pub(super) fn written(config: &Config) -> anyhow::Result<Vec<PathBuf>> {
    let lines = match &config.lines.to {
        LinesTo::File(path) => Some(super::directory_of(path)),
        LinesTo::None | LinesTo::Stdout => None,
    };
    let payloads = match &config.payloads.to {
        PayloadsTo::Directory(path) => Some(path.clone()),
        PayloadsTo::None | PayloadsTo::Store(_) => None,
    };
    if let Some(path) = &payloads {
        fs::create_dir_all(path).with_context(|| {
            format!("cannot make the directory {} (choose another with --payloads-to)", path.display())
        })?;
    }
    Ok(lines.into_iter().chain(payloads).collect())
}

/// Variables that name files with tokens of stores, which are read again as they expire.
const TOKENS: [&str; 4] = [
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AZURE_FEDERATED_TOKEN_FILE",
    "GOOGLE_APPLICATION_CREDENTIALS",
];

/// Files that they go on reading.
pub(super) fn read(config: &Config) -> impl Iterator<Item = PathBuf> {
    let tokens = TOKENS.iter().filter(|_| outbound(config)).filter_map(env::var_os);
    // Kubernetes replaces them, in their directory.
    tokens.map(|path| super::directory_of(path.as_ref()))
}
