//! Running other programs: their output is seen while they run, their failure becomes an error that names them.
//!
//! What children print goes to our standard error, so that standard output carries results alone. Test runners are
//! the exception, and benchmarks: [`run_counting`] shows their output as it is and reads the counts out of it.

use std::env;
use std::ffi::OsStr;
use std::io::{self, ErrorKind, IsTerminal, Read, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;

use anyhow::{Context, Result, anyhow, bail};

use crate::summary::Counter;

/// Variables that `cargo run` sets for us alone. Build scripts watch some of them, so that a child cargo that saw
/// them would rebuild what a plain `cargo build` had built, and the other way round.
const OURS: [&str; 6] =
    ["CARGO", "CARGO_BIN_NAME", "CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE", "CARGO_MANIFEST_DIR", "OUT_DIR"];

/// A command whose environment is as if it had been started from the shell.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if OURS.contains(&&*text) || text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs it with everything it prints on our standard error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.stdin(Stdio::null()).stdout(io::stderr()).status();
    check(command, status.map_err(|error| not_started(command, error))?)
}

/// Runs it with its standard output on ours.
pub(crate) fn run_showing(command: &mut Command) -> Result<()> {
    let status = command.stdin(Stdio::null()).status();
    check(command, status.map_err(|error| not_started(command, error))?)
}

/// Runs it and returns what it wrote to standard output. Standard error is shown only if it fails.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| not_started(command, error))?;
    if !output.status.success() {
        io::stderr().write_all(&output.stderr).ok();
    }
    check(command, output.status)?;
    String::from_utf8(output.stdout).with_context(|| format!("`{}` printed no UTF-8", line(command)))
}

/// True if it starts and succeeds; nothing it prints is shown.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    quiet(command).is_ok_and(|status| status.success())
}

fn quiet(command: &mut Command) -> io::Result<ExitStatus> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()
}

/// Runs a test runner: its output passes through unchanged, and `counter` reads it. The counts are in `counter`
/// whether or not the runner succeeds.
pub(crate) fn run_counting(command: &mut Command, counter: &mut Counter) -> Result<()> {
    if io::stdout().is_terminal() {
        // The pipe hides the terminal from the runner.
        command.env("FORCE_COLOR", "1").env("CARGO_TERM_COLOR", "always");
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| not_started(command, error))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let errors = thread::spawn(move || {
        let mut seen = Counter::default();
        let copied = copy(stderr, io::stderr(), &mut seen);
        copied.map(|()| seen)
    });
    let copied = copy(stdout, io::stdout(), counter);
    let seen = errors.join().map_err(|_| anyhow!("the thread that copies standard error panicked"))?;
    let status = child.wait().context("the test runner was lost")?;
    copied.context("the test runner's output cannot be shown")?;
    counter.add(&seen.context("the test runner's errors cannot be shown")?);
    check(command, status)
}

fn copy(from: Option<impl Read>, mut to: impl Write, counter: &mut Counter) -> io::Result<()> {
    let Some(mut from) = from else { return Ok(()) };
    let mut buffer = [0; 8192];
    loop {
        let length = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        to.write_all(&buffer[..length])?;
        to.flush()?;
        counter.feed(&buffer[..length]);
    }
    counter.finish();
    Ok(())
}

fn check(command: &Command, status: ExitStatus) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    let place = command.get_current_dir().map(|dir| format!(" in {}", dir.display())).unwrap_or_default();
    bail!("`{}` failed{place} ({status})", line(command))
}

fn not_started(command: &Command, error: io::Error) -> anyhow::Error {
    let program = command.get_program().to_string_lossy().into_owned();
    if error.kind() == ErrorKind::NotFound {
        return anyhow!("`{program}` was not found in PATH");
    }
    anyhow::Error::new(error).context(format!("`{program}` cannot be started"))
}

/// The command as one would type it, without its folder and cut where it gets long.
fn line(command: &Command) -> String {
    const SHOWN: usize = 160;
    let program = std::path::Path::new(command.get_program());
    let mut line = program.file_stem().unwrap_or(command.get_program()).to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    if line.chars().count() > SHOWN {
        line = line.chars().take(SHOWN).collect();
        line.push_str(" ...");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named() {
        let error = run(&mut command("openred-no-such-program")).expect_err("nothing to run");
        assert_eq!(error.to_string(), "`openred-no-such-program` was not found in PATH");
    }

    #[test]
    fn a_failing_program_is_named_with_its_arguments_and_status() {
        let mut wrong = command("rustc");
        let status = quiet(wrong.arg("--no-such-option")).expect("rustc starts");
        let error = check(&wrong, status).expect_err("a wrong argument").to_string();
        assert!(error.starts_with("`rustc --no-such-option` failed (exit"), "{error}");
    }

    #[test]
    fn output_is_counted_as_it_passes() {
        let mut shown = Vec::new();
        let mut counter = Counter::default();
        let text = b"some output\n# pass 3\n# fail 1";
        copy(Some(&text[..]), &mut shown, &mut counter).expect("copies to memory");
        assert_eq!(shown, text);
        assert_eq!(counter.counts().map(|counts| (counts.passed, counts.failed)), Some((3, 1)));
    }
}
