//! Checks of backends' addresses.

use std::rc::Rc;

use anyhow::{Context as _, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    task::{JoinSet, spawn_local},
    time::{sleep, timeout},
};

use super::{Target, Upstream, address::Address};
use crate::{
    config::{HealthCheck, HealthChecks},
    proxy::counts::Gauge,
};

/// What the checks say of an address. Without any it is taken to be in order.
#[derive(Default)]
pub(super) struct Health {
    /// Checks in a row that say otherwise.
    other: u32,
    unhealthy: Option<Gauge>,
}

impl Health {
    pub(super) fn is_good(&self) -> bool {
        self.unhealthy.is_none()
    }

    /// One more check. Gives what has changed.
    fn checked(&mut self, is_good: bool, settings: &HealthChecks, gauge: impl FnOnce() -> Gauge) -> Option<bool> {
        if is_good == self.is_good() {
            self.other = 0;
            return None;
        }
        self.other += 1;
        let enough = if is_good { settings.healthy } else { settings.unhealthy };
        if self.other < enough.0 {
            return None;
        }
        self.other = 0;
        self.unhealthy = (!is_good).then(gauge);
        Some(is_good)
    }
}

/// Checks its addresses for as long as somebody else holds it.
pub(super) fn watch(upstream: &Rc<Upstream>) {
    if upstream.common.settings.health.check == HealthCheck::None {
        return;
    }
    let upstream = Rc::downgrade(upstream);
    spawn_local(async move {
        while let Some(upstream) = upstream.upgrade() {
            check_all(&upstream).await;
            let wait = upstream.common.settings.health.interval.0;
            drop(upstream);
            sleep(wait).await;
        }
    });
}

async fn check_all(upstream: &Rc<Upstream>) {
    if upstream.resolve().await.is_err() {
        return;
    }
    let addresses = upstream.addresses.borrow().clone();
    let mut running = JoinSet::new();
    for address in addresses {
        let host = match &upstream.target {
            Target::Backend(name) => Rc::clone(name),
            Target::Destination(to) => to.to_string().into(),
        };
        running.spawn_local(async move { check(&address, &host).await });
    }
    running.join_all().await;
}

async fn check(address: &Address, host: &str) {
    let settings = &address.common.settings.health;
    let asked = async {
        match &settings.check {
            HealthCheck::Http(path) => get(address, host, path).await,
            HealthCheck::None | HealthCheck::Tcp => connect(address).await.map(drop),
        }
    };
    let result = timeout(settings.timeout.0, asked).await.context("no answer in time").flatten();
    let gauge = || Gauge::new(&address.common.counts, |counts| &counts.upstream.unhealthy);
    let changed = address.health.borrow_mut().checked(result.is_ok(), settings, gauge);
    match (changed, result) {
        (Some(true), _) => tracing::info!(at = %address.at, "a backend's address is healthy again"),
        (Some(false), Err(error)) => {
            tracing::warn!(at = %address.at, error = format!("{error:#}"), "a backend's address is not healthy");
        }
        _ => {}
    }
}

async fn connect(address: &Address) -> anyhow::Result<tokio::net::TcpStream> {
    address.common.connect(address.at).await.map_err(|_| anyhow::anyhow!("no connection"))
}

/// On a connection of its own, as probes of Kubernetes are.
async fn get(address: &Address, host: &str, path: &str) -> anyhow::Result<()> {
    let mut stream = connect(address).await?;
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nUser-Agent: interceptor\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut line = [0; b"HTTP/1.1 200".len()];
    stream.read_exact(&mut line).await?;
    let line = std::str::from_utf8(&line)?;
    let code = line.strip_prefix("HTTP/1.").and_then(|line| line.get(2..)).context("no answer of HTTP/1")?;
    ensure!(matches!(code.parse(), Ok(200..=399)), "it answers {code}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, atomic::Ordering::Relaxed};

    use super::*;
    use crate::{config::Count, proxy::counts::Counts};

    #[test]
    fn it_takes_some_checks_in_a_row_to_change_the_mind() {
        let counts = Arc::new(Counts::default());
        let settings = HealthChecks { healthy: Count(2), unhealthy: Count(3), ..HealthChecks::default() };
        let mut health = Health::default();
        let gauge = || Gauge::new(&counts, |counts| &counts.upstream.unhealthy);
        let mut told = |checks: &[bool]| -> Vec<Option<bool>> {
            checks.iter().map(|is_good| health.checked(*is_good, &settings, gauge)).collect()
        };
        assert_eq!(told(&[false, false, true, false, false]), [None; 5]);
        assert_eq!(told(&[false]), [Some(false)]);
        assert_eq!(counts.upstream.unhealthy.load(Relaxed), 1);
        assert_eq!(told(&[true, false, true, true]), [None, None, None, Some(true)]);
        assert_eq!(counts.upstream.unhealthy.load(Relaxed), 0);
    }
}
