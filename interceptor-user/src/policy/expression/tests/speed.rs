use std::{hint::black_box, time::Instant};

use super::{super::Scene, compile, inference};
use crate::sink::sample;

/// Not a test: `cargo test --release -p interceptor-user --lib -- --ignored --nocapture expression::tests::speed`.
#[test]
#[ignore = "measures"]
fn nanoseconds_of_an_evaluation() {
    let exchange = sample::exchange();
    let inference = inference();
    let scene = Scene::of(&exchange, Some(&inference));
    for text in [
        "request.method == 'POST'",
        "request.method == 'POST' && request.url_path.startsWith('/v2/') && response.code == 200",
        "request.headers['x-tenant'] == 'a'",
        "inference.operation in ['chat', 'text_completion', 'embeddings']",
        "request.url_path.matches('^/v[0-9]+/models/')",
        "cidr('10.0.0.0/8').containsIP(source.ip)",
        "request.headers.exists(name, name.startsWith('x-'))",
    ] {
        let expression = compile(text);
        let rounds = 200_000;
        let start = Instant::now();
        for _ in 0..rounds {
            let _ = black_box(black_box(&expression).test(black_box(&scene)));
        }
        println!("{:>6.0} ns  {text}", start.elapsed().as_secs_f64() * 1e9 / f64::from(rounds));
    }
}
