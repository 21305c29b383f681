use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::atomic::Ordering::Relaxed,
};

use anyhow::{Context as _, bail};
use clap::error::ErrorKind;

use super::{
    captured::{self, Learn},
    progress::Progress,
    table::Table,
};
use crate::{
    cli::{filter::FilterArgs, logging, signal, tail::Watch},
    config::Period,
    inspect::drift::baseline::{FEATURES, Learner},
};

/// Features that a line names.
const NAMES: usize = 8;

const AFTER_HELP: &str = "\
Files are captures (pcap, pcapng, compressed or not), or tables by their name: .csv, .tsv, .parquet. Of captures and live \
traffic the features are the tensors and columns that requests and answers hold, as they were sent: a tensor of one \
dimension, or of [n, 1], is a feature, one of [n, k] has the features NAME[0] to NAME[63]. Of a table each column is one: of \
numbers if all that is written there reads as numbers. Up to 10,000 numbers of a feature are kept, beyond that 2,048 \
quantiles; up to 10,000 categories. These are values of the traffic or the data: keep the file accordingly.

Examples:
  interceptor baseline learn --output iris.json capture.pcap
  interceptor baseline learn --output iris.json --model iris --input-only monday.pcapng tuesday.pcapng
  interceptor baseline learn --output iris.json --live --iface eth0 --port 8080 --duration 1h
  interceptor baseline learn --output iris.json --model iris --predictions species train.csv
  interceptor baseline learn --output iris.json --model iris --tensor input --input-only features.parquet

Exit codes: 0 done, also by Ctrl-C with what was learned by then; 1 a file cannot be read or written, it cannot capture, or \
nothing was learned; 2 the command line is wrong.";

/// Arguments of `interceptor baseline learn`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// Captures or tables; '-' is a capture on standard input
    #[arg(required_unless_present = "live", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// File to write; '-' is standard output
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// Of captures, the model to learn (* and ? allowed); of tables, the model that they were made for
    #[arg(long, value_name = "NAME")]
    pub(super) model: Option<String>,
    /// Learn what models are sent, and not what they answer
    #[arg(long)]
    pub(super) input_only: bool,
    #[command(flatten)]
    pub(super) table: TableArgs,
    /// Learn from live traffic instead of files
    #[arg(long, conflicts_with = "files", help_heading = "Capture")]
    live: bool,
    /// End after this time; without it, Ctrl-C does
    #[arg(long, value_name = "TIME", requires = "live", help_heading = "Capture")]
    pub(super) duration: Option<Period>,
    #[command(flatten)]
    pub(super) watch: Watch,
    #[command(flatten)]
    pub(super) filter: FilterArgs,
}

/// What columns of tables are.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Tables")]
pub(super) struct TableArgs {
    /// Columns that are the model's answers; all others are what it is sent
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    pub(super) predictions: Vec<String>,
    /// The columns that the model is sent are those of this tensor, in order: they are named NAME[0], NAME[1] and so on
    #[arg(long, value_name = "NAME")]
    pub(super) tensor: Option<String>,
}

/// Learns, and writes the file.
pub(super) fn execute(args: &Args) -> anyhow::Result<()> {
    args.check()?;
    // First, so that nobody learns for an hour what cannot be written.
    let output = Output::open(&args.output)?;
    logging::start();
    let learner = match if args.live { captured::live(args) } else { from_files(args) } {
        Ok(learner) => learner,
        Err(error) => {
            output.give_up();
            return Err(error);
        }
    };
    for line in left_out(&learner) {
        eprintln!("interceptor: {line}");
    }
    let values = learner.values();
    let baseline = learner.finish();
    if baseline.features.is_empty() {
        output.give_up();
        bail!("nothing was learned: no {} held a feature{}", if args.live { "exchange" } else { "file" }, advice(args));
    }
    output.write(&baseline.write()?)?;
    eprintln!("interceptor: learned {} features, of up to {values} values each", baseline.features.len());
    Ok(())
}

