//! Real servers of models and their clients, across pods: what we say of an inference is what its client says.

use std::{fs, net::Ipv4Addr, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use interceptor::demo::pod::INTERFACE;
use interceptor_tests::{Case, Daemon, Ended, Need, Process, Tail, interceptor, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::served::Served;

const NEEDS: &[Need] = &[Need::Root, Need::Program("python3", "python3-venv"), Need::Packages("models")];
const POLICIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/policies");
const SOON: Duration = Duration::from_mins(1);

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("models::tensors_are_those_that_mlserver_and_its_clients_name", NEEDS, tensors),
        Case::new("models::binary_tensors_are_those_of_tritonclient", NEEDS, binary),
        Case::new("models::what_the_openai_client_got_is_what_is_told", NEEDS, chat),
        Case::new("models::personal_data_in_a_prompt_is_found_and_not_told", NEEDS, personal),
        Case::new("models::what_nobody_waited_for_is_told", NEEDS, gone),
        Case::new("models::litserve_and_the_first_version_of_kserve", NEEDS, small),
        Case::new("models::a_feature_that_drifts_is_told_from_one_that_does_not", NEEDS, drift),
    ]
}

/// A server of models in a pod.
struct Bed(Served);

impl Bed {
    fn new(script: &str, kind: &str) -> Result<Self> {
        let ports = if kind == "iris" { &[8080, 8081][..] } else { &[8080] };
        let arguments =
            |address: Ipv4Addr, files: &Path| vec![kind.to_owned(), address.to_string(), files.display().to_string()];
        Ok(Self(Served::start("models", script, ports, arguments)?))
    }

    /// Asks, and gives what the client says.
    fn ask(&self, what: &str) -> Result<Vec<Value>> {
        let told = self.0.ask("ask.py", &[what, &self.0.address()])?;
        told.iter().map(|line| serde_json::from_str(line).with_context(|| line.clone())).collect()
    }

    fn place(&self) -> [&str; 4] {
        ["--netns", self.0.pods.server.name(), "--iface", INTERFACE]
    }

    fn tail(&self, more: &[&str]) -> Result<Tail> {
        Tail::start(self.place().iter().chain(more))
    }
}

/// The members of an inference that its client can tell too.
fn tensor_facts(line: &Value) -> Value {
    json!({
        "model": line["gen_ai.request.model"],
        "version": line["inference.model.version"],
        "inputs": line["inference.inputs"],
        "outputs": line["inference.outputs"],
        "batch": line["inference.batch.size"],
    })
}

fn same_tensors(told: &[Value], seen: &[Value]) -> Result<()> {
    let seen: Vec<_> = seen.iter().filter(|line| line["gen_ai.operation.name"] == "infer").collect();
    ensure!(!told.is_empty() && told.len() == seen.len(), "{told:#?}\n{seen:#?}");
    for (told, line) in told.iter().zip(seen) {
        let mut told = told.clone();
        told.as_object_mut().context("no object")?.remove("kind");
        ensure!(tensor_facts(line) == told && line["gen_ai.provider.name"] == "open_inference", "{told:#}\n{line:#}");
    }
    Ok(())
}

fn tensors() -> Result<()> {
    let bed = Bed::new("serve.py", "iris")?;
    let daemon = Daemon::start(["--capture-netns", bed.0.pods.server.name(), "--capture-interfaces", INTERFACE])?;
    let models = Process::start(interceptor()?.args(["tail", "--models"]).args(bed.place()))?;
    models.wait_stderr(SOON, "watching")?;
    let tail = bed.tail(&["--body=64KiB"])?;
    let told = [bed.ask("rest")?, bed.ask("grpc")?].concat();
    tail.wait(told.len())?;
    same_tensors(&told, &tail.stop()?.0)?;
    models.wait_stdout(SOON, |lines| (lines.iter().filter(|line| line.contains("iris")).count() >= 4).then_some(()))?;
    until(SOON, "four inferences in the metrics", || {
        let text = String::from_utf8(daemon.get("/metrics")?.body)?;
        let counts = text.lines().filter(|line| {
            line.starts_with("inference_server_request_duration_seconds_count{")
                && line.contains("gen_ai_request_model=\"iris\"")
        });
        let count: u64 = counts.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum();
        Ok((count == 4).then_some(()))
    })
}

fn binary() -> Result<()> {
    let bed = Bed::new("serve.py", "binary")?;
    let tail = bed.tail(&["--body=64KiB"])?;
    let told = bed.ask("binary")?;
    tail.wait(told.len())?;
    same_tensors(&told, &tail.stop()?.0)
}

fn chat() -> Result<()> {
    let bed = Bed::new("chat.py", "chat")?;
    let tail = bed.tail(&["--body=256KiB"])?;
    let told = bed.ask("openai")?;
    let seen = tail.wait(told.len())?;
    let (mut first, mut gaps) = (Vec::new(), Vec::new());
    ensure!(told.len() == 6 && seen.len() == 6, "{told:#?}");
    for (told, line) in told.iter().zip(&seen) {
        let answer = &line["gen_ai.output.messages"][0]["parts"][0]["content"];
        let kind = told["kind"].as_str().context("no kind")?;
        let fine = match kind {
            "tool" => line["inference.tool_calls"] == told["tools"],
            "error" => {
                *answer == told["answer"] && (told["error"].is_string() == line["inference.error.message"].is_string())
            }
            _ => {
                *answer == told["answer"]
                    && line["gen_ai.usage.input_tokens"] == told["input"]
                    && line["gen_ai.usage.output_tokens"] == told["output"]
                    && line["gen_ai.response.finish_reasons"] == json!([told["finish"]])
            }
        };
        ensure!(fine && line["gen_ai.request.model"] == "words", "{told:#}\n{line:#}");
        if kind == "stream" {
            first.push(later(told, "first", line, "gen_ai.response.time_to_first_chunk")?);
            gaps.push(later(told, "gap", line, "inference.response.chunk_gap.median")?);
        }
    }
    // The client's own way to its socket and back is part of what it tells, and takes long on a busy machine; never less than nothing.
    ensure!(first.iter().all(|later| *later > -0.005), "seen later than told: {first:?}");
    for later in [first, gaps] {
        ensure!(later.iter().any(|later| later.abs() < 0.025), "seconds told beyond those seen: {later:?}");
    }
    Ok(())
}

