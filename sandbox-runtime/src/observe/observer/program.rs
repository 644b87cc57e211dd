//! What runs a program: the interpreter that its first line names, or the loader that its ELF header does.
//!
//! <https://man7.org/linux/man-pages/man5/elf.5.html>, "Interpreter scripts" in `execve(2)`

use super::path::Found;
use rustix::fs::OFlags;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;

/// So much of a first line counts (`BINPRM_BUF_SIZE`).
const START: usize = 256;
const HEADER: usize = 64;
const ENTRY: usize = 56;
/// More than any linker makes.
const MOST_ENTRIES: usize = 128;
const PT_INTERP: u32 = 3;

/// As the program names it. `None` also for one that may be run and not read.
pub(super) fn run_by(program: &Found) -> Option<OsString> {
    named_in(&File::from(program.open(OFlags::RDONLY)?.ok()?))
}

fn named_in(program: &File) -> Option<OsString> {
    let start = read(program, 0, START).ok()?;
    let name = match start.strip_prefix(b"#!") {
        Some(line) => in_first_line(line)?.to_vec(),
        None => in_elf(program, &start)?,
    };
    (!name.is_empty()).then(|| OsString::from_vec(name))
}

// Input: ` /bin/sh -e\n`
// Output: `/bin/sh`
fn in_first_line(line: &[u8]) -> Option<&[u8]> {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let line = line.split(|byte| matches!(byte, b'\n' | 0)).next()?;
    line.split(is_blank).find(|word| !word.is_empty())
}

/// Of a 64-bit one, in the byte order of this machine.
fn in_elf(program: &File, start: &[u8]) -> Option<Vec<u8>> {
    const CLASS_64: u8 = 2;
    let header = start.get(..HEADER).filter(|header| header.starts_with(b"\x7fELF"))?;
    let [class, entry_size, entries] = [header[4].into(), half(header, 54)?, half(header, 56)?];
    if class != u16::from(CLASS_64) || usize::from(entry_size) != ENTRY {
        return None;
    }
    let table = read(program, word(header, 32)?, usize::from(entries).min(MOST_ENTRIES) * ENTRY).ok()?;
    let mut entries = table.chunks_exact(ENTRY);
    let entry = entries.find(|entry| entry.starts_with(&PT_INTERP.to_ne_bytes()))?;
    let length =
        usize::try_from(word(entry, 32)?).ok().filter(|length| *length <= libc::PATH_MAX as usize)?;
    let name = read(program, word(entry, 8)?, length).ok()?;
    Some(name.split(|byte| *byte == 0).next()?.to_vec())
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// So many bytes, or those up to the end.
fn read(file: &File, at: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let read = file.read_at(&mut bytes, at)?;
    bytes.truncate(read);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(bytes: &[u8]) -> Option<String> {
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, bytes).unwrap();
        named_in(&file).map(|name| name.into_string().unwrap())
    }

    #[test]
    fn a_first_line_names_its_interpreter() {
        for (line, expected) in [
            ("#!/bin/sh\necho", Some("/bin/sh")),
            ("#! \t/usr/bin/env -S python3\n", Some("/usr/bin/env")),
            ("#!/bin/sh", Some("/bin/sh")),
            ("#!\n/bin/sh", None),
            ("#!", None),
            ("/bin/sh", None),
            ("", None),
        ] {
            assert_eq!(named(line.as_bytes()).as_deref(), expected, "{line:?}");
        }
        let long = format!("#!/{}", "x".repeat(4096));
        assert_eq!(named(long.as_bytes()).unwrap().len(), START - 2);
    }

    /// A header, with one entry behind it that says where the name is.
    fn elf(offset: u64, length: u64, name: &str) -> Vec<u8> {
        let mut bytes = vec![0; HEADER + ENTRY];
        bytes[..5].copy_from_slice(b"\x7fELF\x02");
        bytes[32..40].copy_from_slice(&(HEADER as u64).to_ne_bytes());
        bytes[54..56].copy_from_slice(&(ENTRY as u16).to_ne_bytes());
        bytes[56..58].copy_from_slice(&1_u16.to_ne_bytes());
        let entry = &mut bytes[HEADER..];
        entry[..4].copy_from_slice(&PT_INTERP.to_ne_bytes());
        entry[8..16].copy_from_slice(&offset.to_ne_bytes());
        entry[32..40].copy_from_slice(&length.to_ne_bytes());
        bytes.extend_from_slice(name.as_bytes());
        // Of all of it the first part is read ahead.
        bytes.resize(bytes.len().max(START), 0);
        bytes
    }

    #[test]
    fn a_header_names_its_loader() {
        let at = (HEADER + ENTRY) as u64;
        assert_eq!(named(&elf(at, 9, "/lib/ld.\0junk")).as_deref(), Some("/lib/ld."));
        let this = File::open("/proc/self/exe").unwrap();
        if let Some(loader) = named_in(&this) {
            assert!(std::path::Path::new(&loader).exists(), "{loader:?}");
        }
    }

    #[test]
    fn a_header_that_lies_names_nothing() {
        let at = (HEADER + ENTRY) as u64;
        for lie in
            [elf(u64::MAX, 9, "/lib"), elf(at, u64::MAX, "/lib"), elf(1 << 40, 9, "/lib"), elf(at, 0, "/lib")]
        {
            assert_eq!(named(&lie), None);
        }
        let whole = elf(at, 9, "/lib/ld.\0");
        for length in 0..HEADER + ENTRY {
            assert_eq!(named(&whole[..length]), None, "{length}");
        }
        let with = |at: usize, byte: u8| {
            let mut bytes = whole.clone();
            bytes[at] = byte;
            named(&bytes)
        };
        assert_eq!(with(4, 1), None, "32 bits");
        assert_eq!(with(54, 1), None, "entries of another size");
        assert_eq!(with(56, 0), None, "none");
    }
}
