//! Answers that are no value of their type, from a worker.

use super::attack::frame;
use super::step::Step;
use sandboxed::sandboxed;
use serde::{Deserialize, Serialize};

const RETURNED: u8 = 6;
/// The first byte of a value's form.
const UNIT: u8 = 134;
const SOME: u8 = 138;
const CHAR: u8 = 139;
const TEXT: u8 = 140;
const OCTETS: u8 = 142;
const SEQUENCE: u8 = 143;
const MAP: u8 = 144;
const VARIANT: u8 = 146;
/// A count or a length of `u64::MAX`.
const HUGE: [u8; 10] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];

#[derive(Debug, Serialize, Deserialize)]
enum Choice {
    A,
    B(u8),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
struct Deep(Option<Box<Deep>>);

/// Functions whose answer is what the bytes are, if they are one.
macro_rules! forgers {
    ($($name:ident $fallible:ident: $t:ty,)*) => {$(
        #[sandboxed(memory = "unlimited", fallible = $fallible)]
        fn $name(answer: &[u8]) -> $t {
            Step::Write(frame(RETURNED, answer)).run();
            super::sys::exit_now(0)
        }
    )*};
}

forgers! {
    bytes try_bytes: Vec<u8>,
    text try_text: String,
    texts try_texts: Vec<String>,
    units try_units: Vec<()>,
    nested try_nested: Vec<Vec<Option<u64>>>,
    map try_map: std::collections::HashMap<String, Vec<u8>>,
    letter try_letter: char,
    choice try_choice: Choice,
    deep try_deep: Deep,
}

/// What came, or what is wrong with it.
macro_rules! forged {
    ($fallible:ident, $($part:expr),+) => {{
        match $fallible(&[$(&$part[..]),+].concat()) {
            Ok(value) => Ok(value),
            Err(error) => {
                assert!(error.is_bad_data(), "{error:?}");
                assert_eq!(error.ran(), sandboxed::Ran::Yes);
                Err(error.to_string().split_once("bad data: ").unwrap().1.to_owned())
            }
        }
    }};
}

#[test]
fn counts_beyond_what_was_sent() {
    let early = "the message ends too early";
    assert_eq!(forged!(try_bytes, HUGE).unwrap_err(), early);
    assert_eq!(forged!(try_text, HUGE, b"abc").unwrap_err(), early);
    assert_eq!(forged!(try_texts, HUGE, [0; 100]).unwrap_err(), early);
    for tag in [TEXT, OCTETS, SEQUENCE, MAP] {
        assert_eq!(forged!(try_units, [tag], HUGE, [UNIT; 100]).unwrap_err(), early);
        assert_eq!(forged!(try_nested, [SEQUENCE, 1, tag], HUGE).unwrap_err(), early);
        assert_eq!(forged!(try_map, [tag], HUGE).unwrap_err(), early);
    }
    assert_eq!(forged!(try_bytes, [3], b"abc").unwrap(), b"abc");
    assert_eq!(forged!(try_units, [SEQUENCE, 100], [UNIT; 100]).unwrap().len(), 100);
}

#[test]
fn values_that_are_none() {
    assert_eq!(forged!(try_text, b"\x02\xff\xff").unwrap_err(), "text is not valid UTF-8");
    assert_eq!(forged!(try_text, "\x02ß".as_bytes()).unwrap(), "ß");
    assert_eq!(forged!(try_letter, [CHAR, 2], b"ab").unwrap_err(), "the bytes are not a valid char");
    assert_eq!(forged!(try_letter, [CHAR, 1], b"a").unwrap(), 'a');
    let unknown = forged!(try_choice, [VARIANT, 0, 1], b"Z", [UNIT]).unwrap_err();
    assert_eq!(unknown, "unknown variant `Z`, expected `A` or `B`");
    assert!(matches!(forged!(try_choice, [VARIANT, 0, 1], b"A", [UNIT]), Ok(Choice::A)));
    assert!(matches!(forged!(try_choice, [VARIANT, 0, 1], b"B", [9]), Ok(Choice::B(9))));
    assert_eq!(forged!(try_choice, [0xff]).unwrap_err(), "the bytes are not a valid value");
}

#[test]
fn depth_without_end() {
    assert_eq!(forged!(try_deep, [SOME; 100_000]).unwrap_err(), "the value is nested too deeply");
    assert_eq!(
        forged!(try_nested, [SEQUENCE, 1].repeat(50_000)).unwrap_err().split(' ').next(),
        Some("invalid")
    );
    assert!(forged!(try_deep, [SOME; 20], [135]).is_ok());
}
