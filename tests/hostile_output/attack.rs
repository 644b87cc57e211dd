//! The attacks, and what each ends as.

use super::step::{BELL, Early, Step, WRITTEN};
use sandboxed::__private::{CodecError, Outgoing, Probe, pick, put_answer};
use sandboxed::{Error, ErrorKind, Ran, sandboxed};

pub const LIMIT: usize = 1 << 20;
/// The longest note, in bytes.
const NOTE: usize = 64 << 10;

/// What an honest body returns, and what a forged reply says.
pub const HONEST: u32 = 7;
pub const FORGED: u32 = 42;

const RECORD: u8 = 2;
const REFUSED: u8 = 3;
pub const BEGUN: u8 = 4;
pub const PANICKED: u8 = 5;
const RETURNED: u8 = 6;
const UNSENDABLE: u8 = 7;
const EXIT_CODE: u8 = 8;

#[sandboxed(memory = "unlimited", stdio = "null")]
fn in_body(steps: &[Step]) -> Result<u32, Error> {
    steps.iter().for_each(Step::run);
    Ok(HONEST)
}

#[sandboxed(memory = "unlimited", stdio = "null", timeout = "1s")]
fn in_body_for_a_second(steps: &[Step]) -> Result<u32, Error> {
    steps.iter().for_each(Step::run);
    Ok(HONEST)
}

#[sandboxed(memory = "unlimited", stdio = "null")]
fn in_argument(_: &Early) -> Result<u32, Error> {
    Ok(HONEST)
}

#[sandboxed(memory = "unlimited", stdio = "null", timeout = "1s")]
fn in_argument_for_a_second(_: &Early) -> Result<u32, Error> {
    Ok(HONEST)
}

/// How a call ends, and whether the body ran. What is expected as `Ran::Maybe` may be any of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Value(u32),
    BadData(Ran),
    Unsendable,
    NotLaunched,
    Panicked,
    Exited(i32, Ran),
    Killed(i32, Ran),
    TimedOut(Ran),
}

impl End {
    pub fn of(result: &Result<u32, Error>) -> End {
        let error = match result {
            Ok(value) => return End::Value(*value),
            Err(error) => error,
        };
        match (error.kind(), error.ran()) {
            (ErrorKind::BadData { .. }, ran) => End::BadData(ran),
            (ErrorKind::Encode { .. }, Ran::Yes) => End::Unsendable,
            (ErrorKind::Launch { .. }, Ran::No) => End::NotLaunched,
            (ErrorKind::Panicked { .. }, Ran::Yes) => End::Panicked,
            (ErrorKind::Exited { code }, ran) => End::Exited(*code, ran),
            (ErrorKind::Killed { signal, .. }, ran) => End::Killed(*signal, ran),
            (ErrorKind::TimedOut { .. }, ran) => End::TimedOut(ran),
            _ => panic!("{error:?}"),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Attack {
    pub name: String,
    steps: Vec<Step>,
    before_the_body: bool,
    pub end: End,
}

impl Attack {
    fn new(name: impl Into<String>, steps: impl Into<Vec<Step>>, end: End) -> Attack {
        Attack { name: name.into(), steps: steps.into(), before_the_body: false, end }
    }

    fn before_the_body(self) -> Attack {
        Attack { before_the_body: true, ..self }
    }

    /// Ends at its deadline, so takes a second.
    pub fn is_slow(&self) -> bool {
        matches!(self.end, End::TimedOut(_))
    }

    /// Attacks that are alike here are made in workers of one template.
    pub fn kind(&self) -> (bool, bool) {
        (self.before_the_body, self.is_slow())
    }

    /// What no worker with a shadow of its memory can do.
    pub fn limits_memory(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::LimitMemory))
    }

    pub fn run(&self) -> Result<u32, Error> {
        match (self.before_the_body, self.is_slow()) {
            (false, false) => in_body(&self.steps),
            (false, true) => in_body_for_a_second(&self.steps),
            (true, false) => in_argument(&Early(self.steps.clone())),
            (true, true) => in_argument_for_a_second(&Early(self.steps.clone())),
        }
    }
}

pub fn header(kind: u8, length: u64) -> Vec<u8> {
    [&[kind][..], &length.to_le_bytes()].concat()
}

pub fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    [header(kind, payload.len() as u64), payload.to_vec()].concat()
}

