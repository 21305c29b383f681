//! `interceptor`: parse, dispatch, exit code.

fn main() {}
