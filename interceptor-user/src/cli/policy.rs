//! `interceptor policy`: policies are checked, tried and explained, without being put in force.

mod check;
mod explain;
mod found;
mod load;
mod plan;
mod test;
mod trial;

use clap::Subcommand;

use self::load::load;
pub(super) use self::plan::{key, plan, plan_of_files};

const AFTER_HELP: &str = "\
A policy says what is looked at in which exchanges, and who is told. Its text is YAML in the style of Kubernetes, with conditions in \
CEL; 'interceptor generate policy-schema' prints its JSON Schema, and ready-made ones are in deploy/policies.

Examples:
  interceptor policy explain
  interceptor policy check policies/*.yaml
  interceptor policy test pii.yaml --capture traffic.pcap

Exit codes: 0 done, 1 a capture cannot be read, 2 a policy or the command line is wrong.";

/// Arguments of `interceptor policy`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Say whether policies are right, and what they put in force
    Check(check::Args),
    /// Show which rule saw which exchange of a capture, and why
    Test(test::Args),
    /// Say in words what policies do; without any, what they can ask for
    Explain(explain::Args),
}

/// Does what was asked for.
pub fn execute(args: &Args) -> anyhow::Result<()> {
    match &args.what {
        What::Check(args) => check::execute(args),
        What::Test(args) => test::execute(args),
        What::Explain(args) => explain::execute(args),
    }
}
