use std::str::FromStr;

use super::Invalid;
use crate::model::{STATUS_CODES, status_name};

/// A status of gRPC calls, or any but that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallStatus {
    code: u32,
    not: bool,
}

impl FromStr for CallStatus {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (not, status) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
        let named = |code: &u32| status_name(*code).is_some_and(|name| name.eq_ignore_ascii_case(status));
        let numbered = || status.parse().ok().filter(|_| status.bytes().all(|byte| byte.is_ascii_digit()));
        let code = (0..STATUS_CODES).find(named).or_else(numbered).ok_or_else(|| {
            Invalid(
                "allowed are a name (NOT_FOUND), a number (5), any but one ('!OK'), several with commas between them"
                    .to_owned(),
            )
        })?;
        Ok(Self { code, not })
    }
}

impl CallStatus {
    pub(super) const fn fits(self, status: u32) -> bool {
        (self.code == status) != self.not
    }
}
