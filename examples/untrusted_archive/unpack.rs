//! An unpacker as people write one: it believes what the archive says. Not to be copied.
//!
//! It joins names to the destination whatever is in them, makes links and devices, follows them, and asks for as much
//! memory as is said to be needed. (The crates' own `unpack` and `extract` are more careful.)

use flate2::read::GzDecoder;
use liblzma::read::XzDecoder;
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Cursor, Read, Seek, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};
use tar::EntryType;
use zip::ZipArchive;

/// What is listed of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    pub name: String,
    pub size: u64,
    pub is_executable: bool,
    /// The first line, read back from the disk.
    pub preview: Vec<u8>,
}

/// What an entry wants to be.
enum Content {
    Directory,
    File(Vec<u8>),
    SymbolicLink(String),
    HardLink(String),
    Node(FileType, u32, u32),
}

/// Unpacks a zip or tar archive, compressed or not, and lists what came out.
pub fn unpack(mut archive: File, dest: &Path) -> io::Result<Vec<Item>> {
    let mut unpacker = Unpacker { dest, names: Vec::new() };
    unpacker.any(&mut archive)?;
    unpacker.names.iter().map(|name| list(dest, name)).collect()
}

struct Unpacker<'a> {
    dest: &'a Path,
    names: Vec<String>,
}

impl Unpacker<'_> {
    fn any(&mut self, archive: &mut (impl Read + Seek)) -> io::Result<()> {
        let mut magic = Vec::new();
        archive.by_ref().take(6).read_to_end(&mut magic)?;
        archive.rewind()?;
        match magic.as_slice() {
            [b'P', b'K', ..] => self.zip(archive),
            [0x1f, 0x8b, ..] => self.tar(GzDecoder::new(archive)),
            b"\xfd7zXZ\0" => self.tar(XzDecoder::new(archive)),
            _ => self.tar(archive),
        }
    }

    fn zip(&mut self, archive: impl Read + Seek) -> io::Result<()> {
        let mut archive = ZipArchive::new(archive)?;
        for index in 0..archive.len() {
            let mut entry = archive.by_index(index)?;
            let (name, mode) = (entry.name()?.into_owned(), entry.unix_mode().unwrap_or(0o644));
            let (is_directory, is_link, size) = (entry.is_dir(), entry.is_symlink(), entry.size());
            let data = read(&mut entry, size)?;
            let content = match () {
                () if is_directory => Content::Directory,
                () if is_link => Content::SymbolicLink(String::from_utf8_lossy(&data).into_owned()),
                () => Content::File(data),
            };
            drop(entry);
            self.place(&name, mode, None, content)?;
        }
        Ok(())
    }

    fn tar(&mut self, archive: impl Read) -> io::Result<()> {
        for entry in tar::Archive::new(archive).entries()? {
            let mut entry = entry?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let target = entry.link_name_bytes().map(|name| String::from_utf8_lossy(&name).into_owned());
            let header = entry.header();
            let (mode, time) = (header.mode()?, Duration::from_secs(header.mtime()?));
            let device = (header.device_major()?.unwrap_or(0), header.device_minor()?.unwrap_or(0));
            let size = entry.size();
            let content = match entry.header().entry_type() {
                EntryType::Directory => Content::Directory,
                EntryType::Symlink => Content::SymbolicLink(target.unwrap_or_default()),
                EntryType::Link => Content::HardLink(target.unwrap_or_default()),
                EntryType::Char => Content::Node(FileType::CharacterDevice, device.0, device.1),
                EntryType::Block => Content::Node(FileType::BlockDevice, device.0, device.1),
                EntryType::Fifo => Content::Node(FileType::Fifo, 0, 0),
                _ => Content::File(read(&mut entry, size)?),
            };
            self.place(&name, mode, Some(time), content)?;
        }
        Ok(())
    }

    fn place(&mut self, name: &str, mode: u32, time: Option<Duration>, content: Content) -> io::Result<()> {
        // Archives made on Windows have them.
        let name = name.replace('\\', "/");
        let path = self.dest.join(&name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        match content {
            Content::Directory => fs::create_dir_all(&path)?,
            Content::File(data) if name.ends_with(".zip") => return self.any(&mut Cursor::new(data)),
            Content::File(data) => write(&path, mode, time, &data)?,
            Content::SymbolicLink(target) => symlink(target, &path)?,
            Content::HardLink(target) => fs::hard_link(self.dest.join(target), &path)?,
            Content::Node(kind, major, minor) => {
                mknodat(CWD, &path, kind, Mode::from_raw_mode(mode), makedev(major, minor))?;
            }
        }
        self.names.push(name);
        Ok(())
    }
}

fn read(entry: &mut impl Read, size: u64) -> io::Result<Vec<u8>> {
    let mut data = Vec::with_capacity(usize::try_from(size).map_err(io::Error::other)?);
    entry.read_to_end(&mut data)?;
    Ok(data)
}

/// Under another name first, so that nobody sees half a file.
fn write(path: &Path, mode: u32, time: Option<Duration>, data: &[u8]) -> io::Result<()> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    // The mode is given as the file is made, so that it has it also where it may not be changed.
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(mode & 0o777).open(&part)?;
    file.write_all(data)?;
    // What follows a sandbox refuses without `allow(metadata)`, which would open it for all files that can be reached.
    // No file is worse for having the mode that the umask leaves, and the time at which it was unpacked.
    drop(file.set_permissions(Permissions::from_mode(mode)));
    drop(time.map(|time| file.set_modified(UNIX_EPOCH + time)));
    fs::rename(&part, path)
}

/// Follows links, as everybody does who lists what a name is.
fn list(dest: &Path, name: &str) -> io::Result<Item> {
    let path = dest.join(name);
    let metadata = fs::metadata(&path)?;
    let mut preview = Vec::new();
    if metadata.is_file() {
        File::open(&path)?.take(64).read_to_end(&mut preview)?;
        preview.truncate(preview.iter().position(|byte| *byte == b'\n').unwrap_or(preview.len()));
    }
    let is_executable = metadata.permissions().mode() & 0o100 != 0;
    Ok(Item { name: name.to_owned(), size: metadata.len(), is_executable, preview })
}
