//! Where a policy comes from: a file, or text.

use super::mistake::{Mistake, PolicyFileError};
use super::node::Node;
use super::{json, toml};
use crate::MOST_BYTES;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// How a policy is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Keys as in `path_beneath`.
    Toml,
    /// Keys as in `pathBeneath`.
    Json,
}

impl Format {
    fn of(path: &Path) -> Result<Format, PolicyFileError> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("toml") => Ok(Format::Toml),
            Some("json") => Ok(Format::Json),
            _ => {
                Err(PolicyFileError::of_file(path, "the name of a policy file ends with `.toml` or `.json`"))
            }
        }
    }
}

/// A text, what it is written in, and the file that it is from.
#[derive(Clone, Debug)]
pub struct Source {
    pub(crate) path: Option<PathBuf>,
    pub(crate) format: Format,
    pub(crate) text: String,
}

impl Source {
    /// Text that is in no file.
    pub fn of_text(text: impl Into<String>, format: Format) -> Source {
        Source { path: None, format, text: text.into() }
    }

    /// A file, by the extension of its name.
    ///
    /// # Errors
    ///
    /// It has another extension, cannot be read, is no regular file, has more than [`MOST_BYTES`], or is not UTF-8.
    pub fn of_file(path: impl AsRef<Path>) -> Result<Source, PolicyFileError> {
        let path = path.as_ref();
        let format = Format::of(path)?;
        let failed = |what: String| PolicyFileError::of_file(path, what);
        let bytes = bytes(path).map_err(|error| failed(format!("cannot be read: {error}")))?;
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Source { path: Some(path.to_owned()), format, text }),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                let valid = String::from_utf8_lossy(&error.as_bytes()[..at]).into_owned();
                let source = Source { path: Some(path.to_owned()), format, text: valid };
                Err(Mistake::new(at, "not UTF-8").in_source(&source))
            }
        }
    }

    pub(crate) fn root(&self) -> Result<Node<'_>, Mistake> {
        if self.text.len() as u64 > MOST_BYTES {
            return Err(Mistake::at_start(&too_long()));
        }
        match self.format {
            Format::Toml => toml::root(&self.text),
            Format::Json => json::root(&self.text),
        }
    }
}

/// At most [`MOST_BYTES`] of a regular file. Looked at before it is opened, too: to open a FIFO waits.
fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let is_file = |metadata: std::fs::Metadata| match metadata.is_file() {
        true => Ok(()),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    };
    is_file(std::fs::metadata(path)?)?;
    let file = File::open(path)?;
    is_file(file.metadata()?)?;
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, too_long()));
    }
    Ok(bytes)
}

fn too_long() -> String {
    format!("a policy has at most {MOST_BYTES} bytes")
}
