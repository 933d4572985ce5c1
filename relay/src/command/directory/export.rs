//! `openred directory export`: everything that a directory tells everybody, for other software.
//!
//! Each line is a node or a service as the API shows it, with a field `kind` that says which; nodes come first.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{super::output::counted, client::Directory};
use crate::{config::directory::ExportConfig, failure::Failure};

/// Writes it all. An empty directory is exported too.
pub(crate) async fn run(config: ExportConfig) -> Result<(), Failure> {
    let mut output = Output::open(config.output.as_deref())?;
    let mut directory = Directory::new(&config.ask, None);
    let mut counts = Vec::new();
    for (items, kind) in [("nodes", "node"), ("services", "service")] {
        let each = |item| output.line(kind, item);
        let (count, _) = directory.pages(&format!("/v1/{items}"), items, usize::MAX, each).await?;
        counts.push(counted(count, kind));
    }
    output.finish()?;
    eprintln!("exported {}", counts.join(" and "));
    Ok(())
}

/// Where lines go. A file appears under its name when it is whole.
struct Output {
    writer: Box<dyn Write>,
    file: Option<(PathBuf, PathBuf)>,
}

impl Output {
    fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else {
            return Ok(Self { writer: Box::new(BufWriter::new(io::stdout())), file: None });
        };
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        let temporary = path.with_file_name(name);
        let file = File::create(&temporary)
            .map_err(|error| Failure::Usage(format!("--output: `{}` cannot be written: {error}", path.display())))?;
        Ok(Self { writer: Box::new(BufWriter::new(file)), file: Some((temporary, path.to_owned())) })
    }

    fn line(&mut self, kind: &str, mut item: Value) -> Result<(), Failure> {
        if let Value::Object(fields) = &mut item {
            fields.insert("kind".to_owned(), kind.into());
        }
        writeln!(self.writer, "{item}").map_err(unwritable)
    }

    fn finish(mut self) -> Result<(), Failure> {
        self.writer.flush().map_err(unwritable)?;
        match self.file.take() {
            Some((temporary, path)) => fs::rename(temporary, path).map_err(unwritable),
            None => Ok(()),
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some((temporary, _)) = &self.file {
            // What failed has been reported; a leftover changes nothing.
            let _ = fs::remove_file(temporary);
        }
    }
}

fn unwritable(error: io::Error) -> Failure {
    Failure::Failed(format!("the export cannot be written: {error}"))
}
