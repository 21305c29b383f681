#![expect(clippy::cast_precision_loss, clippy::cast_possible_wrap, reason = "counts of a test")]

use std::time::Duration;

use super::{baseline::Learner, *};
use crate::{
    model::{Dialect, DriftTest, Operation},
    protobuf::Registry,
    sink::sample,
};

/// A generator of its own, so that each run is the same.
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// About normal: the sum of twelve.
    fn normal(&mut self, mean: f64) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0 + mean
    }
}

const COLOURS: [&str; 3] = ["red", "green", "blue"];

/// 800 values of `age`, `colour` (1/3 each) and, as an output, `score`.
fn baseline() -> Baseline {
    let (mut learner, mut random) = (Learner::default(), Random(7));
    for index in 0..800_usize {
        learner.number(Some("m"), Role::Request, "age", random.normal(40.0));
        learner.text(Some("m"), Role::Request, "colour", COLOURS.get(index % 3).copied());
        learner.number(Some("m"), Role::Response, "score", random.uniform());
    }
    learner.finish()
}

fn settings(more: &str) -> Settings {
    serde_saphyr::from_str(&format!("baseline: x\n{more}")).expect("valid")
}

fn numbers(name: &'static str, values: Vec<f64>) -> Tensor {
    Tensor { name: name.into(), shape: vec![values.len() as i64], values: Values::Numbers(values), ..Tensor::default() }
}

fn strings(name: &'static str, values: &[&str]) -> Tensor {
    let values = values.iter().map(|value| Some((*value).to_owned())).collect();
    Tensor { name: name.into(), shape: vec![-1], values: Values::Strings(values), ..Tensor::default() }
}

/// An inspector and what it reports.
struct Bench {
    drift: Drift,
    report: Report,
    registry: Registry,
}

impl Bench {
    fn new(more: &str) -> Self {
        Self::of(more, &baseline())
    }

    fn of(more: &str, baseline: &Baseline) -> Self {
        let drift = Drift::new(&settings(more), baseline).expect("tests that fit");
        Self { drift, report: Report::new("policy/rule".into()), registry: Registry::default() }
    }

    fn ask(&mut self, seconds: u64, inputs: Vec<Tensor>, outputs: Vec<Tensor>) {
        let mut inference = Inference::new(Dialect::OpenInference, Operation::Infer);
        inference.model = Some("m".to_owned());
        inference.inputs = inputs;
        inference.outputs = outputs;
        self.inspect(seconds, &inference, &mut Budget::unlimited());
    }

    fn inspect(&mut self, seconds: u64, inference: &Inference, budget: &mut Budget) {
        let mut exchange = sample::exchange();
        let time = Timestamp::from_nanos(seconds * 1_000_000_000);
        for part in [&mut exchange.request, &mut exchange.response].into_iter().flatten() {
            part.last_byte = time;
        }
        let subject = Subject { exchange: &exchange, inference: Some(inference), registry: &self.registry };
        self.drift.inspect(&subject, budget, &mut self.report);
    }

    fn tick(&mut self, seconds: u64, over: bool) {
        self.drift.tick(Timestamp::from_nanos(seconds * 1_000_000_000), over, &mut self.report);
    }

    fn records(&mut self) -> Vec<DriftRecord> {
        std::mem::take(&mut self.report.drift)
    }
}

/// 300 requests, of which each feature has a value; from `mean` and with this share of red.
fn stream(bench: &mut Bench, mean: f64, red: f64) -> Vec<DriftRecord> {
    let mut random = Random(11);
    for second in 0..300 {
        let colour =
            if random.uniform() < red { "red" } else { ["green", "blue"][usize::from(random.uniform() < 0.5)] };
        let inputs = vec![numbers("age", vec![random.normal(mean)]), strings("colour", &[colour])];
        bench.ask(second, inputs, vec![numbers("score", vec![random.uniform()])]);
    }
    bench.tick(300, true);
    bench.records()
}

