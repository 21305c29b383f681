//! Keeps the CPUs from idling, at a priority below everything else: how long a sleeping CPU takes to wake up is no cost of a proxy's.

use std::{
    io::{self, Read as _},
    process::Command,
    thread,
};

use anyhow::Result;

use crate::bench::child::Running;

/// One process for each CPU; they end with it.
pub(super) struct Busy {
    _all: Vec<Running>,
}

impl Busy {
    pub(super) fn start() -> Result<Self> {
        let cpus = thread::available_parallelism()?.get();
        let one = |cpu: usize| {
            // SCHED_IDLE: whoever else wants to run does so at once (sched(7)).
            let mut command = Command::new("chrt");
            command.args(["--idle", "0", "taskset", "--cpu-list", &cpu.to_string()]).arg(std::env::current_exe()?);
            Running::start("busy loop", command.args(["bench", "spin"]))
        };
        Ok(Self { _all: (0..cpus).map(one).collect::<Result<_>>()? })
    }
}

/// Until standard input ends: also where who started it was killed.
pub(crate) fn spin() -> Result<()> {
    thread::spawn(|| {
        let mut turns = 0_u64;
        loop {
            turns = std::hint::black_box(turns.wrapping_add(1));
        }
    });
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
