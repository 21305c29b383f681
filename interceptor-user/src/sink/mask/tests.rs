use super::*;

fn showing(names: &[&str]) -> Mask {
    Mask::showing(names.iter().map(|name| name.parse().expect("a name")).collect())
}

#[test]
fn secrets_by_name_and_nothing_else() {
    let mask = Mask::default();
    for name in [
        "Authorization",
        "proxy-authorization",
        "Cookie",
        "set-cookie",
        "X-Api-Key",
        "api-key",
        "apikey",
        "x-goog-api-key",
        "x-auth-token",
        "X-Vault-Token",
        "x-amz-security-token",
        "x-csrf-token",
        "Ocp-Apim-Subscription-Key",
        "x-forwarded-authorization",
        "x-functions-key",
        "client_secret",
        "x-forwarded-access-token",
        "Authorization\u{b}",
        "X Authorization",
        "X\tAuthorization",
        "Authorization:",
        "Set-Cookie2",
        "X-ApiKey",
        "X-APIkey",
        "aUTHORIZATION",
        "X-Session-Id",
        "signature",
        "x-hub-signature-256",
        "X-Credential",
        "x-credentials",
    ] {
        assert!(mask.hides(name), "{name} carries a secret");
    }
    for name in [
        "content-type",
        "idempotency-key",
        "sec-websocket-key",
        "x-ratelimit-remaining-tokens",
        "www-authenticate",
        "host",
        "surrogate-key",
        "key",
        "x-request-id",
        "",
        "-",
        "accept",
        "access-control-allow-credentials",
        "signature-input",
        "monkey",
        "keyword",
        "tokens",
        "max_tokens",
        "maxTokens",
        "tokenizer",
        "x-tokenizer-id",
        "apikeys-count",
        "secretary",
        "side",
        "inside",
        "residence",
        "id",
        "user-id",
    ] {
        assert!(!mask.hides(name), "{name} does not");
    }
}

#[test]
fn shown_only_by_its_own_name() {
    let mask = showing(&["Authorization"]);
    assert_eq!(mask.field("authorization", b"Bearer x"), "Bearer x");
    assert_eq!(mask.field("proxy-authorization", b"Basic x"), MASKED);
    assert_eq!(mask.field("Cookie", b"a=b"), MASKED);
    assert_eq!(mask.field("accept", b"\xff"), "\u{fffd}");
}

#[test]
fn queries_keep_everything_but_secrets() {
    let mask = Mask::default();
    for (query, expected) in [
        ("", ""),
        ("a=1&b=2", "a=1&b=2"),
        ("a=1&api_key=x&b", "a=1&api_key=[masked]&b"),
        ("key=AIza&key=2", "key=[masked]&key=[masked]"),
        ("access_token=x=y", "access_token=[masked]"),
        ("access%5Ftoken=x", "access%5Ftoken=[masked]"),
        ("%74oken=x&%=1&%zz=2", "%74oken=[masked]&%=1&%zz=2"),
        ("token", "token"),
        ("token=", "token="),
        (
            "refreshToken=x&clientSecret=y&sessionToken=z",
            "refreshToken=[masked]&clientSecret=[masked]&sessionToken=[masked]",
        ),
        (
            "user[password]=x&user%5Bpassword%5D=y&a[token][]=z",
            "user[password]=[masked]&user%5Bpassword%5D=[masked]&a[token][]=[masked]",
        ),
        ("accessKey=x&APIKey=y&keys=z", "accessKey=[masked]&APIKey=[masked]&keys=z"),
        (
            "sid=1&sessionid=2&PHPSESSID=3&session_id=4&x",
            "sid=[masked]&sessionid=[masked]&PHPSESSID=[masked]&session_id=[masked]&x",
        ),
        ("password1=x&new_password_2=y", "password1=[masked]&new_password_2=[masked]"),
        ("maxTokens=5&tokens=1&keyword=a&monkey=b&sidebar=c", "maxTokens=5&tokens=1&keyword=a&monkey=b&sidebar=c"),
        ("a=1;token=x;y&b=2", "a=1;token=[masked]&b=2"),
        ("next=/a?token=x#y&b=2", "next=/a?token=[masked]&b=2"),
        ("next=https%3A%2F%2Fh%2F%3Ftoken%3Dx%26a%3D1&b=2", "next=https%3A%2F%2Fh%2F%3Ftoken%3D[masked]&b=2"),
        ("next=%252Fa%253Fb%253D1%2526key%253Dx&b=2", "next=%252Fa%253Fb%253D1%2526key%253D[masked]&b=2"),
        ("next=https%3a%2f%2fu%3ap%40h%2f", "next=https%3a%2f%2f[masked]"),
        ("next=https://u:p@h/", "next=https://[masked]"),
        ("state=token=x", "state=token=[masked]"),
        ("state=token%3Dx", "state=token%3D[masked]"),
        ("mail=a%40b&q=100%25&c=%2F%2Fh%2Fp%3Fa%3D1", "mail=a%40b&q=100%25&c=%2F%2Fh%2Fp%3Fa%3D1"),
        ("token%3D=x", "token%3D[masked]"),
        ("X-Amz-Signature=f00&max_tokens=5", "X-Amz-Signature=[masked]&max_tokens=5"),
    ] {
        assert_eq!(mask.query(query), expected);
    }
    assert_eq!(showing(&["key"]).query("key=1&sig=2"), "key=1&sig=[masked]");
}

