//! What an observer has seen, in memory that the observed can read and nobody but the observer write.
//!
//! Each different refusal is there once, with how often it came and when it came last. There are bounds: what is beyond
//! them is counted.

use crate::denial::{By, Denial, Object};
use crate::registry::Function;
use crate::sys::plain::Buffer;
use crate::sys::shared::{Mapping, Ordering, memory_file, seal_against_others};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// How much memory it can take, in bytes.
pub(crate) const LENGTH: usize = 1 << 20;
/// How many different refusals there can be.
const MOST: usize = 1000;

/// How many different missing files there can be, and how many bytes of them: programs look for much that is not there, and
/// refusals have the rest.
const MOST_MISSING: usize = MOST / 2;
const MISSING_BYTES: usize = (LENGTH - BYTES) / 2;

/// How many refusals came so far.
const TURN: usize = 0;
/// How many different ones are there.
const ENTRIES: usize = 8;
/// How many came for which there was no room.
const LEFT_OUT: usize = 16;
/// How many bytes say why not all can be seen; 0 if it can.
const FAILURE: usize = 24;
/// A bit for each grant that was used.
const USED: usize = 32;
/// How many grants can be looked at.
pub(super) const MOST_GRANTS: usize = (PROCESS - USED) * 8;
/// The process that is observed.
const PROCESS: usize = 64;
/// Whether what the filter refuses is seen, if not all is.
const LISTENS: usize = 72;
/// Of each: how often it came, its last turn, where its bytes begin and how many they are.
const TABLE: usize = 128;
const ROW: usize = 32;
const BYTES: usize = TABLE + MOST * ROW;

/// A refusal, as it is seen: whose it is the reader knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) operation: String,
    pub(crate) call: String,
    pub(crate) object: Object,
    pub(crate) errno: i32,
    pub(crate) by: By,
    pub(crate) grant: Option<String>,
    pub(crate) note: Option<String>,
}

impl Seen {
    pub(crate) fn of(self, function: &Function, count: u64) -> Denial {
        self.named(function.name, &super::place(function), count)
    }

    pub(super) fn named(self, function: &str, place: &str, count: u64) -> Denial {
        let Seen { operation, call, object, errno, by, grant, note } = self;
        let (function, place) = (function.into(), place.into());
        Denial { function, place, operation, call, object, errno, by, count, grant, note }
    }
}

/// What cannot be seen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Unseen {
    /// All but what the filter refuses; else all.
    pub(crate) but_filter: bool,
    /// All but what the kernel records of Landlock's refusals.
    pub(crate) but_records: bool,
    pub(crate) why: String,
}

impl Unseen {
    /// Nothing can be seen.
    pub(crate) fn all(why: String) -> Unseen {
        Unseen { but_filter: false, but_records: false, why }
    }
}

/// For people, after the name of who is observed.
impl std::fmt::Display for Unseen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Unseen { but_filter, but_records, why } = self;
        f.write_str(match (but_filter, but_records) {
            (true, false) => {
                "may not be traced, so what Landlock, limits and file permissions refuse is not seen; what its filter \
                 refuses is, mostly without paths"
            }
            (true, true) => {
                "may not be traced, so what limits and file permissions refuse is not seen; what its filter refuses \
                 is, mostly without paths, and what Landlock refuses by the kernel's audit records"
            }
            (false, true) => "may not be traced, so only what Landlock refuses is seen, by the kernel's audit records",
            (false, false) => "runs unobserved, so what it is denied is not seen",
        })?;
        write!(f, ": {why}")
    }
}

/// The observer's side.
pub(crate) struct Writer {
    memory: Mapping,
    known: HashMap<Seen, usize>,
    end: usize,
    /// How many of them are missing files, and the bytes of those.
    missing: (usize, usize),
}

impl Writer {
    /// Of a file that [`file`] made. From now on nobody else can write it.
    pub(crate) fn new(file: &OwnedFd) -> Result<Writer, Errno> {
        let memory = Mapping::for_writing(file.as_fd(), LENGTH)?;
        seal_against_others(file)?;
        Ok(Writer { memory, known: HashMap::new(), end: BYTES, missing: (0, 0) })
    }

