//! Installing what tests and benchmarks need from the distribution, where there is apt-get.

use anyhow::{Context, Result, ensure};

use crate::process;

/// Installs a package. `what` names in errors what is needed, and `by_hand` how to get it without apt-get.
pub(crate) fn install(package: &str, what: &str, by_hand: &str) -> Result<()> {
    ensure!(
        process::succeeds(process::command("apt-get").arg("--version")),
        "{what} is needed and there is no apt-get to install it with: {by_hand}"
    );
    for arguments in [&["update"][..], &["install", "-y", "--no-install-recommends", package]] {
        let mut command = if is_root() {
            process::command("apt-get")
        } else {
            let mut sudo = process::command("sudo");
            sudo.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
            sudo
        };
        command.env("DEBIAN_FRONTEND", "noninteractive").args(arguments);
        process::run(&mut command).with_context(|| format!("{what} is needed: {by_hand}"))?;
    }
    Ok(())
}

fn is_root() -> bool {
    process::output(process::command("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}
