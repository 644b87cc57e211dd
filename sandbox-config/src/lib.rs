//! The policy files of the crate `sandboxed`: the format of [landlockconfig], TOML or JSON, read into plain data.
//! The runtime and the attribute's macro read them with the same code, so they mean the same to both.
//!
//! | read for | module |
//! |---|---|
//! | a file's bytes, bounded | `read::source` |
//! | text to a tree that knows where each value stands | `read::node`, `read::toml`, `read::json` |
//! | the tree to what it says | `read::document`, with `read::words` and `read::template` |
//! | what it says, and what that leaves open | `config` |
//! | the way back | `write` |
//!
//! What the format means here is said where users look for it, at `Policy::from_file`.
//!
//! [landlockconfig]: https://github.com/landlock-lsm/landlockconfig

#![forbid(unsafe_code)]

mod config;
mod rights;
mod spelling;
mod write;

pub use config::{Config, Grants};
pub use rights::{Kind, NEWEST_ABI, Right};
pub use spelling::nearest;
pub use write::{LONGEST_PATH, MOST_BYTES, MOST_PATHS, Unwritable, quoted, to_toml};

#[cfg(feature = "read")]
mod read;
#[cfg(feature = "read")]
pub use read::{Format, PolicyFileError, Source, read};