    /// Takes note of a refusal; says whether it is a new one.
    pub(crate) fn add(&mut self, seen: &Seen) -> bool {
        let turn = self.memory.u64(TURN).fetch_add(1, Ordering::AcqRel) + 1;
        let (index, is_new) = match self.known.get(seen) {
            Some(index) => (*index, false),
            None => match self.append(seen) {
                Some(index) => (index, true),
                None => {
                    self.memory.u64(LEFT_OUT).fetch_add(1, Ordering::AcqRel);
                    return false;
                }
            },
        };
        let row = TABLE + index * ROW;
        self.memory.u64(row).fetch_add(1, Ordering::AcqRel);
        self.memory.u64(row + 8).store(turn, Ordering::Release);
        if is_new {
            self.memory.u64(ENTRIES).store(index as u64 + 1, Ordering::Release);
        }
        is_new
    }

    fn append(&mut self, seen: &Seen) -> Option<usize> {
        let index = self.known.len();
        let bytes = postcard::to_allocvec(seen).ok()?;
        if index >= MOST || bytes.len() > LENGTH - self.end {
            return None;
        }
        if seen.by == By::Missing {
            let (count, length) = (self.missing.0 + 1, self.missing.1 + bytes.len());
            if count > MOST_MISSING || length > MISSING_BYTES {
                return None;
            }
            self.missing = (count, length);
        }
        let row = TABLE + index * ROW;
        self.memory.write(self.end, &bytes);
        self.memory.u64(row + 16).store(self.end as u64, Ordering::Release);
        self.memory.u64(row + 24).store(bytes.len() as u64, Ordering::Release);
        self.end += bytes.len();
        self.known.insert(seen.clone(), index);
        Some(index)
    }

    /// Takes note that a grant was used, by its place among them.
    pub(crate) fn note_use(&mut self, grant: usize) {
        if grant < MOST_GRANTS {
            self.memory.u64(USED + grant / 64 * 8).fetch_or(1 << (grant % 64), Ordering::AcqRel);
        }
    }

    /// Takes note of who is observed.
    pub(crate) fn note_process(&mut self, process: i32) {
        self.memory.u64(PROCESS).store(process.unsigned_abs().into(), Ordering::Release);
    }

    /// Says why nothing can be seen, ahead of all else.
    pub(crate) fn fail(&mut self, why: &str) {
        let bytes = &why.as_bytes()[..why.len().min(LENGTH - BYTES)];
        self.memory.write(BYTES, bytes);
        self.end = BYTES + bytes.len();
        self.memory.u64(FAILURE).store(bytes.len() as u64, Ordering::Release);
    }

    /// Says that what the filter refuses is seen nevertheless.
    pub(crate) fn listens(&mut self) {
        self.memory.u64(LISTENS).store(1, Ordering::Release);
    }

    /// All, with how often each came.
    pub(crate) fn all(&self) -> Vec<(Seen, u64)> {
        read(&self.memory, 0)
    }
}

/// Memory for a report.
pub(crate) fn file() -> Result<OwnedFd, Errno> {
    memory_file(c"sandboxed-denials", LENGTH)
}

/// The other side.
#[derive(Debug)]
pub(crate) struct Reader {
    memory: Mapping,
}

impl Reader {
    pub(crate) fn new(file: BorrowedFd<'_>) -> Result<Reader, Errno> {
        Ok(Reader { memory: Mapping::for_reading(file, LENGTH)? })
    }

    /// How many refusals came so far.
    pub(crate) fn turn(&self) -> u64 {
        self.memory.u64(TURN).load(Ordering::Acquire)
    }

    /// What came after a turn, in the order of the last time, with how often it came in all.
    pub(crate) fn since(&self, turn: u64) -> Vec<(Seen, u64)> {
        read(&self.memory, turn)
    }

    /// The process that is observed, as its observer knows it.
    pub(crate) fn process(&self) -> Option<i32> {
        i32::try_from(self.memory.u64(PROCESS).load(Ordering::Acquire)).ok().filter(|process| *process > 0)
    }

    /// Whether a grant was used.
    pub(crate) fn is_used(&self, grant: usize) -> bool {
        let bits = || self.memory.u64(USED + grant / 64 * 8).load(Ordering::Acquire);
        grant >= MOST_GRANTS || bits() >> (grant % 64) & 1 == 1
    }

    /// Why not all could be seen, if it could not.
    pub(crate) fn failure(&self) -> Option<Unseen> {
        let length = usize::try_from(self.memory.u64(FAILURE).load(Ordering::Acquire)).unwrap_or(0);
        let mut bytes = Buffer::new(1);
        self.memory.append_to(BYTES, length.min(LENGTH - BYTES), &mut bytes);
        let but_filter = self.memory.u64(LISTENS).load(Ordering::Acquire) == 1;
        let why = || String::from_utf8_lossy(&bytes).into_owned();
        (length > 0).then(|| Unseen { but_filter, ..Unseen::all(why()) })
    }

