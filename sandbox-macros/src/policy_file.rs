//! `policy = "path"`: a file read when the function is compiled.

use sandboxed_config::{Grants, Source};
use std::path::{Path, PathBuf};
use syn::LitStr;

/// A policy file, read.
pub struct PolicyFile {
    /// Where it is.
    pub path: String,
    pub grants: Grants,
}

/// Reads the file that a literal names, as seen from the package's directory. Its mistakes begin with
/// `path:line:column:`, since a macro can point at tokens alone.
pub fn read(literal: &LitStr) -> Result<PolicyFile, String> {
    let path = absolute(Path::new(&literal.value()))?;
    let source = Source::of_file(&path).map_err(|error| error.to_string())?;
    let config = sandboxed_config::read(&[source]).map_err(|error| error.to_string())?;
    let text = path.to_str().ok_or_else(|| format!("{path:?} is not UTF-8"))?;
    Ok(PolicyFile { path: text.to_owned(), grants: config.grants() })
}

fn absolute(path: &Path) -> Result<PathBuf, String> {
    if path.is_absolute() {
        return Ok(path.to_owned());
    }
    let package = std::env::var_os("CARGO_MANIFEST_DIR").ok_or_else(|| {
        "a relative path is seen from the package's directory, which cargo gives as CARGO_MANIFEST_DIR; there is none"
            .to_owned()
    })?;
    Ok(Path::new(&package).join(path))
}
