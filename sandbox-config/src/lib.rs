//! The policy files of the crate `sandboxed`: the format of [landlockconfig], TOML or JSON, read into plain data.
//! The runtime and the attribute's macro read them with the same code, so they mean the same to both.
//!
//! | read for | module |
//! |---|---|
//! | a file's bytes, bounded | `source` |
//! | text to a tree that knows where each value stands | `node`, `from_toml`, `from_json` |
//! | the tree to what it says | `document`, with `rights` and `template` |
//! | what it says, and what that leaves open | `config` |
//! | the way back | `write` |
//!
//! What the format means here is said where users look for it, at `Policy::from_file`.
//!
//! [landlockconfig]: https://github.com/landlock-lsm/landlockconfig

#![forbid(unsafe_code)]

mod config;
mod document;
mod from_json;
mod from_toml;
mod mistake;
mod node;
mod rights;
mod source;
mod spelling;
mod template;
mod write;

pub use config::{Config, Grants};
pub use mistake::PolicyFileError;
pub use rights::{Kind, NEWEST_ABI, Right};
pub use source::{Format, MOST_BYTES, Source};
pub use spelling::nearest;
pub use template::{LONGEST_PATH, MOST_PATHS};
pub use write::{Unwritable, to_toml};

/// Reads policy files and composes them as landlockconfig does: their variables are shared, what all of them handle
/// is handled, and what any of them grants of that is granted.
///
/// ```
/// use sandboxed_config::{Format, Source, read};
/// let text = "abi = 5\n[[path_beneath]]\nallowed_access = [\"abi.read_execute\"]\nparent = [\"/usr\"]\n";
/// let config = read(&[Source::of_text(text, Format::Toml)]).unwrap();
/// assert_eq!(config.paths.len(), 1);
///
/// let error = read(&[Source::of_text("reed = 1", Format::Toml)]).unwrap_err();
/// assert_eq!((error.line, error.column), (1, 1));
/// ```
///
/// # Errors
///
/// The first mistake, with its place.
pub fn read(sources: &[Source]) -> Result<Config, PolicyFileError> {
    let mut documents = Vec::new();
    for source in sources {
        let document = source.root().and_then(|root| document::Document::of(root, source.format));
        documents.push(document.map_err(|mistake| mistake.in_source(source))?);
    }
    let mut variables = template::Variables::default();
    documents.iter().for_each(|document| variables.extend(&document.variables));
    let mut composed: Option<Config> = None;
    for (document, source) in documents.iter().zip(sources) {
        let config = document.config(&variables).map_err(|mistake| mistake.in_source(source))?;
        match &mut composed {
            None => composed = Some(config),
            Some(composed) => composed.compose(config),
        }
    }
    match (composed, sources) {
        (Some(config), _) if config.handles_anything() => Ok(config),
        (Some(_), [source]) => Err(mistake::Mistake::at_start(HANDLES_NOTHING).in_source(source)),
        _ => Err(PolicyFileError::of_none("together, the files handle no right: they would refuse nothing")),
    }
}

const HANDLES_NOTHING: &str = "it handles no right, so it would refuse nothing; name some in a `ruleset`";
