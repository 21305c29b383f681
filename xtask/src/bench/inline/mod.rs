//! The inline path beside other proxies: throughput, CPU, added latency, memory, each with one thread that carries.

mod busy;
mod configs;
mod envoy;
mod events;
mod h2load;
mod measure;
mod proxies;
mod servers;

use std::path::Path;

use anyhow::Result;

pub(crate) use self::{
    busy::spin,
    events::{ReadEvents, SendEvents, read as read_events, send as send_events},
};
use self::{
    measure::{Load, Sample},
    proxies::{Proxies, Proxy},
    servers::Servers,
};
use super::{
    Scale,
    lab::{Lab, Wire},
    median,
    report::Section,
};
use crate::project::Project;

pub(super) fn run(project: &Project, binary: &Path, scale: &Scale) -> Result<Section> {
    let lab = Lab::new(Wire::Veth, 1)?;
    let servers = Servers::start(&lab)?;
    let proxies = Proxies::new(&lab, binary, envoy::provide(project))?;
    let mut section = Section::new("inline", "The inline path beside other proxies");
    introduce(&mut section, &proxies);
    for load in Load::ALL {
        eprintln!("==> {}", load.title());
        let scale = load.scale(scale);
        let table = measured(&lab, &proxies, &scale, load)?;
        section.paragraph(&format!("**{}**, {}", load.title(), load.extent(&scale)));
        load.describe(&mut section, &table);
    }
    drop(servers);
    Ok(section)
}

fn introduce(section: &mut Section, proxies: &Proxies) {
    section.paragraph(&format!("Versions: {}.", proxies.versions()));
    section.paragraph(&format!(
        "Clients and proxies run in one namespace, servers in another one, joined by veth; all share the same CPUs. {} Clients \
         connect to HAProxy, nginx (as a proxy) and Envoy at ports on loopback; to ours they are steered, on their way to the \
         server. Each carries with one thread: `nbthread 1`, `worker_processes 1`, `--concurrency 1`; none logs. Ours is \
         the whole daemon: records and metrics of every exchange are made, all its threads count. Captures cannot be off: one is \
         attached to the client's interface and filters by a port that nobody uses, with rings of 64 KiB. *Relay* is a policy that steers and \
         has nothing done; under *policy* HTTP is terminated, and each request gets a field. What is measured alternates \
         within a round; medians over rounds, of ratios to (or differences from) direct connections in the same round.",
        servers::described(),
    ));
    section.paragraph(
        "The goals: HTTP/1.1 0.45 of the direct throughput and 15 µs of CPU a request, HTTP/2 0.35 and 14 µs, 20 µs added \
         at 2,000 requests a second, 10 µs added to an event, 14 MB with 1,000 connections; at the least, ahead of Envoy in each.",
    );
}

/// What a load gave: a row a round, in the order of the proxies.
struct Table {
    proxies: Vec<Proxy>,
    rounds: Vec<Vec<Sample>>,
}

fn measured(lab: &Lab, programs: &Proxies, scale: &Scale, load: Load) -> Result<Table> {
    let proxies: Vec<Proxy> =
        Proxy::ALL.into_iter().filter(|proxy| load.concerns(*proxy) && programs.have(*proxy)).collect();
    let mut table = Table { proxies, rounds: Vec::new() };
    let count = table.proxies.len();
    for round in 0..scale.rounds {
        let mut samples = vec![Sample::default(); count];
        for step in 0..count {
            // Each is first in turn: whatever drifts hits all of them.
            let index = (step + round) % count;
            let proxy = table.proxies[index];
            let started = programs.start(lab, proxy)?;
            samples[index] = load.measure(lab, proxy, started, scale)?;
            eprintln!("    round {} {:<24} {:.1?}", round + 1, proxy.name(), samples[index]);
        }
        table.rounds.push(samples);
    }
    Ok(table)
}

impl Table {
    /// The median over rounds.
    fn of(&self, index: usize, value: impl Fn(&Sample) -> f64) -> f64 {
        median(self.rounds.iter().map(|round| value(&round[index])))
    }

    /// What `compare` makes of a sample and of the direct one in the same round.
    fn against_direct(&self, index: usize, compare: impl Fn(&Sample, &Sample) -> f64) -> f64 {
        let direct = self.proxies.iter().position(|proxy| *proxy == Proxy::Nothing).unwrap_or_default();
        median(self.rounds.iter().map(|round| compare(&round[index], &round[direct])))
    }

    fn rows<const N: usize>(&self, row: impl Fn(usize, Proxy) -> [String; N]) -> Vec<[String; N]> {
        self.proxies.iter().enumerate().map(|(index, proxy)| row(index, *proxy)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_within_a_round() {
        let sample = |rate| Sample { rate, ..Sample::default() };
        let rounds = [[100.0, 50.0], [10.0, 4.0], [50.0, 50.0]];
        let table = Table {
            proxies: vec![Proxy::Nothing, Proxy::Relay],
            rounds: rounds.iter().map(|round| round.iter().copied().map(sample).collect()).collect(),
        };
        let ratio = |index| table.against_direct(index, |with, without| with.rate / without.rate);
        assert!((ratio(0) - 1.0).abs() < 1e-9);
        assert!((ratio(1) - 0.5).abs() < 1e-9);
        assert!((table.of(1, |sample| sample.rate) - 50.0).abs() < 1e-9);
    }
}
