//! Bytes that no codec wrote.

use std::collections::{BTreeMap, HashMap};
use std::ffi::CString;
use std::io;
use std::path::PathBuf;

use serde::Deserialize;

use super::super::form::{self, MAX_DEPTH};
use super::*;
use crate::fuzzing::values::{Any, Config, Kind, decode_as_everything};

fn config() -> Config {
    Config {
        name: "name".into(),
        list: vec![Some(1), None, Some(70_000)],
        map: HashMap::from([("key".into(), (-1, 'ß'))]),
        kind: Kind::B(Box::new(Kind::C { x: 0.5, y: vec![1, 2] })),
    }
}

/// Reproducible noise.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }
}

#[test]
fn noise_does_no_harm() {
    let mut noise = Noise(0x5eed);
    let mut accepted = 0;
    for _ in 0..20_000 {
        let length = noise.below(24);
        let bytes: Vec<u8> = (0..length)
            .map(|_| {
                // Half of it tags and small numbers, so that values nest.
                let byte = noise.next().to_le_bytes()[0];
                if noise.below(2) == 0 { 0x80 + byte % 20 } else { byte }
            })
            .collect();
        accepted += decode_as_everything(&bytes);
    }
    assert!(accepted > 1000, "the noise should look like values, {accepted} do");
}

#[test]
fn damage_does_no_harm() {
    let mut noise = Noise(0xda3a6e);
    let valid = encoded!(Result<Config, io::Error>, &Ok(config()));
    for _ in 0..20_000 {
        let mut bytes = valid.clone();
        for _ in 0..=noise.below(3) {
            let at = noise.below(bytes.len());
            match noise.below(4) {
                0 => bytes[at] ^= 1 << noise.below(8),
                1 => bytes[at] = noise.next().to_le_bytes()[0],
                2 => drop(bytes.remove(at)),
                _ => bytes.insert(at, 0xff),
            }
        }
        decode_as_everything(&bytes);
    }
}

#[test]
fn every_prefix_and_every_addition_is_noticed() {
    macro_rules! noticed {
        ($t:ty, $value:expr) => {
            let valid = encoded!($t, &$value);
            assert!(decoded!($t, &valid).is_ok());
            for end in 0..valid.len() {
                assert_eq!(
                    decoded!($t, &valid[..end]).unwrap_err(),
                    CodecError::Truncated,
                    "{} at {end}",
                    stringify!($t)
                );
            }
            let mut longer = valid;
            longer.push(0);
            assert_eq!(decoded!($t, &longer).unwrap_err(), CodecError::TrailingBytes(1));
        };
    }
    noticed!(Vec<u8>, vec![1; 300]);
    noticed!(String, "text".to_owned());
    noticed!(Config, config());
    noticed!(Result<Config, io::Error>, Err(io::Error::other("x")));
    noticed!(Option<PathBuf>, Some("a".into()));
    noticed!(Vec<(String, u8)>, vec![("a".into(), 1)]);
}

/// A varint that is u64::MAX.
const HUGE: [u8; 10] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];

#[test]
fn a_length_beyond_the_message_allocates_nothing() {
    assert_eq!(decoded!(Vec<u8>, &HUGE), Err(CodecError::Truncated));
    assert_eq!(decoded!(String, &[&HUGE[..], b"abc"].concat()), Err(CodecError::Truncated));
    assert_eq!(decoded!(Vec<String>, &HUGE), Err(CodecError::Truncated));
    assert_eq!(decoded!(Vec<((), ())>, &HUGE), Err(CodecError::Truncated));
    for tag in [form::CHAR, form::TEXT, form::BYTES, form::OCTETS, form::SEQUENCE, form::MAP, form::STRUCT] {
        let bytes = [&[tag][..], &HUGE, &[0; 100]].concat();
        assert_eq!(decoded!(Vec<()>, &bytes), Err(CodecError::Truncated));
        assert_eq!(Incoming::new(&bytes, []).take_value::<Any>().unwrap_err(), CodecError::Truncated);
        assert_eq!(decoded!(Config, &bytes), Err(CodecError::Truncated));
    }
}

/// 8 KiB in memory, a byte in a message.
type Room = Option<[[u64; 32]; 32]>;

