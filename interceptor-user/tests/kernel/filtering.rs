//! What is filtered is not there, what is not filtered is whole, and both are counted.

use std::{
    collections::HashSet,
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use interceptor::{
    kernel::{Capture, CaptureOptions, Filters, cgroup},
    model::{LossReason, Networks, Ports, Reach},
};
use interceptor_common::DropReason;

use crate::{
    Test,
    bed::{Ends, Group, Talk, exchange, listen, options, payload},
    collect::{Collected, Kept},
};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        ("ports_are_filtered", ports),
        ("networks_are_filtered", networks),
        ("what_policies_reach_may_change_and_what_stays_in_it_loses_nothing", reach),
        ("cgroups_are_filtered_with_those_below", cgroups),
        ("directions_are_filtered", directions),
        ("a_sample_takes_flows_whole_or_not_at_all", sample),
        ("the_payload_limit_cuts_and_says_so", payload_limit),
        ("a_flow_that_is_cut_off_gives_lengths_only_until_it_is_taken_up_again", cut_off),
        ("what_is_cut_off_up_to_a_sequence_number_goes_on_after_it", cut_off_until),
    ]
}

/// One exchange over `lo` under these options; gives what was captured of it once `time` has passed.
fn captured(options: &CaptureOptions) -> anyhow::Result<(Collected, Ends, interceptor::kernel::Drops)> {
    let (listener, address) = listen("127.0.0.1:0")?;
    let mut capture = Capture::start(options)?;
    let mut source = capture.source()?;
    let ends = exchange(&listener, || Ok(TcpStream::connect(address)?), b"ping", b"pong")?;
    let mut collected = Collected::default();
    collected.for_a_while(&mut source, Duration::from_millis(200))?;
    let drops = capture.drops()?;
    Ok((collected, ends, drops))
}

fn has(collected: &Collected, ends: Ends) -> bool {
    let directions = [(ends.client, ends.server), (ends.server, ends.client)];
    directions.iter().any(|key| collected.segments.contains_key(key))
}

fn on_lo(filters: Filters) -> CaptureOptions {
    CaptureOptions { interfaces: vec!["lo".to_owned()], filters, ..CaptureOptions::default() }
}

fn ports() -> anyhow::Result<()> {
    // No test listens at the discard port.
    let (collected, ends, drops) = captured(&on_lo(Filters { ports: vec![9], ..Filters::default() }))?;
    ensure!(!has(&collected, ends), "captured in spite of the filter");
    ensure!(collected.sockets.iter().all(|report| report.local != ends.client), "reported in spite of the filter");
    ensure!(drops.total(DropReason::Filtered).packets > 0, "not counted");
    Ok(())
}

fn networks() -> anyhow::Result<()> {
    for (network, expected) in [("127.0.0.0/8", true), ("127.0.0.1", true), ("10.0.0.0/8", false), ("::1/128", false)] {
        let cidrs = vec![network.parse().map_err(anyhow::Error::msg)?];
        let (collected, ends, _) = captured(&on_lo(Filters { cidrs, ..Filters::default() }))?;
        ensure!(has(&collected, ends) == expected, "{network}");
        ensure!(collected.closed(ends.client, ends.server).is_some() == expected, "{network}: report");
    }
    Ok(())
}

/// One connection over `lo` while the reach changes; what is sent under each is there, or counted.
fn reach() -> anyhow::Result<()> {
    let (listener, address) = listen("127.0.0.1:0")?;
    let of = |ports: &[u16]| Reach { ports: ports.iter().copied().collect(), networks: Networks::All };
    let near = |network: &str| -> anyhow::Result<Reach> {
        let networks = Networks::Of(vec![network.parse().map_err(anyhow::Error::msg)?]);
        Ok(Reach { ports: Ports::all(), networks })
    };
    let port = address.port();
    let nothing = Reach::none();
    let mut capture = Capture::start(&CaptureOptions { reach: of(&[9]), ..on_lo(Filters::default()) })?;
    let mut source = capture.source()?;
    let mut client = TcpStream::connect(address)?;
    let (mut server, from) = listener.accept()?;
    let key = (from.into(), address.into());
    let mut collected = Collected::default();
    let steps = [
        (of(&[9]), false),
        (of(&[9, port]), true),
        (of(&[port]), true),
        (Reach::all(), true),
        (nothing, false),
        (near("127.0.0.0/8")?, true),
        (near("127.0.0.1")?, true),
        (near("10.0.0.0/8")?, false),
        (of(&[port]), true),
    ];
    for (at, (reach, expected)) in steps.into_iter().enumerate() {
        capture.set_reach(&reach)?;
        let (before, left_out) =
            (collected.segments.get(&key).map_or(0, Vec::len), capture.drops()?.total(DropReason::NoRule));
        client.write_all(b"12345")?;
        server.read_exact(&mut [0; 5])?;
        collected.for_a_while(&mut source, Duration::from_millis(200))?;
        let seen = collected.segments.get(&key).map_or(0, Vec::len) > before;
        ensure!(seen == expected, "step {at}: {reach}");
        let now = capture.drops()?.total(DropReason::NoRule);
        ensure!(expected || now.bytes >= left_out.bytes + 5, "step {at}: {now:?} after {left_out:?}");
    }
    Ok(())
}

