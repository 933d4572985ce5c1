//! The browsers that tests and benchmarks drive: found, or installed where apt-get can do it.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::process;
use crate::steps::{Done, Step};

/// A kind of browser.
#[derive(Debug)]
pub(crate) struct Browser {
    /// What people call it.
    name: &'static str,
    /// The environment variable that gives its path.
    pub(crate) variable: &'static str,
    /// Debian's package of it.
    package: &'static str,
    /// What its program is called in `PATH`.
    programs: &'static [&'static str],
    /// Applications of macOS that will do.
    applications: &'static [&'static str],
    /// What to install by hand.
    by_hand: &'static str,
}

/// Every browser that the tests need.
pub(crate) const ALL: [&Browser; 2] = [&CHROMIUM, &FIREFOX];

const CHROMIUM: Browser = Browser {
    name: "Chromium",
    variable: "OPENRED_CHROMIUM",
    package: "chromium",
    programs: &["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"],
    applications: &["Chromium", "Google Chrome"],
    by_hand: "Chromium or Chrome",
};

const FIREFOX: Browser = Browser {
    name: "Firefox",
    variable: "OPENRED_FIREFOX",
    package: "firefox-esr",
    programs: &["firefox-esr", "firefox"],
    applications: &["Firefox"],
    by_hand: "Firefox",
};

/// Steps: every browser is there.
pub(crate) fn steps() -> Vec<Step<'static>> {
    ALL.map(Browser::step).into()
}

impl Browser {
    /// Step: there is one.
    fn step(&'static self) -> Step<'static> {
        Step::new(format!("a {} for the tests", self.name), || {
            if let Some(path) = self.find()? {
                return Ok(Done::Kept(format!("found {}", path.display())));
            }
            self.install()?;
            let found = self.find()?;
            found.ok_or_else(|| {
                anyhow!("apt-get installed {}, and none can be started: {}", self.package, self.advice())
            })?;
            Ok(Done::Made)
        })
    }

    /// The path of the one that the steps have made sure of.
    pub(crate) fn path(&self) -> Result<PathBuf> {
        self.find()?.with_context(|| format!("there is no {}: {}", self.name, self.advice()))
    }

    /// The path of one that starts: what the environment says, or the first under its usual names.
    fn find(&self) -> Result<Option<PathBuf>> {
        let starts = |path: &Path| process::succeeds(process::command(path).arg("--version"));
        if let Some(path) = env::var_os(self.variable).filter(|path| !path.is_empty()) {
            let path = PathBuf::from(path);
            if !starts(&path) {
                bail!(
                    "{} is {}, which cannot be started; the path of a {} would be right",
                    self.variable,
                    path.display(),
                    self.name
                );
            }
            return Ok(Some(path));
        }
        let in_path = env::var_os("PATH").unwrap_or_default();
        let folders: Vec<_> = env::split_paths(&in_path).collect();
        let programs = folders.iter().flat_map(|folder| self.programs.iter().map(|name| folder.join(name)));
        let applications = self.applications.iter().flat_map(|name| {
            // What Firefox calls its program is not what it calls itself.
            [(*name).to_owned(), name.to_lowercase()]
                .map(|program| PathBuf::from(format!("/Applications/{name}.app/Contents/MacOS/{program}")))
        });
        Ok(programs.chain(applications).find(|path| path.is_file() && starts(path)))
    }

    fn install(&self) -> Result<()> {
        ensure!(
            process::succeeds(process::command("apt-get").arg("--version")),
            "the tests need {} and there is no apt-get to install it with: {}",
            self.name,
            self.advice()
        );
        let apt = |arguments: &[&str]| {
            let mut command = if is_root() {
                process::command("apt-get")
            } else {
                let mut sudo = process::command("sudo");
                sudo.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
                sudo
            };
            command.env("DEBIAN_FRONTEND", "noninteractive").args(arguments);
            process::run(&mut command).with_context(|| format!("the tests need {}: {}", self.name, self.advice()))
        };
        apt(&["update"])?;
        apt(&["install", "-y", "--no-install-recommends", self.package])
    }

    fn advice(&self) -> String {
        format!("install {}, or set {} to the path of one", self.by_hand, self.variable)
    }
}

fn is_root() -> bool {
    process::output(process::command("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}
