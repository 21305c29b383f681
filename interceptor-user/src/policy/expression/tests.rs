use super::*;
use crate::sink::sample;

fn test(text: &str) -> Result<bool, Fault> {
    let exchange = sample::exchange();
    Expression::compile(text).unwrap_or_else(|problem| panic!("{text}: {problem:?}")).test(&Scene::of(&exchange, None))
}

#[test]
fn conditions_against_one_exchange() {
    for (text, expected) in [
        ("request.method == 'POST'", true),
        ("request.method != 'POST'", false),
        ("request.url_path.startsWith('/v2/') && response.code == 200", true),
        ("request.headers['Host'] == 'model.default.svc:8000'", true),
        ("destination.port in [80, 8000]", true),
        ("cidr('10.0.0.0/8').containsIP(source.ip)", true),
        ("request.query.matches('^trace=[0-9]$')", true),
        ("has(request.headers.authorization) || has(response.code)", true),
        ("duration < duration('1h')", true),
        ("anomalies.exists(a, a == 'gap')", false),
        ("'gap' in anomalies", false),
        ("size(anomalies) == 0 && complete", true),
        ("has(inference.dialect)", false),
    ] {
        assert_eq!(test(text), Ok(expected), "{text}");
    }
}
