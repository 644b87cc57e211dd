//! From text to what it says.

mod document;
mod json;
mod mistake;
mod node;
mod source;
mod template;
mod toml;
mod words;

pub use mistake::PolicyFileError;
pub use source::{Format, Source};

use crate::config::Config;
use template::Variables;

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
    let mut variables = Variables::default();
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
