//! Names that say that their value is a secret.

/// The last word of names whose value is a secret: `authorization`, `x-vault-token`, `set-cookie`.
const LAST: [&str; 8] = ["pwd", "jwt", "dpop", "assertion", "passcode", "passphrase", "sid", "credentials"];

/// How that word may also end, since not everybody divides words: `refreshtoken`, `phpsessid`.
const LAST_ENDS: [&str; 11] = [
    "authorization",
    "cookie",
    "token",
    "secret",
    "password",
    "passwd",
    "apikey",
    "credential",
    "signature",
    "sessionid",
    "sessid",
];

/// The word before a last word `key`, where the two name a secret: `x-api-key`, `ocp-apim-subscription-key`.
const BEFORE_KEY: [&str; 9] =
    ["api", "access", "secret", "subscription", "functions", "auth", "private", "master", "account"];

/// The word before a last word `id`, where the two name a secret.
const BEFORE_ID: [&str; 2] = ["session", "sess"];

/// Named like secrets and none: a flag of CORS.
const HARMLESS: [&str; 1] = ["access-control-allow-credentials"];

/// Query parameters beside those: signatures of pre-signed addresses, keys of web APIs.
const PARAMETERS: [&str; 3] = ["sig", "key", "awsaccesskeyid"];

/// The last word of header fields whose values are addresses, with queries of their own: `content-location`,
/// `x-original-url`, `x-envoy-original-path`.
const ADDRESSES: [&str; 9] =
    ["location", "link", "referer", "refresh", "url", "uri", "path", "redirect", "destination"];

/// Does this name of a header field say that its value is an address?
pub(super) fn holds_address(name: &str) -> bool {
    let (_, last) = last_word(name, false);
    ADDRESSES.iter().any(|known| last.eq_ignore_ascii_case(known))
}

/// Does this name of a parameter say that its value is a secret?
pub(super) fn sensitive_parameter(name: &str) -> bool {
    PARAMETERS.iter().any(|known| name.eq_ignore_ascii_case(known)) || sensitive(name)
}

/// Does this name say that its value is a secret? Its words are told apart by whatever is no letter and no digit, and,
/// as a second reading, by their capitals: `refreshToken` and `APIkey` are both meant.
pub(super) fn sensitive(name: &str) -> bool {
    if HARMLESS.iter().any(|known| name.eq_ignore_ascii_case(known)) {
        return false;
    }
    // Binary metadata of gRPC: `session-token-bin`.
    let name = name.strip_suffix("-bin").unwrap_or(name);
    [last_words(name, false), last_words(name, true)].into_iter().any(|[before, last]| {
        let one_of = |word: &str, list: &[&str]| list.iter().any(|known| word.eq_ignore_ascii_case(known));
        let ends = |end: &&str| {
            last.len()
                .checked_sub(end.len())
                .and_then(|at| last.get(at..))
                .is_some_and(|it| it.eq_ignore_ascii_case(end))
        };
        one_of(last, &LAST)
            || LAST_ENDS.iter().any(ends)
            || (last.eq_ignore_ascii_case("key") && one_of(before, &BEFORE_KEY))
            || (last.eq_ignore_ascii_case("id") && one_of(before, &BEFORE_ID))
    })
}

/// The last two words of a name, without numbers: of `user[new_password1][0]`, `new` and `password`.
fn last_words(name: &str, capitals: bool) -> [&str; 2] {
    let (rest, last) = last_word(name, capitals);
    [last_word(rest, capitals).1, last]
}

/// The last word, and what is before it.
fn last_word(name: &str, capitals: bool) -> (&str, &str) {
    let name = name.trim_end_matches(|c: char| !c.is_ascii_alphabetic());
    let bytes = name.as_bytes();
    let begins = |at: usize| {
        let (Some(before), Some(first)) = (bytes.get(at.wrapping_sub(1)), bytes.get(at)) else { return true };
        let next_is_small = bytes.get(at + 1).is_some_and(u8::is_ascii_lowercase);
        !before.is_ascii_alphanumeric()
            || (capitals && first.is_ascii_uppercase() && (!before.is_ascii_uppercase() || next_is_small))
    };
    let start = (0..bytes.len()).rev().find(|at| begins(*at)).unwrap_or(0);
    (name.get(..start).unwrap_or_default(), name.get(start..).unwrap_or_default())
}
