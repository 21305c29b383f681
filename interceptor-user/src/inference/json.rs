//! Members of JSON objects.

use serde_json::Value;

/// A string.
pub(super) fn string<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.get(name)?.as_str()
}

/// A number that counts something.
pub(super) fn count(object: &Value, name: &str) -> Option<u64> {
    object.get(name)?.as_u64()
}

/// The elements of an array; none where it is something else.
pub(super) fn items<'a>(object: &'a Value, name: &str) -> &'a [Value] {
    object.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
