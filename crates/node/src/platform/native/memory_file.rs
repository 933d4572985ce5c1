//! A node's memory in a file.
//!
//! [`MemoryFile::open`] reads what an earlier life left; [`MemoryFile::keeper`] takes what this life wants to leave. Writing
//! happens on a thread of its own, to a temporary name that is then renamed, so that a reader finds the old memory or the
//! new one and never a part. While one is being written, only the newest of those that come meanwhile waits: at most two
//! memories are held. A disk that fails costs the memory and a warning in the log, nothing else.
//!
//! A file begins with a mark, [`MARK`] and the version of what follows, by which it is known; a file that holds anything else is
//! refused and left as it is, because somebody may have named the wrong one. Memories without a mark, as earlier versions wrote
//! them, are known by their checksum. An empty file is no memory yet.
//!
//! What the bytes behind the mark mean, and whether they are sound, is for the core to say. Two processes that share a file
//! overwrite each other's memory as a whole; neither breaks.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use openred_core::wire::cache;
use tokio::sync::Notify;

use crate::memory::Keeper;

/// The most that is read of a file, in bytes. The core's own limits keep a memory far smaller; one beyond this is cut off here,
/// and the core sets it aside.
const LARGEST: u64 = 4 * 1024 * 1024;

/// What every file begins with; the version and the end of the line follow.
const MARK: &[u8] = b"openred memory ";

/// The version that is written and read.
const VERSION: &[u8] = b"1";

/// Why a file cannot keep a node's memory. It was left as it is.
#[derive(Debug, thiserror::Error)]
pub enum MemoryFileError {
    /// It cannot be read, or its directory does not exist.
    #[error(transparent)]
    Unreadable(#[from] io::Error),
    /// It holds something else.
    #[error(
        "it is no memory of a node, and was left as it is; name a file that does not exist yet, or one that a node made"
    )]
    Foreign,
    /// A newer release wrote it.
    #[error(
        "it is a memory of version {version}, and this release reads version 1; use the release that made it, or another file"
    )]
    Newer {
        /// Which version.
        version: String,
    },
}

impl MemoryFileError {
    /// A code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "UNREADABLE",
            Self::Foreign => "FOREIGN",
            Self::Newer { .. } => "NEWER",
        }
    }
}

/// A file that holds a node's memory. Clones are handles to the same one.
#[derive(Clone, Debug)]
pub struct MemoryFile(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    state: Mutex<State>,
    settled: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// What is to be written next.
    waiting: Option<Vec<u8>>,
    writing: bool,
    /// Whether the last attempt failed; the log is told once.
    failed: bool,
}

impl MemoryFile {
    /// Reads the file, for [`Config::memory`](crate::Config::memory). One that does not exist, or is empty, is no memory.
    ///
    /// # Errors
    ///
    /// If the file exists and cannot be read or holds something else, or its directory does not exist.
    pub fn open(path: impl Into<PathBuf>) -> Result<(Self, Option<Vec<u8>>), MemoryFileError> {
        let path = path.into();
        let memory = match fs::metadata(&path) {
            // Reading a pipe would wait, and a device would be replaced by what is kept.
            Ok(found) if !found.is_file() => return Err(MemoryFileError::Foreign),
            Ok(_) => {
                let mut bytes = Vec::new();
                File::open(&path)?.take(LARGEST).read_to_end(&mut bytes)?;
                unmarked(bytes)?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                directory(&path).metadata()?;
                None
            }
            Err(error) => return Err(error.into()),
        };
        Ok((Self(Arc::new(Inner { path, state: Mutex::default(), settled: Notify::new() })), memory))
    }

    /// What writes the file, for [`Config::keeper`](crate::Config::keeper). It works inside a tokio runtime.
    pub fn keeper(&self) -> Keeper {
        let inner = Arc::clone(&self.0);
        Keeper::new(move |memory| inner.keep(memory))
    }

    /// Resolves when everything that the keeper took is written, or has failed to be. To be awaited after
    /// [`Node::close`](crate::Node::close), before the process ends.
    pub async fn settled(&self) {
        loop {
            let settled = self.0.settled.notified();
            if !self.0.lock().writing {
                return;
            }
            settled.await;
        }
    }
}

impl Inner {
    fn keep(self: &Arc<Self>, memory: Vec<u8>) {
        let mut state = self.lock();
        state.waiting = Some(memory);
        if !state.writing {
            state.writing = true;
            let inner = Arc::clone(self);
            // It ends by itself; the runtime waits for it.
            drop(tokio::task::spawn_blocking(move || inner.write_waiting()));
        }
    }