/// What a worker sends for an answer.
pub fn returned(value: u32) -> Vec<u8> {
    let answer: Result<u32, Error> = Ok(value);
    let mut message = Outgoing::new();
    #[allow(clippy::needless_borrow, reason = "the number of references picks the codec")]
    let put: Result<(), CodecError> = {
        use pick::*;
        put_answer((&&&&&&Probe::<Result<u32, Error>>::new()).codec(), &answer, &mut message)
    };
    put.unwrap();
    frame(RETURNED, &message.segments().collect::<Vec<_>>().concat())
}

/// A panic's or a refusal's text, without the second part that each has, or the frames of a panic.
fn note(text: &str) -> Vec<u8> {
    [&string(text)[..], &[0, 0]].concat()
}

fn number(mut left: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while left > 0x7f {
        bytes.push(left as u8 | 0x80);
        left >>= 7;
    }
    bytes.push(left as u8);
    bytes
}

fn string(text: &str) -> Vec<u8> {
    [&number(text.len()), text.as_bytes()].concat()
}

/// A record of `log` (0) or an event of `tracing` (1): level, target, message, no place, fields.
fn record(facade: u8, level: u8, target: &str, message: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let place = vec![0, 0, 0];
    let count = number(fields.len());
    let fields = fields.iter().flat_map(|(key, value)| [string(key), string(value)].concat()).collect();
    frame(RECORD, &[vec![facade, level], string(target), string(message), place, count, fields].concat())
}

pub fn all() -> Vec<Attack> {
    [lengths(), ends(), sequences(), texts(), records(), channels(), memory(), before_the_body(), endless()]
        .concat()
}

/// Lengths of all sizes, announced and no more.
fn lengths() -> Vec<Attack> {
    let longest = |kind| match kind {
        BEGUN => 0,
        EXIT_CODE => 1,
        RETURNED => LIMIT as u64,
        _ => NOTE as u64,
    };
    let end = |kind, length| match (kind, length) {
        _ if length > longest(kind) => End::BadData(Ran::Yes),
        (BEGUN | PANICKED, _) | (_, 1..) => End::Exited(0, Ran::Yes),
        (UNSENDABLE, _) => End::Unsendable,
        _ => End::BadData(Ran::Yes),
    };
    let of_kind = |kind: u8| {
        let longest = longest(kind);
        let around = [longest.saturating_sub(1), longest, longest + 1];
        let lengths = [0, 1].into_iter().chain(around).chain([u32::MAX.into(), i64::MAX as u64, u64::MAX]);
        lengths.map(move |length| {
            let steps = [Step::Write(header(kind, length)), Step::Exit(0)];
            Attack::new(format!("kind {kind}, {length} bytes announced"), steps, end(kind, length))
        })
    };
    let announced = (RECORD..=EXIT_CODE).flat_map(of_kind);
    let sent = [
        (PANICKED, NOTE, End::Exited(0, Ran::Yes)),
        (PANICKED, NOTE + 1, End::BadData(Ran::Yes)),
        (UNSENDABLE, NOTE - 1, End::Unsendable),
        (UNSENDABLE, NOTE, End::Unsendable),
        (RETURNED, LIMIT - 1, End::BadData(Ran::Yes)),
        (RETURNED, LIMIT, End::BadData(Ran::Yes)),
        (RETURNED, LIMIT + 1, End::BadData(Ran::Yes)),
    ];
    let sent = sent.map(|(kind, length, end)| {
        let steps = [Step::Write(header(kind, length as u64)), Step::Repeat(0xff, length), Step::Exit(0)];
        Attack::new(format!("kind {kind}, {length} bytes"), steps, end)
    });
    announced.chain(sent).collect()
}

/// Ends at every point of an answer.
fn ends() -> Vec<Attack> {
    let answer = returned(FORGED);
    let cut = |end: usize| Step::Write(answer[..end].to_vec());
    let exits = (0..answer.len()).map(|end| {
        Attack::new(format!("exit after {end} bytes"), [cut(end), Step::Exit(7)], End::Exited(7, Ran::Yes))
    });
    let deaths = [0, 5, 9, answer.len() - 1].map(|end| {
        let steps = [cut(end), Step::Raise(libc::SIGKILL)];
        Attack::new(format!("death after {end} bytes"), steps, End::Killed(libc::SIGKILL, Ran::Yes))
    });
    let whole = cut(answer.len());
    let after = [Step::Exit(7), Step::Raise(libc::SIGSEGV), Step::Raise(libc::SIGSTOP), Step::Sleep];
    let after = after.map(|step| {
        Attack::new(format!("an answer, then {step:?}"), [whole.clone(), step], End::Value(FORGED))
    });
    exits.chain(deaths).chain(after).collect()
}

