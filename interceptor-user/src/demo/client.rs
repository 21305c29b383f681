//! `interceptor demo ask`: asks the demo's server a lively mix of things, some of them wrong.

use std::{collections::BTreeMap, io::Write as _, net::SocketAddr, time::Duration};

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Method, Request,
    client::conn::http1::{self, SendRequest},
    header::{CONTENT_TYPE, HOST, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{
    net::TcpStream,
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{
    inference::{INPUT, MODEL},
    model::FEATURES,
};

/// Time between two requests of one worker, on average.
const PAUSE: Duration = Duration::from_millis(250);
/// A request that takes longer has failed.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// What it calls itself.
pub(super) const NAME: &str = concat!("interceptor-demo/", env!("CARGO_PKG_VERSION"));
/// Batch sizes, small ones more often.
const BATCHES: [usize; 10] = [1, 1, 1, 1, 2, 4, 8, 32, 128, 1024];

/// How a worker treats its connections.
#[derive(Clone, Copy)]
struct Habit {
    server: SocketAddr,
    /// Requests per connection.
    reuse: u32,
}

/// What the client knows of its own doing, to be held against what the interceptor saw.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tally {
    /// Requests that were answered.
    pub(super) answered: u64,
    /// Requests that were not.
    pub(super) failed: u64,
    /// Answers whose status was not the one that the question deserved.
    pub(super) unexpected: u64,
    /// Answers by status.
    pub(super) by_status: BTreeMap<u16, u64>,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.answered += other.answered;
        self.failed += other.failed;
        self.unexpected += other.unexpected;
        for (status, count) in &other.by_status {
            *self.by_status.entry(*status).or_default() += count;
        }
    }
}

/// Asks `servers` for `duration`, or until SIGTERM if there is none; then prints the tally as a line of JSON.
pub fn ask(servers: &[SocketAddr], duration: Option<Duration>) -> anyhow::Result<()> {
    nix::sys::prctl::set_name(c"demo-client")?;
    let tally = tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run(servers, duration))?;
    println!("{}", serde_json::to_string(&tally)?);
    Ok(std::io::stdout().flush()?)
}

async fn run(servers: &[SocketAddr], duration: Option<Duration>) -> anyhow::Result<Tally> {
    let mut terminate = signal(SignalKind::terminate())?;
    // Ctrl-C reaches the whole process group; the demo decides when the client ends.
    let _interrupt = signal(SignalKind::interrupt())?;
    let (stop, stopped) = watch::channel(false);
    let mut workers = JoinSet::new();
    for (server, seed) in servers.iter().zip(1..) {
        for (reuse, seed) in [(20, seed * 2), (1, seed * 2 + 1)] {
            workers.spawn(work(Habit { server: *server, reuse }, Dice::new(seed), stopped.clone()));
        }
    }
    tokio::select! {
        () = async { match duration { Some(duration) => sleep(duration).await, None => std::future::pending().await } } => {}
        _ = terminate.recv() => {}
    }
    stop.send_replace(true);
    let mut tally = Tally::default();
    while let Some(worker) = workers.join_next().await {
        tally.add(&worker?);
    }
    Ok(tally)
}

/// One connection after the other, until it is told to stop.
async fn work(habit: Habit, mut dice: Dice, mut stopped: watch::Receiver<bool>) -> Tally {
    let mut tally = Tally::default();
    while !*stopped.borrow() {
        let Ok(mut connection) = connect(habit.server).await else {
            tally.failed += 1;
            pause(&mut dice, &mut stopped).await;
            continue;
        };
        for _ in 0..habit.reuse {
            let question = Question::random(&mut dice);
            match put(&mut connection, habit.server, &question).await {
                Ok(status) => {
                    tally.answered += 1;
                    *tally.by_status.entry(status).or_default() += 1;
                    tally.unexpected += u64::from(status != question.deserves);
                }
                Err(_) => tally.failed += 1,
            }
            pause(&mut dice, &mut stopped).await;
            if *stopped.borrow() || !connection.is_ready() {
                break;
            }
        }
    }
    tally
}

async fn pause(dice: &mut Dice, stopped: &mut watch::Receiver<bool>) {
    let until = Instant::now() + PAUSE.mul_f64(f64::from(dice.below(2000)) / 1000.0);
    let _ = tokio::time::timeout_at(until, stopped.wait_for(|stop| *stop)).await;
}

