//! A server under measurement: pinned to one core, and what the system tells of it.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::Failure;

/// The core of the servers; the generator is on another.
const CORE: &str = "0";

/// How long a server may take to start or stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server. It is killed when dropped.
pub(crate) struct Process {
    child: Child,
    /// The first line that it wrote to standard output.
    pub(crate) first_line: String,
}

/// What a program has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Seconds of the processor.
    pub(crate) cpu: f64,
    /// Bytes in memory.
    pub(crate) resident: u64,
}

/// The command that runs `program` on the servers' core.
pub(crate) fn pinned(program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", CORE]).arg(program).stdin(Stdio::null()).stderr(Stdio::null());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("OPENRED_")) {
        command.env_remove(name);
    }
    command
}

impl Process {
    /// Starts a server that says in its first line that it is ready.
    pub(crate) fn start(command: &mut Command) -> Result<Self, Failure> {
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let mut first_line = String::new();
        let stdout = child.stdout.take().ok_or("no standard output")?;
        BufReader::new(stdout).read_line(&mut first_line)?;
        let process = Self { child, first_line };
        if process.first_line.is_empty() { Err(format!("{command:?} ended at once").into()) } else { Ok(process) }
    }

    /// Starts a server that is ready when it accepts connections.
    pub(crate) async fn start_at(command: &mut Command, address: SocketAddr) -> Result<Self, Failure> {
        let child = command.stdout(Stdio::null()).spawn()?;
        let mut process = Self { child, first_line: String::new() };
        let begun = Instant::now();
        while tokio::net::TcpStream::connect(address).await.is_err() {
            if let Some(status) = process.child.try_wait()? {
                return Err(format!("{command:?} ended with {status}").into());
            }
            if begun.elapsed() > PATIENCE {
                return Err(format!("{command:?} does not answer at {address}").into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(process)
    }

    /// What it has used so far.
    pub(crate) fn usage(&self) -> Result<Usage, Failure> {
        usage_of(self.child.id())
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(mut self) -> Result<(), Failure> {
        Command::new("kill").arg(self.child.id().to_string()).status()?;
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(format!("a server ended with {status}").into()) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended is not there to be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Seconds of the processor that this program has used so far.
pub(crate) fn own_cpu() -> Result<f64, Failure> {
    Ok(usage_of(std::process::id())?.cpu)
}

/// What a process with its children has used so far.
pub(crate) fn usage_with_children(pid: u32) -> Result<Usage, Failure> {
    let mut sum = usage_of(pid)?;
    for child in children(pid)? {
        // A child may have ended in between.
        let Ok(usage) = usage_of(child) else { continue };
        sum = Usage { cpu: sum.cpu + usage.cpu, resident: sum.resident + usage.resident };
    }
    Ok(sum)
}

/// Moves a process and its children to the servers' core.
pub(crate) fn pin_with_children(pid: u32) -> Result<(), Failure> {
    for pid in children(pid)?.into_iter().chain([pid]) {
        let mut taskset = Command::new("taskset");
        let status = taskset.args(["-a", "-c", "-p", CORE, &pid.to_string()]).stdout(Stdio::null()).status()?;
        if !status.success() {
            return Err(format!("process {pid} cannot be pinned to a core").into());
        }
    }
    Ok(())
}

/// A TCP port that is free at the moment, for servers that do not take port 0.
pub(crate) fn free_port() -> Result<u16, Failure> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn children(pid: u32) -> Result<Vec<u32>, Failure> {
    let mut children = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(other) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        if stat(other).is_ok_and(|fields| fields.get(1).is_some_and(|parent| *parent == pid.to_string())) {
            children.push(other);
        }
    }
    Ok(children)
}

fn usage_of(pid: u32) -> Result<Usage, Failure> {
    let fields = stat(pid)?;
    let number =
        |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).ok_or("/proc is not as expected");
    Ok(Usage { cpu: (number(11)? + number(12)?) as f64 / TICKS, resident: number(21)? * PAGE })
}

/// Fields of /proc/PID/stat from the state on, which is the third.
fn stat(pid: u32) -> Result<Vec<String>, Failure> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name before may have spaces in it.
    let (_, rest) = text.rsplit_once(')').ok_or("/proc is not as expected")?;
    Ok(rest.split_whitespace().map(str::to_owned).collect())
}

/// Ticks a second in which Linux tells times of the processor to programs, on all its platforms.
const TICKS: f64 = 100.0;

/// Bytes of a page.
const PAGE: u64 = 4096;
