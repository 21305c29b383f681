//! Paths to routes: what differs from request to request becomes a placeholder.

use crate::{config::Paths, sink::mask::Mask};

/// A segment longer than this is free text, whatever its letters are.
const SEGMENT_MAX: usize = 64;
/// Segments of a path that are told apart; what follows becomes `...`.
const SEGMENTS_MAX: usize = 16;
/// Bytes of a path that is kept as it is: heads, and so paths, may be much longer.
const KEPT_MAX: usize = 1_024;
/// Shorter words are no hashes.
const HASH_MIN: usize = 8;
/// Shorter words are no tokens.
const TOKEN_MIN: usize = 20;

/// Appends the route of a request target (RFC 9112 section 3.2) to `route`.
pub(super) fn push_route(target: &str, paths: Paths, route: &mut Vec<u8>) {
    let path = match paths {
        Paths::Drop => return,
        Paths::Template | Paths::Keep => path(target),
    };
    // Most paths have no parameters, nothing encoded and no user, and so no secrets.
    let masked = path.bytes().any(|byte| matches!(byte, b';' | b'%' | b'@')).then(|| Mask::default().path(path));
    let path = masked.as_deref().unwrap_or(path);
    if paths == Paths::Keep {
        route.extend_from_slice(path.get(..path.floor_char_boundary(KEPT_MAX)).unwrap_or(path).as_bytes());
        if path.len() > KEPT_MAX {
            route.extend_from_slice(b"...");
        }
        return;
    }
    for (number, segment) in path.as_bytes().split(|byte| *byte == b'/').enumerate() {
        if number > 0 {
            route.push(b'/');
        }
        if number > SEGMENTS_MAX {
            route.extend_from_slice(b"...");
            return;
        }
        route.extend_from_slice(placeholder(segment).unwrap_or(segment));
    }
}

/// The path of a target in origin, absolute or asterisk form; nothing for authority form, which only CONNECT has.
fn path(target: &str) -> &str {
    let end = target.bytes().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(target.len());
    let target = target.get(..end).unwrap_or_default();
    if target.starts_with('/') || target == "*" {
        return target;
    }
    let Some((_, rest)) = target.split_once("://") else { return "" };
    rest.find('/').and_then(|start| rest.get(start..)).unwrap_or("/")
}

fn placeholder(segment: &[u8]) -> Option<&'static [u8]> {
    // Most segments are short words without a digit.
    let digits = segment.iter().filter(|byte| byte.is_ascii_digit()).count();
    if segment.len() > SEGMENT_MAX {
        return Some(b"{hash}");
    }
    if digits == 0 {
        let letters_of_a_hash = segment.len() >= 2 * HASH_MIN && segment.iter().all(u8::is_ascii_hexdigit);
        return letters_of_a_hash.then_some(b"{hash}");
    }
    if segment.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b':')) {
        return Some(b"{id}");
    }
    if is_uuid(segment) {
        return Some(b"{uuid}");
    }
    // An algorithm may go before it: `sha256:…`.
    let digest = segment.iter().position(|byte| *byte == b':').and_then(|at| segment.get(at + 1..)).unwrap_or(segment);
    if digest.len() >= HASH_MIN && digest.iter().all(u8::is_ascii_hexdigit) {
        return Some(b"{hash}");
    }
    is_token(segment).then_some(b"{hash}")
}

/// 8-4-4-4-12 hexadecimal digits (RFC 9562 section 4).
fn is_uuid(segment: &[u8]) -> bool {
    let at = |(index, byte): (usize, &u8)| match index {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    segment.len() == 36 && segment.iter().enumerate().all(at)
}

/// Long, and its letters, capitals and digits alternate as they do in random base64 (six times in ten) and do not in
/// names such as `Meta-Llama-3-8B-Instruct` (two times in ten).
fn is_token(segment: &[u8]) -> bool {
    let class = |byte: &u8| match byte {
        b'a'..=b'z' => Some(0),
        b'A'..=b'Z' => Some(1),
        b'0'..=b'9' => Some(2),
        _ => None,
    };
    let base64 = |byte: &u8| class(byte).is_some() || matches!(byte, b'-' | b'_' | b'+' | b'=' | b'.' | b'~' | b'%');
    if segment.len() < TOKEN_MIN || !segment.iter().all(base64) {
        return false;
    }
    let changes = segment.windows(2).filter(|pair| match pair {
        [a, b] => matches!((class(a), class(b)), (Some(a), Some(b)) if a != b),
        _ => false,
    });
    changes.count() * 3 >= segment.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(target: &str) -> String {
        let mut route = Vec::new();
        push_route(target, Paths::Template, &mut route);
        String::from_utf8(route).expect("a route is text")
    }

    #[test]
    fn what_differs_becomes_a_placeholder() {
        let cases = [
            ("/", "/"),
            ("*", "*"),
            ("/v2/health/ready", "/v2/health/ready"),
            ("/v2/models/resnet50/versions/3/infer?x=1", "/v2/models/resnet50/versions/{id}/infer"),
            ("/users/12345/orders/67", "/users/{id}/orders/{id}"),
            ("/days/2026-11-22", "/days/{id}"),
            ("/jobs/550e8400-e29b-41d4-a716-446655440000/log", "/jobs/{uuid}/log"),
            ("/commit/9fceb02d0ae598e95dc970b74767f19372d61af8", "/commit/{hash}"),
            ("/c/deadbeefcafebabe", "/c/{hash}"),
            ("/c/1a2b3c4d", "/c/{hash}"),
            ("/blobs/sha256:9f86d081884c7d659a2feaa0c55ad015", "/blobs/{hash}"),
            ("/token/dGhpcyBpcyBh2V3ZXJ5bG9uZyB0b2tlbg", "/token/{hash}"),
            ("/ulid/01ARZ3NDEKTSV4R1F0Q69G5F4V", "/ulid/{hash}"),
            ("/v1/facade", "/v1/facade"),
            ("/models/Meta-Llama-3-8B-Instruct/infer", "/models/Meta-Llama-3-8B-Instruct/infer"),
            ("/models/DeepSeek-R1-Distill-Qwen-7B", "/models/DeepSeek-R1-Distill-Qwen-7B"),
            ("/models/Qwen2.5-Coder-7B-Instruct-AWQ", "/models/Qwen2.5-Coder-7B-Instruct-AWQ"),
            ("http://example.org/a/7#part", "/a/{id}"),
            ("http://example.org", "/"),
            ("http://example.org?x=/y", "/"),
            ("example.org:443", ""),
            ("", ""),
            ("//a//7/", "//a//{id}/"),
        ];
        for (target, expected) in cases {
            assert_eq!(route(target), expected, "{target}");
        }
    }

    #[test]
    fn a_route_is_bounded() {
        let long = format!("/a/{}/b", "x y".repeat(1000));
        assert_eq!(route(&long), "/a/{hash}/b");
        let deep = "/a".repeat(1000);
        assert_eq!(route(&deep), "/a".repeat(16) + "/...");
    }

    #[test]
    fn paths_can_be_kept_or_left_out() {
        for (paths, expected) in [(Paths::Keep, "/users/7"), (Paths::Drop, "")] {
            let mut route = Vec::new();
            push_route("/users/7?q", paths, &mut route);
            assert_eq!(route, expected.as_bytes());
        }
        let mut route = Vec::new();
        push_route(&format!("/{}", "\u{e9}".repeat(5_000)), Paths::Keep, &mut route);
        assert_eq!(String::from_utf8(route).expect("cut between characters"), format!("/{}...", "\u{e9}".repeat(511)));
    }
}
