//! What is wrong with a policy file, and where.

use super::Source;
use std::path::PathBuf;

/// What is wrong with a policy file: it cannot be read, is not of the format, or says what cannot be held.
///
/// Prints `path:line:column: message`, which editors can jump to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", self.place())]
#[non_exhaustive]
pub struct PolicyFileError {
    /// The file; `None` for text that came from none.
    pub path: Option<PathBuf>,
    /// The line, from 1; 0 where the mistake is in no line, such as a file that is missing.
    pub line: usize,
    /// The column in characters, from 1; 0 as above.
    pub column: usize,
    /// What is wrong, with the offending word, and what to write instead.
    pub message: String,
}

impl PolicyFileError {
    /// About a file as a whole.
    pub(crate) fn of_file(path: impl Into<PathBuf>, message: impl Into<String>) -> PolicyFileError {
        PolicyFileError { path: Some(path.into()), line: 0, column: 0, message: message.into() }
    }

    /// About no file in particular.
    pub(crate) fn of_none(message: impl Into<String>) -> PolicyFileError {
        PolicyFileError { path: None, line: 0, column: 0, message: message.into() }
    }

    fn place(&self) -> String {
        let path = self.path.as_ref().map(|path| format!("{}:", path.display())).unwrap_or_default();
        match (self.line, path.is_empty()) {
            (0, true) => String::new(),
            (0, false) => format!("{path} "),
            (line, _) => format!("{path}{line}:{}: ", self.column),
        }
    }
}

/// A mistake at an offset into a text.
#[derive(Debug)]
pub(crate) struct Mistake {
    at: usize,
    message: String,
}

impl Mistake {
    pub(crate) fn new(at: usize, message: impl Into<String>) -> Mistake {
        Mistake { at, message: message.into() }
    }

    pub(crate) fn at_start(message: &str) -> Mistake {
        Mistake::new(0, message)
    }

    pub(crate) fn in_source(self, source: &Source) -> PolicyFileError {
        let before = source.text.get(..self.at).unwrap_or(&source.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        PolicyFileError {
            path: source.path.clone(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message: self.message,
        }
    }
}

/// For functions that return `io::Result`.
impl From<PolicyFileError> for std::io::Error {
    fn from(error: PolicyFileError) -> std::io::Error {
        std::io::Error::new(std::io::ErrorKind::InvalidData, error)
    }
}
