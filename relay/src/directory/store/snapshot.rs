//! A directory in one file: a consistent copy, taken while others write, that any store can take back.
//!
//! The file is text, one JSON object a line: first what it is, then the rows, at last how many there are and the sha2-256 of
//! everything before, without which it is not whole. It appears under its name when it is complete and on the disk. A
//! snapshot is checked from end to end before the first row is restored, records' signatures are verified, and restoring is
//! one transaction, so a file that is cut or changed changes nothing. Since rows do not depend on the database, a
//! snapshot of SQLite moves a directory to PostgreSQL.
//!
//! The change log is not part of it: watchers of a restored directory list anew.

mod lines;

use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, BufWriter, Read, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use self::lines::Line;
use super::{Row, Store, StoreError};

/// The version of the format.
const VERSION: u32 = 1;

/// What the first line says.
const KIND: &str = "openred directory snapshot";

/// No line is longer: an envelope takes 4 KiB, and a third more in base64.
const LONGEST_LINE: u64 = 64 * 1024;

/// What a snapshot holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Snapshot {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Its rows.
    pub(crate) rows: u64,
    /// Its length in bytes.
    pub(crate) bytes: u64,
    /// When it was taken, in milliseconds since the Unix epoch.
    pub(crate) made: u64,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Head {
    kind: String,
    version: u32,
    made: u64,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct End {
    rows: u64,
    sha256: String,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Framed<T> {
    Snapshot(Head),
    End(End),
    #[serde(untagged)]
    Row(T),
}

/// Writes a snapshot of `store` to `path`, in the place of what was there. `made` is the time, in milliseconds since the Unix
/// epoch.
pub(crate) async fn take(store: &dyn Store, path: &Path, made: u64) -> Result<Snapshot, StoreError> {
    let target = path.to_owned();
    let writer = SnapshotWriter::create(&target, made).map_err(|error| unwritable(&target, &error))?;
    let writer = Arc::new(Mutex::new(writer));
    let shared = Arc::clone(&writer);
    let failing = target.clone();
    let sink = Box::new(move |row| {
        let mut writer = shared.lock().unwrap_or_else(PoisonError::into_inner);
        writer.row(&row).map_err(|error| unwritable(&failing, &error))
    });
    store.export(sink).await?;
    let finish = move || {
        let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.finish(&target).map_err(|error| unwritable(&target, &error))
    };
    let (rows, bytes) = tokio::task::spawn_blocking(finish).await.map_err(ended)??;
    Ok(Snapshot { path: path.to_owned(), rows, bytes, made })
}

/// Puts the rows of a snapshot in the place of what `store` holds. If the file is not whole, nothing has changed.
pub(crate) async fn restore(store: &dyn Store, path: &Path) -> Result<Snapshot, StoreError> {
    let file = path.to_owned();
    let snapshot = tokio::task::spawn_blocking(move || check(&file)).await.map_err(ended)??;
    let rows = rows(path)?;
    store.import(Box::new(rows)).await?;
    Ok(snapshot)
}

/// Checks that a snapshot is whole, without reading its rows.
pub(crate) fn check(path: &Path) -> Result<Snapshot, StoreError> {
    let mut lines = Lines::open(path)?;
    let not_one = || StoreError::Snapshot(format!("`{}` is not a directory snapshot", path.display()));
    let first = lines.next_line()?.ok_or_else(not_one)?;
    let head = match serde_json::from_slice(&first) {
        Ok(Framed::<serde_json::Value>::Snapshot(head)) if head.kind == KIND => head,
        _ => return Err(not_one()),
    };
    if head.version != VERSION {
        return Err(StoreError::Snapshot(format!(
            "`{}` is a snapshot of version {}, and this release reads version {VERSION}; use the release that made it",
            path.display(),
            head.version
        )));
    }
    let mut digest = Sha256::new_with_prefix(&first);
    let (mut rows, mut bytes, mut last) = (0, first.len() as u64, None);
    while let Some(line) = lines.next_line()? {
        if let Some(row) = last.replace(line) {
            digest.update(&row);
            rows += 1;
            bytes += row.len() as u64;
        }
    }
    let end = last.as_ref().and_then(|line| match serde_json::from_slice(line) {
        Ok(Framed::<serde_json::Value>::End(end)) if line.ends_with(b"\n") => Some(end),
        _ => None,
    });
    let Some(end) = end else {
        return Err(StoreError::Snapshot(format!(
            "`{}` is cut off: its last line is missing; nothing was changed. Take another snapshot",
            path.display()
        )));
    };
    if end.rows != rows || end.sha256 != hex(&digest.finalize()) {
        return Err(StoreError::Snapshot(format!(
            "`{}` is damaged: its checksum does not fit its {rows} rows; nothing was changed. Take another snapshot",
            path.display()
        )));
    }
    let bytes = bytes + last.map_or(0, |line| line.len() as u64);
    Ok(Snapshot { path: path.to_owned(), rows, bytes, made: head.made })
}

/// The rows of a snapshot that has been checked.
fn rows(path: &Path) -> Result<impl Iterator<Item = Result<Row, StoreError>> + Send + use<>, StoreError> {
    let mut lines = Lines::open(path)?;
    let path = path.to_owned();
    lines.next_line()?;
    Ok(std::iter::from_fn(move || {
        let line = match lines.next_line() {
            Ok(line) => line?,
            Err(error) => return Some(Err(error)),
        };
        match serde_json::from_slice(&line) {
            Ok(Framed::<Line>::Row(row)) => Some(row.into_row().map_err(|reason| {
                StoreError::Snapshot(format!("`{}` has a row that cannot be used: {reason}", path.display()))
            })),
            Ok(_) => None,
            Err(error) => {
                Some(Err(StoreError::Snapshot(format!("`{}` has a row that cannot be read: {error}", path.display()))))
            }
        }
    }))
}

struct Lines {
    path: PathBuf,
    file: BufReader<File>,
}

impl Lines {
    fn open(path: &Path) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(|error| unreadable(path, &error))?;
        Ok(Self { path: path.to_owned(), file: BufReader::new(file) })
    }

    /// The next line with its end; the last one may lack it.
    fn next_line(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        let mut line = Vec::new();
        let mut bounded = (&mut self.file).take(LONGEST_LINE);
        bounded.read_until(b'\n', &mut line).map_err(|error| unreadable(&self.path, &error))?;
        if line.len() as u64 == LONGEST_LINE {
            return Err(StoreError::Snapshot(format!(
                "`{}` has a line of more than {LONGEST_LINE} bytes and is not a directory snapshot",
                self.path.display()
            )));
        }
        Ok((!line.is_empty()).then_some(line))
    }
}

/// A file under a temporary name; dropped unfinished, it is removed.
struct SnapshotWriter {
    temporary: PathBuf,
    file: BufWriter<File>,
    digest: Sha256,
    rows: u64,
    bytes: u64,
    is_finished: bool,
}

impl SnapshotWriter {
    fn create(target: &Path, made: u64) -> std::io::Result<Self> {
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        let temporary = target.with_file_name(name);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = BufWriter::new(options.open(&temporary)?);
        let mut writer = Self { temporary, file, digest: Sha256::new(), rows: 0, bytes: 0, is_finished: false };
        writer.line(&Framed::<Line>::Snapshot(Head { kind: KIND.to_owned(), version: VERSION, made }))?;
        Ok(writer)
    }

    fn row(&mut self, row: &Row) -> std::io::Result<()> {
        self.rows += 1;
        self.line(&Framed::Row(Line::from(row)))
    }

    fn line(&mut self, content: &Framed<Line>) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(content)?;
        line.push(b'\n');
        self.digest.update(&line);
        self.bytes += line.len() as u64;
        self.file.write_all(&line)
    }

    /// Completes the file and gives it its name. Its rows and bytes.
    fn finish(&mut self, target: &Path) -> std::io::Result<(u64, u64)> {
        let sha256 = hex(&self.digest.clone().finalize());
        self.line(&Framed::End(End { rows: self.rows, sha256 }))?;
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        fs::rename(&self.temporary, target)?;
        self.is_finished = true;
        #[cfg(unix)]
        if let Some(folder) = target.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            File::open(folder)?.sync_all()?;
        }
        Ok((self.rows, self.bytes))
    }
}

impl Drop for SnapshotWriter {
    fn drop(&mut self) {
        if !self.is_finished {
            // What failed has been reported; a leftover changes nothing.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unwritable(path: &Path, error: &std::io::Error) -> StoreError {
    let text = format!("the snapshot `{}` cannot be written: {error}", path.display());
    if error.kind() == std::io::ErrorKind::StorageFull { StoreError::Full(text) } else { StoreError::Snapshot(text) }
}

fn unreadable(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Snapshot(format!("the snapshot `{}` cannot be read: {error}", path.display()))
}

fn ended(error: tokio::task::JoinError) -> StoreError {
    StoreError::Snapshot(format!("the work on the snapshot ended early: {error}"))
}