#[test]
fn a_stream_like_the_baseline_has_not_drifted_and_another_has() {
    let like = stream(&mut Bench::new(""), 40.0, 1.0 / 3.0);
    assert_eq!(like.iter().map(|record| &*record.feature).collect::<Vec<_>>(), ["age", "colour", "score"]);
    for record in &like {
        assert!(!record.drifted && record.score.is_some_and(|p| p > 0.05), "{record:?}");
        assert_eq!((record.count, record.missing, record.reference_count), (300, 0, 800));
        assert_eq!((record.model.as_deref(), &*record.rule, record.sketched), (Some("m"), "policy/rule", false));
    }
    let tests = like.iter().map(|record| record.test.expect("compared"));
    let [ks, chi] = [DriftTest::KolmogorovSmirnov, DriftTest::ChiSquared];
    assert_eq!(tests.collect::<Vec<_>>(), [ks, chi, ks]);

    let other = stream(&mut Bench::new(""), 41.0, 0.6);
    let drifted: Vec<&str> = other.iter().filter(|record| record.drifted).map(|record| &*record.feature).collect();
    assert_eq!(drifted, ["age", "colour"]);
}

#[test]
fn a_large_baseline_is_compared_by_distance() {
    let (mut learner, mut random) = (Learner::default(), Random(3));
    for index in 0..20_000_usize {
        learner.number(None, Role::Request, "age", random.normal(40.0));
        learner.number(None, Role::Request, "flag", (index % 2) as f64);
        learner.text(None, Role::Request, "colour", COLOURS.get(index % 3).copied());
    }
    let baseline = Baseline::read(learner.finish().write().expect("written").as_bytes()).expect("read");
    for (mean, drifted) in [(40.0, false), (40.5, true)] {
        let mut bench = Bench::of("window: {count: 900}", &baseline);
        let ages = (0..900).map(|_| random.normal(mean)).collect();
        let flags = (0..900).map(|index| f64::from(index % 2)).collect();
        let colours: Vec<&str> = (0..900).map(|index| COLOURS[index % 3]).collect();
        bench.ask(1, vec![numbers("age", ages), numbers("flag", flags), strings("colour", &colours)], Vec::new());
        let found = bench.records();
        let tests: Vec<_> =
            found.iter().map(|record| (record.test.expect("compared"), record.drifted, record.sketched)).collect();
        let js = DriftTest::JensenShannon;
        assert_eq!(
            tests,
            [(DriftTest::Wasserstein, drifted, true), (js, false, false), (js, false, false)],
            "{found:?}"
        );
    }
}

#[test]
fn windows_end_by_count_and_by_time_whichever_is_first() {
    let mut bench = Bench::new("window: {count: 100, time: 1m}\nminimum: 50\ninclude: [age]");
    // Two and a half windows in one request.
    bench.ask(10, vec![numbers("age", vec![40.0; 250])], Vec::new());
    let counts = |records: &[DriftRecord]| records.iter().map(|record| record.count).collect::<Vec<_>>();
    assert_eq!(counts(&bench.records()), [100, 100]);
    bench.tick(69, false);
    assert_eq!(counts(&bench.records()), [0; 0]);
    // Exchanges end in another order than they begin.
    bench.ask(8, vec![numbers("age", vec![40.0])], Vec::new());
    bench.tick(70, false);
    let records = bench.records();
    assert_eq!(counts(&records), [51]);
    let seconds = |time: Timestamp| time.as_nanos() / 1_000_000_000;
    assert_eq!((seconds(records[0].start), seconds(records[0].end)), (8, 10));
    // The next value ends it, if no tick did.
    bench.ask(80, vec![numbers("age", vec![40.0; 7])], Vec::new());
    bench.ask(140, vec![numbers("age", vec![40.0; 8])], Vec::new());
    let records = bench.records();
    assert_eq!(counts(&records), [7]);
    assert_eq!((records[0].test, records[0].score, records[0].drifted), (None, None, false), "too few");
    bench.tick(141, true);
    assert_eq!(counts(&bench.records()), [8]);
    bench.tick(142, true);
    assert_eq!(counts(&bench.records()), [0; 0]);
}

#[test]
fn the_order_of_values_does_not_matter() {
    let mut random = Random(5);
    let ages: Vec<f64> = (0..500).map(|_| random.normal(40.2)).collect();
    let colours: Vec<String> = (0..500).map(|index| format!("c{}", index * index % 1_700)).collect();
    let run = |order: &dyn Fn(usize) -> usize| {
        let mut bench = Bench::new("window: {count: 500}");
        let ages = (0..500).map(|index| ages[order(index)]).collect();
        let colours: Vec<&str> = (0..500).map(|index| colours[order(index)].as_str()).collect();
        bench.ask(1, vec![numbers("age", ages), strings("colour", &colours)], Vec::new());
        bench.records()
    };
    let expected = run(&|index| index);
    assert_eq!(expected.len(), 2);
    assert_eq!(run(&|index| 499 - index), expected);
    assert_eq!(run(&|index| index * 7 % 500), expected);
}

