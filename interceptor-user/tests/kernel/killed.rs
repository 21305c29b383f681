//! What SIGKILL leaves, and interceptors that share a clsact qdisc.

use std::{
    fs::File,
    path::PathBuf,
    process::{Child, Command, ExitCode},
    thread,
    time::Duration,
};

use anyhow::ensure;
use interceptor::kernel::{Capture, CaptureOptions};
use nix::fcntl::{Flock, FlockArg};

use crate::{
    Test,
    bed::{self, Group, Pod, add_filter, binary, has_tcx, options, tc},
    program::Running,
};

/// What a child attaches to until it is killed: see [`Place::child`].
pub(crate) const CHILD: &str = "INTERCEPTOR_TEST_CHILD";

pub(crate) fn tests() -> Vec<Test> {
    vec![
        ("filters_of_a_killed_run_are_removed_and_those_of_a_living_one_stay", the_living_stay),
        ("what_a_killed_run_left_goes_at_the_next_start_of_any_kind", any_next_start),
        ("what_a_killed_run_left_goes_though_the_program_gives_up_rights", by_the_program),
        ("the_living_stay_where_they_cannot_be_seen", cannot_be_seen),
        ("the_last_of_several_takes_the_qdisc_away", last_takes_it),
        ("a_qdisc_of_somebody_else_stays", somebody_elses),
        ("starts_and_ends_on_one_interface_do_not_disturb_each_other", starts_and_ends),
    ]
}

/// How a capture starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Clsact,
    Tcx,
    /// On `lo`, and so not where the last one was.
    Elsewhere,
    /// On no interface.
    Cgroup,
}

impl Way {
    const ALL: [Self; 4] = [Self::Clsact, Self::Tcx, Self::Elsewhere, Self::Cgroup];
}

/// An interface, here or in another namespace.
struct Place<'a> {
    pod: &'a Pod,
    inside: bool,
}

impl Place<'_> {
    fn interface(&self) -> &str {
        if self.inside { &self.pod.inside } else { &self.pod.outside }
    }

    fn start(&self, way: Way) -> anyhow::Result<Capture> {
        let group;
        let mut options = options(if way == Way::Elsewhere { "lo" } else { self.interface() }, 9);
        options.clsact = way == Way::Clsact;
        options.netns = self.inside.then(|| self.pod.netns()).into_iter().collect();
        if way == Way::Cgroup {
            group = Group::new()?;
            (options.interfaces, options.cgroups) = (Vec::new(), vec![group.0.clone()]);
        }
        Capture::start(&options)
    }

    /// A process that has attached by clsact, or by TCX.
    fn child(&self, clsact: bool) -> anyhow::Result<Child> {
        let netns = if self.inside { self.pod.netns() } else { PathBuf::new() };
        bed::child(CHILD, &format!("{} {clsact} {}", self.interface(), netns.display()), "attached")
    }

    fn killed(&self, clsact: bool) -> anyhow::Result<()> {
        kill(self.child(clsact)?)
    }

    fn qdisc(&self, verb: &str, kind: &str) -> anyhow::Result<String> {
        let arguments = format!("qdisc {verb} dev {} {kind}", self.interface());
        if self.inside { self.pod.run(|| tc(&arguments)) } else { tc(&arguments) }
    }

    /// Our filters, and whether there is a clsact qdisc.
    fn left(&self) -> anyhow::Result<(usize, bool)> {
        let filters = || filters_of(self.interface());
        let filters = if self.inside { self.pod.run(filters)? } else { filters()? };
        Ok((filters, self.qdisc("show", "")?.contains("clsact")))
    }
}

fn kill(mut child: Child) -> anyhow::Result<()> {
    child.kill()?;
    child.wait()?;
    Ok(())
}