    fn write_waiting(&self) {
        loop {
            let waiting = {
                let mut state = self.lock();
                let waiting = state.waiting.take();
                state.writing = waiting.is_some();
                waiting
            };
            let Some(memory) = waiting else { break };
            let written = write(&self.path, &memory);
            let failed_before = std::mem::replace(&mut self.lock().failed, written.is_err());
            if let (Err(error), false) = (written, failed_before) {
                tracing::warn!(file = %self.path.display(), %error, "the node's memory cannot be written");
            }
        }
        self.settled.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The memory in the bytes of a file.
fn unmarked(mut bytes: Vec<u8>) -> Result<Option<Vec<u8>>, MemoryFileError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let Some(marked) = bytes.strip_prefix(MARK) else {
        return cache::check(&bytes).map(|()| Some(bytes)).map_err(|_| MemoryFileError::Foreign);
    };
    let version = marked.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if version == VERSION {
        let head = MARK.len() + version.len() + 1;
        return Ok(Some(bytes.split_off(head.min(bytes.len()))));
    }
    match std::str::from_utf8(version) {
        Ok(version) if version.len() <= 9 && version.parse::<u32>().is_ok() => {
            Err(MemoryFileError::Newer { version: version.to_owned() })
        }
        _ => Err(MemoryFileError::Foreign),
    }
}

/// Writes the whole file or nothing. It is not forced to the disk: after a power cut an old memory serves as well.
fn write(path: &Path, memory: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = private(OpenOptions::new().write(true).create(true).truncate(true))
        .open(&temporary)
        .and_then(|mut file| [MARK, VERSION, b"\n", memory].into_iter().try_for_each(|part| file.write_all(part)))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // What failed is reported; a leftover that cannot be removed either changes nothing.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// A memory says whom somebody talked to: it is for its owner's eyes.
#[cfg(unix)]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600)
}

#[cfg(not(unix))]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_newest_memory_is_found_by_the_next_life() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("memory");
        let (file, memory) = MemoryFile::open(&path).unwrap();
        assert_eq!(memory, None);
        let mut keeper = file.keeper();
        for number in 0..100_u8 {
            keeper.keep(vec![number; 100_000]);
        }
        file.settled().await;
        let (_, memory) = MemoryFile::open(&path).unwrap();
        assert_eq!(memory, Some(vec![99; 100_000]));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing temporary stays");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[tokio::test]
    async fn a_disk_that_fails_costs_the_memory_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/memory");
        assert!(MemoryFile::open(&path).is_err(), "there is no such directory");
        fs::create_dir(folder.path().join("deep")).unwrap();
        let (file, _) = MemoryFile::open(&path).unwrap();
        fs::remove_dir(folder.path().join("deep")).unwrap();
        file.keeper().keep(vec![1]);
        file.settled().await;
        fs::create_dir(folder.path().join("deep")).unwrap();
        file.keeper().keep(vec![2]);
        file.settled().await;
        assert_eq!(MemoryFile::open(&path).unwrap().1, Some(vec![2]), "a disk that recovers is used again");
    }

    #[test]
    fn a_huge_memory_is_read_in_part() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("memory");
        fs::write(&path, b"openred memory 1\n").unwrap();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(LARGEST + 1).unwrap();
        assert_eq!(MemoryFile::open(&path).unwrap().1.unwrap().len() as u64, LARGEST - 17);
    }

    #[test]
    fn a_file_that_holds_something_else_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes");
        for content in ["127.0.0.1 localhost\n", "x", "openred memory", "openred memory one\n", "openred memory 1 x\n"]
        {
            fs::write(&path, content).unwrap();
            let error = MemoryFile::open(&path).unwrap_err();
            assert!(matches!(error, MemoryFileError::Foreign), "{content}: {error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        fs::write(&path, "openred memory 2\nwhatever").unwrap();
        let error = MemoryFile::open(&path).unwrap_err();
        assert!(error.code() == "NEWER" && error.to_string().contains("version 2"), "{error}");
        assert!(matches!(MemoryFile::open(folder.path()).unwrap_err(), MemoryFileError::Foreign), "a directory");
    }

    #[test]
    fn an_empty_file_is_no_memory_and_one_without_a_mark_is_known_by_its_checksum() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("memory");
        fs::write(&path, b"").unwrap();
        assert_eq!(MemoryFile::open(&path).unwrap().1, None);
        // A memory of the network "main" that knows nobody: version 1, the sha2-256 of the content, the content.
        let sha256 = [
            50, 206, 22, 61, 185, 14, 95, 255, 39, 96, 21, 193, 232, 182, 244, 1, 82, 134, 123, 168, 81, 77, 47, 154,
            235, 134, 160, 111, 226, 188, 13, 254,
        ];
        let old = [&[8, 1, 0x12, 32][..], &sha256, &[0x1a, 6], b"\x0a\x04main"].concat();
        fs::write(&path, &old).unwrap();
        assert_eq!(MemoryFile::open(&path).unwrap().1, Some(old.clone()));
        fs::write(&path, &old[..old.len() - 1]).unwrap();
        assert!(matches!(MemoryFile::open(&path).unwrap_err(), MemoryFileError::Foreign));
    }
}
