use std::{
    io::{self, IsTerminal as _, Stdout},
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
};

use clap::{Args, ValueEnum, error::ErrorKind};
use jiff::tz::TimeZone;

use super::summary::Summary;
use crate::{
    config::Size,
    kernel::features,
    model::{Event, FlowInfo, Record, SetAside},
    pipeline,
    policy::Filter,
    protobuf::Registry,
    sink::{
        Sink, Stop,
        json::{self, JsonSink},
        mask::{Mask, Name},
        messages,
        pcapng::{self, PcapngSink},
        text::{self, TextSink},
    },
};

/// How exchanges are shown.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct OutputArgs {
    /// A line each for people, a JSON object each, only counts and latencies at the end, or the captured packets
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(super) output: Format,
    /// End after this many exchanges; connections without any do not count
    #[arg(short = 'n', value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Show header fields too; secrets in them are masked
    #[arg(long)]
    headers: bool,
    /// Show bodies too, up to LIMIT bytes each (4KiB if not given, 64MiB at the most)
    #[arg(long, value_name = "LIMIT", num_args = 0..=1, require_equals = true, default_missing_value = "4KiB", value_parser = body_limit)]
    body: Option<usize>,
    /// Definitions of the messages in bodies: a .proto file, or a descriptor set of protoc or buf; may be repeated. Those of
    /// the Open Inference Protocol, TensorFlow Serving, TorchServe and gRPC's own services are known
    #[arg(long, value_name = "FILE")]
    proto: Vec<PathBuf>,
    /// Directory in which .proto files find what they import; may be repeated
    #[arg(long, value_name = "DIR", requires = "proto")]
    proto_path: Vec<PathBuf>,
    /// Show the secret in this header or query parameter: authorization, cookie, api_key
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    show_secrets: Vec<Name>,
    /// When to use colours; auto: on a terminal, unless NO_COLOR is set
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    color: Color,
}

/// How exchanges are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    #[default]
    Text,
    Json,
    Summary,
    Pcapng,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

/// Bodies are kept until their exchange is over, so there is a bound.
const BODY_MAX: u64 = 64 << 20;

fn body_limit(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(Size(bytes @ 1..=BODY_MAX)) => Ok(bytes as usize),
        _ => Err("allowed are 1 byte to 64MiB: 500, 4KiB, 1MiB".to_owned()),
    }
}

impl OutputArgs {
    /// Bytes of each body to keep.
    pub(super) fn body_limit(&self) -> usize {
        self.body.unwrap_or(0)
    }

    /// Bounds of a pipeline that keeps what these arguments show.
    pub(super) fn pipeline(&self) -> pipeline::Options {
        let mut options = pipeline::Options::default();
        options.session.body = self.body_limit();
        // A request and its response must fit, or the limit would not be what the user said.
        options.session.memory += 2 * self.body_limit();
        options
    }

    /// What is known of the messages in bodies. It reads files.
    pub(super) fn registry(&self) -> anyhow::Result<Registry> {
        Ok(Registry::load(&self.proto, &self.proto_path)?)
    }

    /// Says what does not go together, before anything is begun.
    pub(super) fn check(&self, filter: &Filter) -> Result<(), clap::Error> {
        if self.output != Format::Pcapng {
            return Ok(());
        }
        let of_exchanges = !(filter.hosts.is_empty()
            && filter.methods.is_empty()
            && filter.paths.is_empty()
            && filter.statuses.is_empty());
        if of_exchanges {
            let problem = "packets are not filtered by exchange: '-o pcapng' goes with no filter but '--port'\n";
            return Err(clap::Error::raw(ErrorKind::ArgumentConflict, problem));
        }
        if io::stdout().is_terminal() {
            let problem = "packets are not for a terminal: '-o pcapng > FILE', or '| tshark -r -'\n";
            return Err(clap::Error::raw(ErrorKind::ArgumentConflict, problem));
        }
        Ok(())
    }

