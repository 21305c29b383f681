use std::fmt::Write as _;

use crate::{
    model::{FlowInfo, LossReason, LossReport, Peer, Side},
    sink::escape::Escaped,
};

/// What is known of both ends of a flow, to see when more is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Known([End; 2]);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct End {
    pid: Option<u32>,
    cgroup: Option<u64>,
    container: bool,
}

impl End {
    fn of(peer: &Peer) -> Self {
        let pid = peer.process.as_ref().map(|process| process.pid);
        Self { pid, cgroup: peer.cgroup, container: peer.container.is_some() }
    }
}

impl Known {
    /// What is known of the ends, if it is not what was known before.
    pub(super) fn news(&mut self, flow: &FlowInfo) -> String {
        let known = Self(Side::BOTH.map(|side| End::of(flow.peer(side))));
        if known == *self {
            return String::new();
        }
        *self = known;
        let mut comment = format!("flow {}", flow.id);
        for (side, name) in [(Side::Client, "client"), (Side::Server, "server")] {
            describe(&mut comment, name, flow.peer(side));
        }
        comment
    }
}

fn describe(out: &mut String, name: &str, peer: &Peer) {
    if End::of(peer) == End::default() {
        return;
    }
    let container = peer.container.as_deref();
    let pod = container.and_then(|container| container.pod.as_ref());
    let facts = [
        peer.process.as_ref().map(|process| format!("{}[{}]", Escaped(process.command.as_bytes()), process.pid)),
        peer.cgroup.map(|id| format!("cgroup {id}")),
        container.map(|container| format!("container {}", Escaped(container.id.as_bytes()))),
        pod.map(|pod| format!("pod {}", Escaped(pod.uid.as_bytes()))),
    ];
    let _ = write!(out, "; {name}:");
    for fact in facts.iter().flatten() {
        let _ = write!(out, " {fact}");
    }
}

/// Bytes that were reported lost and that no comment tells of yet, by sender (the lower end of the key first) and reason.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Lost([[u64; LossReason::COUNT]; 2]);

impl Lost {
    pub(super) fn add(&mut self, flow: &FlowInfo, report: &LossReport) {
        let sender = usize::from(report.source != flow.key.low());
        let bytes = &mut self.0[sender][report.reason as usize];
        *bytes = bytes.saturating_add(report.bytes);
    }

    /// Says so at the end of `comment`, once.
    pub(super) fn tell(&mut self, flow: &FlowInfo, comment: &mut String) {
        if *self == Self::default() {
            return;
        }
        for (sender, lost) in [flow.key.low(), flow.key.high()].into_iter().zip(std::mem::take(self).0) {
            for (reason, bytes) in LossReason::ALL.iter().zip(lost).filter(|(_, bytes)| *bytes > 0) {
                let separator = if comment.is_empty() { "" } else { "; " };
                let _ =
                    write!(comment, "{separator}not captured before: {bytes} bytes from {sender}, {}", reason.name());
            }
        }
    }
}
