//! The files inside the binary: the page and the npm package, put there by `build.rs`.
//!
//! A file is looked up by its path in a sorted table. Nothing is read from disk while the relay runs.

/// One embedded file.
#[derive(Debug)]
pub(crate) struct Asset {
    /// Path below its folder, with slashes and without a leading one.
    pub(crate) path: &'static str,
    /// Value of the `Content-Type` header.
    pub(crate) media_type: &'static str,
    /// The first 12 bytes of the SHA-256 of the plain bytes, in hexadecimal: what its entity tag is made of.
    pub(crate) hash: &'static str,
    /// The bytes.
    pub(crate) content: &'static Content,
}

/// The bytes of a file, in each encoding it can be sent in.
#[derive(Debug)]
pub(crate) struct Content {
    /// As it was built.
    pub(crate) plain: &'static [u8],
    /// Compressed with brotli; absent in debug builds and where it saves little.
    pub(crate) brotli: Option<&'static [u8]>,
    /// Compressed with gzip; absent as `brotli` is.
    pub(crate) gzip: Option<&'static [u8]>,
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// The page's files, `index.html` among them; empty when the page was not built.
pub(crate) fn site() -> &'static [Asset] {
    SITE
}

/// The npm package's files, `index.js` among them; empty when the package was not built.
pub(crate) fn npm() -> &'static [Asset] {
    NPM
}

/// The file at `path` of a table that is sorted by path.
pub(crate) fn find<'a>(table: &'a [Asset], path: &str) -> Option<&'a Asset> {
    let index = table.binary_search_by(|asset| asset.path.cmp(path)).ok()?;
    table.get(index)
}

impl Asset {
    /// Whether the name carries a hash of the content, as Vite writes it (`assets/name-Ab3_x9Zq.js`): such a file never
    /// changes under its name.
    pub(crate) fn is_named_by_content(&self) -> bool {
        let Some(name) = self.path.strip_prefix("assets/") else { return false };
        let stem = name.split('.').next().unwrap_or_default();
        stem.len() > HASH_LENGTH
            && stem.is_char_boundary(stem.len() - HASH_LENGTH)
            && stem[..stem.len() - HASH_LENGTH].ends_with('-')
            && stem[stem.len() - HASH_LENGTH..]
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    }
}

/// Characters of the content hash in Vite's default file names.
const HASH_LENGTH: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn asset(path: &'static str) -> Asset {
        Asset { path, media_type: "text/plain", hash: "", content: &Content { plain: b"", brotli: None, gzip: None } }
    }

    #[test]
    fn only_hashed_names_never_change() {
        assert!(asset("assets/index-B3_x-9Zq.js").is_named_by_content());
        assert!(asset("assets/openred_bg-DEADbeef.wasm").is_named_by_content());
        assert!(!asset("assets/index.js").is_named_by_content());
        assert!(!asset("assets/short-abc.js").is_named_by_content());
        assert!(!asset("index-B3_x-9Zq.js").is_named_by_content());
    }

    #[test]
    fn the_tables_are_sorted_so_that_each_file_is_found() {
        for table in [site(), npm()] {
            for file in table {
                assert_eq!(find(table, file.path).map(|found| found.hash), Some(file.hash));
            }
        }
        assert!(find(&[asset("a"), asset("b/c")], "b").is_none());
    }
}
