use std::str::FromStr;

use super::Invalid;

/// A request method; upper and lower case are not told apart, as in most tools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodName(String);

impl FromStr for MethodName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        // RFC 9110 section 5.6.2, `token`.
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if text.is_empty() || !text.bytes().all(token) {
            return Err(Invalid(
                "allowed are method names such as GET or POST, several with commas between them".to_owned(),
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl MethodName {
    pub(super) fn matches(&self, sent: &str) -> bool {
        self.0.eq_ignore_ascii_case(sent)
    }
}
