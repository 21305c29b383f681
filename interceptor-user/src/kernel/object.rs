//! The embedded object, and its load.

use anyhow::Context as _;
use aya::{
    Ebpf, EbpfError, EbpfLoader,
    maps::MapError,
    programs::{Program, ProgramError},
};
use interceptor_common::CARRIED_MAX;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};

use super::{
    features,
    options::CaptureOptions,
    pins::Pins,
    refusal::Refusal,
    zone::{Layout, Zones},
};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/interceptor-ebpf"));

/// The compiler and linker that made the object.
pub(super) const TOOLS: &str = env!("INTERCEPTOR_BPF_TOOLS");

/// Creates the maps, sized and configured. Programs are loaded one by one when they are attached, so that one that
/// this kernel refuses takes nothing else with it.
pub(super) fn load(options: &CaptureOptions, layout: Layout, zones: Zones) -> anyhow::Result<Ebpf> {
    let config = options.config()?;
    let filters = &options.filters;
    // At level 0 the verifier removes the log statements, and their ring may be as small as can be.
    let (log_level, log_bytes) = if options.kernel_log { (aya_log::Level::Debug as u8, 128 << 10) } else { (0, 4096) };
    let mut loader = loader(&layout);
    let mut ebpf = loader
        .map_max_entries("PORTS", entries(filters.ports.len()))
        .map_max_entries("CIDRS", entries(filters.cidrs.len()))
        .map_max_entries("CGROUPS", entries(filters.cgroups.len()))
        .map_max_entries("CARRIED", if options.inline.is_some() { CARRIED_MAX } else { 1 })
        .map_max_entries("AYA_LOGS", log_bytes)
        .override_global(aya_log::LEVEL, &log_level, true)
        .override_global("ZONE", &zones.only, true)
        .override_global("OUTER_ZONE", &zones.outer, true)
        .load(OBJECT)
        .map_err(explain_load)?;
    super::maps::configure(&mut ebpf, config, filters)?;
    Ok(ebpf)
}

/// Maps of capturing that take memory by their size.
const OF_CAPTURING: [&str; 4] = ["CUT_OFFS", "LOST", "CONNECTING", "CARRIED"];

/// Creates the maps for steering, which is a load of its own: it may outlive captures, and they it.
///
/// With `pins`, these maps are those of who was there before, and stay for who comes next.
pub(super) fn load_steering(pins: Option<&Pins>, pinned: &[&'static str]) -> anyhow::Result<Ebpf> {
    let layout = Layout::get();
    let mut loader = loader(&layout);
    if let Some(pins) = pins {
        pins.maps(&mut loader, pinned);
    }
    for map in OF_CAPTURING {
        loader.map_max_entries(map, 1);
    }
    loader.map_max_entries("AYA_LOGS", 4096).override_global(aya_log::LEVEL, &0_u8, true);
    loader.load(OBJECT).map_err(explain_load)
}

/// For this kernel.
fn loader(layout: &Layout) -> EbpfLoader<'_> {
    raise_memory_limit();
    let mut loader = EbpfLoader::new();
    loader
        .btf(None)
        .override_global("NET_INUM_AT", &layout.net_inum, true)
        .override_global("SKB_DEV_AT", &layout.skb_dev, true)
        .override_global("DEV_NET_AT", &layout.dev_net, true)
        .override_global("SOCK_NET_AT", &layout.sock_net, true)
        .override_global("SK_FLAGS_AT", &layout.sk_flags, true);
    loader
}

/// Before 5.11 maps count against `RLIMIT_MEMLOCK`. If it cannot be raised so far that they fit, the load says so.
pub(super) fn raise_memory_limit() {
    const LIMIT: Resource = Resource::RLIMIT_MEMLOCK;
    if setrlimit(LIMIT, RLIM_INFINITY, RLIM_INFINITY).is_err()
        && let Ok((_, hard)) = getrlimit(LIMIT)
    {
        let _ = setrlimit(LIMIT, hard, hard);
    }
}

/// A map has one entry at least.
fn entries(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX).max(1)
}

fn explain_load(error: EbpfError) -> anyhow::Error {
    let denied = match &error {
        EbpfError::MapError(MapError::CreateError { io_error, .. }) => is_denied(io_error),
        _ => false,
    };
    if denied && features::maps_are_locked_memory() {
        anyhow::anyhow!(
            "RLIMIT_MEMLOCK leaves no room for BPF maps, which count against it before Linux 5.11: run with \
             CAP_SYS_RESOURCE, or raise it (ulimit -l unlimited as root, LimitMEMLOCK=infinity in a unit)"
        )
    } else if denied {
        anyhow::anyhow!(
            "the kernel does not let us create BPF maps: run as root (sudo), or give the binary CAP_BPF, \
             CAP_NET_ADMIN and CAP_PERFMON; `interceptor doctor` says more"
        )
    } else {
        anyhow::Error::new(error).context("cannot load the kernel object; `interceptor doctor` says what is missing")
    }
}

fn is_denied(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::PermissionDenied
}

/// Why a program did not load, in one line; behind it is a [`Refusal`] with the verifier's own words.
pub(super) fn explain_program(name: &str, error: &ProgramError) -> anyhow::Error {
    match error {
        ProgramError::LoadError { io_error, verifier_log } => {
            let log = verifier_log.to_string();
            // The verifier refuses with the same error, but not without a word.
            if is_denied(io_error) && log.is_empty() {
                anyhow::anyhow!(
                    "the kernel does not let us load the program {name} ({io_error}): run as root (sudo), or give the \
                     binary CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON"
                )
            } else {
                Refusal::new(name, io_error, log).into()
            }
        }
        other => anyhow::anyhow!("program {name}: {other}"),
    }
}

/// Loads a program of whatever type.
pub(super) fn load_program(program: &mut Program) -> Result<(), ProgramError> {
    match program {
        Program::SchedClassifier(program) => program.load(),
        Program::CgroupSkb(program) => program.load(),
        Program::SockOps(program) => program.load(),
        Program::CgroupSockAddr(program) => program.load(),
        Program::CgroupSockopt(program) => program.load(),
        Program::SkLookup(program) => program.load(),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}

/// Gives a program as its type.
pub(super) fn program<'a, P>(ebpf: &'a mut Ebpf, name: &str) -> anyhow::Result<&'a mut P>
where
    &'a mut P: TryFrom<&'a mut Program, Error = ProgramError>,
{
    let program = ebpf.program_mut(name).with_context(|| format!("the kernel object has no program {name}"))?;
    program.try_into().map_err(|error| explain_program(name, &error))
}
