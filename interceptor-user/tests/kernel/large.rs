//! Packets larger than any wire takes: segmentation offload, and big TCP, whose length no IP header can say.

use std::{collections::HashMap, net::TcpStream, time::Duration};

use anyhow::ensure;
use interceptor::{
    capture::Source as _,
    kernel::{Capture, CaptureOptions},
    model::{Event, Timestamp},
};
use interceptor_common::DropReason;

use crate::{
    NotHere, Test,
    bed::{Pod, exchange, listen, payload},
    collect::Collected,
};

pub(crate) fn tests() -> Vec<Test> {
    vec![("packets_beyond_64_kib_are_taken_whole", big_tcp)]
}

fn big_tcp() -> anyhow::Result<()> {
    let pod = Pod::new()?;
    pod.ip("link set lo gso_max_size 400000 gro_max_size 400000")
        .map_err(|error| error.context(NotHere("big TCP takes Linux 5.19, and iproute2 6.0")))?;
    let (listener, address) = pod.run(|| listen("[::1]:0"))?;
    let options = CaptureOptions {
        interfaces: vec!["lo".to_owned()],
        netns: vec![pod.netns()],
        ring_bytes: 64 << 20,
        ..CaptureOptions::default()
    };
    let mut capture = Capture::start(&options)?;
    let mut source = capture.source()?;
    let (request, response) = (payload(1, 1), payload(16 << 20, 2));
    let mut largest = 0;
    // How much TCP makes one packet of depends on the machine's other work, too.
    for _ in 0..8 {
        let ends = pod.run(|| exchange(&listener, || Ok(TcpStream::connect(address)?), &request, &response))?;
        let mut collected = Collected::default();
        // A packet comes in pieces, which have its time.
        let mut packets: HashMap<Timestamp, usize> = HashMap::new();
        for _ in 0..500 {
            source.poll(Duration::from_millis(20), |event| {
                if let Event::Segment(segment) = &event {
                    *packets.entry(segment.time).or_default() += segment.payload.len();
                }
                collected.take(&event);
            })?;
            if collected.over(ends.client, ends.server) {
                break;
            }
        }
        ensure!(collected.stream(ends.server, ends.client)? == response, "the response differs");
        largest = packets.into_values().max().unwrap_or_default().max(largest);
        if largest > 300_000 {
            break;
        }
    }
    ensure!(largest > 300_000, "the largest packet had {largest} bytes: nothing was shown");
    let drops = capture.drops()?;
    ensure!(DropReason::ALL.iter().all(|reason| drops.total(*reason).packets == 0), "{drops:?}");
    Ok(())
}
