use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

use super::expression::joined;
use crate::model::Head;

/// Bytes of a token, and of a tenant's name, at the most.
const TOKEN: usize = 16 << 10;
const NAME: usize = 256;

/// Where a request says on whose behalf it is made. Nothing of it is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tenant {
    /// In a header field, by its name in lower case.
    Header(String),
    /// In a claim of the bearer token (RFC 6750 section 2.1, RFC 7519).
    JwtClaim(String),
}

impl Tenant {
    /// As this request says.
    pub fn of(&self, head: &Head) -> Option<String> {
        let name = match self {
            Self::Header(name) => joined(&head.fields, name)?.trim().to_owned(),
            Self::JwtClaim(claim) => claimed(head, claim)?,
        };
        (!name.is_empty() && name.len() <= NAME).then_some(name)
    }
}

fn claimed(head: &Head, claim: &str) -> Option<String> {
    let value = str::from_utf8(head.fields.get("authorization")?).ok()?;
    let (scheme, token) = value.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") || token.len() > TOKEN {
        return None;
    }
    let payload = token.trim().split('.').nth(1)?;
    let payload: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    match payload.get(claim)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