#[test]
fn elements_take_no_more_memory_than_they_may() {
    #[derive(Deserialize, Debug)]
    struct NoFields {}
    fn take<T: for<'a> Deserialize<'a>>(bytes: &[u8], room: u64) -> Result<T, CodecError> {
        Incoming::new(bytes, []).with_room(room).take_value()
    }
    let size = u64::try_from(size_of::<Room>()).unwrap();
    let list = [&[form::SEQUENCE, 100][..], &[form::NONE; 100]].concat();
    assert_eq!(take::<Vec<Room>>(&list, 100 * size).unwrap().len(), 100);
    assert_eq!(take::<Vec<Room>>(&list, 100 * size - 1).unwrap_err(), CodecError::TooLarge(100 * size - 1));
    // However they are divided.
    let lists = [&[form::SEQUENCE, 10][..], &[&[form::SEQUENCE, 1][..], &list].concat().repeat(10)].concat();
    assert!(take::<Vec<(Vec<Room>,)>>(&lists, 1200 * size).is_ok());
    assert_eq!(take::<Vec<(Vec<Room>,)>>(&lists, 999 * size).unwrap_err(), CodecError::TooLarge(999 * size));
    // Keys and values, and names that no type has.
    let map: Vec<u8> = (0..100).flat_map(|key| [key, form::NONE]).collect();
    let map = [&[form::MAP, 100][..], &map].concat();
    assert!(take::<BTreeMap<u8, Room>>(&map, 100 * (size + 1)).is_ok());
    assert!(matches!(take::<BTreeMap<u8, Room>>(&map, 100 * size), Err(CodecError::TooLarge(_))));
    let names = [&[form::STRUCT, 100][..], &[0, 0, form::UNIT].repeat(100)].concat();
    assert!(take::<NoFields>(&names, 10_000).is_ok());
    assert_eq!(take::<NoFields>(&names, 1000).unwrap_err(), CodecError::TooLarge(1000));
}

#[test]
fn elements_of_ours_take_no_more_memory_than_they_may() {
    type List = Vec<Option<[u8; 4096]>>;
    let take = |bytes: &[u8], room: u64| Vec::<List>::receive(&mut Incoming::new(bytes, []).with_room(room));
    let lists = [&[10][..], &[&[100][..], &[form::FALSE; 100]].concat().repeat(10)].concat();
    assert_eq!(take(&lists, 1001 * 4097).unwrap().len(), 10);
    assert_eq!(take(&lists, 1000 * 4097).unwrap_err(), CodecError::TooLarge(1000 * 4097));
}

#[test]
fn numbers_do_not_overflow() {
    let mut too_long = HUGE;
    too_long[9] = 0x02;
    assert_eq!(decoded!(Vec<u8>, &too_long), Err(CodecError::Invalid("number")));
    assert_eq!(decoded!(Vec<u8>, &[0xff; 11]), Err(CodecError::Invalid("number")));
    assert_eq!(decoded!(i64, &[&[form::NEGATIVE][..], &HUGE].concat()), Err(CodecError::Invalid("number")));
    assert_eq!(decoded!(u64, &[&[form::UNSIGNED][..], &HUGE].concat()), Ok(u64::MAX));
    let out_of_range = decoded!(u8, &encoded!(u16, &256)).unwrap_err();
    assert_eq!(out_of_range.to_string(), "invalid value: integer `256`, expected u8");
}

#[test]
fn wrong_values_are_refused() {
    let refused = |bytes: &[u8]| decoded!(Kind, bytes).unwrap_err().to_string();
    assert_eq!(
        refused(&[form::VARIANT, 0, 1, b'Z', form::UNIT]),
        "unknown variant `Z`, expected one of `A`, `B`, `C`"
    );
    assert_eq!(refused(&[form::VARIANT, 1, form::UNIT]), "the bytes are not a valid name");
    assert_eq!(refused(&[form::VARIANT, 0, 1, 0xff, form::UNIT]), "text is not valid UTF-8");
    assert_eq!(refused(&[0xff]), "the bytes are not a valid value");
    assert_eq!(
        decoded!(bool, &[2]).unwrap_err().to_string(),
        "invalid type: integer `2`, expected a boolean"
    );
    assert_eq!(decoded!(char, &[form::CHAR, 2, b'a', b'b']), Err(CodecError::Invalid("char")));
    assert_eq!(decoded!(char, &[form::CHAR, 0]), Err(CodecError::Invalid("char")));
    assert_eq!(decoded!(String, b"\x02\xff\xff"), Err(CodecError::Utf8));
    assert_eq!(decoded!(CString, b"\x02ab"), Err(CodecError::Invalid("C string")));
    assert_eq!(decoded!(CString, b"\x03a\0\0"), Err(CodecError::Invalid("C string")));
    assert_eq!(decoded!([u8; 3], b"\x02ab"), Err(CodecError::BadLength { expected: 3, found: 2 }));
    // More elements than the type has.
    let three = encoded!([char], &['1', '2', '3']);
    assert_eq!(
        Incoming::new(&three, []).take_value::<(char, char)>().unwrap_err().to_string(),
        "1 elements more than the type has"
    );
}

