//! Reading a capture file on one core.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike as _,
};

use super::{
    Scale,
    generate::{self, Speech},
    median,
    report::Section,
};
use crate::project::{Project, on_path};

/// A reader of capture files.
struct Reader {
    name: &'static str,
    command: fn(binary: &Path, capture: &Path) -> Command,
    /// The number of exchanges that its output tells.
    exchanges: fn(output: &str) -> Option<u64>,
    times: Vec<Times>,
    seen: Option<u64>,
}

/// Seconds.
#[derive(Clone, Copy)]
pub(super) struct Times {
    pub(super) wall: f64,
    cpu: f64,
}

pub(super) fn run(project: &Project, binary: &Path, scale: &Scale) -> Result<Section> {
    let mut section = Section::new("offline", "Reading a capture file");
    for speech in [Speech::Http1, Speech::Http2, Speech::Grpc] {
        read(&mut section, speech, project, binary, scale)?;
    }
    Ok(section)
}

fn read(section: &mut Section, speech: Speech, project: &Project, binary: &Path, scale: &Scale) -> Result<()> {
    let capture = project.path(format!("target/bench/{}-{}.pcap", speech.name(), scale.capture_bytes / 1_000_000));
    let written = generate::provide(&capture, speech, scale.capture_bytes)?;
    let mut readers = readers(speech);
    // Into the page cache.
    std::io::copy(&mut std::fs::File::open(&capture)?, &mut std::io::sink())?;
    for round in 1..=scale.rounds {
        eprintln!("==> round {round} of {}", scale.rounds);
        for reader in &mut readers {
            // The slow ones once: they are far away.
            if round > 1 && reader.times[0].wall > 20.0 {
                continue;
            }
            let (times, output) = measure(&mut (reader.command)(binary, &capture))?;
            eprintln!("    {:<12} {:.2} s", reader.name, times.wall);
            reader.times.push(times);
            reader.seen = (reader.exchanges)(&output);
        }
    }
    let (exchanges, bytes) = (written.exchanges as f64, written.bytes as f64);
    let wall = |reader: &Reader| median(reader.times.iter().map(|times| times.wall));
    let ours = wall(&readers[0]);
    let row = |reader: &Reader| {
        let time = wall(reader);
        let cpu = median(reader.times.iter().map(|times| times.cpu));
        [
            reader.name.to_owned(),
            reader.seen.map_or_else(|| "not told".to_owned(), |seen| seen.to_string()),
            format!("{:.0}", exchanges / time),
            format!("{:.0}", bytes / time / 1e6),
            format!("{:.0}", cpu / exchanges * 1e9),
            format!("{:.2}", time / ours),
        ]
    };
    section.paragraph(&format!(
        "A capture of {:.2} GB with {} {} ({:.0} bytes each with all their packets, keep-alive, 40 exchanges a \
         connection), in the page cache; one core (`taskset`); median of {} rounds.",
        bytes / 1e9,
        written.exchanges,
        match speech {
            Speech::Http1 => "small HTTP/1.1 exchanges",
            Speech::Http2 => "HTTP/2 exchanges with JSON",
            Speech::Grpc => "unary gRPC calls with small messages",
        },
        bytes / exchanges,
        scale.rounds
    ));
    let head = ["reader", "exchanges seen", "exchanges/s", "MB/s", "CPU ns an exchange", "time against ours"];
    section.table(head, &readers.iter().map(row).collect::<Vec<_>>());
    if readers[0].seen != Some(written.exchanges) {
        bail!("interceptor saw {:?} of {} exchanges:\n{}", readers[0].seen, written.exchanges, section.markdown());
    }
    Ok(())
}

/// Those that read what is spoken.
fn readers(speech: Speech) -> Vec<Reader> {
    let mut readers = vec![Reader::new(
        "interceptor",
        |binary, capture| {
            let mut command = pinned(binary.as_os_str());
            command.args(["replay", "-o", "summary"]).arg(capture);
            command
        },
        // `exchanges   1000, complete …`
        |output| {
            let line = output.lines().find_map(|line| line.strip_prefix("exchanges "))?;
            line.trim().split(',').next()?.parse().ok()
        },
    )];
    if on_path("tcpdump").is_some() {
        readers.push(Reader::new(
            "tcpdump -w (no decoding)",
            |_, capture| {
                let mut command = pinned("tcpdump".as_ref());
                command.args(["-w", "/dev/null", "-r"]).arg(capture);
                command
            },
            |_| None,
        ));
    }
    if speech == Speech::Http1 && on_path("suricata").is_some() {
        readers.push(Reader::new(
            "suricata",
            |_, capture| {
                let mut command = pinned("suricata".as_ref());
                command.args(["-k", "none", "--runmode", "single", "--set", "stream.reassembly.depth=0"]);
                command.args(["-l", "/tmp", "-r"]).arg(capture);
                command
            },
            |_| None,
        ));
    }
    if speech == Speech::Http1 && on_path("tshark").is_some() {
        readers.push(Reader::new(
            "tshark",
            |_, capture| {
                let mut command = pinned("tshark".as_ref());
                command.args(["-q", "-z", "http,tree", "-r"]).arg(capture);
                command
            },
            // ` Total HTTP Packets   2000 …`: requests and responses.
            |output| {
                let line = output.lines().find_map(|line| line.trim().strip_prefix("Total HTTP Packets"))?;
                Some(line.split_whitespace().next()?.parse::<u64>().ok()? / 2)
            },
        ));
    }
    readers
}

impl Reader {
    fn new(name: &'static str, command: fn(&Path, &Path) -> Command, exchanges: fn(&str) -> Option<u64>) -> Self {
        Self { name, command, exchanges, times: Vec::new(), seen: None }
    }
}

/// On one core, whatever its threads.
pub(super) fn pinned(program: &std::ffi::OsStr) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", "0"]).arg(program);
    command
}

pub(super) fn measure(command: &mut Command) -> Result<(Times, String)> {
    let children = || -> Result<f64> {
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
        Ok((usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64 / 1e6)
    };
    let before = children()?;
    let started = Instant::now();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {command:?}"))?;
    let wall = started.elapsed().as_secs_f64();
    if !output.status.success() {
        bail!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok((Times { wall, cpu: children()? - before }, String::from_utf8_lossy(&output.stdout).into_owned()))
}