/// What was seen and is not in the baseline, a line each.
fn left_out(learner: &Learner) -> Vec<String> {
    let missing = names(learner.unfounded().map(quoted));
    let infinite = names(learner.infinite().map(|(name, count)| format!("{} ({count})", quoted(name))));
    let (beyond, ignored) = (learner.beyond(), learner.ignored());
    let lines = [
        missing.map(|names| format!("left out, with no value that is a number or text: {names}")),
        infinite.map(|names| format!("infinite values, out of the range of numbers, count as missing: {names}")),
        (beyond > 0).then(|| format!("left out: {beyond} values of features beyond the first {FEATURES}")),
        (ignored > 0).then(|| format!("left out: {ignored} tensors, or columns of tensors, that are no features")),
    ];
    lines.into_iter().flatten().collect()
}

/// The first of them, and how many more there are.
fn names(mut all: impl Iterator<Item = String>) -> Option<String> {
    let first: Vec<String> = all.by_ref().take(NAMES).collect();
    let more = all.count();
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!first.is_empty()).then(|| first.join(", ") + &rest)
}

/// A name may come from the wire, and goes to a terminal.
fn quoted(name: &str) -> String {
    format!("`{}`", name.escape_debug())
}

impl Args {
    /// Says what does not go together, before anything is begun.
    fn check(&self) -> Result<(), clap::Error> {
        let conflict = |problem| Err(clap::Error::raw(ErrorKind::ArgumentConflict, problem));
        if !self.live && self.watch.is_given() {
            return conflict("--iface, --netns, --pods, --cgroup and --pid go with '--live'\n");
        }
        let tables = self.files.iter().any(|path| !matches!(kind(path), Kind::Capture));
        if !tables && (self.table.tensor.is_some() || !self.table.predictions.is_empty()) {
            return conflict("'--tensor' and '--predictions' go with tables: files .csv, .tsv or .parquet\n");
        }
        Ok(())
    }
}

fn advice(args: &Args) -> &'static str {
    match args.model {
        Some(_) => "; without --model every model is learned",
        None => "; 'interceptor replay' shows what a capture holds",
    }
}

fn from_files(args: &Args) -> anyhow::Result<Learner> {
    let stop = signal::stop_flag()?;
    let mut progress = Progress::new();
    let mut learner = Learner::default();
    let mut captures: Option<Learn> = None;
    for path in &args.files {
        let table = Table { path, args, learner: &mut learner, progress: &mut progress, stop: &stop };
        match kind(path) {
            Kind::Csv(delimiter) => table.csv(delimiter)?,
            Kind::Parquet => table.parquet()?,
            Kind::Capture => {
                let learn = captures.take().unwrap_or_else(|| Learn::new(args, None));
                captures = Some(captured::file(path, learn.with(learner), &stop)?);
                learner = captures.as_mut().map(Learn::take).unwrap_or_default();
            }
        }
        if stop.load(Relaxed) {
            break;
        }
    }
    progress.end();
    Ok(learner)
}

enum Kind {
    Csv(u8),
    Parquet,
    Capture,
}

fn kind(path: &Path) -> Kind {
    match path.extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase).as_deref() {
        Some("csv") => Kind::Csv(b','),
        Some("tsv") => Kind::Csv(b'\t'),
        Some("parquet" | "pq") => Kind::Parquet,
        _ => Kind::Capture,
    }
}

/// Where the baseline goes. What a file holds is replaced only once there is something to write.
struct Output<'a> {
    path: &'a Path,
    file: Option<File>,
    made: bool,
}

impl<'a> Output<'a> {
    fn open(path: &'a Path) -> anyhow::Result<Self> {
        if path.as_os_str() == "-" {
            return Ok(Self { path, file: None, made: false });
        }
        let made = !path.exists();
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        let file = file.with_context(|| format!("cannot write the baseline {}", path.display()))?;
        Ok(Self { path, file: Some(file), made })
    }

    /// There is nothing to write: no file is left that was not there.
    fn give_up(self) {
        if self.made {
            // Whatever is wrong with it, the error that led here says more.
            let _ = fs::remove_file(self.path);
        }
    }

    fn write(self, text: &str) -> anyhow::Result<()> {
        let Some(mut file) = self.file else { return Ok(io::stdout().lock().write_all(text.as_bytes())?) };
        let written = file.set_len(0).and_then(|()| file.write_all(text.as_bytes()));
        written.with_context(|| format!("cannot write the baseline {}", self.path.display()))
    }
}
