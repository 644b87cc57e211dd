//! What comes out of a message as types of every kind.

use crate::codec::{CodecError, Incoming, Native};
use crate::outcome::Answer;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::ffi::CString;
use std::io;
use std::path::PathBuf;

/// The codec that generated code picks for a type.
macro_rules! codec {
    ($t:ty) => {{
        #[allow(unused_imports)]
        use crate::codec::pick::*;
        (&&&&&&crate::codec::Probe::<$t>::new()).codec()
    }};
}
pub(crate) use codec;

/// Decodes an answer, to the last byte.
macro_rules! decoded {
    ($t:ty, $bytes:expr) => {{
        let bytes: &[u8] = $bytes;
        let mut input = crate::codec::Incoming::new(bytes, []);
        let value = crate::codec::take_answer(
            crate::fuzzing::values::codec!($t),
            crate::codec::Probe::<$t>::new(),
            &mut input,
        );
        value.and_then(|value| input.finish().map(|()| value))
    }};
}
#[cfg(test)]
pub(crate) use decoded;

#[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
pub(crate) struct Config {
    pub(crate) name: String,
    pub(crate) list: Vec<Option<u32>>,
    pub(crate) map: HashMap<String, (i8, char)>,
    pub(crate) kind: Kind,
}

#[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
pub(crate) enum Kind {
    A,
    B(Box<Kind>),
    C { x: f64, y: Vec<u8> },
}

#[derive(Serialize, Deserialize, Debug)]
#[serde(untagged)]
pub(crate) enum Any {
    Number(i64),
    List(Vec<Any>),
    Map(BTreeMap<String, Any>),
}

/// Decodes an answer as types of every kind, and where byte strings came apart, as those of which they are parts.
pub(crate) fn decode_answer(answer: &Answer) {
    decode_as_everything(&answer.stream);
    let whole: usize =
        answer.bulk.iter().flatten().map(|bulk| bulk.len()).sum::<usize>() + answer.stream.len();
    let held = [
        apart::<Vec<u8>>(answer, Vec::len),
        apart(answer, String::len),
        apart(answer, |numbers: &Vec<f32>| size_of_val(&**numbers)),
        apart(answer, |numbers: &Vec<u64>| size_of_val(&**numbers)),
        apart(answer, |texts: &Vec<Vec<u8>>| texts.iter().map(Vec::len).sum()),
    ];
    assert!(held.into_iter().flatten().all(|held| held <= whole), "{held:?} of {whole}");
}

fn apart<T: for<'i> Native<'i, Held = T>>(answer: &Answer, length: impl Fn(&T) -> usize) -> Option<usize> {
    let mut bulk = answer.bulk.clone()?;
    let mut input = Incoming::new(&answer.stream, []).with_bulk(Some(&mut bulk));
    let value = T::receive(&mut input).ok()?;
    input.finish().ok().map(|()| length(&value))
}

/// Decodes as one type after another; returns how many accepted the bytes. What one accepts can be sent again.
pub(crate) fn decode_as_everything(bytes: &[u8]) -> usize {
    macro_rules! everything {
        ($($t:ty,)*) => {
            [$(match decoded!($t, bytes) {
                Ok(value) => {
                    let mut again = crate::codec::Outgoing::new();
                    let sent = crate::codec::put_answer(codec!($t), &value, &mut again);
                    let taken = sent.and_then(|()| decoded!($t, &again.segments().collect::<Vec<_>>().concat()));
                    // Its form may lie deeper, or be built otherwise, than that in which it came.
                    assert!(matches!(taken, Ok(_) | Err(CodecError::TooDeep)), "{}", stringify!($t));
                    true
                }
                Err(_) => false,
            },)*].into_iter().filter(|accepted| *accepted).count()
        };
    }
    everything![
        (), bool, char, u8, u64, i32, i128, f64,
        Vec<u8>, String, CString, PathBuf, [u8; 3], Option<Vec<u8>>, Vec<String>, (String, u8), Vec<Vec<u8>>,
        Vec<()>, Vec<((), ())>, Vec<u32>, Box<[i128]>, [f64; 2], Vec<Vec<u16>>, Vec<char>, Vec<Option<bool>>, HashMap<String, Vec<u16>>,
        Config, Kind, Any, Vec<Kind>, Box<Option<Any>>,
        io::Error, Box<dyn Error>, Result<Config, io::Error>, Result<(), std::num::ParseIntError>,
    ]
}
