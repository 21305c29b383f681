//! The proxies that are measured, each with one thread that carries, at ports of its own beside the client.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::{
    configs::{self, NO_DELAY, OFFSET},
    servers::{HOST, PLAIN},
};
use crate::bench::{
    child::{Running, family},
    lab::{Interceptor, Lab, get},
};

/// What is between client and server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proxy {
    Nothing,
    /// Ours, under a policy that steers and has nothing done.
    Relay,
    /// Ours, under one that changes each request.
    Policy,
    Haproxy,
    /// With `option http-no-delay`, which its manual has for interactive answers.
    HaproxyNoDelay,
    Nginx,
    Envoy,
}

impl Proxy {
    pub(super) const ALL: [Self; 7] =
        [Self::Nothing, Self::Relay, Self::Policy, Self::Haproxy, Self::HaproxyNoDelay, Self::Nginx, Self::Envoy];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing (direct)",
            Self::Relay => "interceptor, relay",
            Self::Policy => "interceptor, policy",
            Self::Haproxy => "HAProxy",
            Self::HaproxyNoDelay => "HAProxy, http-no-delay",
            Self::Nginx => "nginx",
            Self::Envoy => "Envoy",
        }
    }

    pub(super) const fn is_ours(self) -> bool {
        matches!(self, Self::Relay | Self::Policy)
    }
}

/// Where a client finds what a server has at `port`, through this proxy. To ours connections are steered.
pub(super) fn address(proxy: Proxy, port: u16) -> String {
    match proxy {
        Proxy::Nothing | Proxy::Relay | Proxy::Policy => format!("{HOST}:{port}"),
        Proxy::HaproxyNoDelay => format!("127.0.0.1:{}", port + NO_DELAY),
        Proxy::Haproxy | Proxy::Nginx | Proxy::Envoy => format!("127.0.0.1:{}", port + OFFSET),
    }
}

/// One that runs.
pub(super) enum Started<'a> {
    Nothing,
    Ours(Box<Interceptor<'a>>),
    Other(Running),
}

impl Started<'_> {
    /// Its processes.
    pub(super) fn pids(&self) -> Vec<u32> {
        match self {
            Self::Nothing => Vec::new(),
            Self::Ours(interceptor) => vec![interceptor.running.pid()],
            Self::Other(running) => family(running.pid()),
        }
    }

    pub(super) fn still_there(&mut self) -> Result<()> {
        match self {
            Self::Nothing => Ok(()),
            Self::Ours(interceptor) => interceptor.running.still_there(),
            Self::Other(running) => running.still_there(),
        }
    }

    pub(super) fn stop(self) {
        match self {
            Self::Nothing => {}
            Self::Ours(interceptor) => interceptor.running.stop(),
            Self::Other(running) => running.stop(),
        }
    }
}

/// Programs and their configurations.
pub(super) struct Proxies {
    interceptor: PathBuf,
    envoy: Option<PathBuf>,
}

