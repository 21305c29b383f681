//! Against what scipy, numpy and Evidently say: `tests/corpus/drift/reference.py` wrote it.

use serde_json::Value;

use super::*;

fn reference() -> Value {
    serde_json::from_str(include_str!("../../../../../tests/corpus/drift/reference.json")).expect("JSON")
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap_or_else(|| panic!("{key}"))
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

fn sample(case: &Value, key: &str) -> Sample {
    Sample::new(list(case, key).iter().map(|pair| (number(&pair[0]), number(&pair[1]))), false)
}

/// Kinds in the order that Evidently sorts them in.
fn kinds(case: &Value) -> Pairs {
    let mut kinds: Vec<&Value> =
        ["reference", "current"].iter().flat_map(|key| list(case, key)).map(|pair| &pair[0]).collect();
    kinds.sort_by_key(ToString::to_string);
    kinds.dedup();
    let count = |key, kind: &Value| {
        let pair = list(case, key).iter().find(|pair| pair[0] == *kind);
        pair.map_or(0.0, |pair| number(&pair[1]))
    };
    Pairs(kinds.into_iter().map(|kind| (count("reference", kind), count("current", kind))).collect())
}

/// Within `tolerance`, absolute below 1 and relative above.
#[track_caller]
fn agree(what: &str, case: &Value, found: Option<f64>, expected: f64, tolerance: f64) {
    let found = found.expect("not empty");
    let apart = (found - expected).abs() / expected.abs().max(1.0);
    assert!(apart <= tolerance, "{what} of {}: {found}, not {expected}: {apart:e}", case["name"]);
}

fn deviation(sample: &Sample) -> f64 {
    let mean = sample.points().iter().map(|(value, weight)| value * weight).sum::<f64>() / sample.count();
    let squares = sample.points().iter().map(|(value, weight)| (value - mean).powi(2) * weight).sum::<f64>();
    (squares / sample.count()).sqrt()
}

#[test]
fn numbers_as_scipy_and_evidently_compare_them() {
    let reference = reference();
    for case in list(&reference, "numbers") {
        let (baseline, window) = (sample(case, "reference"), sample(case, "current"));
        agree("statistic", case, Some(ks::statistic(&baseline, &window)), number(&case["ks_statistic"]), 1e-12);
        agree("ks", case, kolmogorov_smirnov(&baseline, &window), number(&case["ks"]), 1e-9);
        let distance = wasserstein(&baseline, &window, deviation(&baseline));
        agree("wasserstein", case, distance, number(&case["wasserstein"]), 1e-9);
        let few = baseline.distinct() <= 20;
        let binned = |other: fn(&Sample, &Sample) -> Pairs| {
            if few { Pairs::of_values(&baseline, &window) } else { other(&baseline, &window) }
        };
        let sturges = binned(Pairs::of_sturges);
        agree("jensenshannon", case, jensen_shannon(&sturges), number(&case["jensenshannon"]), 1e-9);
        agree("psi", case, psi(&sturges), number(&case["psi_sturges"]), 1e-9);
        let thirty = binned(|baseline, window| Pairs::of_quantiles(baseline, window, 30));
        agree("psi of 30", case, psi(&thirty), number(&case["psi"]), 1e-9);
    }
}

#[test]
fn categories_as_scipy_and_evidently_compare_them() {
    let reference = reference();
    for case in list(&reference, "categories") {
        let pairs = kinds(case);
        agree("chisquare", case, chi_squared(&pairs), number(&case["chisquare"]), 1e-9);
        agree("z", case, z_test(&pairs), number(&case["z"]), 1e-9);
        agree("jensenshannon", case, jensen_shannon(&pairs), number(&case["jensenshannon"]), 1e-9);
        agree("psi", case, psi(&pairs), number(&case["psi"]), 1e-9);
    }
}

#[test]
fn distribution_functions_as_scipy_has_them() {
    let reference = reference();
    for case in list(&reference, "kolmogorov") {
        let (n, d) = (number(&case[0]), number(&case[1]));
        // Beyond 100,000 scipy sums what we approximate.
        let tolerance = if n > 100_000.0 { 1e-6 } else { 1e-9 };
        agree(&format!("kolmogorov({n}, {d})"), case, Some(kolmogorov::above(n, d)), number(&case[2]), tolerance);
    }
    for case in list(&reference, "chi_squared") {
        let (freedom, x) = (number(&case[0]), number(&case[1]));
        let found = proportion::chi_squared_above(freedom as usize, x);
        agree(&format!("chi_squared({freedom}, {x})"), case, Some(found), number(&case[2]), 1e-9);
    }
}

#[test]
fn of_nothing_nothing_is_said() {
    let (none, some) = (Sample::default(), Sample::new([(1.0, 1.0), (2.0, 3.0)], false));
    for (a, b) in [(&none, &some), (&some, &none), (&none, &none)] {
        assert_eq!(kolmogorov_smirnov(a, b), None);
        assert_eq!(wasserstein(a, b, 1.0), None);
        for pairs in [Pairs::of_values(a, b), Pairs::of_sturges(a, b), Pairs::of_quantiles(a, b, 30)] {
            for compare in [psi, jensen_shannon, chi_squared, z_test] {
                assert_eq!(compare(&pairs), None, "{pairs:?}");
            }
        }
    }
}

#[test]
fn the_same_is_no_distance_apart() {
    let same = Sample::new([(1.0, 5.0), (2.0, 3.0), (7.5, 1.0)], false);
    assert_eq!(kolmogorov_smirnov(&same, &same), Some(1.0));
    assert_eq!(wasserstein(&same, &same, 1.0), Some(0.0));
    let pairs = Pairs::of_values(&same, &same);
    assert_eq!(
        (psi(&pairs), jensen_shannon(&pairs), chi_squared(&pairs), z_test(&pairs)),
        (Some(0.0), Some(0.0), Some(1.0), Some(1.0))
    );
}
