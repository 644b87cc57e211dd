//! `Bytes`: without a copy where it is promised, by a copy where a worker is not to be trusted.

#[path = "support/processes.rs"]
mod processes;
mod support;
#[path = "support/sys.rs"]
mod sys;

use sandboxed::{Bytes, BytesMut, Error, sandboxed};
use serde::{Deserialize, Serialize};
use std::sync::Mutex;
use support::in_child;

const MIB: usize = 1 << 20;

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|number| (number % 251) as u8).collect()
}

fn reversed(bytes: &[u8]) -> Bytes {
    let mut reversed = BytesMut::zeroed(bytes.len());
    assert!(reversed.iter().all(|byte| *byte == 0));
    reversed.iter_mut().zip(bytes.iter().rev()).for_each(|(to, from)| *to = *from);
    reversed.freeze()
}

/// What the mapping that holds these bytes is of.
fn mapping_of(bytes: &[u8]) -> String {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let start = bytes.as_ptr().addr();
    let holds = |line: &&str| {
        let range = line.split(' ').next().and_then(|range| range.split_once('-')).unwrap();
        let [from, to] = [range.0, range.1].map(|end| usize::from_str_radix(end, 16).unwrap());
        (from..to).contains(&start)
    };
    maps.lines().find(holds).unwrap().to_owned()
}

#[sandboxed(memory = "unlimited")]
fn reverse(bytes: Bytes) -> Result<Bytes, Error> {
    Ok(reversed(&bytes))
}

#[sandboxed(workers(reuse = 1000))]
fn reverse_again(bytes: &Bytes) -> Result<Bytes, Error> {
    Ok(reversed(bytes))
}

#[test]
fn bytes_of_every_length_cross() {
    let most = 64 * MIB;
    for length in [0, 1, 4096, 65_535, 65_536, 65_537, 3 * MIB + 17, most + 1] {
        let bytes = pattern(length);
        let sent = Bytes::from(&bytes[..]);
        let got = [reverse(sent.clone()).unwrap(), reverse_again(&sent).unwrap()];
        for got in got {
            assert!(got.iter().eq(bytes.iter().rev()), "{length}");
            // What was a result is an argument.
            assert!(reverse(got).unwrap() == bytes, "{length}");
        }
    }
}

#[sandboxed(read = "/proc")]
fn mapping_of_argument(bytes: &Bytes) -> Result<String, Error> {
    Ok(mapping_of(bytes))
}

#[test]
fn long_bytes_are_mapped_on_both_sides() {
    for length in [65_536, MIB + 1] {
        let bytes = Bytes::from(pattern(length));
        let there = mapping_of_argument(&bytes).unwrap();
        assert!(there.contains(" r--p ") && there.contains("/memfd:sandboxed-bytes"), "{there}");
        let here = mapping_of(&reverse_again(&bytes).unwrap());
        assert!(here.contains(" r--p ") && here.contains("/memfd:sandboxed-result"), "{here}");
    }
    let short = Bytes::from(pattern(65_535));
    assert!(!mapping_of(&short).contains("memfd"));
    assert!(!mapping_of_argument(&short).unwrap().contains("memfd"));
}

/// As the host, or a thread in it, calls it: there is no file, and none is needed.
#[sandboxed(thread)]
fn reverse_in_thread(bytes: &Bytes) -> Result<Bytes, Error> {
    Ok(reversed(bytes))
}