    /// How many there was no room for.
    pub(crate) fn left_out(&self) -> u64 {
        self.memory.u64(LEFT_OUT).load(Ordering::Acquire)
    }
}

fn read(memory: &Mapping, since: u64) -> Vec<(Seen, u64)> {
    let word = |offset| memory.u64(offset).load(Ordering::Acquire);
    let entries = usize::try_from(word(ENTRIES)).unwrap_or(0).min(MOST);
    let mut found: Vec<(u64, Seen, u64)> = (0..entries)
        .filter_map(|index| {
            let row = TABLE + index * ROW;
            let [start, length] =
                [word(row + 16), word(row + 24)].map(|word| usize::try_from(word).unwrap_or(usize::MAX));
            let inside = start >= BYTES && start.checked_add(length).is_some_and(|end| end <= LENGTH);
            let mut bytes = Buffer::new(1);
            if inside && word(row + 8) > since {
                memory.append_to(start, length, &mut bytes);
            }
            Some((word(row + 8), postcard::from_bytes(&bytes).ok()?, word(row)))
        })
        .collect();
    found.sort_by_key(|(last, ..)| *last);
    found.into_iter().map(|(_, seen, count)| (seen, count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(path: &str) -> Seen {
        Seen {
            operation: "read_file".into(),
            call: "openat".into(),
            object: Object::Path(path.into()),
            errno: libc::EACCES,
            by: By::Landlock,
            grant: None,
            note: None,
        }
    }

    #[test]
    fn each_is_there_once_and_counted() {
        let file = file().unwrap();
        let mut writer = Writer::new(&file).unwrap();
        let reader = Reader::new(file.as_fd()).unwrap();
        assert!(reader.since(0).is_empty());
        assert!(writer.add(&seen("/a")));
        assert!(writer.add(&seen("/b")));
        let turn = reader.turn();
        assert!(!writer.add(&seen("/a")));
        assert_eq!(reader.since(0), [(seen("/b"), 1), (seen("/a"), 2)]);
        assert_eq!(reader.since(turn), [(seen("/a"), 2)]);
        assert_eq!(writer.all(), reader.since(0));
    }

    #[test]
    fn what_there_is_no_room_for_is_counted() {
        let file = file().unwrap();
        let mut writer = Writer::new(&file).unwrap();
        let reader = Reader::new(file.as_fd()).unwrap();
        for number in 0..2 * MOST {
            writer.add(&seen(&format!("/{number}")));
        }
        assert_eq!((reader.since(0).len(), reader.left_out()), (MOST, MOST as u64));
        let long = "x".repeat(LENGTH);
        assert!(!writer.add(&seen(&long)));
        assert_eq!(reader.turn(), 2 * MOST as u64 + 1);
    }

    #[test]
    fn missing_files_leave_room_for_refusals() {
        let missing = |number: usize, length: usize| {
            let path = format!("/{number}/{}", "x".repeat(length));
            Seen { by: By::Missing, errno: libc::ENOENT, ..seen(&path) }
        };
        for length in [1, 4000] {
            let file = file().unwrap();
            let mut writer = Writer::new(&file).unwrap();
            let reader = Reader::new(file.as_fd()).unwrap();
            for number in 0..MOST {
                writer.add(&missing(number, length));
            }
            let kept = reader.since(0).len();
            assert!((100..=MOST_MISSING).contains(&kept), "{kept}");
            assert_eq!(reader.left_out(), (MOST - kept) as u64);
            assert!((0..MOST / 2).all(|number| writer.add(&seen(&format!("/{number}")))));
        }
    }

    #[test]
    fn what_is_used_is_noted() {
        let file = file().unwrap();
        let mut writer = Writer::new(&file).unwrap();
        let reader = Reader::new(file.as_fd()).unwrap();
        for grant in [0, 63, 64, 255, 256] {
            assert_eq!(reader.is_used(grant), grant == 256, "beyond the last nothing is known");
            writer.note_use(grant);
            assert!(reader.is_used(grant));
        }
        assert!(!reader.is_used(1) && reader.since(0).is_empty());
    }

    #[test]
    fn nobody_but_the_observer_can_write() {
        let file = file().unwrap();
        let _writer = Writer::new(&file).unwrap();
        assert_eq!(Mapping::for_writing(file.as_fd(), LENGTH).err(), Some(Errno::PERM));
        assert_eq!(rustix::io::pwrite(&file, &[1], 0), Err(Errno::PERM));
    }
}