#[test]
fn numbers_are_whole_and_as_many_as_there_are() {
    assert_eq!(decoded!(Vec<u32>, b"\x04\x00\x01\x00\x00\x00").unwrap().len(), 1);
    assert_eq!(decoded!(Vec<u32>, b"\x05\x00abcde"), Err(CodecError::Invalid("number")));
    assert_eq!(decoded!([u16; 2], b"\x02\x00ab"), Err(CodecError::BadLength { expected: 2, found: 1 }));
    for bytes in [&b"\x04"[..], b"\x04\x00abc", b"\x04\xffabcd", b"\xff\xff\xff\xff\x0f\x00abcd"] {
        assert_eq!(decoded!(Vec<u32>, bytes), Err(CodecError::Truncated), "{}", bytes.escape_ascii());
    }
}

#[test]
fn numbers_apart_are_taken_where_they_lie_as_the_type_does() {
    let taken = |align: usize, length: usize| {
        let mut bulk = [Buffer::new(align)];
        bulk[0].extend_from_slice(&vec![7; length]);
        let mut stream = Vec::new();
        varint::varint(length as u64, &mut stream);
        stream.push(0);
        let mut input = Incoming::new(&stream, []).with_bulk(Some(&mut bulk));
        let numbers = <Vec<u32> as Native>::receive(&mut input)?;
        input.finish().map(|()| numbers.len())
    };
    assert_eq!(taken(4, BULK_FROM), Ok(BULK_FROM / 4));
    for (align, length) in [(1, BULK_FROM), (8, BULK_FROM), (4, BULK_FROM + 2)] {
        assert_eq!(taken(align, length), Err(CodecError::Invalid("number")), "{align}");
    }
}

#[derive(Deserialize, Debug)]
enum List {
    #[allow(dead_code)]
    Link(Box<List>),
}

#[derive(Deserialize, Debug)]
struct Tree {
    #[allow(dead_code)]
    children: Vec<Tree>,
}

#[derive(Deserialize, Debug)]
#[serde(transparent)]
struct Options(#[allow(dead_code)] Option<Box<Options>>);

/// Takes 8 KiB of stack in each of the frames that build it.
#[derive(Deserialize, Debug)]
#[allow(dead_code)]
struct Large {
    next: Option<Box<Large>>,
    room: [[u64; 32]; 32],
}

/// On a thread with the stack that Rust gives one by default.
#[test]
fn bombs_of_depth_do_not_go_off() {
    fn bomb<T: for<'a> Deserialize<'a> + std::fmt::Debug>(first: &[u8], again: &[u8]) {
        let bytes: Vec<u8> =
            first.iter().chain(again.iter().cycle().take(again.len() * 100_000)).copied().collect();
        assert_eq!(Incoming::new(&bytes, []).take_value::<T>().unwrap_err(), CodecError::TooDeep);
    }
    let all = || {
        bomb::<List>(&[form::VARIANT, 0, 4, b'L', b'i', b'n', b'k'], &[form::VARIANT, 1]);
        bomb::<Tree>(
            &[&[form::STRUCT, 1, 0, 8][..], b"children", &[form::SEQUENCE, 1]].concat(),
            &[form::STRUCT, 1, 1, form::SEQUENCE, 1],
        );
        bomb::<Options>(&[], &[form::SOME]);
        bomb::<Any>(&[], &[form::SEQUENCE, 1]);
        bomb::<Large>(
            &[&[form::STRUCT, 1, 0, 4][..], b"next", &[form::SOME]].concat(),
            &[form::STRUCT, 1, 1, form::SOME],
        );
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(all).unwrap().join().unwrap();
}

#[test]
fn the_depth_allowed_is_exact() {
    let levels = |count: u32| {
        let open = [form::VARIANT, 1].repeat(usize::try_from(count).unwrap() - 1);
        let bytes = [&[form::VARIANT, 0, 4][..], b"Link", &open, &[0xff]].concat();
        Incoming::new(&bytes, []).take_value::<List>().unwrap_err()
    };
    // With one level less the end of the list is reached, which is no value.
    assert!(
        matches!(levels(MAX_DEPTH), CodecError::Serde(_) | CodecError::Invalid(_)),
        "{:?}",
        levels(MAX_DEPTH)
    );
    assert_eq!(levels(MAX_DEPTH + 1), CodecError::TooDeep);
}
