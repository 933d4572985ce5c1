//! What a relay keeps between two runs: its identity, its WebRTC certificate and the keys that sign tokens, in one directory.
//! What it learned of the network lies there too, in a file that the node writes itself and can do without.
//!
//! The first two make up the relay's addresses (the peer id, and the certificate's hash in WebRTC-direct addresses), so losing
//! either costs every link that was given out. Therefore a damaged file is never overwritten: the relay refuses to
//! start and says how to go on. Files are written to a temporary name, synced and renamed, readable by their owner only.
//! A lock file keeps a second process out; the system drops the lock when the process ends, however it ends.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};

use libp2p_identity::Keypair;

/// The protobuf-encoded Ed25519 key pair; the same bytes as the npm package's `exportIdentity()`.
const IDENTITY: &str = "identity.key";

/// The WebRTC certificate and its key, as PEM.
const CERTIFICATE: &str = "webrtc.pem";

/// The keys that sign tokens, as [`crate::directory::tokens::keys::KeyRing`] writes them.
const TOKEN_KEYS: &str = "token-keys.json";

/// Locked while a relay runs; holds its process id.
const LOCK: &str = "openred.lock";

/// No file of ours is larger; a key pair takes 68 bytes, a certificate about 1 KiB.
const LARGEST_FILE: u64 = 64 * 1024;

/// Why the data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataDirError {
    /// The directory cannot be made, or nothing can be written into it.
    #[error("--data: `{}` cannot be used: {source}; give a directory that this user may write to", path.display())]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A relay runs on the directory.
    #[error(
        "--data: `{}` is in use by another openred process{holder}; give every relay a directory of its own",
        path.display()
    )]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The process, as far as the lock file tells.
        holder: String,
    },
    /// A file cannot be read or written.
    #[error("`{}` cannot be {action}: {source}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// `read` or `written`.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error(
        "`{}` is damaged ({reason}) and was left as it is; restore it from a backup, or move it away and start again \
         with {loss}",
        file.display()
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// What starting without the file costs.
        loss: &'static str,
    },
}

/// A data directory that this process holds; the lock ends with the value.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the directory if need be and locks it.
    pub(crate) fn open(path: &Path) -> Result<Self, DataDirError> {
        let unusable = |source| DataDirError::Unusable { path: path.to_owned(), source };
        create_private_dir(path).map_err(unusable)?;
        let mut lock =
            private(OpenOptions::new().read(true).write(true).create(true)).open(path.join(LOCK)).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(DataDirError::InUse { path: path.to_owned(), holder: holder(&mut lock) });
            }
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
        lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id())).map_err(unusable)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The identity kept here, made on first use.
    pub(crate) fn identity(&self) -> Result<Keypair, DataDirError> {
        identity_in(&self.path.join(IDENTITY))
    }

    /// The certificate kept here, made by `generate` on first use. `check` says what is wrong with a certificate.
    pub(crate) fn certificate(
        &self,
        generate: impl FnOnce() -> String,
        check: impl FnOnce(&str) -> Result<(), String>,
    ) -> Result<String, DataDirError> {
        let file = self.path.join(CERTIFICATE);
        let Some(bytes) = read(&file)? else {
            let pem = generate();
            write(&file, pem.as_bytes())?;
            return Ok(pem);
        };
        let pem = String::from_utf8(bytes).map_err(|_| "it is not text".to_owned());
        pem.and_then(|pem| check(&pem).map(|()| pem)).map_err(|reason| DataDirError::Damaged {
            file,
            reason,
            loss: "a new certificate: the WebRTC-direct addresses change",
        })
    }

    /// The ring of keys that sign tokens, made by `generate` on first use. `check` says what is wrong with one.
    pub(crate) fn token_keys<T>(
        &self,
        generate: impl FnOnce() -> Vec<u8>,
        check: impl FnOnce(&[u8]) -> Result<T, String>,
    ) -> Result<T, DataDirError> {
        let file = self.path.join(TOKEN_KEYS);
        let bytes = match read(&file)? {
            Some(bytes) => bytes,
            None => {
                let bytes = generate();
                write(&file, &bytes)?;
                bytes
            }
        };
        let loss = "new keys: tokens that were given out hold no longer";
        check(&bytes).map_err(|reason| DataDirError::Damaged { file, reason, loss })
    }

    /// Where [`Self::token_keys`] are kept, for who makes new ones while the relay runs.
    pub(crate) fn token_key_file(&self) -> TokenKeyFile {
        TokenKeyFile(self.path.join(TOKEN_KEYS))
    }
}