#[test]
fn what_is_odd_is_counted_and_said_once_a_feature() {
    let all = "findings: {schema: true, range: true, categories: true}\nwindow: {count: 5}\nshowCategories: true";
    let mut bench = Bench::new(all);
    let ages = numbers("age", vec![40.0, 4e9, -4e9, f64::NAN, f64::INFINITY]);
    bench.ask(1, vec![ages, strings("colour", &["red", "pink", "pink", "mauve"]), numbers("new", vec![1.0])], vec![]);
    bench.ask(2, vec![strings("age", &["old"]), numbers("colour", vec![1.0])], vec![numbers("score", vec![0.5])]);
    let found: Vec<_> = bench.report.findings.iter().map(|found| (&*found.kind, &*found.place, found.count)).collect();
    let expected = [
        ("out_of_range", "tensor:age", 2),
        ("new_category", "tensor:colour", 3),
        ("new_feature", "tensor:new", 1),
        ("wrong_type", "tensor:age", 1),
        ("wrong_type", "tensor:colour", 1),
    ];
    assert_eq!(found, expected);
    let records = bench.records();
    assert_eq!((records[0].out_of_range, records[0].missing, records[0].count), (2, 2, 5));
    assert_eq!((records[1].new_category_count, records[1].wrong_type), (3, 1));
    assert_eq!(records[1].new_categories, ["pink", "mauve"]);

    // Nothing of it is said, and no value shown, unless that was asked for.
    let mut bench = Bench::new("window: {count: 5}");
    bench.ask(1, vec![strings("colour", &["pink"; 5]), numbers("new", vec![1.0])], Vec::new());
    assert!(bench.report.findings.is_empty());
    assert_eq!(bench.records()[0].new_categories, [""; 0]);

    let mut bench = Bench::new(all);
    bench.ask(1, vec![strings("colour", &["red"])], Vec::new());
    let found: Vec<_> = bench.report.findings.iter().map(|found| (&*found.kind, &*found.place)).collect();
    assert_eq!(found, [("missing_feature", "tensor:age")]);
}

#[test]
fn findings_of_an_exchange_are_bounded() {
    let mut bench = Bench::new("findings: {schema: true}");
    let tensors = vec![Tensor { shape: vec![1, 60], ..numbers("wide", vec![1.0; 60]) }; 50];
    bench.ask(1, tensors, Vec::new());
    assert_eq!(bench.report.findings.len(), 32);
}

