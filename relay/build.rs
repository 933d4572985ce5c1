//! Embeds the page (`web/site`) and the npm package's files (`web/dist`) into the binary.
//!
//! Both folders are made by `cargo xtask build`. A missing folder is no error: the binary then says so where the page
//! would be. Release builds also carry each file compressed (brotli at its highest quality, and gzip), because the wasm
//! module is downloaded far more often than the relay is built; other builds carry the files as they are.

use std::{
    collections::BTreeSet,
    env,
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

/// Files below this size are sent as they are: the headers would cost more than the compression saves.
const SMALLEST_COMPRESSED: usize = 512;

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let web = PathBuf::from(variable("CARGO_MANIFEST_DIR")).join("../web");
    let out = PathBuf::from(variable("OUT_DIR"));
    let compress = variable("PROFILE") == "release";

    let mut embedder = Embedder { out: &out, compress, code: String::new(), known: BTreeSet::new() };
    for (name, folder) in [("SITE", web.join("site")), ("NPM", web.join("dist"))] {
        // Cargo takes a path that does not exist for changed, so a folder that appears later is seen.
        println!("cargo::rerun-if-changed={}", folder.display());
        embedder.table(name, &folder)?;
    }
    fs::write(out.join("assets.rs"), embedder.code)
}

/// A variable that Cargo sets for every build script.
fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("Cargo sets {name}"))
}

/// Writes the Rust source that holds the files. Equal files are held once: the wasm module is in both folders.
struct Embedder<'a> {
    out: &'a Path,
    compress: bool,
    code: String,
    known: BTreeSet<String>,
}

impl Embedder<'_> {
    /// One table of files, sorted by path so that equal folders give equal binaries.
    fn table(&mut self, name: &str, folder: &Path) -> io::Result<()> {
        let mut files = Vec::new();
        if folder.is_dir() {
            collect(folder, folder, &mut files)?;
        }
        files.sort();
        let mut table = format!("static {name}: &[Asset] = &[\n");
        for (path, file) in files {
            let bytes = fs::read(&file)
                .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display())))?;
            let media_type = media_type(&path);
            let hash = hex(&Sha256::digest(&bytes)[..12]);
            let content = self.content(&hash, &bytes, is_compressible(media_type))?;
            writeln!(
                table,
                "    Asset {{ path: {path:?}, media_type: {media_type:?}, hash: {hash:?}, content: &{content} }},"
            )
            .expect("writing to a string succeeds");
        }
        self.code += &table;
        self.code += "];\n";
        Ok(())
    }

    /// The name of the static that holds these bytes, plain and compressed.
    fn content(&mut self, hash: &str, bytes: &[u8], is_compressible: bool) -> io::Result<String> {
        let name = format!("CONTENT_{}", hash.to_uppercase());
        if self.known.insert(name.clone()) {
            let plain = self.out.join(format!("{hash}.plain"));
            fs::write(&plain, bytes)?;
            let (mut brotli, mut gzip) = (None, None);
            if self.compress && is_compressible && bytes.len() >= SMALLEST_COMPRESSED {
                brotli = self.keep(hash, "br", bytes.len(), brotli_of(bytes)?)?;
                gzip = self.keep(hash, "gz", bytes.len(), gzip_of(bytes)?)?;
            }
            writeln!(
                self.code,
                "static {name}: Content = Content {{ plain: include_bytes!({plain:?}), brotli: {}, gzip: {} }};",
                include(brotli.as_deref()),
                include(gzip.as_deref()),
            )
            .expect("writing to a string succeeds");
        }
        Ok(name)
    }

    /// Stores a compressed form beside the generated code, unless it saves less than a tenth.
    fn keep(&self, hash: &str, ending: &str, plain: usize, bytes: Vec<u8>) -> io::Result<Option<PathBuf>> {
        if bytes.len() * 10 > plain * 9 {
            return Ok(None);
        }
        let path = self.out.join(format!("{hash}.{ending}"));
        fs::write(&path, bytes)?;
        Ok(Some(path))
    }
}

/// Every regular file below `folder`, with its path relative to `root` written with slashes. Hidden files stay out.
fn collect(root: &Path, folder: &Path, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if hidden {
            continue;
        }
        if path.is_dir() {
            collect(root, &path, files)?;
        } else if path.is_file() {
            println!("cargo::rerun-if-changed={}", path.display());
            let relative = path.strip_prefix(root).expect("the walk stays below its root");
            let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
            files.push((parts.join("/"), path.canonicalize()?));
        }
    }
    Ok(())
}

fn include(path: Option<&Path>) -> String {
    path.map_or("None".to_owned(), |path| format!("Some(include_bytes!({path:?}))"))
}

fn brotli_of(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let params =
        brotli::enc::BrotliEncoderParams { quality: 11, lgwin: 22, size_hint: bytes.len(), ..Default::default() };
    let mut compressed = Vec::new();
    brotli::BrotliCompress(&mut &bytes[..], &mut compressed, &params)?;
    Ok(compressed)
}

fn gzip_of(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string succeeds");
        text
    })
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "css" => "text/css; charset=utf-8",
        "html" => "text/html; charset=utf-8",
        "ico" => "image/x-icon",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" | "map" => "application/json",
        "md" | "txt" => "text/plain; charset=utf-8",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "ts" => "application/typescript; charset=utf-8",
        "wasm" => "application/wasm",
        "webmanifest" => "application/manifest+json",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}

fn is_compressible(media_type: &str) -> bool {
    !matches!(media_type, "image/png" | "font/woff2")
}
