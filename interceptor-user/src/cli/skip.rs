//! What nobody wants is left out by the kernel.

use crate::{
    kernel::{CutOffs, Way},
    model::{FlowInfo, Side},
    pipeline::Skip,
};

/// Has the kernel leave out what a pipeline does not want.
pub(super) fn skip(mut cut_offs: CutOffs) -> Skip {
    let mut failed = false;
    Box::new(move |flow: &FlowInfo, side: Side, until: Option<u32>| {
        let (client, server) = (flow.client.endpoint, flow.server.endpoint);
        let (source, destination) = if side == Side::Client { (client, server) } else { (server, client) };
        let way = Way { zone: flow.key.zone(), source, destination };
        let Some(until) = until else { return cut_offs.lift(way) };
        let result = cut_offs.until(way, until);
        // It costs time only: what is not left out is captured and thrown away here.
        if let Err(error) = result
            && !std::mem::replace(&mut failed, true)
        {
            tracing::warn!("the kernel cannot be told what nobody wants: {error:#}");
        }
    })
}
