//! Two pods, a model server and a client, to see the interceptor at work.
//!
//! `interceptor demo` makes the pods ([`pod`]), captures on the server pod's interface, and starts itself twice more:
//! as the server (`interceptor demo serve`) and as the client (`interceptor demo ask`), each inside its pod.

pub mod client;
mod inference;
mod model;
pub mod namespace;
pub mod pod;
pub mod server;
mod summary;
mod traffic;

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::ensure;

pub use self::namespace::Namespace;
use self::{
    client::Tally,
    pod::{INTERFACE, Pair},
    summary::Summary,
    traffic::{Account, Role},
};
use crate::{
    kernel::{Capture, CaptureOptions},
    model::{Counts, Event, FlowInfo, Record},
    pipeline::{self, Pipeline},
    sink::Sink,
};

/// Prefix of the names of the demo's namespaces and cgroups.
const PODS: &str = "interceptor-demo";
/// How often we look whether somebody wants the demo to end.
const LOOK: Duration = Duration::from_millis(50);
/// How long the last packets of the client's connections may take to us.
const SETTLE: Duration = Duration::from_secs(2);

/// How the demo is to run.
#[derive(Debug)]
pub struct Options {
    /// How long the client asks; until `stop` if there is no limit.
    pub duration: Option<Duration>,
    /// Bounds of the pipeline.
    pub pipeline: pipeline::Options,
}

/// Runs it. Live exchanges go to `live`, everything else to `notes`.
///
/// Whatever happens, Ctrl-C (`stop`) and panics included, everything it has made goes away with the values of this
/// function. What SIGKILL leaves behind, the next demo removes.
pub fn run(options: Options, live: impl Sink, notes: &mut impl Write, stop: &AtomicBool) -> anyhow::Result<()> {
    let leftovers = pod::remove_leftovers(PODS)?;
    if leftovers > 0 {
        writeln!(notes, "removed what {leftovers} earlier demo(s) left behind")?;
    }
    let pods = Pair::create(PODS)?;
    let mut capture = Capture::start(&capture_options(&pods))?;
    let mut source = capture.source()?;
    let server = Role::server(&pods)?;
    introduce(notes, &pods, options.duration)?;
    let start = Instant::now();
    let (client, account) = Role::client(&pods, options.duration)?;

    let mut pipeline = Pipeline::new(options.pipeline, Tee { live, summary: Summary::default() });
    let over = AtomicBool::new(false);
    let counts = Arc::clone(pipeline.counts());
    let (result, tally) = thread::scope(|scope| {
        let watch = Watch { client: &client, over: &over, stop };
        let counts = &counts;
        let watcher = scope.spawn(move || watch.until_over(account, counts));
        let result = pipeline.run(&mut source, &over);
        // Where the pipeline ended by itself (its reader is gone, an error), the client ends now.
        over.store(true, Relaxed);
        client.terminate();
        (result, watcher.join().ok().flatten())
    });
    let took = start.elapsed();
    drop((client, server));
    result.and_then(|()| pipeline.finish())?;
    let summary = &pipeline.sink().summary;
    writeln!(notes)?;
    summary.write(notes, took, tally.as_ref())?;
    notes.flush()?;
    ensure!(summary.balanced(), "the ledger does not balance: please report this, with the output above");
    Ok(())
}

fn capture_options(pods: &Pair) -> CaptureOptions {
    CaptureOptions {
        interfaces: vec![INTERFACE.to_owned()],
        netns: vec![pods.server.namespace().path().to_owned()],
        sock_ops_cgroup: Some(pods.cgroup().to_owned()),
        ..CaptureOptions::default()
    }
}

/// Says what is there, and what to try if there is time.
fn introduce(notes: &mut impl Write, pods: &Pair, duration: Option<Duration>) -> io::Result<()> {
    let (server, client) = (&pods.server, &pods.client);
    let address = (server.ipv4, server::PORT);
    writeln!(
        notes,
        "a model server at {}:{}, a client that asks it, and the interceptor in between",
        address.0, address.1
    )?;
    if duration.is_none() {
        let (inside, cgroup) = (client.namespace().path().display(), server.cgroup().display());
        writeln!(notes, "try, in another terminal, as root:")?;
        writeln!(notes, "  interceptor tail --netns {} --iface {INTERFACE} --headers", server.name())?;
        writeln!(notes, "  interceptor tail --cgroup {cgroup} --status 4xx --body")?;
        writeln!(notes, "  nsenter --net={inside} curl -i http://{}:{}/v2/models/iris", address.0, address.1)?;
        writeln!(
            notes,
            "  nsenter --net={inside} curl http://{}:{}/v2/models/iris/infer -d '{EXAMPLE}'",
            address.0, address.1
        )?;
        writeln!(notes, "Ctrl-C ends it.")?;
    }
    writeln!(notes)?;
    notes.flush()
}

const EXAMPLE: &str = r#"{"inputs":[{"name":"flowers","datatype":"FP32","shape":[1,4],"data":[5.1,3.5,1.4,0.2]}]}"#;

/// Live output, and the summary.
struct Tee<K> {
    live: K,
    summary: Summary,
}

impl<K: Sink> Sink for Tee<K> {
    fn record(&mut self, record: &Record) -> anyhow::Result<()> {
        self.summary.record(record);
        self.live.record(record)
    }

    fn wants_events(&self) -> bool {
        self.live.wants_events()
    }

    fn event(&mut self, flow: &FlowInfo, event: &Event<'_>) -> anyhow::Result<()> {
        self.live.event(flow, event)
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        self.live.flush()
    }

    fn close(&mut self) -> anyhow::Result<()> {
        self.live.close()
    }
}

/// Ends the demo when the client is done, and the client when the demo is to end.
struct Watch<'a> {
    client: &'a Role,
    over: &'a AtomicBool,
    stop: &'a AtomicBool,
}

impl Watch<'_> {
    fn until_over(&self, account: Account, counts: &Counts) -> Option<Tally> {
        let tally = thread::scope(|scope| {
            let reader = scope.spawn(|| account.read());
            while !reader.is_finished() {
                if self.stop.load(Relaxed) {
                    self.client.terminate();
                }
                thread::sleep(LOOK);
            }
            reader.join().ok().flatten()
        });
        let deadline = Instant::now() + SETTLE;
        while counts.open_flows.load(Relaxed) > 0 && !self.over.load(Relaxed) && Instant::now() < deadline {
            thread::sleep(LOOK);
        }
        self.over.store(true, Relaxed);
        tally
    }
}
