use std::{
    io::{self, IsTerminal as _, Stdout},
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    sync::Arc,
};

use clap::{Args, ValueEnum, error::ErrorKind};
use jiff::tz::TimeZone;

use super::{
    policy,
    view::{To, View},
};
use crate::{
    config::Size,
    inference,
    inspect::{self, Policies},
    kernel::features,
    pipeline,
    policy::Filter,
    protobuf::Registry,
    sink::{
        har::{self, HarSink},
        json::{self, JsonSink},
        mask::{Mask, Name},
        pcapng::{self, PcapngSink},
        text::{self, TextSink},
    },
};

/// How exchanges are shown.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Output")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct OutputArgs {
    /// A line each for people, a JSON object each, only counts and latencies at the end, an HTTP archive, or the packets
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
    /// Show each message of a streamed content as it is captured, before its exchange is over: of gRPC, WebSockets, events,
    /// lines of JSON; conditions on what comes later (the status) let none pass
    #[arg(long)]
    messages: bool,
    /// Show only requests to model servers, by what they mean: model, shapes or tokens, time to first token, rate, findings
    #[arg(long)]
    models: bool,
    /// Policy, or directory of policies: what is looked for in exchanges, and what is taken out of them; may be repeated
    #[arg(long, value_name = "FILE")]
    policy: Vec<PathBuf>,
    /// Estimate tokens that the wire does not state; they are marked as estimated
    #[arg(long)]
    estimate_tokens: bool,
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
    Har,
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

    /// Bounds of a pipeline that keeps what these arguments show. It reads files.
    pub(super) fn pipeline(&self) -> anyhow::Result<pipeline::Options> {
        let mut options = pipeline::Options::default();
        options.session.body = self.body_limit();
        options.session.messages = self.messages;
        // A request and its response must fit, or the limit would not be what the user said.
        options.session.memory += 2 * self.body_limit();
        options.inspect = self.inspect()?;
        Ok(options)
    }

    /// What is made of exchanges.
    fn inspect(&self) -> anyhow::Result<inspect::Options> {
        let read = self.models || self.output == Format::Json;
        let plan = if self.policy.is_empty() { None } else { Some(policy::plan(&self.policy, &policy::key()?)?) };
        Ok(inspect::Options {
            policies: plan.map(|plan| Arc::new(Policies::new(plan))),
            inference: if read { inference::BODY.max(self.body_limit()) } else { 0 },
            reading: inference::Options { estimate_tokens: self.estimate_tokens },
            ..inspect::Options::default()
        })
    }

    /// What is known of the messages in bodies. It reads files.
    pub(super) fn registry(&self) -> anyhow::Result<Registry> {
        Ok(Registry::load(&self.proto, &self.proto_path)?)
    }

    /// Says what does not go together, before anything is begun.
    pub(super) fn check(&self, filter: &Filter) -> Result<(), clap::Error> {
        if self.messages && !matches!(self.output, Format::Text | Format::Json) {
            let problem = "'--messages' goes with '-o text' and '-o json': the others show what is over\n";
            return Err(clap::Error::raw(ErrorKind::ArgumentConflict, problem));
        }
        if self.models && !matches!(self.output, Format::Text | Format::Json) {
            let problem = "'--models' goes with '-o text' and '-o json'\n";
            return Err(clap::Error::raw(ErrorKind::ArgumentConflict, problem));
        }
        if self.output != Format::Pcapng {
            return Ok(());
        }
        if !self.policy.is_empty() {
            let problem =
                "packets are written as they are: '-o pcapng' takes nothing out, and goes with no '--policy'\n";
            return Err(clap::Error::raw(ErrorKind::ArgumentConflict, problem));
        }
        let of_exchanges = !(filter.hosts.is_empty()
            && filter.methods.is_empty()
            && filter.paths.is_empty()
            && filter.statuses.is_empty()
            && filter.calls.is_empty());
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
        let messages = self.messages;
        let (headers, bodies, mask) = (self.headers, self.body.is_some(), Mask::showing(self.show_secrets.clone()));
        let stdout = io::stdout();
        let to = match self.output {
            Format::Json => {
                To::Json(JsonSink::new(stdout, json::Options { headers, bodies, messages, mask, registry }))
            }
            Format::Summary => To::Summary(Box::default()),
            Format::Har => To::Har(Box::new(HarSink::new(stdout, har::Options { bodies, mask }))),
            Format::Pcapng => To::Pcapng(Box::new(PcapngSink::new(stdout, about_this_machine()))),
            Format::Text => {
                let terminal = stdout.is_terminal();
                let options = text::Options {
                    headers,
                    bodies,
                    messages,
                    models: self.models,
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
        View::new(filter, learns, self.count, to).with_models_only(self.models)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_limits_are_bounded() {
        assert_eq!(body_limit("4KiB"), Ok(4096));
        for text in ["0", "65MiB", "x", "", "-1"] {
            assert!(body_limit(text).expect_err(text).contains("64MiB"));
        }
    }
}
