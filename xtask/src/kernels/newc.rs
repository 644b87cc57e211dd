//! Archives as the kernel unpacks them at boot: cpio in the format `newc`.
//!
//! <https://docs.kernel.org/driver-api/early-userspace/buffer-format.html>

use std::collections::BTreeSet;
use std::io::{Result, Write};
use std::path::{Path, PathBuf};

const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;

/// An archive that is being written. All belongs to root.
pub struct Archive<W: Write> {
    out: W,
    length: usize,
    entries: u32,
    there: BTreeSet<PathBuf>,
}

impl<W: Write> Archive<W> {
    pub fn new(out: W) -> Archive<W> {
        Archive { out, length: 0, entries: 0, there: BTreeSet::new() }
    }

    /// A directory and those above it, unless they are there.
    pub fn directory(&mut self, path: &Path, permissions: u32) -> Result<()> {
        if path.parent().is_none() || self.there.contains(path) {
            return Ok(());
        }
        self.parents(path)?;
        self.entry(path, DIRECTORY | permissions, &[])
    }

    /// A file, unless it is there.
    pub fn file(&mut self, path: &Path, permissions: u32, content: &[u8]) -> Result<()> {
        if self.there.contains(path) {
            return Ok(());
        }
        self.parents(path)?;
        self.entry(path, FILE | permissions, content)
    }

    pub fn symlink(&mut self, path: &Path, target: &str) -> Result<()> {
        self.parents(path)?;
        self.entry(path, SYMLINK | 0o777, target.as_bytes())
    }

    fn parents(&mut self, path: &Path) -> Result<()> {
        path.parent().map_or(Ok(()), |parent| self.directory(parent, 0o755))
    }

    fn entry(&mut self, path: &Path, mode: u32, content: &[u8]) -> Result<()> {
        self.there.insert(path.to_owned());
        // The kernel takes names from the root of its own file system.
        self.record(path.strip_prefix("/").unwrap_or(path).as_os_str().as_encoded_bytes(), mode, content)
    }

    fn record(&mut self, name: &[u8], mode: u32, content: &[u8]) -> Result<()> {
        self.entries += 1;
        let content_length = u32::try_from(content.len()).map_err(std::io::Error::other)?;
        let name_length = u32::try_from(name.len() + 1).map_err(std::io::Error::other)?;
        let [user, group, links, time, device] = [0, 0, 1, 0, 0];
        let numbers = [
            self.entries,
            mode,
            user,
            group,
            links,
            time,
            content_length,
            device,
            device,
            device,
            device,
            name_length,
            0, // no check sum in this format
        ];
        let mut header = b"070701".to_vec();
        for number in numbers {
            write!(header, "{number:08X}")?;
        }
        header.extend_from_slice(name);
        header.push(0);
        self.padded(&header)?;
        self.padded(content)
    }

    fn padded(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes)?;
        self.length += bytes.len();
        let padding = self.length.next_multiple_of(4) - self.length;
        self.length += padding;
        self.out.write_all(&[0; 3][..padding])
    }

    /// Writes the end.
    pub fn finish(mut self) -> Result<W> {
        self.record(b"TRAILER!!!", 0, &[])?;
        Ok(self.out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(archive: &[u8]) -> Vec<(String, u32, String)> {
        let number = |at: usize| {
            usize::from_str_radix(std::str::from_utf8(&archive[at..at + 8]).unwrap(), 16).unwrap()
        };
        let (mut at, mut found) = (0, Vec::new());
        while at < archive.len() {
            assert_eq!(&archive[at..at + 6], b"070701");
            let (mode, content, name) = (number(at + 14), number(at + 54), number(at + 94));
            let text = |from: usize, to: usize| String::from_utf8(archive[from..to].to_vec()).unwrap();
            let start = (at + 110 + name).next_multiple_of(4);
            found.push((
                text(at + 110, at + 110 + name - 1),
                u32::try_from(mode).unwrap(),
                text(start, start + content),
            ));
            at = (start + content).next_multiple_of(4);
        }
        found
    }

    #[test]
    fn what_is_written_is_there_once_with_the_directories_above() {
        let mut archive = Archive::new(Vec::new());
        archive.file(Path::new("/a/b/file"), 0o644, b"12345").unwrap();
        archive.file(Path::new("/a/b/file"), 0o644, b"again").unwrap();
        archive.directory(Path::new("/a/b"), 0o700).unwrap();
        archive.symlink(Path::new("/a/link"), "b/file").unwrap();
        archive.directory(Path::new("/tmp"), 0o1777).unwrap();
        let written = archive.finish().unwrap();
        let expected = [
            ("a", 0o040_755, ""),
            ("a/b", 0o040_755, ""),
            ("a/b/file", 0o100_644, "12345"),
            ("a/link", 0o120_777, "b/file"),
            ("tmp", 0o041_777, ""),
            ("TRAILER!!!", 0, ""),
        ];
        assert_eq!(names(&written), expected.map(|(name, mode, text)| (name.into(), mode, text.into())));
    }
}
