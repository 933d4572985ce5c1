//! The command line: words in, a [`Command`] or a [`Usage`] error out.
//!
//! Written by hand because it is small and a parser crate would double the time `cargo xtask` takes to compile.

use std::fmt;

/// What `cargo xtask help` prints.
pub(crate) const HELP: &str = "\
Every developer command of OpenRed.

cargo xtask run [-- ARGS]     build all, then start a relay with its page on http://127.0.0.1:8080;
                              ARGS go to `openred relay`, for example: cargo xtask run -- --http 127.0.0.1:9000
cargo xtask build             build all: wasm node, npm package, page, and the binary `openred` that carries them
cargo xtask test              install what the tests need (browsers included) and run every test
    --only rust|web|e2e|lint  run one part of them
cargo xtask check             formatting, clippy for both targets, documentation (the same as test --only lint)
cargo xtask npm-pack          build the npm package and print the path of its tarball
cargo xtask bench [NAME]      run benchmarks and write their reports: join, find, echo, size, browser, discovery, directory,
                              commands; without a name all but the last four, which take very long;
                              `browser` has parts that run alone: browser-paths, browser-delay, browser-streams,
                              browser-memory, browser-crowd, browser-rest, browser-life; so has `directory`:
                              directory-registry, directory-load, directory-peers
cargo xtask size              what takes the bytes of the wasm module (the same as bench size)
cargo xtask rig               build the module that the pages of tests/webrtc run and print its folder
cargo xtask help              this text

CARGO_TARGET_DIR, OPENRED_CHROMIUM and OPENRED_FIREFOX (paths of browsers for the tests) are honoured, and for
directory-load OPENRED_BENCH_SECONDS (length of its long runs, 600) and OPENRED_BENCH_NODES (100000).
";

/// One developer command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Build everything, then become the relay with these extra arguments.
    Run(Vec<String>),
    /// Build everything.
    Build,
    /// Run the tests, or one part of them.
    Test(Option<Part>),
    /// Pack the npm package and print the tarball's path.
    NpmPack,
    /// Run these benchmarks, or all that do not have to be asked for by name if there are none.
    Bench(Vec<Bench>),
    /// Build what the pages of `tests/webrtc` run.
    Rig,
    /// Print [`HELP`].
    Help,
}

/// A part of the tests that can be run alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Rust unit, integration and documentation tests, and core's freedom from imports.
    Rust,
    /// The unit tests of `web/`.
    Web,
    /// End-to-end and interop tests in real browsers and against other implementations.
    E2e,
    /// Formatting, clippy, documentation.
    Lint,
}

impl Part {
    const ALL: [(&'static str, Self); 4] =
        [("rust", Self::Rust), ("web", Self::Web), ("e2e", Self::E2e), ("lint", Self::Lint)];
}

/// A benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bench {
    /// From the page's script start to ready.
    Join,
    /// Finding a service by name.
    Find,
    /// Echo over a relayed stream between two pages.
    Echo,
    /// What takes the bytes of the wasm module.
    Size,
    /// From a relayed to a direct path between pages.
    BrowserPaths,
    /// The same with 100 ms of signalling delay.
    BrowserDelay,
    /// What direct streams carry.
    BrowserStreams,
    /// Memory of pages while 100 MB flow.
    BrowserMemory,
    /// Fifty pages at one relay.
    BrowserCrowd,
    /// A page at rest.
    BrowserRest,
    /// Waking up, and handing over between tabs.
    BrowserLife,
    /// Discovery in simulation, with many native nodes and in pages, beside others.
    Discovery,
    /// The directory's registry alone: what it costs, and that it loses nothing.
    DirectoryRegistry,
    /// The directory under the load of many nodes over HTTP.
    DirectoryLoad,
    /// The directory beside other registries.
    DirectoryPeers,
    /// Cold and warm wall time of `build` and `test`.
    Commands,
}

impl Bench {
    const ALL: [(&'static str, Self); 16] = [
        ("join", Self::Join),
        ("find", Self::Find),
        ("echo", Self::Echo),
        ("size", Self::Size),
        ("browser-paths", Self::BrowserPaths),
        ("browser-delay", Self::BrowserDelay),
        ("browser-streams", Self::BrowserStreams),
        ("browser-memory", Self::BrowserMemory),
        ("browser-crowd", Self::BrowserCrowd),
        ("browser-rest", Self::BrowserRest),
        ("browser-life", Self::BrowserLife),
        ("discovery", Self::Discovery),
        ("directory-registry", Self::DirectoryRegistry),
        ("directory-load", Self::DirectoryLoad),
        ("directory-peers", Self::DirectoryPeers),
        ("commands", Self::Commands),
    ];

    /// The parts of `browser`, in the order in which they run.
    const BROWSER: [Self; 7] = [
        Self::BrowserPaths,
        Self::BrowserDelay,
        Self::BrowserStreams,
        Self::BrowserMemory,
        Self::BrowserCrowd,
        Self::BrowserRest,
        Self::BrowserLife,
    ];

    /// The parts of `directory`, likewise.
    const DIRECTORY: [Self; 3] = [Self::DirectoryRegistry, Self::DirectoryLoad, Self::DirectoryPeers];

    /// The word that selects it, which is also the name of its report.
    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, bench)| *bench == self).map_or("", |(name, _)| name)
    }
}

