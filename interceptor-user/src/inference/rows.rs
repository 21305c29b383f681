//! What KServe's version 1, TensorFlow Serving, MLflow and SageMaker share: rows under `instances`, columns under
//! `inputs`, answers under `predictions` or `outputs`.

use super::{
    columns,
    tree::{Room, Tree},
};
use crate::model::Tensor;

/// Inputs of a request: the members that hold them, the first that is there; and what else it says.
pub(super) fn inputs(tree: Tree, names: &[&str], room: &Room) -> (Vec<Tensor>, Vec<(String, Tree)>) {
    let Tree::Object(mut members) = tree else { return (columns::of(tree, room), Vec::new()) };
    let place = names.iter().find_map(|name| members.iter().position(|(key, _)| key == name));
    match place {
        Some(at) => (columns::of(members.remove(at).1, room), members),
        None => (columns::named(members, room), Vec::new()),
    }
}

/// Outputs of an answer; all of it where none of these members is there.
pub(super) fn outputs(mut tree: Tree, names: &[&str], room: &Room) -> Vec<Tensor> {
    match names.iter().find_map(|name| tree.take(name)) {
        Some(outputs) => columns::of(outputs, room),
        None => columns::of(tree, room),
    }
}

/// What a request says besides, as parameters.
pub(super) fn parameters(members: Vec<(String, Tree)>) -> Vec<(String, serde_json::Value)> {
    members.into_iter().map(|(name, value)| (name, value.into())).collect()
}
