//! What it costs to read inferences, and to look into them, on one core.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, bail};

use super::{
    Scale,
    generate::{self, Speech},
    median,
    offline::{measure, pinned},
    report::Section,
};
use crate::project::Project;

/// What is asked, and the settings of `inspect` that ask it.
const ASKED: [(&str, &str); 6] = [
    ("nothing", ""),
    ("a rule that needs heads only", "{}"),
    ("inference", "{inference: {}}"),
    ("inference, schema", "{inference: {}, schema: {inputs: [{name: x, datatype: FP32, shape: [-1, 4]}]}}"),
    ("inference, pii", "{inference: {}, pii: {}}"),
    ("inference, drift", "{inference: {}, drift: {baseline: baseline.json}}"),
];

pub(super) fn run(project: &Project, binary: &Path, scale: &Scale) -> Result<Section> {
    let size = scale.capture_bytes.min(300_000_000);
    let capture = project.path(format!("target/bench/http1-{}.pcap", size / 1_000_000));
    let written = generate::provide(&capture, Speech::Http1, size)?;
    let directory = project.path("target/bench/policies");
    prepare(project, binary, &directory)?;
    let mut times = ASKED.map(|_| Vec::new());
    for round in 0..scale.rounds {
        eprintln!("==> round {} of {}", round + 1, scale.rounds);
        for step in 0..ASKED.len() {
            // Each is first in turn: whatever drifts hits all of them.
            let index = (step + round) % ASKED.len();
            let mut command = pinned(binary.as_os_str());
            command.args(["replay", "-o", "summary"]);
            if index > 0 {
                command.arg("--policy").arg(directory.join(format!("{index}.yaml")));
            }
            let (time, output) = measure(command.arg(&capture))?;
            if !output.contains(&format!("exchanges   {}, complete {}", written.exchanges, written.exchanges)) {
                bail!("{}: not every exchange was seen:\n{output}", ASKED[index].0);
            }
            eprintln!("    {:<30} {:.2} s", ASKED[index].0, time.wall);
            times[index].push(time.wall);
        }
    }
    Ok(describe(&times, written.exchanges as f64, scale.rounds))
}

/// Writes the policies, and the baseline that one of them names, learned from such traffic.
fn prepare(project: &Project, binary: &Path, directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    for (index, (name, inspect)) in ASKED.iter().enumerate().skip(1) {
        let text = format!(
            "apiVersion: interceptor/v1alpha1\nkind: Policy\nmetadata: {{name: bench}}\nspec:\n  rules:\n  - name: all\n    \
             # {name}\n    match: request.method == 'POST'\n    inspect: {inspect}\n"
        );
        fs::write(directory.join(format!("{index}.yaml")), text)?;
    }
    let sample = project.path("target/bench/http1-5.pcap");
    generate::provide(&sample, Speech::Http1, 5_000_000)?;
    let mut learn = Command::new(binary);
    learn.args(["baseline", "learn", "--output"]).arg(directory.join("baseline.json")).arg(&sample);
    measure(&mut learn).map(|_| ())
}

fn describe(times: &[Vec<f64>], exchanges: f64, rounds: usize) -> Section {
    let mut section = Section::new("inspect", "Inferences and inspectors");
    section.paragraph(&format!(
        "The capture of small HTTP/1.1 exchanges, three of four of them inferences of the Open Inference Protocol with JSON of four \
         numbers in and two out, read with policies that ask for more and more; one core (`taskset`); median of {rounds} rounds. What \
         something costs is the difference in time to the row that it adds to, by each inference."
    ));
    let wall: Vec<f64> = times.iter().map(|times| median(times.iter().copied())).collect();
    let inferences = exchanges * 0.75;
    let row = |index: usize| {
        // The last three add to the inference; the others to the one before.
        let before = if index > 2 { 2 } else { index.saturating_sub(1) };
        let cost = (wall[index] - wall[before]) / inferences * 1e6;
        [
            ASKED[index].0.to_owned(),
            format!("{:.0}", exchanges / wall[index]),
            format!("{:.2}", wall[index] / wall[0]),
            if index == 0 { String::new() } else { format!("{cost:.2}") },
        ]
    };
    let rows: Vec<_> = (0..ASKED.len()).map(row).collect();
    section.table(["asked", "exchanges/s", "time against nothing", "µs an inference"], &rows);
    section
}
