//! `--bootstrap-list`: first contacts that somebody listed.
//!
//! A file is read here and must be right as a whole, since whoever names it can correct it. A list at a URL is the node's to
//! fetch, when it lacks connections; there only the URL is checked, and a wrong line costs that line alone.

use std::{fs::File, io::Read};

use openred_core::bootstrap::{BootstrapList, MAX_BYTES};

/// What `--bootstrap-list` names, read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contacts {
    /// The relays of all files, in their order.
    pub(crate) list: BootstrapList,
    /// Lists to fetch.
    pub(crate) urls: Vec<String>,
}

/// One value of the option.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// A file's relays.
    File(BootstrapList),
    /// A list to fetch.
    Url(String),
}

/// What would be right.
const RIGHT: &str = "give a file with one relay a line (`eu https://relay.example.org`, or the address alone) or the http or \
                     https URL of one";

/// The longest URL that is fetched.
const MAX_URL: usize = 2048;

/// Reads one value.
pub(crate) fn source(text: &str) -> Result<Source, String> {
    match text.split_once("://") {
        Some(("http" | "https", rest)) if text.len() <= MAX_URL => {
            let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
            let sound = !host.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
            if sound { Ok(Source::Url(text.to_owned())) } else { Err(RIGHT.to_owned()) }
        }
        Some(_) => Err(RIGHT.to_owned()),
        None => read(text).map(Source::File),
    }
}

impl FromIterator<Source> for Contacts {
    fn from_iter<T: IntoIterator<Item = Source>>(sources: T) -> Self {
        let mut contacts = Self::default();
        for source in sources {
            match source {
                Source::File(list) => contacts.list.extend(list),
                Source::Url(url) => contacts.urls.push(url),
            }
        }
        contacts
    }
}

fn read(path: &str) -> Result<BootstrapList, String> {
    let mut bytes = Vec::new();
    // One byte more than a list may have, so that one that is too long is seen to be.
    let read = File::open(path).and_then(|file| file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes));
    read.map_err(|error| format!("the file cannot be read: {error}; {RIGHT}"))?;
    let text = String::from_utf8(bytes).map_err(|_| format!("the file is not UTF-8 text; {RIGHT}"))?;
    let (list, rejected) = BootstrapList::parse(&text, false);
    if rejected.is_empty() {
        return Ok(list);
    }
    let lines: Vec<_> = rejected.iter().map(ToString::to_string).collect();
    Err(lines.join("; "))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn files_and_urls_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("relays.txt");
        fs::write(&path, "# ours\neu https://eu.example\n* relay.example:8080 # for all\n\n").unwrap();
        let sources =
            [path.to_str().unwrap(), "https://lists.example/relays.txt?v=1"].map(|text| source(text).unwrap());
        let contacts: Contacts = sources.into_iter().collect();
        let regions: Vec<_> = contacts.list.entries().iter().map(|entry| entry.region.as_str()).collect();
        assert_eq!(regions, ["eu", ""]);
        assert_eq!(contacts.urls, ["https://lists.example/relays.txt?v=1"]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("relays.txt");
        let reason = |content: &[u8]| {
            fs::write(&path, content).unwrap();
            source(path.to_str().unwrap()).unwrap_err()
        };
        let wrong = reason(b"eu https://eu.example\nus ftp://x\na b c\n");
        assert!(wrong.contains("line 2: ") && wrong.contains("line 3: "), "{wrong}");
        assert!(!wrong.contains("line 1: "), "{wrong}");
        assert!(reason(&[0xff]).contains("UTF-8"));
        assert!(reason(&vec![b'#'; MAX_BYTES + 1]).contains("longer than"));
        for wrong in ["/no/such/file", "ftp://lists.example/x", "https://", "http:///x", "https://a b"] {
            assert!(source(wrong).unwrap_err().contains("one relay a line"), "{wrong}");
        }
    }
}
