//! What an endpoint logged, against what we made of the packets: field by field, and nothing of our own in between.

use anyhow::{Context as _, Result, bail, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

/// Each entry of the log (`recorder/bed.py` names its fields) is one of the exchanges and each exchange is in the log.
/// Exchanges end in another order than they begin, so an entry takes the first one left that agrees in all it says.
pub(crate) fn compare(log: &[Value], exchanges: &[Value]) -> Result<()> {
    let mut left: Vec<&Value> = exchanges.iter().collect();
    for entry in log {
        let answers: Vec<_> = left.iter().map(|exchange| differences(entry, exchange)).collect();
        let Some((at, least)) = answers.iter().enumerate().min_by_key(|(_, differences)| differences.len()) else {
            bail!("the endpoint logged {entry}, and there is no more exchange");
        };
        ensure!(least.is_empty(), "the endpoint logged {entry}\nthe nearest is {}\n{}", left[at], least.join("\n"));
        left.remove(at);
    }
    ensure!(left.is_empty(), "the endpoint has not logged {left:?}");
    Ok(())
}

fn differences(entry: &Value, exchange: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for (name, logged) in entry.as_object().into_iter().flatten() {
        match name.as_str() {
            "request" | "response" => side(name, logged, exchange, &mut found),
            "path" => equal(name, logged, &path(exchange), &mut found),
            "abort" => {
                for (name, logged) in logged.as_object().into_iter().flatten() {
                    equal(name, logged, &exchange[format!("interceptor.stream.abort.{name}")], &mut found);
                }
            }
            // What a client told its caller: compared in `inference.rs` and in the library's `inference::tests::clients`.
            "inference" => {}
            _ => match key(name) {
                Ok(key) => equal(name, logged, &exchange[key], &mut found),
                Err(error) => found.push(error.to_string()),
            },
        }
    }
    if entry.get("abort").is_none() && exchange["complete"] != true {
        found.push(format!("it is whole, says the endpoint: {}", exchange["anomalies"]));
    }
    found
}

fn key(name: &str) -> Result<&'static str> {
    Ok(match name {
        "method" => "http.request.method",
        "status" => "http.response.status_code",
        "grpc_status" => "rpc.response.status_code",
        "grpc_message" => "interceptor.rpc.message",
        "grpc_details" => "interceptor.rpc.status_details",
        "stream" => "interceptor.stream.id",
        "interim" => "interceptor.response.interim",
        "protocol" => "network.protocol.name",
        "version" => "network.protocol.version",
        other => bail!("a log has no {other:?}"),
    })
}

fn path(exchange: &Value) -> Value {
    let part = |key: &str| exchange[key].as_str();
    match (part("url.path"), part("url.query")) {
        (Some(path), Some(query)) => format!("{path}?{query}").into(),
        (path, _) => path.into(),
    }
}

fn equal(name: &str, logged: &Value, ours: &Value, found: &mut Vec<String>) {
    if logged != ours {
        found.push(format!("{name}: logged {logged}, ours is {ours}"));
    }
}

fn side(side: &str, logged: &Value, exchange: &Value, found: &mut Vec<String>) {
    for (name, logged) in logged.as_object().into_iter().flatten() {
        let body = |last: &str| &exchange[format!("interceptor.{side}.body.{last}")];
        match name.as_str() {
            "size" => equal(side, logged, &exchange[format!("http.{side}.body.size")], found),
            "messages" => {
                let logged = logged.as_array().map(Vec::as_slice).unwrap_or_default();
                let ours = body("messages").as_array().map(Vec::as_slice).unwrap_or_default();
                if logged.len() != ours.len() {
                    found.push(format!("{side}: logged {} messages, ours are {}", logged.len(), ours.len()));
                }
                for (number, (logged, ours)) in logged.iter().zip(ours).enumerate() {
                    message(&format!("{side} message {number}"), logged, ours, found);
                }
            }
            _ => content(side, name, logged, body("content"), body("encoding"), found),
        }
    }
}

fn message(which: &str, logged: &Value, ours: &Value, found: &mut Vec<String>) {
    for (name, logged) in logged.as_object().into_iter().flatten() {
        match name.as_str() {
            // It is only written where it is another.
            "wire_size" if ours.get(name).is_none() => equal(which, logged, &ours["size"], found),
            "size" | "wire_size" | "kind" | "compression" => {
                equal(&format!("{which}: {name}"), logged, &ours[name], found);
            }
            _ => content(which, name, logged, &ours["content"], &ours["encoding"], found),
        }
    }
}

fn content(which: &str, name: &str, logged: &Value, ours: &Value, encoding: &Value, found: &mut Vec<String>) {
    match name {
        // JSON that was sent is shown without its spaces.
        "text" if encoding == "json" => {
            let sent: Value = logged.as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
            equal(which, &sent, ours, found);
        }
        // Where there is no content, it is not shown.
        "text" if logged == "" && ours.is_null() => {}
        "json" | "text" => equal(which, logged, ours, found),
        "ends" => {
            let (end, all) = (logged.as_str().unwrap_or_default(), ours.as_str().unwrap_or_default());
            if !all.ends_with(&format!("\r\n\r\n{end}")) {
                found.push(format!("{which}: logged the end {end:?}, ours is {all:?}"));
            }
        }
        "crc32" => match bytes(ours, encoding) {
            Ok(bytes) => equal(which, logged, &crc32(&bytes).into(), found),
            Err(error) => found.push(format!("{which}: {error:#}")),
        },
        other => found.push(format!("{which}: a log has no {other:?}")),
    }
}

fn bytes(content: &Value, encoding: &Value) -> Result<Vec<u8>> {
    let text = content.as_str().unwrap_or_default();
    match encoding.as_str() {
        None => Ok(Vec::new()),
        Some("utf-8") => Ok(text.as_bytes().to_vec()),
        Some("base64") => STANDARD.decode(text).context("no base64"),
        Some(other) => bail!("the bytes of {other} are not known"),
    }
}

/// That of ISO 3309, as in Python's zlib and Go's hash/crc32.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 })
    })
}