#[test]
fn bytes_are_bytes_without_a_worker() {
    let bytes = Bytes::from(pattern(MIB));
    assert_eq!(reverse_in_thread(&bytes).unwrap(), reversed(&bytes));
    assert_eq!(reversed(&reversed(&bytes)), bytes);
    assert_eq!(Bytes::from(BytesMut::zeroed(2)), [0, 0][..]);
    assert_eq!(Bytes::new(), "");
    assert_eq!(format!("{:?}", Bytes::from(&b"a\xff\""[..])), r#"b"a\xff\"""#);
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Picture {
    name: String,
    pixels: Bytes,
}

type Parts = (u8, Option<Bytes>, Vec<Bytes>);

#[sandboxed]
fn parts(parts: Parts) -> Result<Parts, Error> {
    let (number, one, many) = parts;
    Ok((number + 1, one.map(|bytes| reversed(&bytes)), many.iter().map(|bytes| reversed(bytes)).collect()))
}

#[sandboxed]
fn inverted(picture: &Picture, mask: &mut Bytes) -> Result<Picture, std::io::Error> {
    let pixels = picture.pixels.iter().zip(&mask[..]).map(|(pixel, mask)| pixel ^ mask).collect::<Vec<u8>>();
    *mask = reversed(mask);
    Ok(Picture { name: picture.name.clone(), pixels: pixels.into() })
}

#[test]
fn bytes_cross_within_other_types() {
    let bytes = Bytes::from(pattern(100_000));
    // More than there may be descriptors of them.
    let many = vec![bytes.clone(); 100];
    // Several times: a worker that has written everything may have ended when the host has read a part.
    for _ in 0..10 {
        let (number, one, many) = parts((1, Some(bytes.clone()), many.clone())).unwrap();
        assert_eq!((number, one), (2, Some(reversed(&bytes))));
        assert!(many.len() == 100 && many.iter().all(|one| *one == reversed(&bytes)));
    }
    let picture = Picture { name: "grey".into(), pixels: bytes.clone() };
    let mut mask = bytes.clone();
    let black = inverted(&picture, &mut mask).unwrap();
    assert_eq!(black, Picture { name: "grey".into(), pixels: vec![0; 100_000].into() });
    assert_eq!(mask, reversed(&bytes));
}

#[sandboxed]
fn outer(bytes: &Bytes) -> Result<Bytes, Error> {
    let inner = reverse(bytes.clone())?;
    // What the inner call wrote is an argument, then a result of the outer one.
    assert_eq!(reverse(inner.clone())?, *bytes);
    Ok(inner)
}

#[test]
fn bytes_cross_within_a_worker() {
    let bytes = Bytes::from(pattern(MIB));
    assert_eq!(outer(&bytes).unwrap(), reversed(&bytes));
}

static KEPT: Mutex<Option<Bytes>> = Mutex::new(None);

/// Returns what the call before it kept, if any.
#[sandboxed(workers(reuse = 1000, max = 1))]
fn kept(byte: u8) -> Result<(u32, Bytes), Error> {
    let mut bytes = BytesMut::zeroed(MIB);
    bytes.fill(byte);
    let bytes = bytes.freeze();
    let kept = KEPT.lock().unwrap().replace(bytes.clone());
    Ok((std::process::id(), kept.unwrap_or(bytes)))
}

#[test]
fn a_result_stays_what_it_was_on_both_sides() {
    in_child("a_result_stays_what_it_was_on_both_sides", || {
        let results: Vec<(u32, Bytes)> = [1, 2, 3, 4].map(|byte| kept(byte).unwrap()).into();
        assert!(results.iter().all(|result| result.0 == results[0].0), "one worker serves them all");
        for ((_, bytes), byte) in results.iter().zip([1, 1, 2, 3]) {
            assert_eq!(bytes.len(), MIB);
            assert!(bytes.iter().all(|found| *found == byte), "{byte}");
        }
    });
}

#[sandboxed(workers(reuse = 1000, max = 1), memory = "64MiB")]
fn worker(bytes: &Bytes, result: usize) -> Result<(u32, Bytes), Error> {
    Ok((std::process::id(), reversed(&bytes[..result])))
}

#[test]
fn a_worker_keeps_no_more_than_its_memory_in_files() {
    in_child("a_worker_keeps_no_more_than_its_memory_in_files", || {
        let bytes = Bytes::from(pattern(4 * MIB));
        let calls = |bytes: &Bytes, result: usize| {
            let first = worker(bytes, result).unwrap().0;
            (1..100).take_while(|_| worker(bytes, result).unwrap().0 == first).count() + 1
        };
        // The file for a result counts whether or not the result is there: the worker may write to it later.
        assert_eq!(calls(&bytes, 1), 9, "as argument");
        // By a worker that has had the last call already.
        assert_eq!(calls(&bytes, 4 * MIB), 8, "as argument and result");
        assert_eq!(calls(&Bytes::from(&bytes[..1]), 1), 15, "in the message");
    });
}

/// What a worker does with the file for its result, in which it returns ones.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Attack {
    Nothing,
    KeepsMapping,
    Seals,
    SealsAgainstSeals,
    WritesMore,
    /// To the file of the call before, in every way that is left.
    WritesLater,
}

/// Where the file of the call before is mapped, and its number.
static BEFORE: Mutex<Option<(usize, i32)>> = Mutex::new(None);
const KEPT_NUMBER: i32 = 100;

/// Tells the process, and the errno of a write to the file of the call before.
#[sandboxed(workers(reuse = 1000, max = 1))]
fn attack(attack: Attack) -> Result<(u32, Option<i32>, Bytes), Error> {
    let before = BEFORE.lock().unwrap().take();
    let mut errno = None;
    if let (Attack::WritesLater, Some((mapping, file))) = (attack, before) {
        if mapping != 0 {
            sys::fill((std::ptr::with_exposed_provenance_mut(mapping), MIB), 9);
        }
        errno = sys::write_at(file, &[9; 100], 0).err();
        sys::close(file);
    }
    let [file] = sys::writable_memory_files()[..] else { panic!("not one file for the result") };
    sys::duplicate(file, KEPT_NUMBER);
    let mapping = match attack {
        Attack::KeepsMapping => sys::map_file(file, MIB).0.expose_provenance(),
        _ => 0,
    };
    *BEFORE.lock().unwrap() = Some((mapping, KEPT_NUMBER));
    if attack == Attack::WritesMore {
        for offset in [8 << 20, (1 << 20) + 5000] {
            sys::write_at(file, &[9; 100], offset).unwrap();
        }
    }
    let mut bytes = BytesMut::zeroed(MIB - 1);
    bytes.fill(1);
    let bytes = bytes.freeze();
    match attack {
        Attack::Seals => sys::seal(KEPT_NUMBER, libc::F_SEAL_WRITE | libc::F_SEAL_SEAL),
        Attack::SealsAgainstSeals => sys::seal(KEPT_NUMBER, libc::F_SEAL_SEAL),
        _ => {}
    }
    Ok((std::process::id(), errno, bytes))
}

#[test]
fn no_result_is_written_after_the_call() {
    in_child("no_result_is_written_after_the_call", || {
        use Attack::*;
        for (what, is_mapped, errno) in [
            (Nothing, true, Some(libc::EPERM)),
            (KeepsMapping, false, None),
            (Seals, true, Some(libc::EPERM)),
            (SealsAgainstSeals, false, None),
            (WritesMore, true, Some(libc::EPERM)),
        ] {
            let (worker, _, bytes) = attack(what).unwrap();
            assert_eq!(mapping_of(&bytes).contains("memfd"), is_mapped, "{what:?}");
            let (same, written, _) = attack(WritesLater).unwrap();
            assert_eq!((same, written), (worker, errno), "{what:?}");
            assert!(bytes.len() == MIB - 1 && bytes.iter().all(|byte| *byte == 1), "{what:?}");
            // Whom it goes to next sees no more than its bytes either.
            assert_eq!(reverse(bytes.clone()).unwrap(), bytes, "{what:?}");
        }
    });
}

#[test]
fn what_a_worker_leaves_beside_its_result_is_not_kept() {
    in_child("what_a_worker_leaves_beside_its_result_is_not_kept", || {
        let (_, _, bytes) = attack(Attack::WritesMore).unwrap();
        let own = |(_, target): &(&i32, &String)| target.contains("memfd:sandboxed-result");
        let held = processes::own_descriptors();
        let [file] = held.iter().filter(own).map(|(number, _)| *number).collect::<Vec<_>>()[..] else {
            panic!("{held:?}")
        };
        assert_eq!(sys::memory_of(file), MIB as i64, "{}", bytes.len());
    });
}

/// A reply with this content.
fn forge(content: &[u8]) {
    const RETURNED: u8 = 6;
    let length = (content.len() as u64).to_le_bytes();
    sandboxed::__private::forge_reply(&[&[RETURNED], &length[..], content].concat());
}

/// As [`Bytes`] cross: in the file for the result, with this length.
const IN_FILE: u8 = 2;
const SENT: u8 = 1;

#[sandboxed(fallible = try_forged)]
fn forged(content: &[u8]) -> (Bytes, Bytes) {
    forge(content);
    (Bytes::new(), Bytes::new())
}

#[sandboxed(fallible = try_forged_without_file)]
fn forged_without_file(content: &[u8], bytes: &mut Bytes) {
    forge(content);
    *bytes = Bytes::new();
}

#[test]
fn claims_about_the_file_are_checked() {
    let nothing = &[0, 0][..];
    let bad = |content: &[&[u8]]| {
        let error = try_forged(&content.concat()).unwrap_err();
        assert!(matches!(error.kind(), sandboxed::ErrorKind::BadData { .. }), "{content:?}: {error:?}");
        error.to_string()
    };
    assert_eq!(try_forged(&[nothing, nothing].concat()).unwrap(), (Bytes::new(), Bytes::new()));
    // An honest length of a file that nobody wrote: zeros, as there would be in a page that nobody touched.
    let zeros = try_forged(&[&[IN_FILE, 0x80, 0x20], nothing].concat()).unwrap();
    assert_eq!(zeros.0, vec![0; 4096]);
    let beyond = bad(&[&[IN_FILE, 0x81, 0x80, 0x80, 0x20], nothing]);
    assert!(beyond.contains("length of a result in memory"), "{beyond}");
    bad(&[&[IN_FILE, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], nothing]);
    let twice = bad(&[&[IN_FILE, 0x80, 0x20], &[IN_FILE, 0x80, 0x20]]);
    assert!(twice.contains("result in memory"), "{twice}");
    bad(&[&[SENT, 0x80, 0x20], nothing]);
    bad(&[&[3, 1, 1], nothing]);
    bad(&[&[IN_FILE, 0x80], &[]]);
    const UNIT: u8 = 134;
    let mut bytes = Bytes::from(pattern(MIB));
    let error = try_forged_without_file(&[UNIT, IN_FILE, 1], &mut bytes).unwrap_err();
    assert!(error.to_string().contains("result in memory"), "{error}");
    assert_eq!(bytes, pattern(MIB), "unchanged on failure");
}
