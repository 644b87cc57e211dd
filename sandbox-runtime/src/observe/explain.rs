//! `SANDBOXED_EXPLAIN`: each denial printed once, when it is seen, and a summary at the end.

use super::report::Unseen;
use crate::denial::{By, Denial, Object, deceives, errno_name};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::AsFd;
use serde::{Deserialize, Serialize};

/// The variable. `json` asks for a line of JSON for each denial, anything else but nothing and `0` for text.
pub(crate) const VARIABLE: &str = "SANDBOXED_EXPLAIN";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Format {
    Text { colour: bool },
    Json,
}

impl Format {
    /// As the environment asks; colour where stderr is a terminal and `NO_COLOR` is not set.
    pub(crate) fn asked() -> Option<Format> {
        // A set-user-ID program explains nothing to a stranger.
        if crate::sys::startup::is_secure_execution() {
            return None;
        }
        let asked = std::env::var_os(VARIABLE)?;
        match asked.to_str() {
            Some("" | "0") => None,
            Some("json") => Some(Format::Json),
            _ => {
                let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
                let colour = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
                Some(Format::Text { colour })
            }
        }
    }

    /// Of what is not there text speaks in the summary alone: programs look for much.
    pub(super) fn denial(self, denial: &Denial) -> String {
        match self {
            Format::Text { .. } if denial.by == By::Missing => String::new(),
            Format::Json => Line::Denial(denial).text(),
            Format::Text { colour: false } => format!("sandboxed: {denial}\n"),
            Format::Text { colour: true } => coloured(&format!("sandboxed: {denial}\n")),
        }
    }

    /// The name that the kernel's records have for a sandbox.
    pub(super) fn sandbox(self, function: &str, name: &str) -> String {
        match self {
            Format::Json => Line::Sandbox { function, name }.text(),
            Format::Text { .. } => format!("sandboxed: the sandbox of `{function}` was {name}\n"),
        }
    }

    /// What cannot be seen of a function.
    pub(super) fn unseen(self, function: &str, unseen: &Unseen) -> String {
        match self {
            Format::Json => Line::Unseen { function, unseen }.text(),
            Format::Text { .. } => format!("sandboxed: `{function}` {unseen}\n"),
        }
    }

    /// What was not there, and what was denied in all, the most frequent first.
    pub(super) fn summary(self, denials: &[Denial]) -> String {
        let mut denials: Vec<&Denial> = denials.iter().collect();
        denials.sort_by(|one, other| other.count.cmp(&one.count).then_with(|| one.cmp(other)));
        let (missing, denials): (Vec<&Denial>, Vec<&Denial>) =
            denials.into_iter().partition(|denial| denial.by == By::Missing);
        let mut text = if self == Format::Json { String::new() } else { not_there(&missing) };
        if denials.is_empty() {
            return text;
        }
        let total: u64 = denials.iter().map(|denial| denial.count).sum();
        if self == Format::Json {
            return Line::Summary { denials: total, different: denials.len() }.text();
        }
        let plural = if total == 1 { "" } else { "s" };
        text += &format!("sandboxed: {total} denial{plural}, {} different:\n", denials.len());
        for denial in denials {
            let Denial { function, operation, object, errno, by, count, grant, .. } = denial;
            let object = if *object == Object::Nothing { String::new() } else { format!(" {object}") };
            text += &format!("{count:>8} × `{function}` {operation}{object} ({}, {by})", errno_name(*errno));
            if let Some(grant) = grant {
                text += &format!(": {grant}");
            }
            text += "\n";
        }
        text
    }
}

/// One line: the first few, and how many more.
fn not_there(missing: &[&Denial]) -> String {
    const MOST: usize = 8;
    let mut paths: Vec<String> = Vec::new();
    for denial in missing {
        let path = denial.object.to_string();
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    let more = match paths.len().saturating_sub(MOST) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    paths.truncate(MOST);
    match paths.is_empty() {
        true => String::new(),
        false => format!("sandboxed: not there, which is no denial: {}{more}\n", paths.join(", ")),
    }
}

/// The first line red, its end and help blue, as the compiler's.
fn coloured(text: &str) -> String {
    let line = |(index, line): (usize, &str)| match index {
        0 => format!("\x1b[1;31m{line}\x1b[0m\n"),
        _ if line.starts_with("  -->") => format!("\x1b[34m{line}\x1b[0m\n"),
        _ if line.starts_with("  = help") => format!("\x1b[32m{line}\x1b[0m\n"),
        _ => format!("{line}\n"),
    };
    text.lines().enumerate().map(line).collect()
}

/// A line of JSON. What it is about comes first, by which whoever collects lines of many kinds tells ours.
#[derive(Serialize)]
#[serde(tag = "sandboxed", rename_all = "snake_case")]
enum Line<'a> {
    Denial(&'a Denial),
    Sandbox {
        function: &'a str,
        name: &'a str,
    },
    Unseen {
        function: &'a str,
        #[serde(flatten)]
        unseen: &'a Unseen,
    },
    Summary {
        denials: u64,
        different: usize,
    },
}

impl Line<'_> {
    fn text(&self) -> String {
        serde_json::to_string(self).map_or_else(|_| String::new(), |line| escaped(&line) + "\n")
    }
}

/// Outside of strings JSON has no such characters, and all of them are of four digits.
fn escaped(line: &str) -> String {
    let shown = |c: char| if deceives(c) { format!("\\u{:04x}", u32::from(c)) } else { c.into() };
    line.chars().map(shown).collect()
}

