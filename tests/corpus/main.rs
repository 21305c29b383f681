//! Replays what real clients and servers said to each other, and compares with what we expect to make of it.
fn main() {}
