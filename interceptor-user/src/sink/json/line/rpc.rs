use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Serialize;

use super::Detail;
use crate::model::{Exchange, percent_decoded, status_name};

/// What makes an exchange a gRPC call.
#[derive(Default, Serialize, JsonSchema)]
pub(super) struct RpcLine<'a> {
    /// System of remote procedure calls; the older name of `rpc.system.name`.
    #[serde(rename = "rpc.system", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("const" = "grpc"))]
    system: Option<&'static str>,
    /// System of remote procedure calls.
    #[serde(rename = "rpc.system.name", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("const" = "grpc"))]
    system_name: Option<&'static str>,
    /// Method that is called: `package.Service/Method`.
    #[serde(rename = "rpc.method", skip_serializing_if = "Option::is_none")]
    method: Option<Cow<'a, str>>,
    /// Name of the gRPC status code, such as OK or NOT_FOUND; the number, where it has no name.
    #[serde(rename = "rpc.response.status_code", skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<Cow<'static, str>>,
    /// Message of the status (`grpc-message`), percent-encoding undone.
    #[serde(rename = "interceptor.rpc.message", skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// Seconds that the client waits for the call to end (`grpc-timeout`).
    #[serde(rename = "interceptor.rpc.timeout", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    timeout: Option<f64>,
    /// Details of the status (`grpc-status-details-bin`) in the JSON mapping of protobuf, if bodies are asked for.
    #[serde(rename = "interceptor.rpc.status_details", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<serde_json::Map<String, serde_json::Value>>>")]
    details: Option<serde_json::Value>,
}

impl<'a> RpcLine<'a> {
    pub(super) fn of(exchange: &'a Exchange, detail: Detail<'a>) -> Self {
        let Some(rpc) = exchange.rpc() else { return Self::default() };
        let name = |code: u32| status_name(code).map_or_else(|| code.to_string().into(), Cow::Borrowed);
        Self {
            system: Some("grpc"),
            system_name: Some("grpc"),
            method: rpc.method.map(|method| detail.mask.path(method)),
            status: rpc.status.map(name),
            message: rpc.message.map(percent_decoded),
            timeout: rpc.timeout.and_then(seconds),
            details: rpc.details.filter(|_| detail.bodies).and_then(|details| detail.registry.status_details(details)),
        }
    }

    /// The status, if it is an error.
    pub(super) fn error(&self) -> Option<Cow<'static, str>> {
        self.status.clone().filter(|status| status != "OK")
    }
}

/// "gRPC over HTTP2", Timeout: at most eight digits and a unit.
fn seconds(timeout: &[u8]) -> Option<f64> {
    let (unit, digits) = timeout.trim_ascii().split_last()?;
    let (times, parts) = match unit {
        b'H' => (3600.0, 1.0),
        b'M' => (60.0, 1.0),
        b'S' => (1.0, 1.0),
        b'm' => (1.0, 1e3),
        b'u' => (1.0, 1e6),
        b'n' => (1.0, 1e9),
        _ => return None,
    };
    let possible = (1..=8).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    let number: u32 = str::from_utf8(digits).ok().filter(|_| possible)?.parse().ok()?;
    Some(f64::from(number) * times / parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts() {
        for (text, expected) in [
            ("1S", Some(1.0)),
            ("99999999H", Some(359_999_996_400.0)),
            ("250m", Some(0.25)),
            ("5u", Some(5e-6)),
            ("2M", Some(120.0)),
            ("S", None),
            ("123456789S", None),
            ("-1S", None),
            ("1", None),
            ("", None),
        ] {
            assert_eq!(seconds(text.as_bytes()), expected, "{text}");
        }
    }
}
