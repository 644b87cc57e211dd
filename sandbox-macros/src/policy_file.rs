//! `policy = "path"`: a file read when the function is compiled.

use sandboxed_config::Grants;
use syn::LitStr;

/// A policy file, read.
pub struct PolicyFile {
    /// Where it is.
    pub path: String,
    pub grants: Grants,
}

/// Reads the file that a literal names, as seen from the package's directory. Its mistakes begin with
/// `path:line:column:`, since a macro can point at tokens alone.
#[cfg(feature = "policy-files")]
pub fn read(literal: &LitStr) -> Result<PolicyFile, String> {
    let path = absolute(&literal.value())?;
    let source = sandboxed_config::Source::of_file(&path).map_err(|error| error.to_string())?;
    let config = sandboxed_config::read(&[source]).map_err(|error| error.to_string())?;
    let text = path.to_str().ok_or_else(|| format!("{path:?} is not UTF-8"))?;
    Ok(PolicyFile { path: text.to_owned(), grants: config.grants() })
}

#[cfg(not(feature = "policy-files"))]
pub fn read(_: &LitStr) -> Result<PolicyFile, String> {
    Err("a policy file needs the feature `policy-files` of the crate `sandboxed`".to_owned())
}

#[cfg(feature = "policy-files")]
fn absolute(path: &str) -> Result<std::path::PathBuf, String> {
    let path = std::path::Path::new(path);
    if path.is_absolute() {
        return Ok(path.to_owned());
    }
    let package = std::env::var_os("CARGO_MANIFEST_DIR").ok_or_else(|| {
        "a relative path is seen from the package's directory, which cargo gives as CARGO_MANIFEST_DIR; there is none"
            .to_owned()
    })?;
    Ok(std::path::Path::new(&package).join(path))
}
