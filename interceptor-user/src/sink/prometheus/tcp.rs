//! What the kernel says of the path of connections that are over.

use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry};

use super::sets::{Fold, Sets};
use crate::model::{Endpoint, FlowInfo, Side};

/// Whose socket it is, and the server of the connection.
const NAMES: [&str; 3] = ["side", "server_address", "server_port"];

/// Boundaries of round-trip times, in seconds: from two pods of a node to the other side of the world.
const RTT_BOUNDS: [f64; 14] =
    [0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0];

/// The metrics of local sockets.
pub(super) struct Sockets {
    srtt: HistogramVec,
    retransmits: IntCounterVec,
    sets: Sets<Handles>,
    folded: IntCounter,
}

#[derive(Clone)]
struct Handles {
    srtt: Histogram,
    retransmits: IntCounter,
}

impl Sockets {
    pub(super) fn new(registry: &Registry, cap: usize, folded: IntCounter) -> prometheus::Result<Self> {
        let srtt = HistogramOpts::new(
            "interceptor_tcp_smoothed_rtt_seconds",
            "Smoothed round-trip time of local sockets when they were closed, as the kernel measured it.",
        );
        let retransmits = Opts::new(
            "interceptor_tcp_retransmitted_segments_total",
            "TCP segments that local sockets, closed by now, sent more than once, as the kernel counted them.",
        );
        let sockets = Self {
            srtt: HistogramVec::new(srtt.buckets(RTT_BOUNDS.to_vec()), &NAMES)?,
            retransmits: IntCounterVec::new(retransmits, &NAMES)?,
            sets: Sets::new(cap),
            folded,
        };
        registry.register(Box::new(sockets.srtt.clone()))?;
        registry.register(Box::new(sockets.retransmits.clone()))?;
        Ok(sockets)
    }

    /// Adds those ends of a connection whose sockets are local.
    pub(super) fn observe(&self, flow: &FlowInfo) -> prometheus::Result<()> {
        for side in Side::BOTH {
            let Some(figures) = flow.peer(side).figures else { continue };
            let Some(handles) = self.handles(side, flow.server.endpoint)? else { continue };
            if let Some(srtt) = figures.srtt {
                handles.srtt.observe(srtt.as_secs_f64());
            }
            handles.retransmits.inc_by(u64::from(figures.retransmits));
        }
        Ok(())
    }

    fn handles(&self, side: Side, server: Endpoint) -> prometheus::Result<Option<Handles>> {
        let mut key = [side as u8; 19];
        key[1..17].copy_from_slice(&server.mapped());
        key[17..].copy_from_slice(&server.port().to_be_bytes());
        let named = self
            .sets
            .admit(&key, Fold::Nothing, || self.create(side, &server.ip().to_string(), &server.port().to_string()))?;
        if named.is_some() {
            return Ok(named);
        }
        self.folded.inc();
        self.sets.admit(&key[..1], Fold::All, || self.create(side, "other", "other"))
    }

    fn create(&self, side: Side, address: &str, port: &str) -> prometheus::Result<Handles> {
        let side = match side {
            Side::Client => "client",
            Side::Server => "server",
        };
        let values = [side, address, port];
        Ok(Handles {
            srtt: self.srtt.get_metric_with_label_values(&values)?,
            retransmits: self.retransmits.get_metric_with_label_values(&values)?,
        })
    }
}
