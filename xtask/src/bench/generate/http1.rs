use std::io::{self, Write as _};

const MODELS: [&str; 4] = ["resnet50", "bert-base", "fraud-detector", "ranker"];
const AGENTS: [&str; 3] = ["python-requests/2.32.3", "Go-http-client/1.1", "curl/8.5.0"];

/// Three inferences to one look at the model.
pub(super) fn compose(connection: u32, id: u64, request: &mut Vec<u8>, response: &mut Vec<u8>) -> io::Result<()> {
    let model = MODELS[connection as usize % MODELS.len()];
    let agent = AGENTS[connection as usize % AGENTS.len()];
    let infer = !id.is_multiple_of(4);
    let question = format!(
        "{{\"id\":\"{id:016x}\",\"inputs\":[{{\"name\":\"x\",\"shape\":[1,4],\"datatype\":\"FP32\",\"data\":[{},{},1,0]}}]}}",
        id % 97,
        id % 89
    );
    let (method, action) = if infer { ("POST", "/infer") } else { ("GET", "") };
    write!(
        request,
        "{method} /v2/models/{model}{action} HTTP/1.1\r\nHost: models.example.org:8080\r\nUser-Agent: {agent}\r\n\
         Accept-Encoding: gzip, deflate\r\nAccept: application/json\r\nConnection: keep-alive\r\n\
         X-Request-Id: {id:016x}\r\n"
    )?;
    if infer {
        write!(request, "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{question}", question.len())?;
    } else {
        request.extend_from_slice(b"\r\n");
    }
    let answer = format!(
        "{{\"model_name\":\"{model}\",\"model_version\":\"3\",\"id\":\"{id:016x}\",\"outputs\":[{{\"name\":\"y\",\"shape\":[1,2],\
         \"datatype\":\"FP32\",\"data\":[0.{:04},0.{:04}]}}]}}",
        id % 9973,
        id % 9967
    );
    write!(
        response,
        "HTTP/1.1 200 OK\r\nServer: model-server\r\nDate: Tue, 14 Nov 2023 22:13:20 GMT\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: keep-alive\r\n\
         X-Request-Id: {id:016x}\r\n\r\n{answer}",
        answer.len()
    )
}
