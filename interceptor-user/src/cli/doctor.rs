//! `interceptor doctor`.

/// Arguments of `interceptor doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// x
pub fn execute(_args: &Args) -> anyhow::Result<()> {
    anyhow::bail!("not here yet")
}
