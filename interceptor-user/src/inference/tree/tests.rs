#![allow(clippy::cast_possible_wrap, clippy::cast_sign_loss, clippy::float_cmp, reason = "small, exact numbers")]

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    inference::columns,
    model::{Tensor, Values},
};

fn tree(text: &str) -> Tree {
    Tree::parse(text.as_bytes(), &Room::new()).unwrap()
}

/// Shape and values of what is one tensor.
fn tensor(text: &str) -> (Vec<i64>, Values) {
    let Tensor { shape, values, .. } = columns::tensor(String::new(), tree(text));
    (shape, values)
}

fn numbers(values: &[f64]) -> Values {
    Values::Numbers(values.to_vec())
}

fn strings(values: &[Option<&str>]) -> Values {
    Values::Strings(values.iter().map(|text| text.map(str::to_owned)).collect())
}

#[test]
fn arrays_of_one_shape_lie_flat() {
    for (text, shape, values) in [
        ("[]", &[0][..], numbers(&[])),
        ("[[],[]]", &[2, 0], numbers(&[])),
        ("[1,-2.5,1e3]", &[3], numbers(&[1.0, -2.5, 1000.0])),
        ("[[1,2],[3,4],[5,6]]", &[3, 2], numbers(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])),
        ("[[[1],[2]],[[3],[4]]]", &[2, 2, 1], numbers(&[1.0, 2.0, 3.0, 4.0])),
        ("[true,false]", &[2], numbers(&[1.0, 0.0])),
        ("[null,\"a\"]", &[2], strings(&[None, Some("a")])),
        ("[[\"a\"],[null]]", &[2, 1], strings(&[Some("a"), None])),
        ("7", &[], numbers(&[7.0])),
        ("\"x\"", &[], strings(&[Some("x")])),
        ("[{\"b64\":\"aGk=\"},{\"b64\":\"!\"}]", &[2], strings(&[Some("hi"), Some("{\"b64\":\"!\"}")])),
    ] {
        assert_eq!(tensor(text), (shape.to_vec(), values), "{text}");
    }
}

#[test]
fn what_is_not_of_one_shape_or_kind_is_kept() {
    for (text, shape, values) in [
        ("[[1,2],[3]]", &[2, -1][..], numbers(&[1.0, 2.0, 3.0])),
        ("[[1],[2,3],[4,5]]", &[3, -1], numbers(&[1.0, 2.0, 3.0, 4.0, 5.0])),
        ("[1,\"a\",true,2.5]", &[4], strings(&[Some("1"), Some("a"), Some("1"), Some("2.5")])),
        ("[1,[2,3]]", &[2], numbers(&[1.0, 2.0, 3.0])),
        ("[[1,\"a\"],[2,\"b\"]]", &[2, 2], strings(&[Some("1"), Some("a"), Some("2"), Some("b")])),
    ] {
        assert_eq!(tensor(text), (shape.to_vec(), values), "{text}");
    }
    let (shape, values) = tensor("[null,1,null]");
    let Values::Numbers(values) = values else { panic!() };
    assert_eq!(shape, [3]);
    assert!(values[0].is_nan() && values[2].is_nan());
    assert_eq!(values[1], 1.0);
}

#[test]
fn rows_that_are_objects_become_columns() {
    let room = Room::new();
    let rows = r#"[{"a":1,"b":"x"},{"b":"y","c":[1,2]},{"a":3}]"#;
    let columns = columns::of(tree(rows), &room);
    let found: Vec<_> =
        columns.iter().map(|column| (column.name.as_ref(), &column.shape[..], column.values.len())).collect();
    assert_eq!(found, [("a", &[3][..], 3), ("b", &[3], 3), ("c", &[3], 4)]);
    assert_eq!(columns[1].values, strings(&[Some("x"), Some("y"), None]));
    let wide: Vec<_> = (0..60_000).map(|row| json!({ format!("c{row}"): 1 })).collect();
    let columns = columns::of(tree(&Value::Array(wide).to_string()), &room);
    assert_eq!(columns.len(), columns::TENSORS);
    let read: usize = columns.iter().map(|column| column.values.len()).sum();
    assert!(read <= TOTAL + columns.len() && room.is_over(), "{read}");
}

#[test]
fn more_than_is_read_is_counted() {
    let room = Room::new();
    let text = format!("[{}]", vec!["[1,2]"; ELEMENTS].join(","));
    let tensor = columns::tensor(String::new(), Tree::parse(text.as_bytes(), &room).unwrap());
    assert_eq!(tensor.shape[0], ELEMENTS as i64);
    assert_eq!((tensor.values.len(), tensor.cut), (ELEMENTS, true));
    assert!(room.is_over());
    let many = format!("[{}]", vec!["{}"; TOTAL].join(","));
    assert!(Tree::parse(many.as_bytes(), &Room::new()).is_some());
    let deep = "[".repeat(100_000);
    assert_eq!(Tree::parse(deep.as_bytes(), &Room::new()), None);
}

fn json_values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-1000_i32..1000).prop_map(Value::from),
        "[a-c]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[a-c]", inner, 0..3).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

/// Numbers and booleans lie in one vector, so a boolean among numbers, and null among either, comes back as a number or null.
fn plain(value: &Value) -> Value {
    match value {
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(plain).collect();
            Value::Array(
                items.into_iter().map(|item| item.as_bool().map_or(item, |item| u8::from(item).into())).collect(),
            )
        }
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), plain(value))).collect(),
        other => other.clone(),
    }
}

proptest! {
    #[test]
    fn a_tree_is_the_text(value in json_values()) {
        let tree = tree(&value.to_string());
        prop_assert_eq!(format!("{tree:?}"), format!("{:?}", Tree::of(&value, &Room::new()).unwrap()));
        prop_assert_eq!(plain(&Value::from(tree)), plain(&value));
    }

    #[test]
    fn any_text_gives_tensors(text in "[\\[\\]{}\",:0-9a-bnul.e-]{0,64}") {
        let room = Room::new();
        if let Some(tree) = Tree::parse(text.as_bytes(), &room) {
            columns::of(tree, &room);
        }
    }
}

/// As Python's `json` and TensorFlow Serving write them: missing, and the others are read.
#[test]
fn what_is_no_finite_number_is_missing() {
    let (shape, Values::Numbers(values)) = tensor("[1,NaN,-Infinity,2,Infinity]") else { panic!("no numbers") };
    assert_eq!((shape, values.iter().filter(|value| value.is_nan()).count()), (vec![5], 3));
    let room = Room::new();
    Tree::parse(b"[1,2,3,NaN]", &room).unwrap();
    assert_eq!(room.take(usize::MAX), TOTAL - 4, "what was read twice counts once");
}
