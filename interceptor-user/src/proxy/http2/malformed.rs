//! What makes a request malformed that the library takes (RFC 9113 sections 8.1.1, 8.2.1 and 8.3.1).

use hyper::{
    HeaderMap, Request,
    header::{CONTENT_LENGTH, HeaderValue},
};

use crate::proxy::address;

/// Why it is, if so. Others might read it in another way than we do.
pub(super) fn request<B>(request: &Request<B>) -> Option<&'static str> {
    let (uri, fields) = (request.uri(), request.headers());
    if let Some(why) = unclear(fields).or_else(|| address::unclear(request.method(), uri, fields)) {
        return Some(why);
    }
    address::differs(uri, fields).then_some("its Host is not its authority")
}

fn unclear(fields: &HeaderMap) -> Option<&'static str> {
    if fields.values().any(|value| is_padded(value.as_bytes())) {
        return Some("there is white space around a field's value");
    }
    fields.get_all(CONTENT_LENGTH).iter().any(HeaderValue::is_empty).then_some("its length is none")
}

fn is_padded(value: &[u8]) -> bool {
    [value.first(), value.last()].into_iter().flatten().any(|byte| matches!(byte, b' ' | b'\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_can_be_read_in_one_way_only() {
        let cases = [
            ("accept", "a b", true),
            ("accept", "", true),
            ("accept", "\u{fc}", true),
            ("accept", " a", false),
            ("accept", "a\t", false),
            ("accept", " ", false),
            ("content-length", "0", true),
            ("content-length", "", false),
            ("host", "model", true),
            ("host", "other", false),
        ];
        for (name, value, is_fine) in cases {
            let asked = Request::builder().uri("http://model/").header(name, value).body(()).unwrap();
            let why = request(&asked);
            assert_eq!(why.is_none(), is_fine, "{name}: {value:?}: {why:?}");
        }
    }
}
