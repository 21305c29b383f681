use std::fmt::{self, Write as _};

use super::style::Styles;
use crate::{
    model::{Abort, Anomalies, Anomaly, Exchange, FlowInfo, Side, status_name},
    sink::escape::Escaped,
};

/// What a line says after the target: how a call ended and how many messages it had, who did it, where known, and what is
/// odd.
pub(super) fn write(out: &mut String, exchange: &Exchange, styles: &Styles) -> fmt::Result {
    write_status(out, exchange, styles)?;
    write_counts(out, exchange)?;
    write_processes(out, &exchange.flow, styles)?;
    write_anomalies(out, exchange.anomalies, exchange.abort, styles)?;
    if !exchange.complete() && !exchange.anomalies.iter().any(explains) {
        let bad = styles.bad;
        write!(out, "  {bad}!incomplete{bad:#}")?;
    }
    Ok(())
}

/// Who did it, where known.
pub(super) fn write_processes(out: &mut String, flow: &FlowInfo, styles: &Styles) -> fmt::Result {
    let dim = styles.dim;
    let mut arrow = "";
    for side in Side::BOTH {
        if let Some(process) = &flow.peer(side).process {
            let opening = if arrow.is_empty() { "  " } else { arrow };
            write!(out, "{opening}{dim}{}[{}]{dim:#}", Escaped(process.command.as_bytes()), process.pid)?;
            arrow = " → ";
        }
    }
    Ok(())
}

/// Status of a gRPC call that is not OK.
fn write_status(out: &mut String, exchange: &Exchange, styles: &Styles) -> fmt::Result {
    let Some(status @ 1..) = exchange.rpc().and_then(|rpc| rpc.status) else { return Ok(()) };
    let style = styles.refused;
    match status_name(status) {
        Some(name) => write!(out, "  {style}{name}{style:#}"),
        None => write!(out, "  {style}status {status}{style:#}"),
    }
}

/// How many messages each side sent, where one sent several.
fn write_counts(out: &mut String, exchange: &Exchange) -> fmt::Result {
    let [request, response] = [&exchange.request, &exchange.response]
        .map(|part| part.as_ref().and_then(|part| part.pieces.as_ref()).map(|pieces| pieces.count));
    if request.max(response) <= Some(1) {
        return Ok(());
    }
    match (request, response) {
        (Some(request), Some(response)) => write!(out, "  {request}→{response} msgs"),
        (Some(count), None) | (None, Some(count)) => write!(out, "  {count} msgs"),
        (None, None) => Ok(()),
    }
}

/// What is odd; of a stream that was aborted, by whom.
pub(super) fn write_anomalies(
    out: &mut String,
    anomalies: Anomalies,
    abort: Option<Abort>,
    styles: &Styles,
) -> fmt::Result {
    let bad = styles.bad;
    for anomaly in anomalies.iter() {
        write!(out, "  {bad}!{}", anomaly.name())?;
        if let (Anomaly::StreamReset | Anomaly::Refused, Some(abort)) = (anomaly, abort) {
            write!(out, "({} {})", abort.by_name(), abort.code_text())?;
        }
        write!(out, "{bad:#}")?;
    }
    Ok(())
}

/// Does it say why an exchange is not complete?
const fn explains(anomaly: Anomaly) -> bool {
    matches!(
        anomaly,
        Anomaly::Gap
            | Anomaly::MidStream
            | Anomaly::Truncated
            | Anomaly::Reset
            | Anomaly::NoRequest
            | Anomaly::NoResponse
            | Anomaly::StreamReset
            | Anomaly::Refused
    )
}
