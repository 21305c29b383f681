//! The real servers and tools that end-to-end tests and the benchmark use.

use std::process::Command;

use crate::{
    apt::{self, Privilege},
    project::on_path,
};

/// A program, and the packages of which one has it.
pub(crate) struct Tool {
    pub(crate) program: &'static str,
    package: &'static str,
}

const fn tool(program: &'static str, package: &'static str) -> Tool {
    Tool { program, package }
}

/// What the tests use.
pub(crate) const FOR_TESTS: &[Tool] = &[
    tool("ip", "iproute2"),
    tool("curl", "curl"),
    tool("nginx", "nginx-light"),
    tool("tcpdump", "tcpdump"),
    tool("tshark", "tshark"),
    tool("bpftool", "bpftool"),
    tool("python3", "python3"),
    // No programs, but files of them.
    tool("/usr/share/doc/python3-venv/copyright", "python3-venv"),
    tool("/usr/lib/python3/dist-packages/grpc/__init__.py", "python3-grpcio"),
    tool("/usr/lib/python3/dist-packages/prometheus_client/__init__.py", "python3-prometheus-client"),
    tool("prometheus", "prometheus"),
    tool("nghttpd", "nghttp2-server"),
    tool("h2load", "nghttp2-client"),
    tool("node", "nodejs"),
    tool("runc", "runc"),
    tool("haproxy", "haproxy"),
];

/// What the benchmark uses.
pub(crate) const FOR_BENCH: &[Tool] = &[
    tool("ip", "iproute2"),
    tool("curl", "curl"),
    tool("nginx", "nginx-light"),
    tool("tcpdump", "tcpdump"),
    tool("wrk", "wrk"),
    tool("haproxy", "haproxy"),
    tool("nghttpd", "nghttp2-server"),
    tool("h2load", "nghttp2-client"),
    // Envoy comes as a package of Python's.
    tool("/usr/share/doc/python3-venv/copyright", "python3-venv"),
];

/// Those that are not installed.
pub(crate) fn missing(tools: &[Tool]) -> Vec<&Tool> {
    tools.iter().filter(|tool| on_path(tool.program).is_none()).collect()
}

/// Command that installs them.
pub(crate) fn advice(tools: &[&Tool]) -> String {
    apt::install_command(&tools.iter().map(|tool| tool.package).collect::<Vec<_>>())
}

/// Installs what is missing, where that is possible; what stays missing is said, and its tests are skipped.
pub(crate) fn provide(why: &str, tools: &[Tool]) {
    let wanted = missing(tools);
    if wanted.is_empty() {
        return;
    }
    if on_path("apt-get").is_some() && apt::privilege() != Privilege::None {
        // One by one where the whole does not work: a package may have another name on this distribution.
        let all: Vec<_> = wanted.iter().map(|tool| tool.package).collect();
        if let Err(error) = apt::install(why, &all) {
            eprintln!("{error:#}");
            for package in all.iter().filter(|package| apt::candidate(package).is_some()) {
                if let Err(error) = apt::install(why, &[package]) {
                    eprintln!("{error:#}");
                }
            }
        }
        for service in ["nginx", "haproxy"] {
            if wanted.iter().any(|tool| tool.program == service) {
                keep_off(service);
            }
        }
    }
    let still = missing(tools);
    if !still.is_empty() {
        let names: Vec<_> = still.iter().map(|tool| tool.program).collect();
        eprintln!(
            "not installed: {}; what needs them is skipped. To install:\n    {}",
            names.join(" "),
            advice(&still)
        );
    }
}

/// We wanted the program: the server is not to start at the next boot.
fn keep_off(service: &str) {
    if on_path("systemctl").is_some() {
        // A failure (no systemd running, no right) leaves things as the package made them.
        Command::new("systemctl").args(["disable", "--quiet", service]).output().ok();
    }
}
