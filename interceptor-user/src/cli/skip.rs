//! What nobody wants is left out by the kernel.

use crate::{
    kernel::{CutOffs, Way},
    model::{FlowInfo, Side},
    pipeline::{Leave, Skip},
};

/// Has the kernel leave out what a pipeline does not want.
pub(super) fn skip(mut cut_offs: CutOffs) -> Skip {
    let mut failed = false;
    Box::new(move |flow: &FlowInfo, side: Side, leave: Leave| {
        let (client, server) = (flow.client.endpoint, flow.server.endpoint);
        let (source, destination) = if side == Side::Client { (client, server) } else { (server, client) };
        let way = Way { zone: flow.key.zone(), source, destination };
        let result = match leave {
            Leave::Until(until) => cut_offs.until(way, until),
            Leave::Turns(until) => cut_offs.turns(way, until),
            Leave::Nothing => return cut_offs.lift(way),
        };
        // It costs time only: what is not left out is captured and thrown away here.
        if let Err(error) = result
            && !std::mem::replace(&mut failed, true)
        {
            tracing::warn!("the kernel cannot be told what nobody wants: {error:#}");
        }
    })
}
