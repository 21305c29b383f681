use prometheus::{CounterVec, Gauge, HistogramOpts, HistogramVec, IntGaugeVec, Opts, Registry};

use super::*;
use crate::sink::prometheus::{
    exemplars::{self, Exemplar, Exemplars, Gathered, Link},
    metrics::register,
    openmetrics,
};

const HOSTILE: &str = "a\"b\\c\nd{e}# ü";

fn gathered(value: f64) -> Gathered {
    let registry = Registry::new();
    let help = "Says \"why\" and \\ more.\nOn two lines.";
    let seconds = HistogramOpts::new("x_duration_seconds", help).buckets(vec![0.000_05, 0.5, 1.0]);
    let seconds = register(&registry, HistogramVec::new(seconds, &["route"])).expect("registered");
    seconds.with_label_values(&[HOSTILE]).observe(value);
    seconds.with_label_values(&["/"]).observe(0.25);
    let bytes = register(&registry, CounterVec::new(Opts::new("x_sent_bytes_total", help), &["to"]));
    bytes.expect("registered").with_label_values(&[HOSTILE]).inc_by(3.0);
    let build = register(&registry, IntGaugeVec::new(Opts::new("x_build_info", "Build."), &["version"]));
    build.expect("registered").with_label_values(&["1"]).set(1);
    for (name, value) in [("x_ratio", 0.5), ("x_nan", f64::NAN), ("x_low", f64::NEG_INFINITY), ("x_large", 1e15)] {
        register(&registry, Gauge::new(name, "A gauge.")).expect("registered").set(value);
    }
    let exemplars = Exemplars::default();
    let link = Link { trace_id: [0xab; 16], span_id: [1; 8] };
    let time = Timestamp::from_nanos(1_763_777_999_000_456_789);
    exemplars.put(
        "x_duration_seconds",
        &exemplars::series([("route", HOSTILE)].into_iter()),
        Exemplar { link, value, time },
    );
    Gathered { families: registry.gather(), exemplars: exemplars.all() }
}

#[test]
fn the_format_is_that_of_the_specification() {
    insta::assert_snapshot!(openmetrics::text(&gathered(0.75)));
}

#[test]
fn an_exemplar_is_on_the_bucket_that_its_value_is_in() {
    for (value, bucket) in [(0.000_01, "0.00005"), (0.5, "0.5"), (0.6, "1.0"), (1.0, "1.0"), (7.0, "+Inf")] {
        let text = openmetrics::text(&gathered(value));
        let with: Vec<&str> = text.lines().filter(|line| line.contains(" # {")).collect();
        assert_eq!(with.len(), 1, "{text}");
        assert!(with[0].contains(&format!("le=\"{bucket}\"")), "{value}: {with:?}");
    }
}

/// Both pages say the same, but for what each has of its own.
#[test]
fn the_page_has_every_sample_that_the_other_one_has() {
    let mut sink = sink(100);
    record(&mut sink, exchange("GET", "/", 200));
    let metrics = Arc::clone(&sink.metrics);
    let (text, open) = (metrics.text().expect("a scrape"), metrics.open_metrics());
    let names = |page: &str| -> BTreeSet<String> {
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| line.rsplit_once(' ').expect("a sample").0.replace(".0\"", "\"")).collect()
    };
    assert_eq!(names(&text), names(&open));
    assert!(open.ends_with("# EOF\n"));
    let types: Vec<&str> = open.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert_eq!(types.iter().collect::<BTreeSet<_>>().len(), types.len(), "a family is there twice");
    assert!(types.iter().all(|name| !name.ends_with("_total") && !name.ends_with("_info")), "{types:?}");
}
