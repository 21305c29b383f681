//! Any exchange under a policy with all inspectors: nothing panics, no finding tells what was found, and what is redacted is not
//! shown.

#![no_main]

use std::{cell::RefCell, io, path::Path, sync::Arc};

use interceptor::{
    inspect::{Options, Plan, Policies, Stage, pii::Key},
    model::{Record, Timestamp},
    policy::Policy,
};
use interceptor_fuzz::exchange::{Asked, SECRET};
use libfuzzer_sys::fuzz_target;

const POLICY: &str = r#"
apiVersion: interceptor/v1alpha1
kind: Policy
metadata: { name: p }
spec:
  rules:
    - name: all
      inspect:
        pii: {}
        transport: {}
        schema:
          request: { inline: { type: object, additionalProperties: { type: [string, number] }, required: [model] } }
          response: { inline: { type: object, properties: { id: { type: integer } }, additionalProperties: { type: object } } }
          inputs: [{ name: input, datatype: FP32, shape: [-1] }]
          closed: true
        drift: { baseline: baseline.json, minimum: 1, window: { count: 2 } }
      redact: { pii: true }
"#;

const BASELINE: &str = r#"{"version":1,"features":[{"model":"m","role":"input","name":"input","count":2,"missing":0,
"number":{"minimum":1.0,"maximum":2.0,"mean":1.5,"deviation":0.5,"distinct":2,"values":[[1.0,1],[2.0,1]]}}]}"#;

thread_local! {
    /// One for all inputs: what drift has seen of one is there with the next.
    static STAGE: RefCell<Stage> = RefCell::new(stage());
}

fn stage() -> Stage {
    let policy = Policy::parse(&[("p.yaml", POLICY)]).unwrap_or_else(|error| panic!("{error}"));
    let read = |path: &Path| match path.to_str() {
        Some("baseline.json") => Ok(BASELINE.as_bytes().to_vec()),
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    let plan = Plan::new(policy, &read, &Key::new(b"k")).unwrap_or_else(|error| panic!("{error:#}"));
    let policies = Some(Arc::new(Policies::new(plan)));
    Stage::new(Options { policies, shown: usize::MAX, budget_time: None, ..Options::default() })
}

fuzz_target!(|asked: Vec<Asked>| STAGE.with_borrow_mut(|stage| {
    for asked in &asked {
        let exchange = asked.exchange();
        stage.keep.needs(&exchange);
        let mut record = Record::Exchange(Box::new(exchange));
        stage.look.record(&mut record);
        let Record::Exchange(exchange) = record else { panic!("another record") };
        let verdict = exchange.verdict.as_ref().expect("there is a policy");
        let findings = format!("{:?}", verdict.findings);
        assert!(!findings.contains(SECRET), "{findings}");
        for part in [&exchange.request, &exchange.response].into_iter().flatten() {
            let shown = String::from_utf8_lossy(&part.body);
            assert!(!shown.contains(SECRET), "{shown}\n{:?}\n{:?}", verdict.findings, verdict.uninspected);
        }
        let inference = format!("{:?}", exchange.inference);
        assert!(!inference.contains(SECRET), "{inference}");
    }
    stage.tick(Timestamp::from_nanos(1), false);
    assert!(stage.look.take_drift().iter().all(|drift| !format!("{drift:?}").contains(SECRET)));
}));
