//! Packets that no application here would send: VLAN tags, IP options, extension headers, fragments, nonsense.

use crate::Test;

pub(crate) fn tests() -> Vec<Test> {
    vec![]
}