    /// The sink that these arguments ask for, on standard output.
    pub(super) fn view(&self, filter: Filter, registry: Registry) -> View {
        // What servers tell is learnt from bodies, and for bodies.
        let learns = self.body.is_some().then(|| registry.clone());
        let (headers, bodies, mask) = (self.headers, self.body.is_some(), Mask::showing(self.show_secrets.clone()));
        let stdout = io::stdout();
        let to = match self.output {
            Format::Json => To::Json(JsonSink::new(stdout, json::Options { headers, bodies, mask, registry })),
            Format::Summary => To::Summary(Box::default()),
            Format::Pcapng => To::Pcapng(Box::new(PcapngSink::new(stdout, about_this_machine()))),
            Format::Text => {
                let terminal = stdout.is_terminal();
                let options = text::Options {
                    headers,
                    bodies,
                    registry,
                    mask,
                    colour: self.color.applies(&stdout),
                    heading: terminal,
                    width: if terminal { terminal_width } else { || None },
                    zone: TimeZone::system(),
                };
                To::Text(Box::new(TextSink::new(stdout, options)))
            }
        };
        View { filter, learns, left: self.count, to }
    }
}

impl Color {
    pub(super) fn applies(self, stdout: &Stdout) -> bool {
        match self {
            Self::Auto => anstream::AutoStream::choice(stdout) != anstream::ColorChoice::Never,
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// What a capture file says of where it is from. Interfaces of other namespaces than ours have a number only.
fn about_this_machine() -> pcapng::Options {
    let zone = std::fs::metadata("/proc/self/ns/net").map_or(0, |namespace| namespace.ino() as u32);
    let named = nix::net::if_::if_nameindex().ok();
    let interfaces = named
        .iter()
        .flatten()
        .map(|interface| ((zone, interface.index()), interface.name().to_string_lossy().into_owned()));
    pcapng::Options { os: format!("Linux {}", features::release()), interfaces: interfaces.collect() }
}

fn terminal_width() -> Option<usize> {
    terminal_size::terminal_size().map(|(width, _)| width.0.into())
}

/// Shows what the filter lets pass, up to a count, in one of the formats.
pub(super) struct View {
    filter: Filter,
    /// Where descriptors go that servers tell, whether their exchanges are shown or not.
    learns: Option<Registry>,
    left: Option<u64>,
    to: To,
}

enum To {
    Text(Box<TextSink<Stdout>>),
    Json(JsonSink<Stdout>),
    Summary(Box<Summary>),
    Pcapng(Box<PcapngSink<Stdout>>),
}

impl View {
    /// What was counted, if it counts.
    pub(super) fn summary(&self) -> Option<&Summary> {
        match &self.to {
            To::Summary(summary) => Some(summary),
            To::Text(_) | To::Json(_) | To::Pcapng(_) => None,
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
            To::Summary(_) | To::Pcapng(_) => false,
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
                if !self.filter.is_empty() && !self.filter.matches(exchange) {
                    return Ok(());
                }
                if let Some(left) = &mut self.left {
                    *left = left.saturating_sub(1);
                }
            }
            Record::Flow(flow) => {
                if self.shows_flows() && !self.filter.is_empty() && !self.filter.matches_flow(flow) {
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
    use crate::sink::sample;

    fn view(count: Option<u64>, filter: Filter) -> View {
        View { filter, learns: None, left: count, to: To::Summary(Box::default()) }
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
            let mut view =
                View { filter, learns: None, left: Some(1), to: To::Json(JsonSink::new(io::stdout(), options)) };
            view.record(&Record::Flow(Box::new(sample::tls_flow()))).expect("it goes on");
            let To::Json(sink) = &mut view.to else { unreachable!("made above") };
            sink.buffered() > 0
        };
        assert!(shown(Filter::default()));
        let ports = vec![8000..=8000];
        assert!(shown(Filter { ports: ports.clone(), ..Filter::default() }));
        assert!(!shown(Filter { ports, methods: vec!["GET".parse().expect("a method")], ..Filter::default() }));
    }

    #[test]
    fn body_limits_are_bounded() {
        assert_eq!(body_limit("4KiB"), Ok(4096));
        for text in ["0", "65MiB", "x", "", "-1"] {
            assert!(body_limit(text).expect_err(text).contains("64MiB"));
        }
    }
}
