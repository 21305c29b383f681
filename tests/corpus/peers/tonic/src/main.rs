//! gRPC of tonic, for the corpus: a health server and its client in one process, whose log is the client's.
//!
//! `corpus-tonic PORT LOG`

use std::{env, fs, time::Duration};

use prost::Message;
use serde_json::{json, Value};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{codec::CompressionEncoding, transport::{Endpoint, Server}, Code, Status};
use tonic_health::{
    pb::{health_client::HealthClient, HealthCheckRequest},
    server::health_reporter,
    ServingStatus,
};

fn call(method: &str, request: &HealthCheckRequest, responses: Vec<usize>, status: Result<(), &Status>) -> Value {
    let sizes = |sizes: Vec<usize>| json!(sizes.iter().map(|size| json!({"size": size})).collect::<Vec<_>>());
    let (code, message) = status.err().map_or((Code::Ok, ""), |status| (status.code(), status.message()));
    let mut log = json!({
        "method": "POST", "path": format!("/grpc.health.v1.Health/{method}"), "status": 200, "grpc_status": name(code),
        "request": {"messages": sizes(vec![request.encoded_len()])}, "response": {"messages": sizes(responses)},
    });
    if !message.is_empty() {
        log["grpc_message"] = message.into();
    }
    log
}

/// As the specification writes it.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::NotFound => "NOT_FOUND",
        _ => "another",
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = env::args().collect();
    let (mut reporter, service) = health_reporter();
    reporter.set_service_status("model", ServingStatus::Serving).await;
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{}", arguments[1])).await?;
    let service = service.accept_compressed(CompressionEncoding::Gzip).send_compressed(CompressionEncoding::Zstd);
    let service = service.accept_compressed(CompressionEncoding::Zstd);
    let server = Server::builder().add_service(service).serve_with_incoming(TcpListenerStream::new(listener));
    let server = tokio::spawn(server);
    let channel = Endpoint::from_shared(format!("http://127.0.0.1:{}", arguments[1]))?.connect().await?;
    let mut log = Vec::new();
    let plain = HealthClient::new(channel.clone());
    let packed = HealthClient::new(channel)
        .send_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd);
    for mut client in [plain, packed.clone()] {
        for name in ["model", "model", "a model that is not there", "model"] {
            let request = HealthCheckRequest { service: name.into() };
            let answer = client.check(request.clone()).await;
            let responses = answer.iter().map(|answer| answer.get_ref().encoded_len()).collect();
            log.push(call("Check", &request, responses, answer.as_ref().map(|_| ())));
        }
    }
    let request = HealthCheckRequest { service: "model".into() };
    let mut watch = packed.clone().watch(request.clone()).await?.into_inner();
    let mut responses = Vec::new();
    for status in [ServingStatus::NotServing, ServingStatus::Serving, ServingStatus::NotServing] {
        responses.extend(watch.message().await?.map(|message| message.encoded_len()));
        reporter.set_service_status("model", status).await;
    }
    responses.extend(watch.message().await?.map(|message| message.encoded_len()));
    // The client goes away: RST_STREAM.
    drop(watch);
    let mut cancelled = call("Watch", &request, responses, Ok(()));
    cancelled.as_object_mut().unwrap().remove("grpc_status");
    cancelled["abort"] = json!({"by": "client", "code": "CANCEL"});
    log.push(cancelled);
    tokio::time::sleep(Duration::from_millis(50)).await;
    fs::write(&arguments[2], Value::from(log).to_string())?;
    server.abort();
    Ok(())
}
