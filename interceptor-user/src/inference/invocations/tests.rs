use proptest::prelude::*;

use crate::{
    inference::tests::said::{Said, all, got, posted},
    model::{Dialect, Operation, Unread},
};

fn inputs(content_type: &str, request: &str) -> (Vec<String>, Option<u64>, Option<Unread>) {
    let asks = [("content-type", content_type)];
    let found = Said { asks: &asks, ..posted("/invocations", request, "{}") }.read().unwrap();
    assert_eq!((found.dialect, found.operation), (Dialect::Invocations, Operation::Infer));
    (all(&found.inputs), found.batch, found.unread)
}

#[test]
fn json_in_its_forms() {
    for (request, expected, batch) in [
        (
            r#"{"dataframe_split":{"columns":["a","b",3],"index":[0,1],"data":[[1,"x",true],[2.5,null,false]]}}"#,
            &["a [2]: 1 2.5", "b [2]: x -", "3 [2]: 1 0"][..],
            Some(2),
        ),
        (r#"{"columns":["a","b"],"data":[[1,2],[3,4],[5,6]]}"#, &["a [3]: 1 3 5", "b [3]: 2 4 6"], Some(3)),
        (r#"{"dataframe_records":[{"a":1,"b":"x"},{"a":2}]}"#, &["a [2]: 1 2", "b [2]: x -"], Some(2)),
        (r#"{"instances":[[1,2],[3,4]]}"#, &[" [2, 2]: 1 2 3 4"], Some(2)),
        (r#"{"inputs":{"x":[1,2],"y":["a","b"]}}"#, &["x [2]: 1 2", "y [2]: a b"], Some(2)),
        (r#"{"inputs":["a","b"]}"#, &[" [2]: a b"], Some(2)),
        (r#"[{"a":1},{"a":2}]"#, &["a [2]: 1 2"], Some(2)),
        (r#"{"a":[1],"b":["x"]}"#, &["a [1]: 1", "b [1]: x"], Some(1)),
        (r#"{"dataframe_split":7}"#, &[], None),
        ("[]", &[" [0]: "], Some(0)),
    ] {
        let expected: Vec<_> = expected.iter().map(ToString::to_string).collect();
        assert_eq!(inputs("application/json; charset=utf-8", request), (expected, batch, None), "{request}");
    }
    let found = posted("/invocations", r#"{"inputs":[1],"params":{"k":3}}"#, r#"{"predictions":[{"y":1},{"y":2}]}"#);
    let found = found.read().unwrap();
    assert_eq!(
        (found.parameters, all(&found.outputs)),
        (vec![("k".to_owned(), 3.into())], vec!["y [2]: 1 2".to_owned()])
    );
}

#[test]
fn tables_and_lines() {
    for (kind, request, expected, unread) in [
        ("text/csv", "a,b\n1,x\n2.5,\n", &["a [2]: 1 2.5", "b [2]: x -"][..], None),
        ("text/csv", "1,2\r\n3,4\r\n", &[" [2, 2]: 1 2 3 4"], None),
        ("text/csv", "5.1,3.5", &[" [1, 2]: 5.1 3.5"], None),
        ("text/csv", "a,1\nb,2", &[" [2]: a b", " [2]: 1 2"], None),
        ("text/csv", "text\n\"good, \"\"bad\"\"\"\n", &[" [2]: text good, \"bad\""], None),
        ("text/csv; header=present", "text\ngood\n", &["text [1]: good"], None),
        ("text/csv", "a,b\n1\n", &["a [1]: 1"], Some(Unread::Malformed)),
        ("text/csv", "", &[], None),
        ("application/jsonlines", "{\"f\":[1,2]}\n\n{\"f\":[3,4]}\n", &["f [2, 2]: 1 2 3 4"], None),
        ("application/x-ndjson", "{\"f\":1}\nno\n", &["f [1]: 1"], Some(Unread::Malformed)),
        ("application/x-image", "{\u{1}", &[], None),
    ] {
        let expected: Vec<_> = expected.iter().map(ToString::to_string).collect();
        let (found, _, reason) = inputs(kind, request);
        assert_eq!((found, reason), (expected, unread), "{kind} {request}");
    }
    let answers = [("content-type", "text/csv")];
    let found = Said { answers: &answers, ..posted("/invocations", "[]", "0.5\n0.25\n") }.read().unwrap();
    assert_eq!(all(&found.outputs), [" [2, 1]: 0.5 0.25"]);
}

#[test]
fn errors_pings_and_several_models() {
    let error = r#"{"error_code":"BAD_REQUEST","message":"Incompatible input types"}"#;
    let error = Said { status: 400, ..posted("/invocations", "{}", error) }.read().unwrap().error.unwrap();
    assert_eq!((error.kind.as_deref(), error.message.as_str()), (Some("BAD_REQUEST"), "Incompatible input types"));
    assert_eq!(got("/ping", "\n").read().unwrap().operation, Operation::Metadata);
    assert_eq!(got("/ping", "pong").read(), None);
    let found = posted("/models/a%2Fb.tar.gz/invoke", "[[1]]", "[0]").read().unwrap();
    assert_eq!((found.model.as_deref(), all(&found.outputs)), (Some("a/b.tar.gz"), vec![" [1]: 0".to_owned()]));
}

#[test]
fn litserve() {
    let found = posted("/predict", r#"{"input":4.0}"#, r#"{"output":16.0}"#).read().unwrap();
    assert_eq!(
        (all(&found.inputs), all(&found.outputs)),
        (vec!["input []: 4".to_owned()], vec!["output []: 16".to_owned()])
    );
    assert_eq!(found.dialect, Dialect::Invocations);
    assert_eq!(posted("/predict", r#"{"x":4.0}"#, r#"{"y":16.0}"#).read(), None);
}

proptest! {
    #[test]
    fn any_bytes_have_a_meaning(content in prop::collection::vec(any::<u8>(), 0..120), kind in 0_usize..4) {
        let kind = ["application/json", "text/csv", "application/jsonlines", ""][kind];
        let asks = [("content-type", kind)];
        Said { asks: &asks, answers: &asks, request: &content, response: &content, ..posted("/invocations", "", "") }.read().unwrap();
    }

    #[test]
    fn any_table_has_a_meaning(content in "[a1,\"\n\r.]{0,60}") {
        inputs("text/csv", &content);
    }
}
