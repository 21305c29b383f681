//! `interceptor demo serve`: a model server that speaks the Open Inference Protocol v2 over HTTP/1.1.

use std::{
    convert::Infallible,
    io::Write as _,
    net::{Ipv6Addr, SocketAddr},
    time::Duration,
};

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body, Incoming},
    header::{ALLOW, CONTENT_TYPE},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::inference::{self, MODEL, VERSION};

/// Where the model is served.
pub(super) const PORT: u16 = 8080;
/// Larger requests are refused.
const BODY_LIMIT: usize = 4 << 20;
/// A client has this long to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves until it is killed. Prints a line once it listens.
pub fn serve() -> anyhow::Result<()> {
    nix::sys::prctl::set_name(c"model-server")?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = match TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, PORT))).await {
            // IPv6 is switched off on this host.
            Err(_) => TcpListener::bind(SocketAddr::from(([0, 0, 0, 0], PORT))).await,
            bound => bound,
        }
        .with_context(|| format!("cannot listen on port {PORT}"))?;
        println!("listening");
        std::io::stdout().flush()?;
        loop {
            let (stream, _) = listener.accept().await?;
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service_fn(answer));
            // A client that goes away is no error of ours.
            tokio::spawn(async { drop(connection.await) });
        }
    })
}

/// The status and what goes with it; errors are the protocol's `{"error": …}`.
struct Failure(StatusCode, String);

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, body) = match route(request).await {
        Ok(body) => (StatusCode::OK, body),
        Err(Failure(status, error)) => (status, json!({ "error": error })),
    };
    let mut response = Response::new(Full::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static("GET, POST"));
    }
    Ok(response)
}

async fn route<B>(request: Request<B>) -> Result<Value, Failure>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let path = request.uri().path().to_owned();
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (method, body) = (request.method().clone(), request.into_body());
    match (&method, segments.as_slice()) {
        (&Method::GET, ["v2"]) => Ok(json!({
            "name": "interceptor-demo", "version": env!("CARGO_PKG_VERSION"), "extensions": [],
        })),
        (&Method::GET, ["v2", "health", "live"]) => Ok(json!({ "live": true })),
        (&Method::GET, ["v2", "health", "ready"]) => Ok(json!({ "ready": true })),
        (_, ["v2", "models", name, "versions", version, rest @ ..]) => {
            check_model(name, Some(version))?;
            model_route(&method, rest, body).await
        }
        (_, ["v2", "models", name, rest @ ..]) => {
            check_model(name, None)?;
            model_route(&method, rest, body).await
        }
        (_, ["v2"] | ["v2", "health", "live" | "ready"]) => Err(not_allowed(&method)),
        _ => Err(Failure(StatusCode::NOT_FOUND, format!("nothing at {path}"))),
    }
}

async fn model_route<B>(method: &Method, rest: &[&str], body: B) -> Result<Value, Failure>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match (method, rest) {
        (&Method::GET, []) => Ok(inference::metadata()),
        (&Method::GET, ["ready"]) => Ok(json!({ "name": MODEL, "ready": true })),
        (&Method::POST, ["infer"]) => {
            let body = Limited::new(body, BODY_LIMIT).collect().await.map_err(|error| {
                Failure(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    format!("cannot take the request ({BODY_LIMIT} bytes at most): {error}"),
                )
            })?;
            inference::infer(&body.to_bytes()).map_err(|error| Failure(StatusCode::BAD_REQUEST, error))
        }
        (_, [] | ["ready" | "infer"]) => Err(not_allowed(method)),
        _ => Err(Failure(StatusCode::NOT_FOUND, format!("a model has no {}", rest.join("/")))),
    }
}

fn check_model(name: &str, version: Option<&str>) -> Result<(), Failure> {
    if name != MODEL {
        return Err(Failure(StatusCode::NOT_FOUND, format!("unknown model `{name}`")));
    }
    match version {
        Some(version) if version != VERSION => {
            Err(Failure(StatusCode::NOT_FOUND, format!("model `{name}` has no version `{version}`")))
        }
        _ => Ok(()),
    }
}

fn not_allowed(method: &Method) -> Failure {
    Failure(StatusCode::METHOD_NOT_ALLOWED, format!("{method} is not allowed here"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(method: &str, path: &str, body: &str) -> Result<Value, u16> {
        let request = Request::builder().method(method).uri(path).body(Full::<Bytes>::from(body.to_owned())).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(route(request)).map_err(|Failure(status, _)| status.as_u16())
    }

    #[test]
    fn the_protocols_endpoints_answer() {
        assert_eq!(ask("GET", "/v2/health/live", ""), Ok(json!({"live": true})));
        assert_eq!(ask("GET", "/v2/health/ready", ""), Ok(json!({"ready": true})));
        assert_eq!(ask("GET", "/v2", "").unwrap()["name"], "interceptor-demo");
        assert_eq!(ask("GET", "/v2/models/iris", "").unwrap()["inputs"][0]["shape"], json!([-1, 4]));
        assert_eq!(ask("GET", "/v2/models/iris/versions/1/ready", ""), Ok(json!({"name": "iris", "ready": true})));
        let body = r#"{"inputs":[{"name":"flowers","datatype":"FP32","shape":[1,4],"data":[5.1,3.5,1.4,0.2]}]}"#;
        let answer = ask("POST", "/v2/models/iris/infer", body).unwrap();
        assert_eq!(answer["outputs"][1]["data"], json!(["setosa"]));
    }

    #[test]
    fn mistakes_get_their_status() {
        assert_eq!(ask("GET", "/", ""), Err(404));
        assert_eq!(ask("GET", "/v2/models/rose", ""), Err(404));
        assert_eq!(ask("GET", "/v2/models/iris/versions/2", ""), Err(404));
        assert_eq!(ask("GET", "/v2/models/iris/nothing", ""), Err(404));
        assert_eq!(ask("GET", "/v2/models/iris/infer", ""), Err(405));
        assert_eq!(ask("DELETE", "/v2/health/live", ""), Err(405));
        assert_eq!(ask("POST", "/v2/models/iris/infer", "{"), Err(400));
        assert_eq!(ask("POST", "/v2/models/iris/infer", &" ".repeat(BODY_LIMIT + 1)), Err(413));
    }
}