#[test]
fn addresses_keep_everything_but_secrets() {
    let mask = Mask::default();
    for (address, expected) in [
        ("/a/b?x=1#y", "/a/b?x=1#y"),
        ("https://h/cb?code=1&access_token=x", "https://h/cb?code=1&access_token=[masked]"),
        ("https://h/cb#access_token=x&state=1", "https://h/cb#access_token=[masked]&state=1"),
        ("https://u:p@h:1/a@b?x", "https://[masked]@h:1/a@b?x"),
        ("//u:p@q@h", "//[masked]@h"),
        ("/login;jsessionid=1?x=1", "/login;jsessionid=[masked]"),
        ("0; url=http://u:p@h/?token=x", "0; url=http://[masked]@h/?token=[masked]"),
        ("/mail/a@b", "/mail/a@b"),
        ("/token=x/a%3Db", "/token=x/a%3Db"),
        ("/r/https%3A%2F%2Fh%2F%3Ftoken%3Dx/y?b=1", "/r/https%3A%2F%2Fh%2F%3Ftoken%3D[masked]?b=1"),
        ("/r/https%3A%2F%2Fu%3Ap%40h%2F/y?b=1", "/r/https%3A%2F%2F[masked]?b=1"),
        ("https%3A%2F%2Fu%3Ap%40h%2F", "https%3A%2F%2F[masked]"),
        ("", ""),
    ] {
        assert_eq!(mask.address(address), expected);
        for name in ["Location", "content-location", "REFERER", "Refresh", "X-Envoy-Original-Path", "x-accel-redirect"]
        {
            assert_eq!(mask.field(name, address.as_bytes()), expected);
            assert_eq!(*mask.field_bytes(name, address.as_bytes()), *expected.as_bytes());
        }
        assert_eq!(mask.field("x-other", address.as_bytes()), address);
    }
    assert_eq!(showing(&["access_token"]).address("/?access_token=x"), "/?access_token=x");
    assert_eq!(*mask.field_bytes("Location", b"/\xff?a"), *b"/\xff?a");
}

#[test]
fn links_keep_everything_but_secrets() {
    let mask = Mask::default();
    for (link, expected) in [
        ("<https://h/?page=2>; rel=\"next\"", "<https://h/?page=2>; rel=\"next\""),
        (
            "<https://h/?token=x>; rel=\"next\", </a?sig=y&page=3>; rel=last",
            "<https://h/?token=[masked]>; rel=\"next\", </a?sig=[masked]&page=3>; rel=last",
        ),
        ("<https://u:p@h/>; rel=a, <//v:q@h>", "<https://[masked]@h/>; rel=a, <//[masked]@h>"),
        ("<>; anchor=\"https://h/?token=x\"", "<>; anchor=\"https://h/?token=[masked]"),
        ("</?token=x<y>; rel=a", "</?token=[masked]>; rel=a"),
        ("https://h/?token=x", "https://h/?token=[masked]"),
        ("</?token=x", "</?token=[masked]"),
        ("", ""),
    ] {
        assert_eq!(mask.field("Link", link.as_bytes()), expected);
    }
}

#[test]
fn subprotocols_keep_their_names() {
    let mask = Mask::default();
    for (protocols, expected) in [
        ("chat, mqtt.v5", "chat, mqtt.v5"),
        (
            "realtime, openai-insecure-api-key.sk-x.y, openai-beta.v1",
            "realtime, openai-insecure-api-key.[masked], openai-beta.v1",
        ),
        (
            "base64url.bearer.authorization.k8s.io.x, base64.binary.k8s.io",
            "base64url.bearer.authorization.[masked], base64.binary.k8s.io",
        ),
        ("", ""),
    ] {
        assert_eq!(mask.field("Sec-WebSocket-Protocol", protocols.as_bytes()), expected);
        assert_eq!(
            showing(&["sec-websocket-protocol"]).field("Sec-WebSocket-Protocol", protocols.as_bytes()),
            protocols
        );
        assert_eq!(mask.field("x-other", protocols.as_bytes()), protocols);
    }
}

#[test]
fn names_are_checked() {
    for text in ["", "*", "a b", "authorization: x"] {
        assert!(text.parse::<Name>().expect_err(text).contains("full name"));
    }
}

#[test]
fn names_that_are_not_known_and_binary_metadata_may_be_secrets() {
    let mask = Mask::default();
    assert_eq!(mask.field("?5", b"hunter2"), "[masked]");
    assert_eq!(mask.field("?5", b"?"), "?");
    assert_eq!(mask.field("x-session-token-bin", b"hunter2"), "[masked]");
    assert_eq!(mask.field(":authority", b"user:hunter2@models"), "[masked]@models");
    assert_eq!(mask.field(":authority", b"models:8001"), "models:8001");
}
