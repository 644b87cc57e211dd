//! What became of the calls, in lines that align.

use indicatif::HumanBytes;
use sandboxed::{ErrorKind, Hint};
use std::env;
use std::io::{self, IsTerminal};
use std::time::Duration;

/// What became of a call, in a word.
#[derive(Clone, Copy)]
pub enum Outcome {
    Done(&'static str),
    /// By the decoder, or by the host before it came to that.
    Refused(&'static str),
    /// By the sandbox.
    Stopped(&'static str),
    /// A planted bug did what it wanted.
    Escaped,
    /// It did not come to the call, through no fault of the file.
    NoSandbox,
}

impl Outcome {
    pub fn of_sandbox(error: &sandboxed::Error) -> Outcome {
        Outcome::Stopped(match error.kind() {
            ErrorKind::Panicked { .. } => "panicked",
            // No more than a hint: a worker can make it look so.
            ErrorKind::Killed { hint: Some(Hint::OutOfMemory { .. }), .. } => "out of memory",
            ErrorKind::Killed { .. } => "killed",
            ErrorKind::Exited { .. } => "exited",
            ErrorKind::TimedOut { .. } => "timed out",
            ErrorKind::BadData { .. } | ErrorKind::Encode { .. } => "bad data",
            _ => return Outcome::NoSandbox,
        })
    }

    pub fn is_failure(&self) -> bool {
        matches!(self, Outcome::Escaped | Outcome::NoSandbox)
    }

    fn word_and_colour(self) -> (&'static str, u8) {
        const RED: u8 = 31;
        const GREEN: u8 = 32;
        const YELLOW: u8 = 33;
        const MAGENTA: u8 = 35;
        match self {
            Outcome::Done(word) => (word, GREEN),
            Outcome::Refused(word) => (word, YELLOW),
            Outcome::Stopped(word) => (word, RED),
            Outcome::Escaped => ("ESCAPED", MAGENTA),
            Outcome::NoSandbox => ("NO SANDBOX", MAGENTA),
        }
    }
}

/// A line of the table.
pub struct Row {
    pub name: String,
    pub size: Option<usize>,
    pub time: Option<Duration>,
    pub outcome: Outcome,
    pub detail: String,
}

impl Row {
    pub fn new(name: String, outcome: Outcome, detail: String) -> Row {
        Row { name, size: None, time: None, outcome, detail }
    }
}

/// How wide its columns are.
pub struct Table {
    pub name_width: usize,
    pub size_width: usize,
}

impl Table {
    pub fn print(&self, row: &Row) {
        let Table { name_width, size_width } = *self;
        let size = row.size.map_or_else(String::new, |bytes| HumanBytes(bytes as u64).to_string());
        let time = row.time.map_or_else(String::new, |time| format!("{:.1} ms", time.as_secs_f64() * 1e3));
        let (word, colour) = row.outcome.word_and_colour();
        let (on, off) =
            if is_colourful() { (format!("\x1b[{colour}m"), "\x1b[0m") } else { Default::default() };
        let detail = printable(&row.detail);
        println!("{:name_width$} {size:>size_width$} {time:>10}  {on}{word:13}{off}  {detail}", row.name);
    }
}

fn is_colourful() -> bool {
    io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none()
}

/// Names and messages come from strangers: what could steer the terminal is spelled out.
pub fn printable(text: &str) -> String {
    let spell = |c| if matches!(c, '"' | '\'') { String::from(c) } else { c.escape_debug().to_string() };
    text.chars().map(spell).collect()
}

pub fn summary(outcomes: &[Outcome]) -> String {
    let count = |is: fn(&Outcome) -> bool| outcomes.iter().filter(|outcome| is(outcome)).count();
    let mut parts = vec![
        (count(|outcome| matches!(outcome, Outcome::Done(_))), "decoded"),
        (count(|outcome| matches!(outcome, Outcome::Refused(_))), "refused"),
        (count(|outcome| matches!(outcome, Outcome::Stopped(_))), "stopped by the sandbox"),
        (count(|outcome| matches!(outcome, Outcome::Escaped)), "not stopped"),
        (count(|outcome| matches!(outcome, Outcome::NoSandbox)), "without a sandbox"),
    ];
    parts.retain(|(count, _)| *count > 0);
    let parts: Vec<_> = parts.iter().map(|(count, what)| format!("{count} {what}")).collect();
    if parts.is_empty() {
        "nothing to do".to_owned()
    } else {
        format!("of {}: {}", outcomes.len(), parts.join(", "))
    }
}
