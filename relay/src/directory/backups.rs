//! Snapshots that a directory takes of itself, so that a mistake of an operator, or a disk that lies, costs hours and not
//! everything.
//!
//! They lie in a folder under names that order by time. Bounds: the oldest go when there are more than the configuration says.
//! Dropping the value ends it; a snapshot under way leaves at worst a temporary file, which the next start removes.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    task::JoinHandle,
    time::{Instant, interval_at},
};

use super::{
    registry::Clock,
    store::{Store, snapshot},
};

/// What every snapshot's name begins and ends with; between stands the time in milliseconds since the Unix epoch.
const NAME: (&str, &str) = ("directory-", ".snapshot");

/// When snapshots are taken, and how many are kept.
#[derive(Clone, Debug)]
pub(crate) struct BackupConfig {
    /// Where they are kept.
    pub(crate) folder: PathBuf,
    /// How often one is taken. The default is 6 h: what is lost in between registers again by itself; a guess.
    pub(crate) every: Duration,
    /// How many are kept. The default is 4, a day; with 100 000 nodes each takes some 120 MB.
    pub(crate) keep: usize,
}

impl BackupConfig {
    /// The defaults, in a folder.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, every: Duration::from_secs(6 * 60 * 60), keep: 4 }
    }
}

/// Takes snapshots while it lives.
pub(crate) struct Backups {
    task: JoinHandle<()>,
}

impl Backups {
    /// Takes the first snapshot one interval after the newest that is there, at once if that has passed.
    pub(crate) fn start(store: Arc<dyn Store>, clock: Arc<dyn Clock>, config: BackupConfig) -> Self {
        Self { task: tokio::spawn(run(store, clock, config)) }
    }
}

impl Drop for Backups {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(store: Arc<dyn Store>, clock: Arc<dyn Clock>, config: BackupConfig) {
    if let Err(error) = prepare(&config.folder) {
        tracing::error!(folder = %config.folder.display(), %error, "no snapshots of the directory can be kept here");
        return;
    }
    let newest = snapshots(&config.folder).unwrap_or_default().last().map_or(0, |(made, _)| *made);
    let age = Duration::from_millis(clock.now().unix_ms.saturating_sub(newest));
    let mut ticks = interval_at(Instant::now() + config.every.saturating_sub(age), config.every);
    loop {
        ticks.tick().await;
        let made = clock.now().unix_ms;
        let path = config.folder.join(format!("{}{made:014}{}", NAME.0, NAME.1));
        match snapshot::take(&*store, &path, made).await {
            Ok(taken) => {
                tracing::info!(file = %path.display(), rows = taken.rows, "a snapshot of the directory was taken")
            }
            Err(error) => {
                // The older ones stay, since they may be all that there is.
                tracing::error!(file = %path.display(), %error, "no snapshot of the directory could be taken");
                continue;
            }
        }
        if let Err(error) = thin(&config.folder, config.keep) {
            tracing::warn!(folder = %config.folder.display(), %error, "old snapshots cannot be removed");
        }
    }
}

/// Makes the folder, and removes what a snapshot that was interrupted left there.
fn prepare(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with(NAME.0) && name.ends_with(".tmp") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// The snapshots in a folder with their times, the oldest first.
fn snapshots(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let made =
            name.strip_prefix(NAME.0).and_then(|name| name.strip_suffix(NAME.1)).and_then(|made| made.parse().ok());
        found.extend(made.map(|made| (made, path)));
    }
    found.sort();
    Ok(found)
}

fn thin(folder: &Path, keep: usize) -> io::Result<()> {
    let found = snapshots(folder)?;
    let superfluous = found.len().saturating_sub(keep.max(1));
    found.into_iter().take(superfluous).try_for_each(|(_, path)| fs::remove_file(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::{
        registry::TestClock,
        store::{conformance::register, sqlite::SqliteStore},
    };

    #[tokio::test(start_paused = true)]
    async fn snapshots_are_taken_in_time_and_the_oldest_go() {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(&directory.path().join("directory.sqlite")).await.unwrap());
        store.apply(vec![register(1)]).await.unwrap();
        let folder = directory.path().join("snapshots");
        fs::create_dir(&folder).unwrap();
        for name in ["directory-00000000000005.snapshot.77.tmp", "directory-00000000000003.snapshot", "mine.txt"] {
            fs::write(folder.join(name), "old").unwrap();
        }
        let config = BackupConfig { every: Duration::from_millis(50), keep: 3, ..BackupConfig::new(folder.clone()) };
        let backups = Backups::start(store, TestClock::start(), config);
        let mut waits = 0;
        while !snapshots(&folder).unwrap().iter().all(|(made, _)| *made > 3) || snapshots(&folder).unwrap().len() < 3 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            waits += 1;
            assert!(waits < 10_000, "no snapshots come");
        }
        drop(backups);
        let kept = snapshots(&folder).unwrap();
        assert!(snapshot::check(&kept.last().unwrap().1).unwrap().rows == 1);
        assert!(!folder.join("directory-00000000000005.snapshot.77.tmp").exists());
        assert!(folder.join("mine.txt").exists(), "what is not ours stays");
    }
}
