use std::io::{self, Stdout};

use super::summary::Summary;
use crate::{
    model::{Event, FlowInfo, Record, SetAside, SinkName},
    policy::Filter,
    protobuf::Registry,
    sink::{Sink, Stop, har::HarSink, json::JsonSink, messages, pcapng::PcapngSink, text::TextSink},
};

/// Shows what the filter lets pass, up to a count, in one of the formats.
pub(super) struct View {
    filter: Filter,
    /// Where descriptors go that servers tell, whether their exchanges are shown or not.
    learns: Option<Registry>,
    left: Option<u64>,
    /// Exchanges that mean nothing to a model server are not shown, and no flows.
    models_only: bool,
    to: To,
}

pub(super) enum To {
    Text(Box<TextSink<Stdout>>),
    Json(JsonSink<Stdout>),
    Summary(Box<Summary>),
    Har(Box<HarSink<Stdout>>),
    Pcapng(Box<PcapngSink<Stdout>>),
}

impl View {
    pub(super) const fn new(filter: Filter, learns: Option<Registry>, left: Option<u64>, to: To) -> Self {
        Self { filter, learns, left, models_only: false, to }
    }

    pub(super) const fn with_models_only(mut self, models_only: bool) -> Self {
        self.models_only = models_only;
        self
    }

    /// What was counted, if it counts.
    pub(super) fn summary(&self) -> Option<&Summary> {
        match &self.to {
            To::Summary(summary) => Some(summary),
            To::Text(_) | To::Json(_) | To::Har(_) | To::Pcapng(_) => None,
        }
    }

    /// Prints what was counted, if it counts: everything was seen.
    pub(super) fn end(&self, set_aside: &SetAside) -> io::Result<()> {
        self.summary().map_or(Ok(()), |summary| summary.write(&mut io::stdout().lock(), set_aside))
    }

    /// Has it shown as many as were asked for?
    pub(super) fn is_full(&self) -> bool {
        self.left == Some(0)
    }

    /// Those that no exchange shows; what only counts has to know of all.
    const fn shows_flows(&self) -> bool {
        match self.to {
            To::Text(_) | To::Json(_) => true,
            To::Summary(_) | To::Har(_) | To::Pcapng(_) => false,
        }
    }

    fn stop_if_full(&mut self) -> anyhow::Result<()> {
        if self.is_full() {
            // Nothing is asked of a sink that wants no more, not even to flush.
            self.flush()?;
            return Err(Stop.into());
        }
        Ok(())
    }

    fn sink(&mut self) -> &mut dyn Sink {
        match &mut self.to {
            To::Text(sink) => sink.as_mut(),
            To::Json(sink) => sink,
            To::Summary(sink) => sink.as_mut(),
            To::Har(sink) => sink.as_mut(),
            To::Pcapng(sink) => sink.as_mut(),
        }
    }
}

impl Sink for View {
    fn record(&mut self, record: &Record) -> anyhow::Result<()> {
        match record {
            Record::Exchange(exchange) => {
                if let Some(registry) = &self.learns {
                    messages::learn(exchange, registry);
                }
                let passes = self.filter.is_empty() || self.filter.matches(exchange);
                if !passes || (self.models_only && exchange.inference.is_none()) || !record.sinks().has(SinkName::Lines)
                {
                    return Ok(());
                }
                if let Some(left) = &mut self.left {
                    *left = left.saturating_sub(1);
                }
            }
            Record::Message(message) => {
                if !self.filter.is_empty() && !self.filter.matches(&message.exchange) {
                    return Ok(());
                }
            }
            Record::Drift(drift) if !drift.sinks.has(SinkName::Lines) => return Ok(()),
            Record::Drift(_) | Record::Edge(_) => {}
            Record::Flow(flow) => {
                let passes = self.filter.is_empty() || self.filter.matches_flow(flow);
                if self.shows_flows() && (!passes || self.models_only) {
                    return Ok(());
                }
            }
        }
        self.sink().record(record)?;
        // The event that completed the last exchange is still to come.
        if self.wants_events() { Ok(()) } else { self.stop_if_full() }
    }

    fn wants_events(&self) -> bool {
        matches!(self.to, To::Pcapng(_))
    }

    fn event(&mut self, flow: &FlowInfo, event: &Event<'_>) -> anyhow::Result<()> {
        if self.filter.is_empty() || self.filter.matches_ends(flow) {
            self.sink().event(flow, event)?;
        }
        self.stop_if_full()
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        self.sink().flush()
    }

    fn close(&mut self) -> anyhow::Result<()> {
        self.sink().close()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::{json, sample};

    fn view(count: Option<u64>, filter: Filter) -> View {
        View::new(filter, None, count, To::Summary(Box::default()))
    }

    #[test]
    fn ends_after_as_many_as_were_asked_for() {
        let record = Record::Exchange(Box::new(sample::exchange()));
        let mut view = view(Some(2), Filter::default());
        view.record(&record).expect("one of two");
        assert!(view.record(&record).expect_err("two of two").is::<Stop>());
        assert_eq!(view.summary().expect("a summary").exchanges(), 2);
    }

    #[test]
    fn what_the_filter_refuses_does_not_count() {
        let filter = Filter { statuses: vec!["404".parse().expect("a status")], ..Filter::default() };
        let mut view = view(Some(1), filter);
        view.record(&Record::Exchange(Box::new(sample::exchange()))).expect("not shown");
        assert_eq!(view.summary().expect("a summary").exchanges(), 0);
    }

    #[test]
    fn flows_are_shown_as_filters_allow_and_do_not_count() {
        let shown = |filter: Filter| {
            let options = json::Options::default();
            let mut view = View::new(filter, None, Some(1), To::Json(JsonSink::new(io::stdout(), options)));
            view.record(&Record::Flow(Box::new(sample::tls_flow()))).expect("it goes on");
            let To::Json(sink) = &mut view.to else { unreachable!("made above") };
            sink.buffered() > 0
        };
        assert!(shown(Filter::default()));
        let ports = vec![8000..=8000];
        assert!(shown(Filter { ports: ports.clone(), ..Filter::default() }));
        assert!(!shown(Filter { ports, methods: vec!["GET".parse().expect("a method")], ..Filter::default() }));
    }
}