/// Frames in an order, or of a kind, that is not a worker's.
fn sequences() -> Vec<Attack> {
    let answer = returned(FORGED);
    let refusal = frame(REFUSED, &note("not launched"));
    let begun = header(BEGUN, 0);
    let tails = [
        ("the same", answer.clone()),
        ("another", returned(1)),
        ("a refusal", refusal.clone()),
        ("an exit code", frame(EXIT_CODE, &[0])),
        ("a panic", frame(PANICKED, &note("oh"))),
        ("a beginning", begun.clone()),
        ("a frame without end", header(RETURNED, u64::MAX)),
        ("garbage", vec![0; 100]),
    ];
    let tails = tails.into_iter().flat_map(|(name, tail)| {
        let together = Step::Write([&answer[..], &tail].concat());
        let apart = [Step::Write(answer.clone()), Step::Write(tail)];
        let name = format!("an answer, then {name}");
        [
            Attack::new(format!("{name} at once"), [together], End::Value(FORGED)),
            Attack::new(format!("{name} later"), apart, End::Value(FORGED)),
        ]
    });
    let wrong = [
        ("a refusal after the beginning", refusal, End::BadData(Ran::Yes)),
        ("the exit code of a program", frame(EXIT_CODE, &[0]), End::BadData(Ran::Yes)),
        ("an exit code without one", header(EXIT_CODE, 0), End::BadData(Ran::Yes)),
        ("a job", frame(1, b"job"), End::BadData(Ran::Yes)),
        ("arguments", frame(2, b"arguments"), End::BadData(Ran::Yes)),
        ("no frame", b"hello, world".to_vec(), End::BadData(Ran::Yes)),
        ("zeros", vec![0; 4096], End::BadData(Ran::Yes)),
        ("an answer for another function", frame(RETURNED, b"\x05bytes"), End::BadData(Ran::Yes)),
        ("half an answer", frame(RETURNED, &answer[9..answer.len() - 1]), End::BadData(Ran::Yes)),
        ("an answer with a tail", frame(RETURNED, &[&answer[9..], &[0]].concat()), End::BadData(Ran::Yes)),
        ("a panic that is none", frame(PANICKED, b"\xff\xff\xff"), End::Value(HONEST)),
        ("beginnings", begun.repeat(1000), End::Value(HONEST)),
        ("panics", frame(PANICKED, &note("oh")).repeat(1000), End::Value(HONEST)),
    ];
    let wrong = wrong.map(|(name, bytes, end)| Attack::new(name, [Step::Write(bytes)], end));
    let then_a_flood = Attack::new(
        "an answer, then a flood",
        [Step::Write(answer.clone()), Step::Flood(begun)],
        End::Value(FORGED),
    );
    tails.chain(wrong).chain([then_a_flood]).collect()
}

/// Text for terminals and for people.
fn texts() -> Vec<Attack> {
    let escapes = "\u{1b}]0;title\u{7}\u{1b}[2J\u{9b}31m\0\u{7f}".repeat(100);
    let longest = "\u{1b}".repeat(NOTE - 5);
    let panics = [("with escapes", &escapes), ("of full length", &longest)].map(|(name, text)| {
        let steps = [Step::Write(frame(PANICKED, &note(text))), Step::Exit(101)];
        Attack::new(format!("a panic {name}"), steps, End::Panicked)
    });
    let unsendable = [escapes.as_bytes(), &[0xff, 0xfe, 0x1b, 0xc3], longest.as_bytes()].map(|text| {
        Attack::new("unsendable with escapes", [Step::Write(frame(UNSENDABLE, text))], End::Unsendable)
    });
    let none = Attack::new(
        "a panic that is none",
        [Step::Write(frame(PANICKED, b"\xff\xff\xff")), Step::Exit(101)],
        End::BadData(Ran::Yes),
    );
    let too_long = Attack::new(
        "a panic of megabytes",
        [Step::Write(header(PANICKED, 4 << 20)), Step::Repeat(0x1b, 4 << 20), Step::Exit(101)],
        End::BadData(Ran::Yes),
    );
    let frames = [[1, 0].repeat(10_000), [&[1][..], &[0xff; 9], &[1]].concat().repeat(2000), vec![0; 30_000]];
    let frames = frames.map(|frames| {
        let note = [&string("oh")[..], &[0], &number(1000), &frames].concat();
        Attack::new(
            "a panic with forged frames",
            [Step::Write(frame(PANICKED, &note)), Step::Exit(101)],
            End::Panicked,
        )
    });
    panics.into_iter().chain(unsendable).chain([none, too_long]).chain(frames).collect()
}