fn cgroups() -> anyhow::Result<()> {
    let (parent, other) = (Group::new()?, Group::new()?);
    let child = Group(parent.0.join("child"));
    std::fs::create_dir(&child.0)?;
    let listening = child.run(|| listen("127.0.0.1:0"))?;
    for (group, expected) in [(&parent, true), (&child, true), (&other, false)] {
        let filters = Filters { cgroups: vec![cgroup::id(&group.0)?], ..Filters::default() };
        let mut capture = Capture::start(&on_lo(filters))?;
        let mut source = capture.source()?;
        let (listener, address) = &listening;
        let ends = exchange(listener, || Ok(TcpStream::connect(*address)?), b"ping", b"pong")?;
        let mut collected = Collected::default();
        collected.for_a_while(&mut source, Duration::from_millis(200))?;
        // On `lo` the sender's cgroup is known: the server is inside, the client is not.
        let sent = collected.segments.contains_key(&(ends.server, ends.client));
        ensure!(sent == expected, "{}", group.0.display());
        ensure!(!collected.segments.contains_key(&(ends.client, ends.server)), "the client is not inside");
    }
    drop(listening);
    drop(child);
    Ok(())
}

fn directions() -> anyhow::Result<()> {
    let (collected, ends, drops) = captured(&on_lo(Filters { no_egress: true, ..Filters::default() }))?;
    // `lo` is captured on egress.
    ensure!(!has(&collected, ends) && drops.total(DropReason::Filtered).packets > 0);
    let (collected, ends, _) = captured(&on_lo(Filters { no_ingress: true, ..Filters::default() }))?;
    ensure!(has(&collected, ends));
    Ok(())
}

fn sample() -> anyhow::Result<()> {
    const FLOWS: usize = 200;
    let (listener, address) = listen("127.0.0.1:0")?;
    let mut capture = Capture::start(&CaptureOptions { sample: 0.5, ..options("lo", address.port()) })?;
    let mut source = capture.source()?;
    let mut all = Vec::new();
    for _ in 0..FLOWS {
        all.push(exchange(&listener, || Ok(TcpStream::connect(address)?), b"ping", b"pong")?);
    }
    let mut collected = Collected::default();
    collected.for_a_while(&mut source, Duration::from_millis(300))?;
    let mut taken = 0;
    for ends in all {
        let both = [(ends.client, ends.server), (ends.server, ends.client)];
        let there: HashSet<_> = both.iter().map(|key| collected.segments.contains_key(key)).collect();
        ensure!(there.len() == 1, "one direction only");
        let reported = collected.closed(ends.client, ends.server).is_some();
        ensure!(there.contains(&reported), "packets and reports disagree");
        if reported {
            taken += 1;
            ensure!(collected.stream(ends.client, ends.server)? == b"ping");
            ensure!(collected.stream(ends.server, ends.client)? == b"pong");
        }
    }
    // Six standard deviations of a fair coin.
    ensure!((58..=142).contains(&taken), "{taken} of {FLOWS} flows");
    ensure!(capture.drops()?.total(DropReason::Sampled).packets > 0, "not counted");
    Ok(())
}

