//! Any exchange with a model server: what it means is read without a panic, the same each time, only where its head says so, and
//! bounded.

#![no_main]

use interceptor::{
    inference::{self, Options},
    model::Values,
};
use interceptor_fuzz::exchange::Asked;
use libfuzzer_sys::fuzz_target;

/// Elements that are read of one tensor.
const ELEMENTS: usize = 1 << 16;

fuzz_target!(|asked: Asked| {
    let exchange = asked.exchange();
    let options = Options { estimate_tokens: true };
    let Some(read) = inference::read(&exchange, &options) else { return };
    assert!(inference::recognise(&exchange.request.as_ref().expect("it has one").head).is_some());
    let again = inference::read(&exchange, &options).expect("the same again");
    assert_eq!(format!("{read:?}"), format!("{again:?}"));
    for tensor in read.inputs.iter().chain(&read.outputs) {
        let elements = match &tensor.values {
            Values::Numbers(values) => values.len(),
            Values::Strings(values) => values.len(),
            _ => 0,
        };
        assert!(elements <= ELEMENTS, "{elements} elements");
    }
});
