//! serde's types, in every way that its derive offers.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::ser::SerializeSeq;
use serde::{Deserialize, Serialize, Serializer};

use super::*;

#[track_caller]
fn arrives<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: T) {
    // In a generic function, so by serde whatever the type is.
    let codec: Serde = codec!(T);
    let mut out = Outgoing::new();
    put_answer(codec, &value, &mut out).unwrap();
    let bytes = joined(&out);
    let mut input = Incoming::new(&bytes, []);
    assert_eq!(take_answer(codec, Probe::<T>::new(), &mut input).unwrap(), value);
    input.finish().unwrap();
    for end in 0..bytes.len() {
        assert!(
            Incoming::new(&bytes[..end], []).take_value::<T>().is_err(),
            "{end} of {} bytes",
            bytes.len()
        );
    }
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
struct Fields {
    number: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<u8>,
    #[serde(default, skip_serializing_if = "Vec::is_empty", alias = "other", alias = "a")]
    aliased: Vec<u8>,
    #[serde(rename = "re named")]
    renamed: Option<Option<()>>,
    #[serde(skip)]
    skipped: u8,
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
enum Plain {
    Unit,
    #[serde(skip)]
    #[allow(dead_code)]
    Skipped,
    Newtype(Box<Plain>),
    Tuple(u8, String),
    Struct {
        a: u8,
        b: Option<f32>,
    },
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
#[serde(tag = "kind")]
enum Tagged {
    Unit,
    Struct { a: Plain },
    Newtype(Fields),
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
#[serde(tag = "t", content = "c")]
enum Adjacent {
    Unit,
    Tuple(i8, i8),
}

/// A type for any value, as serde_json has one.
#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
#[serde(untagged)]
enum Any {
    Null(()),
    Bool(bool),
    Number(i64),
    Float(f64),
    Text(String),
    List(Vec<Any>),
    Map(BTreeMap<String, Any>),
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
struct Flat {
    first: u8,
    #[serde(flatten)]
    fields: Fields,
    #[serde(flatten)]
    rest: BTreeMap<String, Any>,
}

fn fields() -> Fields {
    Fields {
        number: i64::MIN,
        left_out: Some(1),
        aliased: vec![0, 127, 128, 255],
        renamed: Some(None),
        skipped: 0,
    }
}

#[test]
fn derived_types_arrive() {
    arrives(fields());
    arrives(Fields { left_out: None, aliased: vec![], renamed: None, ..fields() });
    arrives(vec![fields(), Fields { left_out: None, ..fields() }, fields()]);
    arrives(vec![
        Plain::Unit,
        Plain::Newtype(Box::new(Plain::Tuple(1, "x".into()))),
        Plain::Struct { a: 200, b: Some(0.5) },
        Plain::Unit,
    ]);
    arrives(vec![Tagged::Unit, Tagged::Struct { a: Plain::Tuple(1, "a".into()) }, Tagged::Newtype(fields())]);
    arrives(vec![Adjacent::Unit, Adjacent::Tuple(-1, 1)]);
    let any = Any::Map(BTreeMap::from([
        ("a".into(), Any::List(vec![Any::Null(()), Any::Bool(true), Any::Number(-5), Any::Float(1.5)])),
        ("b".into(), Any::Text("x".into())),
    ]));
    arrives(any.clone());
    arrives(Flat { first: 1, fields: fields(), rest: BTreeMap::from([("x".into(), any)]) });
}

#[test]
fn standard_types_arrive() {
    arrives(vec![Some(Ok::<u8, String>(1)), Some(Err("e".into())), None]);
    arrives(HashMap::from([(1_u16, 'x'), (2, '\u{10ffff}')]));
    arrives((1_u8, -1_i8, 1_u128 << 100, -1_i128 << 100, (), [1_u8, 2, 3], [[0_u8; 2]; 2]));
    arrives((
        u64::MAX,
        i64::MIN,
        u128::from(u64::MAX) + 1,
        i128::from(i64::MIN) - 1,
        i128::from(u64::MAX),
        127,
        128,
    ));
    arrives((
        Duration::from_nanos(1 << 40),
        "::1".parse::<IpAddr>().unwrap(),
        PathBuf::from("/a"),
        1..5,
        Box::new(1),
    ));
    arrives((f32::MIN, f64::MAX, true, "text".to_owned(), Option::<()>::None));
}

#[test]
fn sequences_of_bytes_are_compact() {
    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Image {
        pixels: Vec<u8>,
    }
    assert_eq!(encoded!(Image, &Image { pixels: vec![200; 1000] }).len(), 1000 + 13);
    arrives(vec![vec![1_u8, 200], vec![], vec![3]]);
    // What begins as bytes and goes on as something else.
    arrives((200_u8, 1_u8, "x".to_owned()));
    arrives((200_u8, vec![1_u8], 7_u8));
    arrives((200_u8, Some(7_u8), 200_u8));
    arrives(vec![(1_u8, 2_u16); 3]);
    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct New(u8);
    arrives(vec![New(1), New(200)]);
}

#[test]
fn arguments_borrow_from_the_message() {
    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Lent<'a> {
        text: &'a str,
        #[serde(borrow)]
        bytes: &'a [u8],
        none: &'a [u8],
    }
    let value = Lent { text: "text", bytes: b"\xff\x00", none: b"" };
    let bytes = encoded!(Lent<'_>, &value);
    let mut input = Incoming::new(&bytes, []);
    let held: Lent<'_> = hold(codec!(Lent<'_>), Probe::<Lent<'_>>::new(), &mut input).unwrap();
    assert_eq!(held, value);
    assert!(bytes.as_ptr_range().contains(&held.text.as_ptr()));
}

#[test]
fn counts_need_not_be_known() {
    struct Unsized;
    impl Serialize for Unsized {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut seq = serializer.serialize_seq(None)?;
            (0..300_u32).try_for_each(|number| seq.serialize_element(&number))?;
            seq.end()
        }
    }
    let mut out = Outgoing::new();
    out.put_value(&Unsized).unwrap();
    let bytes = joined(&out);
    assert_eq!(Incoming::new(&bytes, []).take_value::<Vec<u32>>(), Ok((0..300).collect()));
}

#[test]
fn a_refusal_is_told() {
    use std::os::unix::ffi::OsStrExt;
    let path = PathBuf::from(std::ffi::OsStr::from_bytes(b"\xff"));
    let error = Outgoing::new().put_value(&path).unwrap_err();
    assert_eq!(error.to_string(), "the value cannot be encoded: path contains invalid UTF-8 characters");
    let bytes = encoded!(Vec<char>, &vec!['1']);
    let error = Incoming::new(&bytes, []).take_value::<String>().unwrap_err();
    assert_eq!(error.to_string(), "invalid type: sequence, expected a string");
}

#[test]
fn a_long_refusal_is_cut() {
    let long = "ä".repeat(10_000);
    let error = <CodecError as serde::de::Error>::custom(&long).to_string();
    assert_eq!(error, format!("{}...", "ä".repeat(256)));
}

#[test]
fn what_is_too_deep_is_not_sent() {
    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Tree(Vec<Tree>);
    let deep = |levels| (0..levels).fold(Tree(vec![]), |tree, _| Tree(vec![tree]));
    // Two levels each: the newtype and its sequence.
    arrives(deep(63));
    assert_eq!(Outgoing::new().put_value(&deep(64)), Err(CodecError::TooDeep));
}