/// The file of the keys that sign tokens.
#[derive(Clone, Debug)]
pub(crate) struct TokenKeyFile(PathBuf);

impl TokenKeyFile {
    /// Puts other keys in the place of those that are there.
    pub(crate) fn save(&self, bytes: &[u8]) -> Result<(), DataDirError> {
        write(&self.0, bytes)
    }
}

/// Whether a directory can be opened, as far as that shows without leaving a trace in it.
pub(crate) fn check(path: &Path) -> Result<(), DataDirError> {
    let unusable = |source| DataDirError::Unusable { path: path.to_owned(), source };
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => return Err(unusable(io::ErrorKind::NotADirectory.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unusable(error)),
    }
    // What else may be wrong with it shows when it is opened.
    let Ok(mut lock) = File::open(path.join(LOCK)) else { return Ok(()) };
    match lock.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Err(DataDirError::InUse { path: path.to_owned(), holder: holder(&mut lock) }),
        _ => Ok(()),
    }
}

/// The identity of a relay that may be running: nothing is locked or made.
pub(crate) fn peek_identity(directory: &Path) -> Result<Option<Keypair>, DataDirError> {
    load_identity(&directory.join(IDENTITY))
}

/// The identity in a file, if the file exists.
pub(crate) fn load_identity(file: &Path) -> Result<Option<Keypair>, DataDirError> {
    let Some(bytes) = read(file)? else { return Ok(None) };
    let damaged =
        |reason| DataDirError::Damaged { file: file.to_owned(), reason, loss: "a new identity: the peer id changes" };
    if bytes.is_empty() {
        return Err(damaged("it is empty".to_owned()));
    }
    let identity = Keypair::from_protobuf_encoding(&bytes).map_err(|error| damaged(error.to_string()))?;
    Ok(Some(identity))
}

/// The identity in a file, made on first use.
pub(crate) fn identity_in(file: &Path) -> Result<Keypair, DataDirError> {
    if let Some(identity) = load_identity(file)? {
        return Ok(identity);
    }
    let identity = Keypair::generate_ed25519();
    let bytes = identity.to_protobuf_encoding().expect("an Ed25519 key pair can be encoded");
    write(file, &bytes)?;
    Ok(identity)
}

fn holder(lock: &mut File) -> String {
    let mut text = String::new();
    let read = lock.rewind().and_then(|()| lock.take(32).read_to_string(&mut text));
    match read.ok().and_then(|_| text.trim().parse::<u32>().ok()) {
        Some(process) => format!(" (process {process})"),
        None => String::new(),
    }
}

fn read(file: &Path) -> Result<Option<Vec<u8>>, DataDirError> {
    let failed = |source| DataDirError::File { file: file.to_owned(), action: "read", source };
    let opened = match File::open(file) {
        Ok(opened) => opened,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    opened.take(LARGEST_FILE).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Some(bytes))
}

/// Writes the whole file or nothing, whatever happens in between.
fn write(file: &Path, bytes: &[u8]) -> Result<(), DataDirError> {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = file.with_file_name(name);
    let written = (|| {
        let mut opened = private(OpenOptions::new().write(true).create(true).truncate(true)).open(&temporary)?;
        opened.write_all(bytes)?;
        opened.sync_all()?;
        fs::rename(&temporary, file)?;
        sync_directory(file)
    })();
    written.map_err(|source| {
        // What failed is reported; a leftover that cannot be removed either changes nothing.
        let _ = fs::remove_file(&temporary);
        DataDirError::File { file: file.to_owned(), action: "written", source }
    })
}

#[cfg(unix)]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600)
}

#[cfg(not(unix))]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

