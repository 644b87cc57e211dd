//! `SANDBOXED_EXPLAIN`: each denial printed once, when it is seen, and a summary at the end.

use crate::denial::{Denial, Object, errno_name};
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

    pub(super) fn denial(self, denial: &Denial) -> String {
        match self {
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

    /// What was denied in all, the most frequent first.
    pub(super) fn summary(self, denials: &[Denial]) -> String {
        if denials.is_empty() {
            return String::new();
        }
        let mut denials: Vec<&Denial> = denials.iter().collect();
        denials.sort_by(|one, other| other.count.cmp(&one.count).then_with(|| one.cmp(other)));
        let total: u64 = denials.iter().map(|denial| denial.count).sum();
        if self == Format::Json {
            return Line::Summary { denials: total, different: denials.len() }.text();
        }
        let plural = if total == 1 { "" } else { "s" };
        let mut text = format!("sandboxed: {total} denial{plural}, {} different:\n", denials.len());
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
    Sandbox { function: &'a str, name: &'a str },
    Summary { denials: u64, different: usize },
}

impl Line<'_> {
    fn text(&self) -> String {
        serde_json::to_string(self).map_or_else(|_| String::new(), |line| line + "\n")
    }
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
    use crate::denial::By;

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