#[test]
fn settings_say_what_is_compared_how() {
    let mut bench = Bench::new(
        "tests: {number: psi, category: jensenshannon}\nthresholds: {psi: 0.3, jensenshannon: 0.4}\n\
         features: [{name: 'ag*', test: wasserstein, threshold: 7}]",
    );
    let records = stream(&mut bench, 40.0, 0.3);
    let how: Vec<_> = records.iter().map(|record| (record.test.expect("compared").name(), record.threshold)).collect();
    assert_eq!(how, [("wasserstein", 7.0), ("jensenshannon", 0.4), ("psi", 0.3)]);

    let names = |more: &str| {
        let records = stream(&mut Bench::new(more), 40.0, 0.3);
        records.iter().map(|record| record.feature.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names("roles: [output]"), ["score"]);
    assert_eq!(names("include: ['*o*']\nexclude: [score]"), ["colour"]);
    assert_eq!(names("model: n"), [""; 0]);
    assert_eq!(names("version: '2*'"), [""; 0]);
    let outputs = Drift::new(&settings("roles: [output]"), &baseline()).expect("fits").needs();
    assert_eq!((outputs.request, outputs.response), (0, CONTENT));
    for (more, said) in [
        ("features: [{name: age, test: chisquare}]", "`chisquare` does not compare numbers, which feature `age` holds"),
        ("features: [{name: colour, test: ks}]", "chisquare, z, jensenshannon or psi does"),
    ] {
        let error = Drift::new(&settings(more), &baseline()).err().expect(more).to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn models_and_versions_have_windows_of_their_own() {
    let ask = |bench: &mut Bench, model: &str, version: &str| {
        let mut inference = Inference::new(Dialect::KserveV1, Operation::Infer);
        (inference.model, inference.version) = (Some(model.to_owned()), Some(version.to_owned()));
        inference.inputs = vec![numbers("age", vec![40.0])];
        bench.inspect(1, &inference, &mut Budget::unlimited());
    };
    let mut bench = Bench::new("model: 'm*'");
    for (model, version) in [("m", "1"), ("m", "2"), ("m-canary", "1"), ("other", "1"), ("m", "1")] {
        ask(&mut bench, model, version);
    }
    bench.tick(2, true);
    let found: Vec<_> = bench
        .records()
        .into_iter()
        .map(|record| (record.model.unwrap().to_string(), record.version.unwrap().to_string(), record.count))
        .collect();
    let expected = [("m", "1", 2), ("m", "2", 1), ("m-canary", "1", 1)];
    assert_eq!(found, expected.map(|(model, version, count)| (model.to_owned(), version.to_owned(), count)));
    // Without the setting, only those that the baseline names.
    let mut bench = Bench::new("");
    ask(&mut bench, "m-canary", "1");
    bench.tick(2, true);
    assert_eq!(bench.records(), []);
    // However many there are; those that had to go were reported.
    let mut bench = Bench::new("model: 'm*'");
    (0..1_000).for_each(|index| ask(&mut bench, &format!("m{index}"), "1"));
    assert_eq!((bench.drift.models.len(), bench.records().len()), (MODELS, 1_000 - MODELS));
}

#[test]
fn a_budget_that_is_used_up_is_said() {
    let mut bench = Bench::new("window: {count: 1000000}");
    let mut inference = Inference::new(Dialect::OpenInference, Operation::Infer);
    inference.model = Some("m".to_owned());
    inference.inputs = vec![numbers("age", vec![40.0; 100_000])];
    bench.inspect(1, &inference, &mut Budget::new(100_000, None));
    bench.inspect(1, &inference, &mut Budget::new(1_000_000, Some(Duration::ZERO)));
    let reasons: Vec<_> = bench.report.uninspected.iter().map(|skipped| (skipped.role, skipped.reason)).collect();
    assert_eq!(
        reasons,
        [UninspectedReason::Bytes, UninspectedReason::Time].map(|reason| (Some(Role::Request), reason))
    );
    bench.tick(2, true);
    let seen = bench.records()[0].count;
    assert!((4_096..=12_500).contains(&seen), "{seen}");

    inference.unread = Some(Unread::Missing);
    bench.inspect(3, &inference, &mut Budget::unlimited());
    assert_eq!(bench.report.uninspected.last().map(|skipped| skipped.reason), Some(UninspectedReason::Missing));
}

#[test]
fn a_million_values_and_ten_thousand_categories_stay_bounded() {
    let mut bench = Bench::new("window: {count: 1000000, time: 24h}");
    let mut random = Random(9);
    for batch in 0..100_u32 {
        let ages = (0..10_000).map(|_| random.normal(40.0)).collect();
        let colours: Vec<String> = (0..100).map(|index| format!("category {}", batch * 100 + index)).collect();
        let colours: Vec<&str> = colours.iter().map(String::as_str).collect();
        // Before the last batch, which ends the window of numbers.
        let kept: Vec<usize> =
            bench.drift.models.iter().flat_map(|model| &model.windows).flatten().map(Window::kept).collect();
        assert!(kept.iter().zip([160_000, 1_010]).all(|(kept, most)| *kept <= most), "{kept:?}");
        bench.ask(1, vec![numbers("age", ages), strings("colour", &colours)], Vec::new());
    }
    bench.tick(2, true);
    let records = bench.records();
    assert_eq!((records[0].count, records[0].sketched, records[0].drifted), (1_000_000, true, false), "{records:?}");
    assert_eq!((records[1].count, records[1].new_category_count, records[1].drifted), (10_000, 10_000, true));
}

#[test]
fn an_exchange_that_means_nothing_is_nothing_here() {
    let mut bench = Bench::new("");
    let exchange = sample::exchange();
    let subject = Subject { exchange: &exchange, inference: None, registry: &bench.registry };
    bench.drift.inspect(&subject, &mut Budget::unlimited(), &mut bench.report);
    bench.tick(1, true);
    assert_eq!(bench.records(), []);
}
