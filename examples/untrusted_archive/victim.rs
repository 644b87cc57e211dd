//! A place of its own for each archive, with things around it that an archive may be after.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// What nobody but its owner should read.
pub const SECRET: &str = "the password is swordfish";

/// A directory: `home` with files to change and to read, `inbox/unpacked` for the archive.
pub struct Victim {
    root: PathBuf,
    before: BTreeMap<PathBuf, String>,
}

impl Victim {
    /// Makes the directory, which must not be there.
    pub fn new(root: PathBuf) -> io::Result<Victim> {
        fs::create_dir_all(root.join("inbox/unpacked"))?;
        fs::create_dir(root.join("home"))?;
        fs::write(root.join("home/.profile"), "umask 022\n")?;
        fs::write(root.join("home/secret"), SECRET)?;
        let before = tree(&root, &root.join("inbox/unpacked"))?;
        Ok(Victim { root, before })
    }

    pub fn dest(&self) -> PathBuf {
        self.root.join("inbox/unpacked")
    }

    /// What is no more as it was, outside of the destination.
    pub fn changes(&self) -> io::Result<Vec<PathBuf>> {
        let after = tree(&self.root, &self.dest())?;
        let paths = self.before.keys().chain(after.keys().filter(|path| !self.before.contains_key(*path)));
        Ok(paths.filter(|path| self.before.get(*path) != after.get(*path)).cloned().collect())
    }

    /// What is in the destination.
    pub fn unpacked(&self) -> io::Result<BTreeMap<PathBuf, Metadata>> {
        let mut found = BTreeMap::new();
        walk(&self.dest(), &mut |path, metadata| {
            found.insert(relative(path, &self.dest()), metadata);
            Ok(true)
        })?;
        Ok(found)
    }
}

/// What is dangerous about a file whatever is in it.
pub fn danger(metadata: &Metadata) -> Option<&'static str> {
    let kind = metadata.file_type();
    match () {
        () if kind.is_char_device() || kind.is_block_device() => Some("device"),
        () if kind.is_fifo() => Some("FIFO"),
        () if kind.is_symlink() => Some("symbolic link"),
        () if kind.is_file() && metadata.mode() & 0o6000 != 0 => Some("set-user-ID program"),
        () => None,
    }
}

/// Kind, mode and content of all files but those below `except`.
fn tree(root: &Path, except: &Path) -> io::Result<BTreeMap<PathBuf, String>> {
    let mut found = BTreeMap::new();
    walk(root, &mut |path, metadata| {
        let content = if metadata.is_file() { fs::read_to_string(path)? } else { String::new() };
        found.insert(relative(path, root), format!("{:o} {content}", metadata.mode()));
        Ok(path != except)
    })?;
    Ok(found)
}

fn relative(path: &Path, root: &Path) -> PathBuf {
    path.strip_prefix(root).unwrap_or(path).to_owned()
}

/// Visits all that is below, links not followed; below a directory if the visitor says so.
fn walk(directory: &Path, visit: &mut impl FnMut(&Path, Metadata) -> io::Result<bool>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        let is_directory = metadata.is_dir();
        if visit(&entry.path(), metadata)? && is_directory {
            walk(&entry.path(), visit)?;
        }
    }
    Ok(())
}
