//! A PostgreSQL server of a test's own: on a socket in a directory of the moment, without a port, gone with the test.

use std::{
    env, fs,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

/// A running server.
pub(crate) struct Server {
    directory: tempfile::TempDir,
    programs: PathBuf,
    user: Option<&'static str>,
    options: String,
}

impl Server {
    /// A server whose commits do not wait for the disk, which only a crash of the machine would show.
    pub(crate) fn start() -> Self {
        Self::with_options("-c fsync=off")
    }

    /// A server with further options on its command line.
    pub(crate) fn with_options(options: &str) -> Self {
        let programs = programs();
        // PostgreSQL refuses to run as root.
        let user = (text(Command::new("id").arg("-u")) == "0").then(unprivileged);
        let directory = tempfile::Builder::new().prefix("openred-pg").tempdir().unwrap();
        if let Some(user) = user {
            run(Command::new("chown").arg(user).arg(directory.path()));
        }
        let server = Self { directory, programs, user, options: options.to_owned() };
        let data = server.directory.path().join("data");
        run(server
            .command("initdb")
            .args(["--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync", "--username=test"])
            .arg(&data));
        server.resume();
        server
    }

    /// Starts a server that was stopped.
    pub(crate) fn resume(&self) {
        let folder = self.directory.path().display();
        let own = format!("-c listen_addresses= -c unix_socket_directories={folder} -c max_connections=40");
        let options = format!("{own} {}", self.options);
        run(self.pg_ctl("start").args(["--options", &options]).arg("--log").arg(self.directory.path().join("log")));
    }

    /// Stops the server as if it had crashed.
    pub(crate) fn stop(&self) {
        run(self.pg_ctl("stop").args(["--mode", "immediate"]));
    }

    /// A new, empty database; its URL.
    pub(crate) fn database(&self, name: &str) -> String {
        let folder = self.directory.path().to_str().unwrap();
        run(self.command("createdb").args(["--host", folder, "--username", "test", name]));
        format!("postgres://test@{}/{name}", folder.replace('/', "%2F"))
    }

    fn pg_ctl(&self, action: &str) -> Command {
        let mut command = self.command("pg_ctl");
        command.args([action, "--wait", "--silent", "--pgdata"]).arg(self.directory.path().join("data"));
        command
    }

    /// One of PostgreSQL's programs, run by somebody who may.
    fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        let mut command = match self.user {
            Some(user) => {
                let mut command = Command::new("runuser");
                command.args(["-u", user, "--"]).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.current_dir(self.directory.path());
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A server that a test has stopped is stopped already.
        let _ = self.pg_ctl("stop").args(["--mode", "immediate"]).stderr(Stdio::null()).status();
    }
}

/// Where PostgreSQL's programs are: in the path, or where Debian puts them.
fn programs() -> PathBuf {
    let in_path = env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect::<Vec<_>>();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let debian = versions.map(|version| version.path().join("bin"));
    in_path
        .into_iter()
        .chain(debian)
        .find(|folder| ["initdb", "pg_ctl", "createdb"].iter().all(|program| folder.join(program).is_file()))
        .expect("the tests need PostgreSQL (initdb, pg_ctl, createdb); Debian: apt-get install postgresql")
}

fn unprivileged() -> &'static str {
    let exists = |user: &&&str| Command::new("id").arg(user).output().is_ok_and(|found| found.status.success());
    ["postgres", "nobody"]
        .iter()
        .find(exists)
        .copied()
        .expect("the tests need an unprivileged user to run PostgreSQL as")
}

fn run(command: &mut Command) {
    // Not piped: the server would keep the pipe open.
    let log = tempfile::tempfile().unwrap();
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.try_clone().unwrap()).status();
    let status = status.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?} ended with {status}: {}", written(log));
}

fn written(mut log: fs::File) -> String {
    use std::io::{Read, Seek};
    let mut text = String::new();
    log.rewind().and_then(|()| log.read_to_string(&mut text)).unwrap();
    text
}

fn text(command: &mut Command) -> String {
    let Output { stdout, .. } = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    String::from_utf8_lossy(&stdout).trim().to_owned()
}