async fn connect(server: SocketAddr) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let stream = timeout(REQUEST_TIMEOUT, TcpStream::connect(server)).await??;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Its errors come out of the requests too.
    tokio::spawn(async { drop(connection.await) });
    Ok(sender)
}

async fn put(
    connection: &mut SendRequest<Full<Bytes>>,
    server: SocketAddr,
    question: &Question,
) -> anyhow::Result<u16> {
    let request = Request::builder()
        .method(&question.method)
        .uri(&question.path)
        .header(HOST, server.to_string())
        .header(USER_AGENT, NAME);
    let request = if question.body.is_empty() { request } else { request.header(CONTENT_TYPE, "application/json") };
    let request = request.body(Full::from(question.body.clone()))?;
    let answer = async {
        let response = connection.send_request(request).await?;
        let status = response.status().as_u16();
        response.into_body().collect().await?;
        anyhow::Ok(status)
    };
    timeout(REQUEST_TIMEOUT, answer).await.context("no answer")?
}

/// A request, and the status that it deserves.
struct Question {
    method: Method,
    path: String,
    body: String,
    deserves: u16,
}

impl Question {
    fn random(dice: &mut Dice) -> Self {
        let model = format!("/v2/models/{MODEL}");
        let get = |path: &str| Self { method: Method::GET, path: path.to_owned(), body: String::new(), deserves: 200 };
        let infer = |body: String| Self { method: Method::POST, path: format!("{model}/infer"), body, deserves: 200 };
        match dice.below(40) {
            0..=3 => get("/v2/health/live"),
            4..=7 => get("/v2/health/ready"),
            8..=9 => get("/v2"),
            10..=12 => get(&model),
            13..=14 => get(&format!("{model}/ready")),
            15 => Self { deserves: 404, ..get("/v2/models/rose") },
            16 => Self { deserves: 404, ..get("/v2/models/iris/versions/9") },
            17 => Self { deserves: 405, ..get(&format!("{model}/infer")) },
            18 => Self { deserves: 400, ..infer(r#"{"inputs": [{"name": "flowers", "#.to_owned()) },
            19 => Self { deserves: 400, ..infer(batch(dice, 3, FEATURES - 1)) },
            _ => {
                let rows = BATCHES[dice.below(BATCHES.len() as u32) as usize];
                infer(batch(dice, rows, FEATURES))
            }
        }
    }
}

/// An infer request with `rows` flowers.
fn batch(dice: &mut Dice, rows: usize, columns: usize) -> String {
    let data: Vec<f64> = (0..rows * columns).map(|_| f64::from(1 + dice.below(79)) / 10.0).collect();
    let tensor = json!({"name": INPUT, "datatype": "FP32", "shape": [rows, columns], "data": data});
    json!({"id": dice.below(1_000_000).to_string(), "inputs": [tensor]}).to_string()
}

/// Numbers that look random and are the same in every run: SplitMix64 (Steele, Lea, Flood 2014).
struct Dice(u64);

impl Dice {
    const fn new(seed: u64) -> Self {
        Self(seed)
    }

    const fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::{super::inference::infer, *};

    #[test]
    fn questions_are_a_mix_and_infer_bodies_deserve_what_they_claim() {
        let mut dice = Dice::new(1);
        let mut statuses = BTreeMap::<u16, u32>::new();
        for _ in 0..1000 {
            let question = Question::random(&mut dice);
            *statuses.entry(question.deserves).or_default() += 1;
            if question.method == Method::POST {
                assert_eq!(infer(question.body.as_bytes()).is_ok(), question.deserves == 200, "{}", question.body);
            }
        }
        assert_eq!(statuses.keys().copied().collect::<Vec<_>>(), [200, 400, 404, 405]);
        assert!(statuses[&200] > 800, "{statuses:?}");
    }

    #[test]
    fn dice_stay_below_their_bound_and_reach_everything() {
        let mut dice = Dice::new(3);
        let mut seen = [0; 10];
        (0..1000).for_each(|_| seen[dice.below(10) as usize] += 1);
        assert!(seen.iter().all(|count| *count > 50), "{seen:?}");
    }
}
