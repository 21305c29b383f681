mod enforce;
mod errors;
mod needs;
mod reach;
mod ready;
mod sampling;
mod steer;
mod total;
mod verdict;

use super::{Error, Policy};

/// A policy `p` with these rules, each a flow mapping or indented by four.
fn parse(rules: &str) -> Result<Policy, Error> {
    let text =
        format!("apiVersion: interceptor/v1alpha1\nkind: Policy\nmetadata: {{name: p}}\nspec:\n  rules:\n{rules}\n");
    Policy::parse(&[("p.yaml", &text)])
}

fn policy(rules: &str) -> Policy {
    parse(rules).unwrap_or_else(|error| panic!("{error}"))
}