/// What it can say to the host's logger, which looks at what it is told.
fn records() -> Vec<Attack> {
    let escapes = "\u{1b}]0;title\u{7}\u{1b}[2J\u{9b}31m\0\u{7f}\r\n[ERROR] forged".repeat(100);
    let long = "\u{1b}".repeat(NOTE / 3);
    let honest = record(0, 3, "a::target", "hello", &[("key", "value")]);
    let fine = [
        ("a record", honest.clone()),
        ("a record of each kind of forged text", record(0, 1, &escapes, &escapes, &[(&escapes, &escapes)])),
        ("an event of forged text", record(1, 1, &escapes, &escapes, &[(&escapes, &escapes)])),
        ("a record with a long target", record(0, 3, &long, "", &[])),
        ("a record with a long message", record(0, 3, "", &long, &[])),
        ("a record with many fields", record(0, 3, "", "", &vec![("", ""); 30_000])),
        ("a record in another function's name", record(0, 3, "", "", &[("sandboxed.function", "main")])),
    ];
    let fine = fine.map(|(name, bytes)| Attack::new(name, [Step::Write(bytes)], End::Value(HONEST)));
    let wrong = [
        ("a level below all", record(0, 0, "", "", &[])),
        ("a level above all", record(0, 6, "", "", &[])),
        ("a record by nobody", record(2, 3, "", "", &[])),
        ("half a record", frame(RECORD, &honest[9..20])),
        ("two records at once", honest.repeat(2)),
        ("a thousand records at once", honest.repeat(1000)),
    ];
    let wrong = wrong.map(|(name, bytes)| Attack::new(name, [Step::Write(bytes)], End::BadData(Ran::Yes)));
    let others = [
        Attack::new(
            "an answer, then a record",
            [Step::Write([returned(FORGED), honest.clone()].concat())],
            End::Value(FORGED),
        ),
        Attack::new("records that nobody waits for", [Step::Flood(honest.clone())], End::BadData(Ran::Yes)),
        Attack::new("a record before the body", [Step::Write(honest)], End::Value(HONEST)).before_the_body(),
        Attack::new("records for ever", [Step::Log], End::TimedOut(Ran::Yes)),
    ];
    fine.into_iter().chain(wrong).chain(others).collect()
}

/// What it can do to its descriptors and limits.
fn channels() -> Vec<Attack> {
    vec![
        // The answer is in memory, and the host hears of the end.
        Attack::new("the bell closed", [Step::Close], End::Value(HONEST)),
        Attack::new("another pipe for the bell", [Step::Divert], End::Value(HONEST)),
        Attack::new("stdout for the bell", [Step::Duplicate(1, BELL)], End::Value(HONEST)),
        Attack::new("stdin for the bell", [Step::Duplicate(0, BELL)], End::Value(HONEST)),
        Attack::new(
            "the bell taken away and put back",
            [Step::Duplicate(BELL, 10), Step::Divert, Step::Duplicate(10, BELL)],
            End::Value(HONEST),
        ),
        Attack::new("no descriptors, files or stack", [Step::Limit], End::Value(HONEST)),
        Attack::new("no memory, and none needed", [Step::LimitMemory], End::Value(HONEST)),
        Attack::new(
            "no memory, and some needed",
            [Step::LimitMemory, Step::Allocate(64 << 20)],
            End::Killed(libc::SIGABRT, Ran::Yes),
        ),
    ]
}

/// Offsets in the memory of replies: whether the worker sleeps, and how much it took of the request.
const WORKER_SLEEPS: usize = 64;
const TAKEN: usize = 128;
/// A count of bytes has its turn above it.
const OF_FIRST_TURN: u64 = 1 << 40;
const WINDOW: u64 = 1 << 20;

/// What it can do to the memory that the host reads.
fn memory() -> Vec<Attack> {
    // Behind the frame that says that the body began, which may have been read.
    let counts = [10, 18, WINDOW, WINDOW + 1, 1 << 39, (1 << 40) - 1].map(|count| {
        let steps = [Step::Claim(0xff, count), Step::Exit(0)];
        Attack::new(format!("{count} bytes that were not written"), steps, End::BadData(Ran::Yes))
    });
    let answer = returned(FORGED);
    let flickering = Attack::new(
        "bytes that change while they are read",
        [
            Step::Write(header(RETURNED, LIMIT as u64 - 1)),
            Step::Write(vec![0; 1000]),
            Step::Flicker(5000, vec![0, u64::MAX]),
        ],
        End::TimedOut(Ran::Yes),
    );
    let others = [
        // It takes back that it began, if nobody has read it yet.
        Attack::new(
            "all memory filled, then an end",
            [Step::Fill(0xff), Step::Exit(3)],
            End::Exited(3, Ran::Maybe),
        ),
        Attack::new(
            "frames for ever, then an end",
            [Step::ClaimForEver, Step::Exit(0)],
            End::Exited(0, Ran::Yes),
        ),
        Attack::new("memory given up", [Step::Unmap], End::Killed(libc::SIGSEGV, Ran::Yes)),
        Attack::new(
            "a count of too much, then an answer",
            [Step::Poke(TAKEN, u64::MAX), Step::Poke(WORKER_SLEEPS, 1), Step::Write(answer)],
            End::Value(FORGED),
        ),
        flickering,
    ];
    counts.into_iter().chain(others).collect()
}