/// A command line that makes no sense; displays what is wrong and what would be right.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Usage(String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads the words after `cargo xtask`.
pub(crate) fn parse(words: &[String]) -> Result<Command, Usage> {
    let Some((command, rest)) = words.split_first() else {
        return Err(Usage("a command is missing: run, build, test, check, npm-pack, bench, size, rig or help".into()));
    };
    match command.as_str() {
        "run" => match rest.split_first() {
            None => Ok(Command::Run(Vec::new())),
            Some((dashes, extra)) if dashes == "--" => Ok(Command::Run(extra.to_vec())),
            Some(_) => Err(Usage(format!(
                "run takes the relay's arguments after two dashes: cargo xtask run -- {}",
                rest.join(" ")
            ))),
        },
        "build" => none(command, rest, Command::Build),
        "test" => test(rest),
        "check" => none(command, rest, Command::Test(Some(Part::Lint))),
        "npm-pack" => none(command, rest, Command::NpmPack),
        "bench" => match rest {
            [] => Ok(Command::Bench(Vec::new())),
            [name] if name == "browser" => Ok(Command::Bench(Bench::BROWSER.into())),
            [name] if name == "directory" => Ok(Command::Bench(Bench::DIRECTORY.into())),
            [name] => choose("bench", name, &Bench::ALL).map(|bench| Command::Bench(vec![bench])),
            [_, extra, ..] => Err(Usage(format!("bench takes one name, `{extra}` is too much"))),
        },
        "size" => none(command, rest, Command::Bench(vec![Bench::Size])),
        "rig" => none(command, rest, Command::Rig),
        "help" | "--help" | "-h" => Ok(Command::Help),
        other => Err(Usage(format!(
            "unknown command `{other}`: run, build, test, check, npm-pack, bench, size, rig or help would be right"
        ))),
    }
}

fn test(rest: &[String]) -> Result<Command, Usage> {
    let words: Vec<&str> = rest.iter().map(String::as_str).collect();
    let (part, extra) = match words.as_slice() {
        [] => return Ok(Command::Test(None)),
        ["--only"] => return Err(Usage("--only needs a value: rust, web, e2e or lint".into())),
        ["--only", part, extra @ ..] => (*part, extra),
        [word, extra @ ..] => match word.strip_prefix("--only=") {
            Some(part) => (part, extra),
            None => {
                return Err(Usage(format!("test does not know `{word}`: --only rust|web|e2e|lint would be right")));
            }
        },
    };
    if let Some(extra) = extra.first() {
        return Err(Usage(format!("test takes one --only, `{extra}` is too much")));
    }
    choose("--only", part, &Part::ALL).map(|part| Command::Test(Some(part)))
}

fn none(command: &str, rest: &[String], parsed: Command) -> Result<Command, Usage> {
    match rest.first() {
        None => Ok(parsed),
        Some(extra) => Err(Usage(format!("{command} takes no argument, `{extra}` is too much"))),
    }
}

fn choose<T: Copy>(option: &str, value: &str, choices: &[(&str, T)]) -> Result<T, Usage> {
    choices.iter().find(|(name, _)| *name == value).map(|(_, choice)| *choice).ok_or_else(|| {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        Usage(format!("{option} does not know `{value}`: {} would be right", names.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        let words: Vec<_> = line.split_whitespace().map(String::from).collect();
        parse(&words).map_err(|usage| usage.to_string())
    }

    #[test]
    fn every_command_is_understood() {
        assert_eq!(parsed("run"), Ok(Command::Run(vec![])));
        assert_eq!(parsed("run -- --http 127.0.0.1:0"), Ok(Command::Run(vec!["--http".into(), "127.0.0.1:0".into()])));
        assert_eq!(parsed("build"), Ok(Command::Build));
        assert_eq!(parsed("test"), Ok(Command::Test(None)));
        assert_eq!(parsed("test --only web"), Ok(Command::Test(Some(Part::Web))));
        assert_eq!(parsed("test --only=e2e"), Ok(Command::Test(Some(Part::E2e))));
        assert_eq!(parsed("check"), Ok(Command::Test(Some(Part::Lint))));
        assert_eq!(parsed("npm-pack"), Ok(Command::NpmPack));
        assert_eq!(parsed("bench"), Ok(Command::Bench(vec![])));
        assert_eq!(parsed("size"), Ok(Command::Bench(vec![Bench::Size])));
        assert_eq!(parsed("bench browser"), Ok(Command::Bench(Bench::BROWSER.into())));
        assert_eq!(parsed("bench directory"), Ok(Command::Bench(Bench::DIRECTORY.into())));
        for (name, bench) in Bench::ALL {
            assert_eq!(parsed(&format!("bench {name}")), Ok(Command::Bench(vec![bench])));
            assert_eq!(bench.name(), name);
        }
        assert_eq!(parsed("rig"), Ok(Command::Rig));
        for line in ["help", "--help", "-h"] {
            assert_eq!(parsed(line), Ok(Command::Help));
        }
    }

    #[test]
    fn bad_usage_names_the_argument_and_what_would_be_right() {
        let cases = [
            ("", "a command is missing", "run, build"),
            ("biuld", "`biuld`", "run, build"),
            ("run --http 1", "after two dashes", "run -- --http 1"),
            ("build all", "`all`", "no argument"),
            ("test --only", "needs a value", "rust, web"),
            ("test --only unit", "`unit`", "rust, web, e2e, lint"),
            ("test --fast", "`--fast`", "--only rust|web|e2e|lint"),
            ("test --only web e2e", "`e2e`", "one --only"),
            ("bench joi", "`joi`", "join, find, echo, size, browser-paths"),
            ("bench join find", "`find`", "one name"),
        ];
        for (line, wrong, right) in cases {
            let message = parsed(line).expect_err(line);
            assert!(message.contains(wrong) && message.contains(right), "{line}: {message}");
        }
    }
}
