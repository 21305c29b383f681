use super::*;
use crate::inspect::drift::baseline::Learner;

fn learned() -> Baseline {
    let mut learner = Learner::default();
    for index in 0..40_000_u32 {
        let number = f64::from(index) * 0.1;
        learner.number(Some("m"), Role::Request, "large", number);
        learner.number(Some("m"), Role::Response, "flag", f64::from(index % 2));
        if index < 100 {
            learner.number(Some("m"), Role::Request, "small", if index == 7 { f64::NAN } else { number });
            learner.text(Some("m"), Role::Request, "colour", ["red", "green", ""].get(index as usize % 3).copied());
        }
    }
    learner.finish()
}

#[test]
fn what_is_written_is_read() {
    let baseline = learned();
    assert_eq!(baseline.features.len(), 4);
    let text = baseline.write().expect("written");
    let read = Baseline::read(text.as_bytes()).expect("read");
    assert_eq!(read.write().expect("written"), text);
    for (before, after) in baseline.features.iter().zip(&read.features) {
        match (&before.values, &after.values) {
            (Values::Numbers(before), Values::Numbers(after)) if before.sample.is_sketched() => {
                assert!(after.sample.is_sketched() && (after.sample.count() - 40_000.0).abs() < 1e-6);
                let apart = before.sample.below(&[1_000.0])[0] - after.sample.below(&[1_000.0])[0];
                assert!(apart.abs() <= 40_000.0 / 2_048.0, "{apart}");
            }
            _ => assert_eq!(before, after),
        }
    }
}

#[test]
fn the_committed_schema_allows_it() {
    let committed = include_str!("../../../../../../docs/baseline.schema.json");
    assert_eq!(schema().expect("JSON"), committed);
    let schema = serde_json::from_str(committed).expect("JSON");
    let schema = jsonschema::options().build(&schema).expect("a schema");
    let file = serde_json::from_str(&learned().write().expect("written")).expect("JSON");
    assert!(schema.is_valid(&file));
}

#[test]
fn bad_files_are_refused_with_what_and_where() {
    let feature = |body: &str| {
        format!(r#"{{"version":1,"features":[{{"role":"input","name":"x","count":3,"missing":1,{body}}}]}}"#)
    };
    let number = |body: &str| feature(&format!(r#""number":{{"mean":1,"deviation":1,"distinct":2,{body}}}"#));
    let good = number(r#""minimum":1,"maximum":2,"values":[[1,1],[2,1]]"#);
    assert!(Baseline::read(good.as_bytes()).is_ok());
    let again = r#"}},{"role":"input","name":"x","count":0,"missing":0,"category":{"counts":{}}}]}"#;
    let twice = good.replace("}}]}", again);
    for (text, said) in [
        (String::new(), "line 1 column 0"),
        ("{}".to_owned(), "`version`"),
        (r#"{"version":2}"#.to_owned(), "version 2"),
        (good.replace("\"mean\"", "\"meen\""), "`meen`"),
        (good.replace("\"input\"", "\"in\""), "`input`"),
        (good.replace("\"missing\":1", "\"missing\":4"), "feature 1 `x`: more values are missing"),
        (good.replace("\"missing\":1", "\"missing\":0"), "`count` less `missing`, 3"),
        (good.replace("[1,1]", "[3,1]"), "do not ascend"),
        (good.replace("[1,1]", "[0,1]"), "do not ascend"),
        (good.replace("[1,1]", "[1,18446744073709551615]"), "`count` less `missing`"),
        (good.replace("\"deviation\":1", "\"deviation\":-1"), "negative"),
        (number(r#""minimum":1,"maximum":2"#), "one of `values` and `quantiles`"),
        (number(r#""minimum":1,"maximum":2,"values":[[1,2]],"quantiles":[1]"#), "one of `values` and `quantiles`"),
        (feature(r#""category":{"counts":{"a":1}}"#), "`count` less `missing`, 2"),
        (feature(r#""category":{"counts":{"a":2}},"number":null,"x":1"#), "`x`"),
        (
            r#"{"version":1,"features":[{"role":"input","name":"x","count":0,"missing":0}]}"#.to_owned(),
            "one of `number`",
        ),
        (twice, "feature 2 `x`: it is there twice"),
        (good.replace("[1,1]", "[1e999,1]"), "line 1"),
    ] {
        let error = Baseline::read(text.as_bytes()).expect_err(&text).to_string();
        assert!(error.contains(said), "{text}: {error}");
    }
}
