//! Where the fuzzers begin: what an honest worker sends and what honest files say, and one step off it.

use super::values::{Config, Kind as Value};
use crate::codec::{BULK_FROM, Outgoing};
use crate::error::Cause;
use crate::wire::{Kind, header};
use crate::worker::{PanicNote, Refusal};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

fn frame(kind: Kind, payload: &[u8]) -> Vec<u8> {
    [&header(kind, payload.len())[..], payload].concat()
}

fn value<T: Serialize>(value: &T) -> Vec<u8> {
    let mut message = Outgoing::new();
    message.put_value(value).expect("a value with a form");
    message.segments().collect::<Vec<_>>().concat()
}

fn note<T: Serialize>(note: &T) -> Vec<u8> {
    postcard::to_allocvec(note).expect("a message of ours")
}

fn config() -> Config {
    Config {
        name: "name".into(),
        list: vec![Some(1), None, Some(70_000)],
        map: HashMap::from([("key".into(), (-1, 'ß'))]),
        kind: Value::B(Box::new(Value::C { x: 0.5, y: vec![1, 2] })),
    }
}

/// What can be said in one frame.
fn words() -> Vec<Vec<u8>> {
    let panic = PanicNote { message: "oh\u{1b}[2J".into(), location: Some("a.rs:1:2".into()) };
    let cause = Some(Cause::from(std::io::Error::from_raw_os_error(libc::ENOENT)));
    let refusal = Refusal { what: "setrlimit".into(), cause };
    let byte_vectors = [&[2u8, 3][..], b"one", &[0], b"", &[0]].concat();
    let error = [value(&false), value(&["a", "b"])].concat();
    let text_map = BTreeMap::from([("a", 1i64), ("b", -300)]);
    let results = [
        Vec::new(),
        value(&()),
        value(&true),
        value(&'ß'),
        value(&u64::MAX),
        value(&i128::MIN),
        value(&0.5f64),
        value(&"text"),
        value(&["a", "b"]),
        value(&[Some(true), None]),
        value(&text_map),
        value(&config()),
        value(&[Value::A, config().kind]),
        b"\x05bytes".to_vec(),
        byte_vectors,
        error,
    ];
    let others = [
        frame(Kind::Begun, b""),
        frame(Kind::Panicked, &note(&panic)),
        frame(Kind::Refused, &note(&refusal)),
        frame(Kind::Unsendable, b"a path that is no \xff text"),
        frame(Kind::ExitCode, &[3]),
        [&[1][..], &0u64.to_le_bytes()].concat(),
        // A byte string that comes apart, then the result that refers to it by its length.
        [frame(Kind::Bulk, &vec![7; BULK_FROM]), frame(Kind::Returned, &[0x80, 0x80, 0x04])].concat(),
        [frame(Kind::Bulk4, &vec![7; BULK_FROM]), frame(Kind::Returned, &[0x80, 0x80, 0x04, 0])].concat(),
        frame(Kind::Bulk8, &vec![7; BULK_FROM + 1]),
        frame(Kind::Bulk, b"too short"),
        frame(Kind::Begun, b"?"),
        [&[Kind::Returned as u8][..], &u64::MAX.to_le_bytes()].concat(),
        b"hello, world".to_vec(),
    ];
    others.into_iter().chain(results.map(|result| frame(Kind::Returned, &result))).collect()
}

/// Each word alone, after a beginning, and cut off.
fn streams() -> Vec<Vec<u8>> {
    let begun = frame(Kind::Begun, b"");
    let of_word = |word: Vec<u8>| {
        let cut = word[..word.len() - 1].to_vec();
        [[&begun[..], &word].concat(), cut, word]
    };
    words().into_iter().flat_map(of_word).collect()
}

/// The events that were captured, each alone and cut off, and all of them.
pub(super) fn audit() -> Vec<Vec<u8>> {
    let captured = include_str!("../audit/captured.txt");
    let one = |event: &str| [event.as_bytes().to_vec(), event.as_bytes()[..event.len() * 2 / 3].to_vec()];
    captured.split("\n\n").flat_map(one).chain([captured.as_bytes().to_vec()]).collect()
}

pub(super) fn frames() -> Vec<Vec<u8>> {
    let sizes = [&[0u8][..], &[1, 2], &[3, 0, 8, 40]];
    streams().iter().zip(sizes.iter().cycle()).map(|(stream, sizes)| [*sizes, stream].concat()).collect()
}

pub(super) fn outcome() -> Vec<Vec<u8>> {
    let ends = [[0, 0], [1, 101], [2, 6], [66, 6], [2, 9], [3, 11], [7, 0], [15, 0], [23, 0], [33, 1]];
    streams().iter().zip(ends.iter().cycle()).map(|(stream, end)| [&end[..], stream].concat()).collect()
}

#[cfg(feature = "policy-files")]
pub(super) fn policy_files() -> Vec<Vec<u8>> {
    let toml = [
        "abi = 6\n[[ruleset]]\nhandled_access_fs = [\"abi.all\"]\n",
        "[[ruleset]]\nhandled_access_fs = [\"read_file\", \"make_dir\"]\nhandled_access_net = [\"bind_tcp\"]\n",
        "[[ruleset]]\nscoped = [\"signal\", \"abstract_unix_socket\"]\n",
        "[[net_port]]\nallowed_access = [\"connect_tcp\"]\nport = [80, 443]\n",
        "[[path_beneath]]\nallowed_access = [\"v4.read_execute\"]\nparent = [\"/usr\", \"/a$$b\"]\n",
        "[[variable]]\nname = \"v\"\nliteral = [\"a\", \"b\"]\n\
         [[path_beneath]]\nallowed_access = [\"execute\"]\nparent = [\"/${v}/x\"]\n",
        "abi = 11\n[[path_beneath]]\nallowed_access = [\"abi.read_write\"]\nparent = [\"x\"]\n",
        "ruleset = [{ scoped = ['signl'] }]",
    ];
    let json = [
        r#"{"abi": 4, "ruleset": [{"handledAccessFs": ["abi.all"], "handledAccessNet": ["bind_tcp"]}]}"#,
        r#"{"ruleset": [{"scoped": ["signal"]}], "netPort": [{"allowedAccess": ["bind_tcp"], "port": [1]}]}"#,
        r#"{"variable": [{"name": "v", "literal": ["\u0041"]}],
            "pathBeneath": [{"allowedAccess": ["read_dir"], "parent": ["/${v}"]}]}"#,
        r#"{"ruleset": [[[]]], "x": 1e9}"#,
    ];
    let toml = toml.iter().map(|text| [&[0], text.as_bytes()].concat());
    let json = json.iter().map(|text| [&[1], text.as_bytes()].concat());
    toml.chain(json).collect()
}
