//! Processes with their output, and HTTP by hand. Everything waits for an event, with a deadline that fails the test.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Command, ExitStatus, Stdio},
    sync::{
        Arc, Condvar, Mutex,
        mpsc::{Receiver, channel},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// Longer than anything here takes on a busy machine; only a hang reaches it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What the contract grants a relay to end.
pub(crate) const END: Duration = Duration::from_secs(5);

/// A running `openred`.
pub(crate) struct Process {
    pid: u32,
    pub(crate) stdin: Option<std::process::ChildStdin>,
    lines: Receiver<String>,
    log: Arc<(Mutex<String>, Condvar)>,
    ended: Receiver<ExitStatus>,
    running: bool,
}

/// `openred` with these arguments, no variables of ours in its environment, and a home of its own.
pub(crate) fn openred(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_openred"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("OPENRED_")) {
        command.env_remove(name);
    }
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Process {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::spawn(&mut openred(arguments))
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let (line, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || {
            for text in stdout.lines().map_while(Result::ok) {
                if line.send(text).is_err() {
                    break;
                }
            }
        });
        let log = Arc::new((Mutex::new(String::new()), Condvar::new()));
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let shared = Arc::clone(&log);
        let reader = thread::spawn(move || {
            for text in stderr.lines().map_while(Result::ok) {
                let mut log = shared.0.lock().unwrap();
                log.push_str(&text);
                log.push('\n');
                shared.1.notify_all();
            }
        });
        let (end, ended) = channel();
        let (pid, stdin) = (child.id(), child.stdin.take());
        thread::spawn(move || {
            let status = child.wait().unwrap();
            // Who sees the end sees the whole log too.
            reader.join().unwrap();
            let _ = end.send(status);
        });
        Self { pid, stdin, lines, log, ended, running: true }
    }

    /// The next line of standard output.
    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("no line: {error}\n{}", self.log()))
    }

    /// All lines to come, once the process has ended.
    pub(crate) fn rest(&self) -> Vec<String> {
        self.lines.iter().collect()
    }

    /// Standard error so far.
    pub(crate) fn log(&self) -> String {
        self.log.0.lock().unwrap().clone()
    }

    /// Waits until standard error contains `text`.
    pub(crate) fn wait_log(&self, text: &str) {
        let (log, changed) = &*self.log;
        let (log, result) =
            changed.wait_timeout_while(log.lock().unwrap(), PATIENCE, |log| !log.contains(text)).unwrap();
        assert!(!result.timed_out(), "`{text}` does not come up in:\n{log}");
    }

    /// Sends a signal by its name, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.pid.to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// The exit code; the process must end within `time`.
    pub(crate) fn code(&mut self, time: Duration) -> Option<i32> {
        let status = self.ended.recv_timeout(time);
        let status = status.unwrap_or_else(|_| panic!("still running after {time:?}\n{}", self.log()));
        self.running = false;
        status.code()
    }

    /// Ends a relay as its contract says.
    pub(crate) fn stop(mut self) {
        self.signal("TERM");
        assert_eq!(self.code(END), Some(0), "{}", self.log());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.running && self.ended.try_recv().is_err() {
            let _ = Command::new("kill").args(["-s", "KILL", &self.pid.to_string()]).status();
        }
    }
}

/// What a finished command gave.
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Done {
    /// Standard output as one JSON object per line.
    pub(crate) fn json(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"));
        self.out.lines().map(parse).collect()
    }
}

/// Runs a command to its end with `input` on standard input.
pub(crate) fn run(arguments: &[&str], input: &[u8]) -> Done {
    run_command(&mut openred(arguments), input)
}

/// Runs a prepared command to its end with `input` on standard input.
pub(crate) fn run_command(command: &mut Command, input: &[u8]) -> Done {
    let mut process = Process::spawn(command);
    let mut stdin = process.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = thread::spawn(move || {
        // A command that does not read its input may end before it is written.
        let _ = stdin.write_all(&input);
    });
    let code = process.code(PATIENCE);
    writer.join().unwrap();
    let out = process.rest().iter().fold(String::new(), |text, line| text + line + "\n");
    Done { code, out, err: process.log() }
}

/// A running relay.
pub(crate) struct Relay {
    pub(crate) process: Process,
    pub(crate) peer: String,
    /// Such as `http://127.0.0.1:1234`.
    pub(crate) http: String,
    pub(crate) metrics: String,
    pub(crate) addresses: Vec<String>,
}

impl Relay {
    /// A relay on free ports with its data in `directory`.
    pub(crate) fn start(directory: &Path, more: &[&str]) -> Self {
        Self::start_on("127.0.0.1:0", directory, more)
    }

    /// A relay on a given port.
    pub(crate) fn start_on(http: &str, directory: &Path, more: &[&str]) -> Self {
        let data = directory.to_str().unwrap();
        let own = ["relay", "--http", http, "--metrics", "127.0.0.1:0", "--data", data];
        Self::spawn(&mut openred(&[&own, more].concat()))
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        let process = Process::spawn(command);
        let line = process.line();
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line}"));
        let text = |field: &str| ready[field].as_str().unwrap_or_else(|| panic!("no {field} in {line}")).to_owned();
        let addresses = ready["addresses"].as_array().unwrap().iter().map(|item| item.as_str().unwrap().to_owned());
        Self {
            peer: text("peerId"),
            http: text("http"),
            metrics: text("metrics"),
            addresses: addresses.collect(),
            process,
        }
    }

    /// The relay's `host:port`.
    pub(crate) fn host(&self) -> &str {
        self.http.strip_prefix("http://").unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        get(&self.http, path, &[])
    }
}

/// An HTTP answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// The value of a header, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().filter_map(|line| line.split_once(": ")).find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

/// One GET on a connection of its own.
pub(crate) fn get(base: &str, path: &str, headers: &[&str]) -> Answer {
    let mut stream = connect(base);
    let host = base.strip_prefix("http://").unwrap();
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{headers}\r\n").unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, body: bytes[end..].to_vec() }
}

pub(crate) fn connect(base: &str) -> TcpStream {
    let stream = TcpStream::connect(base.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Waits until something holds that no event tells of.
pub(crate) fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// How long `action` takes.
pub(crate) fn timed<T>(action: impl FnOnce() -> T) -> (T, Duration) {
    let started = Instant::now();
    (action(), started.elapsed())
}