/// Seconds that the client tells beyond those that were seen.
fn later(told: &Value, name: &str, line: &Value, key: &str) -> Result<f64> {
    Ok(told[name].as_f64().context("not told")? - line[key].as_f64().context("not seen")?)
}

fn personal() -> Result<()> {
    let bed = Bed::new("chat.py", "chat")?;
    let policy = format!("{POLICIES}/pii-audit.yaml");
    let tail = bed.tail(&["--body=64KiB", "--headers", "--policy", &policy])?;
    bed.ask("personal")?;
    tail.wait(1)?;
    let (seen, Ended { stdout, stderr, .. }) = tail.stop()?;
    // A tenth of the tenants, whichever these are; of the others nothing is told.
    for line in &seen {
        let findings = line["interceptor.findings"].as_array().context("no findings")?;
        let kinds: Vec<_> = findings.iter().filter_map(|finding| finding["kind"].as_str()).collect();
        ensure!(kinds == ["CREDIT_CARD", "EMAIL_ADDRESS"], "{line:#}");
    }
    for line in stdout.iter().chain(&stderr) {
        ensure!(["jane.roe", "4111 1111", "4111111111111111"].iter().all(|value| !line.contains(value)), "{line}");
    }
    Ok(())
}

fn gone() -> Result<()> {
    let bed = Bed::new("chat.py", "chat")?;
    let tail = bed.tail(&["--body=256KiB"])?;
    let told = bed.ask("gone")?;
    ensure!(told[0]["words"] == 3, "{told:?}");
    let line = &tail.wait(1)?[0];
    // The server may hear of it before the next word, and then sends nothing more.
    let wasted = line["inference.response.wasted.size"].as_u64().unwrap_or(0) > 0;
    let truncated = line["complete"] == false && line["anomalies"] == json!(["truncated"]);
    let chunks = line["inference.response.chunks"].as_u64().context("no chunks")?;
    ensure!((wasted || truncated) && (3..30).contains(&chunks), "{line:#}");
    Ok(())
}

fn small() -> Result<()> {
    for (kind, path) in [("predict", "/predict"), ("kserve", "/v1/models/sums:predict")] {
        let bed = Bed::new("chat.py", kind)?;
        let tail = bed.tail(&["--body=64KiB"])?;
        let told = bed.ask(kind)?;
        let line = &tail.wait(1)?[0];
        ensure!(told[0]["status"] == line["http.response.status_code"] && line["url.path"] == path, "{line:#}");
        let inference = ["gen_ai.provider.name", "gen_ai.request.model", "inference.batch.size"].map(|key| &line[key]);
        let wanted = match kind {
            "kserve" => [json!("kserve_v1"), json!("sums"), json!(3)],
            // It names no model.
            _ => [json!("invocations"), Value::Null, Value::Null],
        };
        ensure!(inference == wanted.each_ref(), "{line:#}");
    }
    Ok(())
}

fn drift() -> Result<()> {
    let bed = Bed::new("serve.py", "iris")?;
    let policy = learn(&bed, bed.0.files.path())?;
    let tail = Process::start(interceptor()?.args(["tail", "-o", "json", "--policy", &policy]).args(bed.place()))?;
    tail.wait_stderr(SOON, "watching")?;
    bed.ask("shifted")?;
    let told = |feature: &str| {
        tail.wait_stdout(SOON, |lines| {
            let lines = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.into_iter().find(|line| line["inference.drift.feature"] == feature)
        })
    };
    for (feature, drifted) in [("x[2]", true), ("x[0]", false)] {
        let line = told(feature)?;
        ensure!(line["inference.drift.detected"] == drifted && line["inference.drift.count"] == 200, "{line:#}");
    }
    tail.stop(Signal::SIGINT, SOON)?;
    Ok(())
}

/// A baseline of the flowers that the model was trained with, and a policy that compares with it.
fn learn(bed: &Bed, files: &Path) -> Result<String> {
    let (table, baseline, policy) = (files.join("iris.csv"), files.join("b.json"), files.join("drift.yaml"));
    let rows = "import sys, sklearn.datasets as d; d.load_iris(as_frame=True).data.to_csv(sys.argv[1], index=False)";
    Process::start(bed.0.python().args(["-c", rows]).arg(&table))?.end(SOON)?.success()?;
    let mut learn = interceptor()?;
    learn.args(["baseline", "learn", "--model", "iris", "--tensor", "x", "--input-only", "--output"]);
    Process::start(learn.arg(&baseline).arg(&table))?.end(SOON)?.success()?;
    fs::write(
        &policy,
        "apiVersion: interceptor/v1alpha1\nkind: Policy\nmetadata: {name: drift}\nspec:\n  rules:\n    - name: features\n      \
         match: inference.operation == \"infer\"\n      inspect: {drift: {baseline: b.json, window: {count: 200, time: 5m}}}\n      \
         keep: {request: 1MiB, response: 1MiB}\n",
    )?;
    Ok(policy.display().to_string())
}
