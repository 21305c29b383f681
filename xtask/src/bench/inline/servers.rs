//! What is asked: a file over HTTP/1.1 (nginx, which the lab has), unary calls over HTTP/2 (nghttpd), events (our own server).

use std::{
    fs,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use crate::bench::{
    child::Running,
    lab::{Lab, get},
};

/// Where they are.
pub(super) const HOST: &str = "10.77.0.1";
pub(super) const PLAIN: u16 = 8080;
pub(super) const UNARY: u16 = 8081;
pub(super) const EVENTS: u16 = 8082;

/// What a unary call is sent to: a file, the type of which its ending tells.
pub(super) const METHOD: &str = "/bench.Bench/unary.grpc";
/// Bytes of each message, of a request and of its answer.
const MESSAGE: usize = 100;

/// Between two events of a stream.
const INTERVAL: Duration = Duration::from_millis(10);

/// They end with it.
pub(super) struct Servers {
    _unary: Running,
    _events: Running,
}

impl Servers {
    pub(super) fn start(lab: &Lab) -> Result<Self> {
        let root = lab.file("unary");
        fs::create_dir_all(root.join("bench.Bench"))?;
        fs::write(lab.file(&format!("unary{METHOD}")), message())?;
        fs::write(lab.file("request"), message())?;
        fs::write(lab.file("types"), "application/grpc grpc\n")?;
        let mut command = lab.in_server("nghttpd");
        command.args(["--no-tls", "--workers", "1", "--trailer", "grpc-status: 0", "--address", HOST, "-d"]).arg(root);
        command.arg("--mime-types-file").arg(lab.file("types")).arg(UNARY.to_string()).stdout(Stdio::null());
        let mut unary = Running::start("nghttpd", &mut command)?;
        let mut command = lab.in_server(std::env::current_exe()?);
        command.args(["bench", "send-events", "--address", &format!("{HOST}:{EVENTS}")]);
        let mut events =
            Running::start("server of events", command.args(["--millis", &INTERVAL.as_millis().to_string()]))?;
        let began = Instant::now();
        let url = format!("http://{HOST}:{UNARY}{METHOD}");
        loop {
            let mut curl = lab.in_client("curl");
            curl.args(["--http2-prior-knowledge", "--output", "/dev/null"]);
            let Err(error) = get(curl, &url) else { break };
            unary.still_there()?;
            ensure!(began.elapsed() < Duration::from_secs(10), "nghttpd does not answer: {error:#}");
            thread::sleep(Duration::from_millis(50));
        }
        events.still_there()?;
        Ok(Self { _unary: unary, _events: events })
    }
}

/// A message of gRPC: not compressed, its length, what it is (a field of bytes).
fn message() -> Vec<u8> {
    let field = [vec![0x0a, (MESSAGE - 2) as u8], vec![b'x'; MESSAGE - 2]].concat();
    [vec![0, 0, 0, 0, field.len() as u8], field].concat()
}

/// How they are asked, for the section.
pub(super) fn described() -> String {
    format!(
        "Servers: nginx with one worker (a file of 1 KiB), nghttpd with one thread (a message of gRPC of {MESSAGE} bytes in, \
         one out, trailers), and a server of events of this benchmark's own (one on each stream every {} ms).",
        INTERVAL.as_millis(),
    )
}
