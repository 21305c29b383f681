//! A reader that does not read: the kernel programs hand over that its window is full, and for how long is told.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use interceptor::{
    kernel::Capture,
    model::{Delays, Exchange, Record},
    pipeline::{self, Pipeline},
    sink::Sink,
};

use crate::{
    Test,
    bed::{listen, options, payload},
};

pub(crate) fn tests() -> Vec<Test> {
    vec![("the_time_of_a_reader_that_does_not_read_is_told", slow_reader)]
}

/// More than both sockets' buffers hold.
const LEN: usize = 24 << 20;
const SLEPT: Duration = Duration::from_millis(1500);

/// Keeps the first exchange, and then stops the pipeline.
struct First<'a> {
    exchange: Option<Exchange>,
    stop: &'a AtomicBool,
}

impl Sink for First<'_> {
    fn record(&mut self, record: &Record) -> anyhow::Result<()> {
        if let Record::Exchange(exchange) = record {
            self.exchange.get_or_insert_with(|| (**exchange).clone());
            self.stop.store(true, Relaxed);
        }
        Ok(())
    }
}

fn slow_reader() -> anyhow::Result<()> {
    let (listener, address) = listen("127.0.0.1:0")?;
    let mut options = options("lo", address.port());
    options.ring_bytes = 64 << 20;
    let mut capture = Capture::start(&options)?;
    let mut source = capture.source()?;
    let server = thread::spawn(move || -> anyhow::Result<()> {
        let (mut stream, _) = listener.accept()?;
        stream.read_exact(&mut [0; GET.len()])?;
        stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {LEN}\r\n\r\n").as_bytes())?;
        Ok(stream.write_all(&payload(LEN, 3))?)
    });
    let client = thread::spawn(move || -> anyhow::Result<Duration> {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(GET.as_bytes())?;
        let asked = Instant::now();
        thread::sleep(SLEPT);
        stream.read_to_end(&mut Vec::with_capacity(LEN + 100))?;
        Ok(asked.elapsed())
    });
    let stop = AtomicBool::new(false);
    let late = Instant::now() + Duration::from_mins(1);
    let mut pipeline = Pipeline::new(pipeline::Options::default(), First { exchange: None, stop: &stop });
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Relaxed) && Instant::now() < late {
                thread::sleep(Duration::from_millis(20));
            }
            stop.store(true, Relaxed);
        });
        pipeline.run(&mut source, &stop)
    })?;
    server.join().ok().context("the server panicked")??;
    let took = client.join().ok().context("the client panicked")??;
    let exchange = pipeline.sink_mut().exchange.take().context("no exchange was seen")?;
    let Delays { stalled, waited } = exchange.response.context("no response was seen")?.delays;
    // The buffers are full at once; that they are is said 200 ms later where less is left than a segment (64 KiB on `lo`) takes.
    ensure!(stalled > SLEPT * 3 / 4 && stalled <= took, "stalled for {stalled:?} of {took:?}, {SLEPT:?} of it asleep");
    ensure!(waited.is_zero(), "nothing was lost on `lo`: {waited:?}");
    Ok(())
}

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