impl Proxies {
    /// Writes what they are configured with.
    pub(super) fn new(lab: &Lab, interceptor: &Path, envoy: Option<PathBuf>) -> Result<Self> {
        let write = |name: &str, text: &str| {
            let path = lab.file(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
        };
        write("relay.yaml", configs::STEER)?;
        write("policy.yaml", &[configs::STEER, configs::RULES].concat())?;
        fs::create_dir_all(lab.file("nginx"))?;
        write("nginx/nginx.conf", &configs::nginx(&lab.file("nginx")))?;
        write("haproxy.cfg", &configs::haproxy())?;
        write("envoy.yaml", &configs::envoy())?;
        Ok(Self { interceptor: interceptor.to_owned(), envoy })
    }

    /// Is it installed?
    pub(super) fn have(&self, proxy: Proxy) -> bool {
        match proxy {
            Proxy::Nothing | Proxy::Relay | Proxy::Policy | Proxy::Nginx => true,
            Proxy::Haproxy | Proxy::HaproxyNoDelay => crate::project::on_path("haproxy").is_some(),
            Proxy::Envoy => self.envoy.is_some(),
        }
    }

    /// Starts one, and waits until it carries.
    pub(super) fn start<'a>(&self, lab: &'a Lab, proxy: Proxy) -> Result<Started<'a>> {
        let mut started = match proxy {
            Proxy::Nothing => return Ok(Started::Nothing),
            Proxy::Relay => Started::Ours(Box::new(self.ours(lab, "relay.yaml")?)),
            Proxy::Policy => Started::Ours(Box::new(self.ours(lab, "policy.yaml")?)),
            Proxy::Haproxy | Proxy::HaproxyNoDelay => {
                let mut command = lab.in_client("haproxy");
                Started::Other(Running::start("HAProxy", command.arg("-db").arg("-f").arg(lab.file("haproxy.cfg")))?)
            }
            Proxy::Nginx => {
                let mut command = lab.in_client("nginx");
                command.args(["-e", "stderr", "-c"]).arg(lab.file("nginx/nginx.conf"));
                Started::Other(Running::start("nginx", &mut command)?)
            }
            Proxy::Envoy => {
                let mut command = lab.in_client(self.envoy.as_ref().context("there is no Envoy")?);
                command.args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "critical", "-c"]);
                Started::Other(Running::start("Envoy", command.arg(lab.file("envoy.yaml")))?)
            }
        };
        let url = format!("http://{}/file", address(proxy, PLAIN));
        let began = Instant::now();
        while let Err(error) = get(lab.in_client("curl"), &url) {
            started.still_there()?;
            ensure!(began.elapsed() < Duration::from_secs(10), "{} does not carry: {error:#}", proxy.name());
            thread::sleep(Duration::from_millis(50));
        }
        Ok(started)
    }

    /// Captures cannot be off: this one takes nothing, into the smallest rings.
    fn ours<'a>(&self, lab: &'a Lab, policy: &str) -> Result<Interceptor<'a>> {
        let policy = lab.file(policy).display().to_string();
        let more = ["--capture-ports", "1", "--capture-ring-size", "64KiB", "--inline-enabled", "true"];
        lab.sidecar(&self.interceptor, &[more.as_slice(), &["--inspect-policies", &policy]].concat())
    }

    /// What they say of themselves, with the tools that make the load.
    pub(super) fn versions(&self) -> String {
        let mut programs: Vec<(PathBuf, &str)> = vec![(self.interceptor.clone(), "--version")];
        programs.extend([("nginx", "-v"), ("haproxy", "-v")].map(|(program, flag)| (program.into(), flag)));
        programs.extend(self.envoy.iter().map(|envoy| (envoy.clone(), "--version")));
        programs.extend([("nghttpd", "--version"), ("h2load", "--version"), ("wrk", "-v")].map(|(p, f)| (p.into(), f)));
        let said = programs.iter().filter_map(|(program, flag)| {
            let output = Command::new(program).arg(flag).output().ok()?;
            let text = [output.stdout, output.stderr].concat();
            let text = String::from_utf8_lossy(&text).into_owned();
            let line = text.lines().find(|line| !line.trim().is_empty())?.trim();
            Some(brief(program, line))
        });
        said.collect::<Vec<_>>().join(", ")
    }
}

/// The name of the program, and the first word with a version in it.
fn brief(program: &Path, line: &str) -> String {
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let words = line.split([' ', '/']).map(|word| word.trim_start_matches('v'));
    let version = words.filter(|word| word.contains('.')).find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    version.map_or_else(|| name.clone(), |version| format!("{name} {version}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found() {
        let of = |program: &str, line: &str| brief(Path::new(program), line);
        assert_eq!(of("nginx", "nginx version: nginx/1.22.1"), "nginx 1.22.1");
        assert_eq!(of("haproxy", "HAProxy version 2.6.12-1+deb12u4 2026/10/17 - x"), "haproxy 2.6.12-1+deb12u4");
        assert_eq!(of("/a/envoy", "envoy  version: 74a0a00/1.40.0/Clean/RELEASE/BoringSSL"), "envoy 1.40.0");
        assert_eq!(of("h2load", "h2load nghttp2/1.52.0"), "h2load 1.52.0");
        assert_eq!(of("wrk", "wrk debian/4.1.0-3 [epoll]"), "wrk 4.1.0-3");
    }
}
