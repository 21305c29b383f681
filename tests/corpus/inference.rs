//! What clients of model servers know of their calls (`inference` in `CASE.log.json`), against what we read of the packets.

use std::{fs, path::Path, sync::atomic::AtomicBool};

use anyhow::{Context as _, Result, ensure};
use interceptor::{
    capture::pcap::PcapSource,
    inference::{self, Options},
    model::{Exchange, Inference, Record, Tensor, Values},
    pipeline::{self, Pipeline},
    session,
    sink::Sink,
};
use serde_json::{Map, Value, json};

#[derive(Default)]
struct Exchanges(Vec<Exchange>);

impl Sink for Exchanges {
    fn record(&mut self, record: &Record) -> Result<()> {
        if let Record::Exchange(exchange) = record {
            self.0.push(Exchange::clone(exchange));
        }
        Ok(())
    }
}

/// Calls are made one after the other; every field that the client names is as it says.
pub(crate) fn compare(capture: &Path, log: &[Value]) -> Result<()> {
    let told: Vec<&Map<String, Value>> = log.iter().filter_map(|entry| entry["inference"].as_object()).collect();
    if told.is_empty() {
        return Ok(());
    }
    let mut exchanges = exchanges(capture)?;
    exchanges.sort_by_key(|exchange| exchange.request.as_ref().map(|request| request.first_byte));
    ensure!(exchanges.len() == told.len(), "{} exchanges, {} logged", exchanges.len(), told.len());
    for (exchange, told) in exchanges.iter().zip(told) {
        let found = inference::read(exchange, &Options::default())
            .with_context(|| format!("means nothing, but the client says {told:?}"))?;
        ensure!(found.unread.is_none(), "not all was read: {found:?}");
        for (name, told) in told {
            let ours = field(&found, name).with_context(|| format!("a log has no {name:?}"))?;
            ensure!(alike(told, &ours), "{name}: the client says {told}, ours is {ours}\n{found:?}");
        }
    }
    Ok(())
}

fn exchanges(capture: &Path) -> Result<Vec<Exchange>> {
    let mut source = PcapSource::read("a capture", fs::File::open(capture)?)?;
    let session = session::Limits { body: 1 << 20, memory: 1 << 24, ..session::Limits::default() };
    let options = pipeline::Options { session, ..pipeline::Options::default() };
    let mut pipeline = Pipeline::new(options, Exchanges::default());
    pipeline.run(&mut source, &AtomicBool::new(false))?;
    pipeline.finish()?;
    Ok(std::mem::take(pipeline.sink_mut()).0)
}

fn field(found: &Inference, name: &str) -> Option<Value> {
    Some(match name {
        "dialect" => found.dialect.name().into(),
        "operation" => found.operation.name().into(),
        "model" => json!(found.model),
        "version" => json!(found.version),
        "response_model" => json!(found.response_model),
        "id" => json!(found.id),
        "batch" => json!(found.batch),
        "inputs" => found.inputs.iter().map(tensor).collect(),
        "outputs" => found.outputs.iter().map(tensor).collect(),
        "parameters" => Value::Object(found.parameters.iter().cloned().collect()),
        "error" => json!(found.error.as_ref().map(|error| &error.message)),
        _ => return None,
    })
}

fn tensor(tensor: &Tensor) -> Value {
    let data = match &tensor.values {
        Values::Unread => Value::Null,
        Values::Numbers(numbers) => json!(numbers),
        Values::Strings(strings) => json!(strings),
    };
    let mut out = json!({ "name": tensor.name, "shape": tensor.shape, "data": data });
    if let Some(datatype) = tensor.datatype {
        out["datatype"] = datatype.name().into();
    }
    out
}

/// The same, but that 2 is 2.0, and a number was perhaps written with fewer digits than it has.
fn alike(told: &Value, ours: &Value) -> bool {
    match (told, ours) {
        (Value::Number(told), Value::Number(ours)) => {
            let (told, ours) = (told.as_f64().unwrap_or(f64::NAN), ours.as_f64().unwrap_or(f64::NAN));
            (told - ours).abs() <= told.abs() * 4.0 * f64::EPSILON
        }
        (Value::Array(told), Value::Array(ours)) => {
            told.len() == ours.len() && told.iter().zip(ours).all(|(told, ours)| alike(told, ours))
        }
        (Value::Object(told), Value::Object(ours)) => {
            told.len() == ours.len()
                && told.iter().all(|(name, told)| ours.get(name).is_some_and(|ours| alike(told, ours)))
        }
        _ => told == ours,
    }
}
