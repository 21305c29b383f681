use super::call::{Asked, Call};
use crate::model::{Inference, Operation};

pub(super) const fn recognise(_asked: &Asked<'_>) -> Option<Operation> {
    None
}

pub(super) const fn read(_call: &Call<'_>, _inference: &mut Inference) -> bool {
    false
}
