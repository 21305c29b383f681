//! What comes into a pod is given to its inline path, by sk_lookup.

use std::{
    io::ErrorKind,
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use interceptor::kernel::{Inbound, InboundOptions, SteerRule};
use interceptor_common::SteerOutcome;

use crate::{Test, bed::Pod, steering::arrived};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        ("what_comes_in_goes_to_the_inline_path_with_the_address_that_was_asked_for", comes_in),
        ("what_comes_in_without_an_inline_path_goes_straight_or_is_refused", no_inline_path),
        ("what_comes_from_the_pod_itself_goes_to_the_application", from_itself),
        ("what_comes_in_is_chosen_by_who_asks", by_network),
    ]
}

/// Names of the rules: for IPv4, for IPv6.
const NAMES: [&str; 2] = ["v4", "v6"];

/// Applications in a pod, IPv4 and IPv6, and listeners of an inline path at other ports and addresses.
pub(crate) struct Bed {
    pub(crate) pod: Pod,
    application: [TcpListener; 2],
    pub(crate) inline: [TcpListener; 2],
}

impl Bed {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let pod = Pod::new()?;
        let [v4, v6] = pod.peer;
        let bind =
            |address: SocketAddr| TcpListener::bind(address).with_context(|| format!("cannot listen at {address}"));
        let (application, inline) = pod.run(|| {
            let application = [bind((v4, 0).into())?, bind((v6, 0).into())?];
            let inline = ["127.0.0.1:0", "[::1]:0"].map(|address| bind(address.parse().expect("an address")));
            let [inline4, inline6] = inline;
            Ok((application, [inline4?, inline6?]))
        })?;
        Ok(Self { pod, application, inline })
    }

    pub(crate) fn address(&self, family: usize) -> anyhow::Result<SocketAddr> {
        Ok(self.application[family].local_addr()?)
    }

    pub(crate) fn options(&self) -> anyhow::Result<InboundOptions> {
        let open = SteerRule { name: NAMES[0].into(), ports: vec![self.address(0)?.port()], ..SteerRule::default() };
        let closed = SteerRule {
            name: NAMES[1].into(),
            ports: vec![self.address(1)?.port()],
            closed: true,
            ..SteerRule::default()
        };
        Ok(InboundOptions { netns: Some(self.pod.netns()), rules: vec![open, closed], ..InboundOptions::default() })
    }

    pub(crate) fn listen(&self, inbound: &mut Inbound) -> anyhow::Result<()> {
        inbound.listen4(&self.inline[0])?;
        inbound.listen6(&self.inline[1])
    }

    /// The first application is reached, the second is not.
    fn fails(&self, inbound: &Inbound, why: SteerOutcome) -> anyhow::Result<()> {
        ensure!(arrived(self.address(0)?, &self.inline[0])?.is_none(), "it was steered");
        self.application[0].accept()?;
        match TcpStream::connect_timeout(&self.address(1)?, Duration::from_secs(5)) {
            Err(error) => ensure!(error.kind() == ErrorKind::ConnectionRefused, "{error}"),
            Ok(_) => anyhow::bail!("it was not refused"),
        }
        for rule in NAMES {
            counted(inbound, rule, why)?;
        }
        Ok(())
    }
}

/// One connection became that.
fn counted(inbound: &Inbound, rule: &str, what: SteerOutcome) -> anyhow::Result<()> {
    let counts = inbound.counts()?;
    ensure!(counts.get(&(rule.into(), what)) == Some(&1), "{what:?} of rule {rule}: {counts:?}");
    Ok(())
}

fn comes_in() -> anyhow::Result<()> {
    let bed = Bed::new()?;
    let mut inbound = Inbound::start(&bed.options()?)?;
    bed.listen(&mut inbound)?;
    for family in [0, 1] {
        let to = bed.address(family)?;
        let (client, accepted) = arrived(to, &bed.inline[family])?.with_context(|| format!("{to} went straight"))?;
        ensure!(accepted.local_addr()? == to, "asked for {to}, got {}", accepted.local_addr()?);
        ensure!(client.peer_addr()? == to);
        counted(&inbound, NAMES[family], SteerOutcome::Steered)?;
    }
    drop(inbound);
    for family in [0, 1] {
        ensure!(arrived(bed.address(family)?, &bed.inline[family])?.is_none(), "it is still steered");
    }
    Ok(())
}

fn no_inline_path() -> anyhow::Result<()> {
    const TIMEOUT: Duration = Duration::from_millis(300);
    let mut bed = Bed::new()?;
    let mut inbound = Inbound::start(&bed.options()?)?;
    bed.fails(&inbound, SteerOutcome::NoListener).context("before there are listeners")?;
    bed.listen(&mut inbound)?;
    ensure!(arrived(bed.address(0)?, &bed.inline[0])?.is_some(), "it was not steered");
    drop(inbound);
    let mut inbound = Inbound::start(&bed.options()?)?;
    bed.listen(&mut inbound)?;
    // As the kernel does when the process is killed.
    bed.inline = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("[::1]:0")?];
    bed.fails(&inbound, SteerOutcome::NoListener).context("without listeners")?;
    drop(inbound);

    let bed = Bed::new()?;
    let mut inbound = Inbound::start(&InboundOptions { timeout: Some(TIMEOUT), ..bed.options()? })?;
    bed.listen(&mut inbound)?;
    inbound.beat()?;
    ensure!(arrived(bed.address(0)?, &bed.inline[0])?.is_some(), "it was not steered");
    thread::sleep(TIMEOUT + Duration::from_millis(20));
    bed.fails(&inbound, SteerOutcome::Stale).context("with an old heartbeat")?;
    inbound.beat()?;
    ensure!(arrived(bed.address(0)?, &bed.inline[0])?.is_some(), "it does not come back");
    Ok(())
}

fn from_itself() -> anyhow::Result<()> {
    let bed = Bed::new()?;
    let mut inbound = Inbound::start(&bed.options()?)?;
    bed.listen(&mut inbound)?;
    for family in [0, 1] {
        let to = bed.address(family)?;
        let came = bed.pod.run(|| arrived(to, &bed.inline[family]))?;
        ensure!(came.is_none(), "the inline path would speak to itself");
        counted(&inbound, NAMES[family], SteerOutcome::Exempt)?;
    }
    Ok(())
}

fn by_network() -> anyhow::Result<()> {
    let bed = Bed::new()?;
    let network = |text: &str| vec![text.parse().expect("a network")];
    let other = SteerRule { networks: network("192.0.2.0/24"), ..SteerRule::default() };
    let tests = SteerRule { name: "tests".into(), networks: network("198.18.0.0/15"), ..SteerRule::default() };
    let options = InboundOptions { rules: vec![other, tests], ..bed.options()? };
    let mut inbound = Inbound::start(&options)?;
    bed.listen(&mut inbound)?;
    ensure!(arrived(bed.address(0)?, &bed.inline[0])?.is_some(), "it went straight");
    ensure!(arrived(bed.address(1)?, &bed.inline[1])?.is_none(), "no rule is about IPv6");
    counted(&inbound, "tests", SteerOutcome::Steered)?;
    Ok(())
}