/// Attaches, says so, and waits to be killed.
pub(crate) fn child(arguments: &str) -> ExitCode {
    let mut arguments = arguments.splitn(3, ' ');
    let mut next = || arguments.next().unwrap_or_default();
    let options = CaptureOptions { clsact: false, ..options(next(), 9) };
    let options = CaptureOptions { clsact: next() == "true", ..options };
    let netns = Some(next()).filter(|path| !path.is_empty()).map(PathBuf::from).into_iter().collect();
    match Capture::start(&CaptureOptions { netns, ..options }) {
        Ok(_capture) => {
            println!("attached");
            thread::sleep(Duration::from_mins(1));
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

pub(crate) fn filters_of(interface: &str) -> anyhow::Result<usize> {
    let mut count = 0;
    for side in ["ingress", "egress"] {
        let filters = tc(&format!("filter show dev {interface} {side}"))?;
        count += filters.lines().filter(|line| line.contains(" intercept_")).count();
    }
    Ok(count)
}

fn the_living_stay() -> anyhow::Result<()> {
    let pod = Pod::new()?;
    for inside in [false, true] {
        let place = Place { pod: &pod, inside };
        let living = place.child(true)?;
        let result = (|| {
            place.killed(true)?;
            ensure!(place.left()?.0 == 4, "clsact filters went with their process; this test tests nothing");
            let capture = place.start(Way::Clsact)?;
            ensure!(place.left()?.0 == 4, "{:?} of one that lives and one new", place.left()?);
            drop(capture);
            ensure!(place.left()? == (2, true), "{:?} of one that lives", place.left()?);
            Ok(())
        })();
        kill(living)?;
        result?;
        drop(place.start(Way::Tcx)?);
        ensure!(place.left()? == (0, false), "{:?} of none", place.left()?);
    }
    Ok(())
}

fn any_next_start() -> anyhow::Result<()> {
    let pod = Pod::new()?;
    for inside in [false, true] {
        let place = Place { pod: &pod, inside };
        for way in Way::ALL {
            place.killed(true)?;
            ensure!(place.left()? == (2, true), "nothing is left; this test tests nothing");
            let capture = place.start(way)?;
            let clsact = way == Way::Clsact || way == Way::Tcx && !has_tcx();
            let during = if clsact { (2, true) } else { (0, false) };
            ensure!(place.left()? == during, "{way:?}, inside: {inside}: {:?} while the next runs", place.left()?);
            drop(capture);
            ensure!(place.left()? == (0, false), "{way:?}, inside: {inside}: {:?}", place.left()?);
        }
        // The next is killed too, and its next.
        if has_tcx() {
            place.killed(true)?;
            place.killed(false)?;
            ensure!(place.left()? == (0, false), "killed, then killed TCX, inside: {inside}: {:?}", place.left()?);
        }
        place.killed(true)?;
        place.killed(true)?;
        drop(place.start(Way::Clsact)?);
        ensure!(place.left()? == (0, false), "killed twice, inside: {inside}: {:?}", place.left()?);
    }
    Ok(())
}

/// To see whether the other lives takes capabilities, and files of other processes, that are given up afterwards.
fn by_the_program() -> anyhow::Result<()> {
    let pod = Pod::new()?;
    for inside in [false, true] {
        let place = Place { pod: &pod, inside };
        let netns = place.pod.netns().display().to_string();
        let mut arguments = vec!["--capture-interfaces", place.interface()];
        if inside {
            arguments.extend(["--capture-netns", &netns]);
        }
        place.killed(true)?;
        ensure!(place.left()? == (2, true), "nothing is left; this test tests nothing");
        let running = Running::run(&mut Command::new(binary()), &arguments)?;
        // By TCX there are no filters; by clsact there are its own.
        let during = if running.said().contains("attached clsact") { (2, true) } else { (0, false) };
        ensure!(place.left()? == during, "{:?} while the next runs: {}", place.left()?, running.said());
        running.end()?;
        ensure!(place.left()? == (0, false), "{:?} of none", place.left()?);
    }
    Ok(())
}

/// Root without CAP_SYS_PTRACE sees that others have files open, but not which.
fn cannot_be_seen() -> anyhow::Result<()> {
    let pod = Pod::new()?;
    let place = Place { pod: &pod, inside: false };
    let living = place.child(true)?;
    let result = (|| {
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set", "-all,+bpf,+net_admin,+perfmon"]).arg(binary());
        let running = Running::run(&mut command, &["--capture-interfaces", place.interface()])?;
        ensure!(running.said().contains("cannot be seen"), "{}", running.said());
        running.end()?;
        ensure!(place.left()? == (2, true), "{:?} of one that lives", place.left()?);
        Ok(())
    })();
    kill(living)?;
    result
}

fn last_takes_it() -> anyhow::Result<()> {
    let pod = Pod::new()?;
    let place = Place { pod: &pod, inside: false };
    for first_leaves_first in [true, false] {
        let mut captures = vec![place.start(Way::Clsact)?, place.start(Way::Clsact)?, place.start(Way::Clsact)?];
        if !first_leaves_first {
            captures.reverse();
        }
        for (number, capture) in captures.into_iter().enumerate() {
            drop(capture);
            let left = 2 * (2 - number);
            ensure!(place.left()? == (left, left > 0), "after {} of 3: {:?}", number + 1, place.left()?);
        }
    }
    // The one that added it is killed while another uses it.
    let adder = place.child(true)?;
    let heir = place.start(Way::Clsact)?;
    kill(adder)?;
    drop(heir);
    drop(place.start(Way::Tcx)?);
    ensure!(place.left()? == (0, false), "{:?}", place.left()?);
    Ok(())
}

fn somebody_elses() -> anyhow::Result<()> {
    let pod = Pod::new()?;
    let place = Place { pod: &pod, inside: false };
    // One that was there before.
    place.qdisc("add", "clsact")?;
    for way in Way::ALL {
        drop(place.start(way)?);
        place.killed(true)?;
        drop(place.start(way)?);
        ensure!(place.left()? == (0, true), "{way:?}: removed somebody's qdisc");
    }
    place.qdisc("del", "clsact")?;
    // One of ours that somebody uses by now.
    place.killed(true)?;
    add_filter(place.interface())?;
    drop(place.start(Way::Clsact)?);
    ensure!(place.left()? == (0, true), "removed a qdisc that is used");
    Ok(())
}

/// A qdisc is not taken away under one that is about to attach.
fn starts_and_ends() -> anyhow::Result<()> {
    let pod = Pod::new()?;
    let place = Place { pod: &pod, inside: false };
    // What adding or removing one looks like to others.
    let namespace =
        Flock::lock(File::open("/proc/self/ns/net")?, FlockArg::LockExclusive).map_err(|(_, error)| error)?;
    thread::scope(|scope| {
        let start = scope.spawn(|| place.start(Way::Clsact));
        thread::sleep(Duration::from_millis(500));
        ensure!(place.left()? == (0, false), "it did not wait: {:?}", place.left()?);
        drop(namespace);
        start.join().map_err(|_| anyhow::anyhow!("panicked"))?.map(drop)
    })?;
    thread::scope(|scope| {
        let worker = || {
            scope.spawn(|| {
                (0..4).try_for_each(|_| {
                    let capture = place.start(Way::Clsact)?;
                    ensure!(place.left()?.0 >= 2, "not attached: {:?}", place.left()?);
                    drop(capture);
                    Ok(())
                })
            })
        };
        let workers = [worker(), worker(), worker()];
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| anyhow::anyhow!("panicked"))?)
    })?;
    ensure!(place.left()? == (0, false), "{:?}", place.left()?);
    Ok(())
}
