//! Stamps: small files that say from what a result was made, so that a step with nothing to do is skipped.
//!
//! A stamp depends on content alone, never on paths or times: clones that share a target directory share their
//! results, and a result that was changed by hand is made again.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A digest of named parts. It guards against forgetting a step, not against an attacker.
#[derive(Default)]
pub(crate) struct Digest(DefaultHasher);

impl Digest {
    /// Adds some text.
    pub(crate) fn text(mut self, text: &str) -> Self {
        self.part(text.as_bytes());
        self
    }

    /// Adds a file's content; a missing file is a content of its own.
    pub(crate) fn file(mut self, path: &Path) -> Result<Self> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.0.write_u8(0);
                return Ok(self);
            }
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
        };
        let mut content = Vec::new();
        file.read_to_end(&mut content).with_context(|| format!("{} cannot be read", path.display()))?;
        self.0.write_u8(1);
        self.part(&content);
        Ok(self)
    }

    /// Adds names and contents of all files under a folder, except entries of the folder itself that `skip` refuses.
    pub(crate) fn folder(mut self, folder: &Path, skip: impl Fn(&str) -> bool) -> Result<Self> {
        let mut files = Vec::new();
        walk(folder, &skip, &mut files).with_context(|| format!("{} cannot be listed", folder.display()))?;
        files.sort();
        for path in files {
            let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
            self = self.text(&name).file(&path)?;
        }
        Ok(self)
    }

    /// The digest as text.
    pub(crate) fn finish(self) -> String {
        format!("{:016x}", self.0.finish())
    }

    fn part(&mut self, bytes: &[u8]) {
        self.0.write_usize(bytes.len());
        self.0.write(bytes);
    }
}

fn walk(folder: &Path, skip: &dyn Fn(&str) -> bool, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        if skip(&entry.file_name().to_string_lossy()) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), &|_| false, files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// True if the stamp at `path` says `digest`.
pub(crate) fn matches(path: &Path, digest: &str) -> bool {
    fs::read_to_string(path).is_ok_and(|content| content.trim() == digest)
}

/// Writes the stamp.
pub(crate) fn write(path: &Path, digest: &str) -> Result<()> {
    let written =
        path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, format!("{digest}\n")));
    written.with_context(|| format!("{} cannot be written", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_tells_its_parts_apart() {
        let digest = |parts: &[&str]| parts.iter().fold(Digest::default(), |digest, part| digest.text(part)).finish();
        assert_eq!(digest(&["a", "b"]), digest(&["a", "b"]));
        assert_ne!(digest(&["a", "b"]), digest(&["ab"]));
        assert_ne!(digest(&["a", "b"]), digest(&["b", "a"]));
    }

    #[test]
    fn a_folder_changes_with_content_names_and_nothing_else() {
        let folder = std::env::temp_dir().join(format!("openred-xtask-stamp-{}", std::process::id()));
        let of = || Digest::default().folder(&folder, |name| name == "skipped").expect("readable").finish();
        let put = |name: &str, content: &str| {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().expect("inside")).expect("a folder");
            fs::write(path, content).expect("writable");
        };

        put("one", "1");
        put("deep/skipped", "2");
        let first = of();
        put("skipped/three", "3");
        put("one", "1");
        assert_eq!(of(), first);
        put("deep/skipped", "changed");
        assert_ne!(of(), first, "only entries of the folder itself are skipped");
        put("deep/skipped", "2");
        assert_eq!(of(), first);
        fs::rename(folder.join("one"), folder.join("two")).expect("renamed");
        assert_ne!(of(), first);

        let stamp = folder.join("new/stamp");
        assert!(!matches(&stamp, "x"));
        write(&stamp, "x").expect("written");
        assert!(matches(&stamp, "x") && !matches(&stamp, "y"));
        fs::remove_dir_all(&folder).expect("removed");
    }
}