/// While its arguments are decoded: what is said there cannot be told from what our own code says.
fn before_the_body() -> Vec<Attack> {
    let attacks = [
        Attack::new("exit", [Step::Exit(0)], End::Exited(0, Ran::No)),
        Attack::new("crash", [Step::Raise(libc::SIGSEGV)], End::Killed(libc::SIGSEGV, Ran::No)),
        Attack::new(
            "half a header",
            [Step::Write(vec![RETURNED, 1]), Step::Exit(3)],
            End::Exited(3, Ran::No),
        ),
        Attack::new("garbage", [Step::Write(vec![0; 9])], End::BadData(Ran::Yes)),
        Attack::new("an answer", [Step::Write(returned(FORGED))], End::Value(FORGED)),
        Attack::new("a refusal", [Step::Write(frame(REFUSED, &note("why not")))], End::NotLaunched),
        Attack::new("half a refusal", [Step::Write(frame(REFUSED, b"\x05"))], End::BadData(Ran::No)),
        Attack::new("a beginning", [Step::Write(header(BEGUN, 0)), Step::Exit(3)], End::Exited(3, Ran::Yes)),
        Attack::new("the bell closed", [Step::Close], End::Value(HONEST)),
        Attack::new("no reply", [Step::Sleep], End::TimedOut(Ran::No)),
    ];
    attacks.map(Attack::before_the_body).into()
}

/// What never ends by itself.
fn endless() -> Vec<Attack> {
    let attack = |name: &str, steps: &[Step]| Attack::new(name, steps, End::TimedOut(Ran::Yes));
    // It takes back that it began, if the host has not seen that yet.
    let hiding = |name: &str, steps: &[Step]| Attack::new(name, steps, End::TimedOut(Ran::Maybe));
    let largest = frame(PANICKED, &vec![0x1b; NOTE]);
    vec![
        attack("no reply", &[Step::Sleep]),
        attack("frames for ever", &[Step::ClaimForEver, Step::Sleep]),
        attack("a stop of itself", &[Step::Raise(libc::SIGSTOP)]),
        attack("no bell and no reply", &[Step::Close, Step::Sleep]),
        attack("another bell and no reply", &[Step::Divert, Step::Sleep]),
        attack("rings", &[Step::Ring]),
        attack("the bell for stdout", &[Step::Duplicate(BELL, 1), Step::Print(b"hello".to_vec())]),
        hiding(
            "counts that come and go",
            &[Step::Flicker(WRITTEN, vec![0, OF_FIRST_TURN | 1, 0, OF_FIRST_TURN])],
        ),
        attack(
            "counts of what was taken",
            &[Step::Flicker(TAKEN, vec![0, u64::MAX, OF_FIRST_TURN | 1 << 30])],
        ),
        attack("a worker that says that it sleeps", &[Step::Poke(WORKER_SLEEPS, u64::MAX), Step::Sleep]),
        hiding("counts of other turns", &[Step::Flicker(WRITTEN, vec![5 << 40 | 9, u64::MAX, 1 << 20])]),
        attack("beginnings", &[Step::Flood(header(BEGUN, 0))]),
        attack("many beginnings", &[Step::Flood(header(BEGUN, 0).repeat(7000))]),
        attack("small notes", &[Step::Flood(frame(PANICKED, b""))]),
        attack("large notes", &[Step::Flood(largest)]),
        attack("a slow answer", &[Step::Write(header(RETURNED, LIMIT as u64)), Step::Drip(0)]),
        attack("prints", &[Step::Print(vec![b'x'; 4096])]),
        attack("prints of lines", &[Step::Print(b"\n".repeat(4096))]),
        attack("prints of half characters", &[Step::Print(b"\xf0\x9f\xa6".to_vec())]),
        attack("prints of escapes", &[Step::Print(b"\x1b[2J\x07".repeat(500))]),
    ]
}
