//! Loading, attaching, feature detection, and the maps.