#[cfg(unix)]
fn create_private_dir(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(not(unix))]
fn create_private_dir(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

/// Makes a rename last: on Unix the directory is a file of its own.
#[cfg(unix)]
fn sync_directory(file: &Path) -> io::Result<()> {
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory(_file: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed() -> String {
        "certificate".to_owned()
    }

    #[test]
    fn identity_and_certificate_survive() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/data");
        let first = DataDir::open(&path).unwrap();
        let peer = first.identity().unwrap().public().to_peer_id();
        first.certificate(fixed, |_| Ok(())).unwrap();
        drop(first);

        let second = DataDir::open(&path).unwrap();
        assert_eq!(second.identity().unwrap().public().to_peer_id(), peer);
        assert_eq!(second.certificate(|| panic!("there is one"), |_| Ok(())).unwrap(), "certificate");
        assert_eq!(peek_identity(&path).unwrap().unwrap().public().to_peer_id(), peer);
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_read() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data");
        let data = DataDir::open(&path).unwrap();
        data.identity().unwrap();
        data.certificate(fixed, |_| Ok(())).unwrap();
        for entry in fs::read_dir(&path).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_second_holder_is_refused_and_told_who_holds() {
        let directory = tempfile::tempdir().unwrap();
        let held = DataDir::open(directory.path()).unwrap();
        let refused = DataDir::open(directory.path()).unwrap_err().to_string();
        assert!(
            refused.contains("--data") && refused.contains(&format!("process {}", std::process::id())),
            "{refused}"
        );
        drop(held);
        DataDir::open(directory.path()).unwrap();
    }

    #[test]
    fn a_directory_is_checked_without_a_trace() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data");
        check(&path).unwrap();
        assert!(!path.exists());
        let held = DataDir::open(&path).unwrap();
        assert!(matches!(check(&path), Err(DataDirError::InUse { .. })));
        drop(held);
        check(&path).unwrap();
        assert!(matches!(check(&path.join(LOCK)), Err(DataDirError::Unusable { .. })));
        assert!(matches!(check(&path.join(LOCK).join("data")), Err(DataDirError::Unusable { .. })));
    }

    #[test]
    fn a_damaged_identity_is_named_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let data = DataDir::open(directory.path()).unwrap();
        let file = directory.path().join(IDENTITY);
        for damage in [&b""[..], b"x", &[8, 1, 18, 64, 1, 2, 3]] {
            fs::write(&file, damage).unwrap();
            let message = data.identity().unwrap_err().to_string();
            assert!(message.contains("identity.key") && message.contains("backup"), "{message}");
            assert_eq!(fs::read(&file).unwrap(), damage);
        }
    }

    #[test]
    fn a_damaged_certificate_is_named_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let data = DataDir::open(directory.path()).unwrap();
        let file = directory.path().join(CERTIFICATE);
        fs::write(&file, b"not a certificate").unwrap();
        let message = data.certificate(fixed, |_| Err("no PEM".to_owned())).unwrap_err().to_string();
        assert!(message.contains("webrtc.pem") && message.contains("no PEM"), "{message}");
        assert_eq!(fs::read(&file).unwrap(), b"not a certificate");
    }

    #[test]
    fn token_keys_survive_and_are_replaced_and_damage_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let data = DataDir::open(directory.path()).unwrap();
        let read = |generate: &[u8]| data.token_keys(|| generate.to_vec(), |bytes| Ok(bytes.to_vec()));
        assert_eq!(read(b"first").unwrap(), b"first");
        assert_eq!(read(b"other").unwrap(), b"first");
        data.token_key_file().save(b"second").unwrap();
        assert_eq!(read(b"other").unwrap(), b"second");
        let refused = data.token_keys(Vec::new, |_| Err::<(), _>("no ring".to_owned())).unwrap_err().to_string();
        assert!(refused.contains("token-keys.json") && refused.contains("no ring"), "{refused}");
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, b"").unwrap();
        let message = DataDir::open(&file.join("data")).unwrap_err().to_string();
        assert!(message.contains("--data") && message.contains("file/data"), "{message}");
    }

    #[test]
    fn nothing_is_made_by_looking() {
        let directory = tempfile::tempdir().unwrap();
        assert!(peek_identity(directory.path()).unwrap().is_none());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