/// Prints to a descriptor.
#[derive(Debug)]
pub(crate) struct Printer<F> {
    format: Format,
    to: F,
}

impl<F: AsFd> Printer<F> {
    pub(crate) fn new(format: Format, to: F) -> Printer<F> {
        Printer { format, to }
    }

    pub(crate) fn denial(&mut self, denial: &Denial) {
        self.print(&self.format.denial(denial));
    }

    pub(crate) fn unseen(&mut self, function: &str, unseen: &Unseen) {
        self.print(&self.format.unseen(function, unseen));
    }

    pub(crate) fn summary(&mut self, denials: &[Denial]) {
        self.print(&self.format.summary(denials));
    }

    /// What nobody reads for a second is lost: the program waits meanwhile.
    fn print(&self, text: &str) {
        const PATIENCE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
        let mut bytes = text.as_bytes();
        while !bytes.is_empty() {
            let mut ready = [PollFd::new(&self.to, PollFlags::OUT)];
            if !matches!(poll(&mut ready, Some(&PATIENCE)), Ok(1..) | Err(rustix::io::Errno::INTR)) {
                return;
            }
            // Of a pipe that can be written a page is free.
            let (now, _) = bytes.split_at(bytes.len().min(4096));
            match rustix::io::write(&self.to, now) {
                Ok(length @ 1..) => bytes = &bytes[length..],
                Err(rustix::io::Errno::INTR) => {}
                _ => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denial(path: &str, by: By, count: u64) -> Denial {
        Denial {
            function: "f".into(),
            place: "a.rs:1:1".into(),
            operation: "read_file".into(),
            call: "openat".into(),
            object: Object::Path(path.into()),
            errno: if by == By::Missing { libc::ENOENT } else { libc::EACCES },
            by,
            count,
            grant: None,
            note: None,
        }
    }

    const TEXT: Format = Format::Text { colour: false };

    #[test]
    fn what_is_not_there_is_one_line_of_the_summary() {
        let missing = |count: usize| -> Vec<Denial> {
            (0..count).map(|number| denial(&format!("/{number}"), By::Missing, 1)).collect()
        };
        let line = |count| TEXT.summary(&missing(count));
        assert_eq!(line(0), "");
        assert_eq!(line(2), "sandboxed: not there, which is no denial: /0, /1\n");
        let eight = "sandboxed: not there, which is no denial: /0, /1, /2, /3, /4, /5, /6, /7";
        assert_eq!(line(8), format!("{eight}\n"));
        assert_eq!(line(10), format!("{eight}, and 2 more\n"));
        // By several functions, and the most frequent first.
        let twice = [missing(2), vec![Denial { function: "g".into(), count: 3, ..missing(2).remove(1) }]];
        assert_eq!(TEXT.summary(&twice.concat()), "sandboxed: not there, which is no denial: /1, /0\n");
        assert_eq!(TEXT.denial(&missing(1)[0]), "");
        assert_eq!(Format::Json.denial(&missing(1)[0]).lines().count(), 1);
        assert_eq!(Format::Json.summary(&missing(1)), "");
    }

    #[test]
    fn what_is_not_there_is_not_counted_as_denied() {
        let both = [denial("/a", By::Missing, 7), denial("/b", By::Landlock, 1)];
        let text = "sandboxed: not there, which is no denial: /a\n\
                    sandboxed: 1 denial, 1 different:\n       1 × `f` read_file /b (EACCES, Landlock)\n";
        assert_eq!(TEXT.summary(&both), text);
        let json = "{\"sandboxed\":\"summary\",\"denials\":1,\"different\":1}\n";
        assert_eq!(Format::Json.summary(&both), json);
    }

    #[test]
    fn what_a_terminal_could_take_for_something_else_is_escaped_in_json() {
        let path = "/\u{9b}2J\u{7f}\u{202e}\u{61c}\u{2028}\u{1b} ü\\\"";
        let line = Format::Json.denial(&denial(path, By::Landlock, 1));
        let shown = r#""path":"/\u009b2J\u007f\u202e\u061c\u2028\u001b ü\\\"""#;
        assert!(line.contains(shown), "{line}");
        assert_eq!(line.chars().filter(|c| c.is_control()).collect::<String>(), "\n");
        let back: Denial = serde_json::from_str(&line).unwrap();
        assert_eq!(back.object, Object::Path(path.into()));
    }

    #[test]
    fn a_line_of_json_begins_with_what_it_is_about() {
        let denial = Denial {
            function: "a::b".into(),
            place: "a.rs:1:2".into(),
            operation: "read_file".into(),
            call: "openat".into(),
            object: Object::Path("/etc/hosts".into()),
            errno: libc::EACCES,
            by: By::Landlock,
            count: 2,
            grant: None,
            note: None,
        };
        let line = Format::Json.denial(&denial);
        let begins = r#"{"sandboxed":"denial","function":"a::b","place":"a.rs:1:2","operation":"read_file","#;
        assert!(line.starts_with(begins) && line.ends_with("}\n"), "{line}");
        assert_eq!(serde_json::from_str::<Denial>(&line).unwrap(), denial);
        let sandbox = "{\"sandboxed\":\"sandbox\",\"function\":\"a::b\",\"name\":\"1f\"}\n";
        assert_eq!(Format::Json.sandbox("a::b", "1f"), sandbox);
        let summary = "{\"sandboxed\":\"summary\",\"denials\":2,\"different\":1}\n";
        assert_eq!(Format::Json.summary(&[denial]), summary);
    }
}
