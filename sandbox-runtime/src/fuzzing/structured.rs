//! Replies put together from right and wrong frames, cut and in pieces of any size, beside a reader that has all
//! bytes at once.

use super::frames::room;
use super::outcome::{outcome_of, transcript};
use super::values::decode_answer;
use crate::codec::BULK_FROM;
use crate::error::{ErrorKind, Ran};
use crate::outcome::{Answer, Outcome};
use crate::record::{Facade, Record};
use crate::wire::{Buffer, Frame, FrameReader, Kind, NOTE_LIMIT, frame_limit, header};
use crate::worker::PanicNote;
use proptest::collection::vec;
use proptest::prelude::*;

const FROM_WORKER: [Kind; 12] = [
    Kind::Record,
    Kind::Refused,
    Kind::Begun,
    Kind::Panicked,
    Kind::Returned,
    Kind::Unsendable,
    Kind::ExitCode,
    Kind::Bulk,
    Kind::Bulk2,
    Kind::Bulk4,
    Kind::Bulk8,
    Kind::Bulk16,
];

fn record(level: u8, text: String, fields: Vec<(String, String)>) -> Record {
    let file = Some(text.clone());
    Record {
        facade: Facade::Log,
        level,
        target: text.clone(),
        message: text,
        file,
        line: None,
        module: None,
        fields,
    }
}

fn align(kind: Kind) -> u64 {
    match kind {
        Kind::Bulk2 => 2,
        Kind::Bulk4 => 4,
        Kind::Bulk8 => 8,
        Kind::Bulk16 => 16,
        _ => 1,
    }
}

fn longest(kind: Kind) -> u64 {
    match kind {
        Kind::Begun => 0,
        Kind::ExitCode => 1,
        Kind::Returned => frame_limit(),
        kind if kind.is_bulk() => frame_limit(),
        _ => NOTE_LIMIT as u64,
    }
}

/// What a worker would send, and what it would not: another kind, another length.
fn words() -> impl Strategy<Value = Vec<u8>> {
    let kinds = prop_oneof![8 => proptest::sample::select(&FROM_WORKER[..]).prop_map(|kind| kind as u8), 1 => any::<u8>()];
    let payloads = prop_oneof![
        4 => Just(Vec::new()),
        4 => vec(any::<u8>(), 1),
        4 => vec(prop_oneof![0..4u8, 0x80..0x94u8, any::<u8>()], 0..40),
        1 => any::<(String, Option<String>, Vec<Option<u64>>)>().prop_map(|(message, location, frames)| {
            postcard::to_allocvec(&PanicNote { message, location, frames }).expect("a message of ours")
        }),
        2 => (0..7u8, any::<(String, Vec<(String, String)>)>()).prop_map(|(level, (text, fields))| {
            postcard::to_allocvec(&record(level, text, fields)).expect("a message of ours")
        }),
        // The shortest that comes apart is as long as the longest note.
        2 => (any::<u8>(), NOTE_LIMIT - 2..NOTE_LIMIT + 2).prop_map(|(byte, length)| vec![byte; length]),
    ];
    let lengths = prop_oneof![
        12 => Just(None),
        1 => proptest::sample::select(vec![
            0, 1, 2, NOTE_LIMIT as u64, 1 << 30, (1 << 30) + 1, 1 << 32, i64::MAX as u64, u64::MAX,
        ]).prop_map(Some),
        1 => (0..100u64).prop_map(Some),
    ];
    (kinds, lengths, payloads).prop_map(|(kind, length, payload)| {
        let mut head = header(Kind::Begun, payload.len());
        head[0] = kind;
        if let Some(length) = length {
            head[1..].copy_from_slice(&length.to_le_bytes());
        }
        [&head[..], &payload].concat()
    })
}

/// A stream, often cut, and the sizes of its pieces.
fn streams() -> impl Strategy<Value = (Vec<u8>, Vec<usize>)> {
    let repeated = (words(), 1..3usize).prop_map(|(word, times)| word.repeat(times));
    let all = vec(repeated, 0..6).prop_map(|words| words.concat());
    let sizes = vec(prop_oneof![1..4usize, 5..20usize, Just(65_536)], 1..5);
    (all, any::<proptest::sample::Index>(), any::<bool>(), sizes).prop_map(|(mut stream, end, cut, sizes)| {
        if cut {
            stream.truncate(end.index(stream.len() + 1));
        }
        (stream, sizes)
    })
}

