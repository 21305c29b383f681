use std::{
    path::Path,
    sync::{Arc, atomic::AtomicBool},
    time::Instant,
};

use super::{learn::Args, progress::Progress};
use crate::{
    capture::pcap::PcapSource,
    cli::{signal, tail},
    inference,
    inspect::drift::baseline::Learner,
    kernel::{Capture, Identity},
    model::{Inference, Record, Role, glob},
    pipeline::{self, Pipeline},
    policy::Filter,
    privilege::{self, Give},
    sink::{Sink, Stop},
};

/// Bytes of each content that are looked at, as drift does.
const CONTENT: usize = 1 << 20;

/// Learns from exchanges.
pub(super) struct Learn {
    learner: Learner,
    filter: Filter,
    model: Option<String>,
    roles: &'static [Role],
    until: Option<Instant>,
    progress: Progress,
}

impl Learn {
    pub(super) fn new(args: &Args, until: Option<Instant>) -> Self {
        Self {
            learner: Learner::default(),
            filter: args.filter.filter(),
            model: args.model.clone(),
            roles: if args.input_only { &[Role::Request] } else { &[Role::Request, Role::Response] },
            until,
            progress: Progress::new(),
        }
    }

    /// Goes on with what was learned before.
    pub(super) fn with(self, learner: Learner) -> Self {
        Self { learner, ..self }
    }

    /// Hands over what was learned.
    pub(super) fn take(&mut self) -> Learner {
        self.progress.end();
        std::mem::take(&mut self.learner)
    }

    fn learn(&mut self, inference: &Inference) {
        let name = inference.model.as_deref().unwrap_or_default();
        if self.model.as_ref().is_none_or(|wanted| glob::matches(wanted, name)) {
            self.roles.iter().for_each(|role| self.learner.inference(inference, *role));
        }
    }
}

impl Sink for Learn {
    fn record(&mut self, record: &Record) -> anyhow::Result<()> {
        let Record::Exchange(exchange) = record else { return Ok(()) };
        if self.filter.is_empty() || self.filter.matches(exchange) {
            let read = inference::read(exchange, &inference::Options::default());
            if let Some(inference) = read {
                self.learn(&inference);
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        self.progress.tell(&self.learner);
        if self.until.is_some_and(|until| Instant::now() >= until) { Err(Stop.into()) } else { Ok(()) }
    }
}

fn options() -> pipeline::Options {
    let mut options = pipeline::Options::default();
    options.session.body = CONTENT;
    // A request and its response must fit.
    options.session.memory += 2 * CONTENT;
    options
}

/// Learns from a capture file.
pub(super) fn file(path: &Path, learn: Learn, stop: &Arc<AtomicBool>) -> anyhow::Result<Learn> {
    let mut source = PcapSource::open(path, stop)?;
    let mut pipeline = Pipeline::new(options(), learn);
    pipeline.run(&mut source, stop)?;
    pipeline.finish()?;
    Ok(pipeline.into_sink())
}

/// Learns from what passes until it is told to stop, or the time is over.
pub(super) fn live(args: &Args) -> anyhow::Result<Learner> {
    let place = args.watch.place()?;
    let needs = args.watch.needs(&place, Vec::new());
    let mut learn = Learn::new(args, None);
    learn.filter.processes.extend(place.process);
    // Before any thread is started.
    privilege::begin(Give { capabilities: true, sandbox: true }, &needs);
    let stop = signal::stop_flag()?;
    let mut identity = Identity::new(place.netns.as_deref())?;
    let mut capture = Capture::start(&args.watch.capture_options(place, &args.filter))?;
    let mut source = capture.source()?;
    capture.follow(privilege::settle)?;
    privilege::settle();
    tail::say_where(&capture);
    learn.until = args.duration.and_then(|duration| Instant::now().checked_add(duration.0));
    let mut pipeline = Pipeline::new(options(), learn).with_identify(Box::new(move |info| identity.fill(info)));
    pipeline.run(&mut source, &stop)?;
    pipeline.finish()?;
    tail::warn_of_drops(&capture.drops()?);
    Ok(pipeline.into_sink().take())
}
