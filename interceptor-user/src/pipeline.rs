//! The path of a byte.