/// The frames, and whether something that is none follows.
fn read_at_once(mut stream: &[u8]) -> (Vec<Frame>, bool) {
    let mut frames = Vec::new();
    while let Some(first) = stream.first() {
        let Some(kind) = FROM_WORKER.into_iter().find(|kind| *kind as u8 == *first) else {
            return (frames, true);
        };
        let Some(length) = stream.get(1..9).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes)
        else {
            break;
        };
        let is_odd = kind.is_bulk() && (length < BULK_FROM as u64 || !length.is_multiple_of(align(kind)));
        if length > longest(kind) || is_odd {
            return (frames, true);
        }
        let end = 9 + usize::try_from(length).expect("within the limits");
        let Some(payload) = stream.get(9..end) else { break };
        frames.push(Frame { kind, payload: payload.to_vec().into() });
        stream = &stream[end..];
    }
    (frames, false)
}

fn bulk_of(frames: &[Frame]) -> Vec<Buffer> {
    let bulk = frames.iter().filter(|frame| frame.kind.is_bulk());
    bulk.map(|frame| frame.payload.clone()).collect()
}

/// The frames before the first record that nobody may send: one that is none, or a second, since none is passed on here.
fn until_bad_record(frames: &[Frame]) -> Option<usize> {
    let mut records = frames.iter().enumerate().filter(|(_, frame)| frame.kind == Kind::Record);
    let (first, frame) = records.next()?;
    if Record::decode(&frame.payload).is_none() {
        Some(first)
    } else {
        records.next().map(|(second, _)| second)
    }
}

/// What a call is to end with, by the rules of the wire, of a worker that exits with this code.
fn expected(frames: &[Frame], is_bad: bool, code: u8) -> (Result<Outcome, &'static str>, Ran) {
    let bad_record = until_bad_record(frames);
    let (frames, is_bad) = (&frames[..bad_record.unwrap_or(frames.len())], is_bad || bad_record.is_some());
    let end = frames.iter().position(|frame| {
        !frame.kind.is_bulk() && !matches!(frame.kind, Kind::Begun | Kind::Panicked | Kind::Record)
    });
    let before = &frames[..end.unwrap_or(frames.len())];
    let begun = before.iter().any(|frame| frame.kind == Kind::Begun);
    let note = before.iter().rfind(|frame| frame.kind == Kind::Panicked);
    let note = note.map(|frame| postcard::from_bytes::<PanicNote>(&frame.payload).is_ok());
    let is_bad = is_bad && end.is_none();
    let result = match end.map(|end| &frames[end]) {
        Some(Frame { kind: Kind::Returned, payload }) => Ok(Outcome::Returned(Answer {
            stream: payload.clone(),
            bulk: Some(bulk_of(before)),
            result: None,
        })),
        Some(Frame { kind: Kind::ExitCode, payload }) if payload.len() == 1 => {
            Ok(Outcome::Exit(payload[0].into()))
        }
        Some(Frame { kind: Kind::Unsendable, .. }) => Err("encode"),
        Some(Frame { kind: Kind::Refused, payload }) if !begun => {
            match postcard::from_bytes::<crate::worker::Refusal>(payload) {
                Ok(_) => Err("launch"),
                Err(_) => Err("bad data"),
            }
        }
        Some(_) => Err("bad data"),
        None if is_bad || (code == 101 && note == Some(false)) => Err("bad data"),
        None if code == 101 && note.is_some() => Err("panicked"),
        None => Err("exited"),
    };
    (result, if begun || is_bad { Ran::Yes } else { Ran::No })
}

fn name(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Launch { .. } => "launch",
        ErrorKind::Panicked { .. } => "panicked",
        ErrorKind::Exited { .. } => "exited",
        ErrorKind::BadData { .. } => "bad data",
        ErrorKind::Encode { .. } => "encode",
        _ => "something else",
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn a_reply_is_what_it_says_however_it_comes((stream, sizes) in streams(), code in prop_oneof![0..3u8, Just(101)]) {
        let (frames, is_bad) = read_at_once(&stream);
        let (result, ran) = expected(&frames, is_bad, code);
        let (mut transcript, mut reader) = (transcript(1, code), FrameReader::new());
        let (mut rest, mut sizes) = (&stream[..], sizes.into_iter().cycle());
        // As the host does: until there is an end.
        while transcript.ending.is_none() && transcript.bad.is_none() && !rest.is_empty() {
            let (piece, later) = rest.split_at(sizes.next().expect("cycles").min(rest.len()));
            transcript.read(&mut reader, piece);
            rest = later;
        }
        match (outcome_of(transcript, false), result) {
            (Ok(outcome), expected) => {
                if let Outcome::Returned(answer) = &outcome {
                    prop_assert!(answer.stream.capacity() <= room(answer.stream.len()));
                }
                prop_assert_eq!(Ok(&outcome), expected.as_ref());
                if let Outcome::Returned(answer) = outcome {
                    decode_answer(&answer);
                }
            }
            (Err(error), Err(expected)) => {
                prop_assert_eq!(name(error.kind()), expected, "{:?}", error);
                prop_assert_eq!(error.ran(), ran);
            }
            (Err(error), Ok(expected)) => prop_assert!(false, "{error:?} for {expected:?}"),
        }
    }
}