fn payload_limit() -> anyhow::Result<()> {
    // Within a piece, at its end, at the end of the next, and beyond.
    for limit in [10, 30 * 1024, 60 * 1024, 40_000] {
        let (listener, address) = listen("127.0.0.1:0")?;
        let mut capture = Capture::start(&CaptureOptions { payload_limit: limit, ..options("lo", address.port()) })?;
        let mut source = capture.source()?;
        let request = payload(500_000, 9);
        let ends = exchange(&listener, || Ok(TcpStream::connect(address)?), &request, b"ok")?;
        let mut collected = Collected::default();
        collected.until(&mut source, |seen| seen.over(ends.client, ends.server))?;
        let kept = &collected.segments[&(ends.client, ends.server)];
        let first = kept.first().context("no SYN")?.seq.wrapping_add(1);
        for Kept { seq, payload, .. } in kept.iter().filter(|kept| !kept.payload.is_empty()) {
            let at = seq.wrapping_sub(first) as usize;
            ensure!(request[at..at + payload.len()] == **payload, "limit {limit}: differs at {at}");
        }
        let wire: u64 = kept.iter().map(|kept| u64::from(kept.wire_len)).sum();
        let taken: u64 = kept.iter().map(|kept| kept.payload.len() as u64).sum();
        ensure!(wire >= request.len() as u64, "limit {limit}: {wire} bytes on the wire");
        let dropped = capture.drops()?.total(DropReason::PayloadLimit).bytes;
        // How long the packets of `lo` are is the kernel's affair; a stream's first ones are longer than that.
        let binds = limit <= 30 * 1024;
        ensure!((dropped > 0 || !binds) && wire - taken == dropped, "limit {limit}: {wire} - {taken} is not {dropped}");
    }
    Ok(())
}

fn cut_off() -> anyhow::Result<()> {
    let (listener, address) = listen("127.0.0.1:0")?;
    let mut capture = Capture::start(&options("lo", address.port()))?;
    let mut source = capture.source()?;
    let mut talk = Talk::new(&listener, address)?;
    let (from, to) = (talk.from, talk.to);
    talk.ask(b"first")?;
    let way = talk.way()?;
    let mut cut_offs = capture.cut_offs()?;
    cut_offs.forever(way)?;
    talk.ask(b"second")?;
    cut_offs.lift(way);
    talk.ask(b"third")?;
    drop(talk);
    let mut collected = Collected::default();
    collected.until(&mut source, |seen| seen.over(from, to))?;
    let seen: Vec<_> = collected.segments[&(from, to)]
        .iter()
        .filter(|kept| kept.wire_len != 0)
        .map(|kept| (kept.payload.as_slice(), kept.wire_len))
        .collect();
    ensure!(seen == [(&b"first"[..], 5), (b"", 6), (b"third", 5)], "{seen:?}");
    ensure!(collected.stream(to, from)? == b"answeransweranswer", "the other direction was cut off too");
    ensure!(capture.drops()?.total(DropReason::CutOff).bytes == 6);
    ensure!(collected.losses.iter().all(|loss| loss.reason != LossReason::SkippedByPolicy), "reported twice");
    Ok(())
}

fn cut_off_until() -> anyhow::Result<()> {
    let (listener, address) = listen("127.0.0.1:0")?;
    let mut capture = Capture::start(&options("lo", address.port()))?;
    let mut source = capture.source()?;
    let mut cut_offs = capture.cut_offs()?;
    let mut talk = Talk::new(&listener, address)?;
    let (from, to) = (talk.from, talk.to);
    talk.ask(b"first")?;
    let mut collected = Collected::default();
    collected.until(&mut source, |seen| seen.stream(from, to).is_ok_and(|stream| stream == b"first"))?;
    let first = collected.segments[&(from, to)].iter().find(|kept| kept.wire_len == 5).context("no payload")?.seq;
    // The next ten bytes: nothing of what ends before their end, the length of what ends there, all of what goes beyond.
    let way = talk.way()?;
    cut_offs.until(way, first.wrapping_add(15))?;
    for bytes in [&b"aaaaa"[..], b"bbb", b"cc", b"d"] {
        talk.ask(bytes)?;
    }
    cut_offs.until(way, first.wrapping_add(20))?;
    for bytes in [&b"ee"[..], b"ffff", b"g"] {
        talk.ask(bytes)?;
    }
    drop(talk);
    collected.until(&mut source, |seen| seen.over(from, to))?;
    let seen: Vec<_> = collected.segments[&(from, to)]
        .iter()
        .filter(|kept| kept.wire_len != 0)
        .map(|kept| (kept.payload.as_slice(), kept.wire_len))
        .collect();
    let expected: [(&[u8], u32); 5] = [(b"first", 5), (b"", 2), (b"d", 1), (b"ffff", 4), (b"g", 1)];
    ensure!(seen == expected, "{seen:?}");
    ensure!(capture.drops()?.total(DropReason::CutOff).bytes == 12);
    Ok(())
}
