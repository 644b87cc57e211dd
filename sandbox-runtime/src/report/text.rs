//! The report as text for a terminal.

use super::{Cell, Mark, Report, Row, kernel_in_words, printable};
use crate::denial::Denial;
use std::fmt;

/// One block for each function, one line for each resource; what is refused alike shares a line. In colour by `{:#}`.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paint = Paint(f.alternate());
        let count = self.rows.len();
        let functions = if count == 1 { "function" } else { "functions" };
        writeln!(f, "{count} sandboxed {functions}, on {}", kernel_in_words(self.kernel))?;
        for row in &self.rows {
            writeln!(f)?;
            block(f, row, paint)?;
        }
        if !self.others.is_empty() {
            writeln!(f, "\ndenied to functions that are not here")?;
            self.others.iter().try_for_each(|denial| indented(f, denial, paint))?;
        }
        Ok(())
    }
}

fn block(f: &mut fmt::Formatter<'_>, row: &Row, paint: Paint) -> fmt::Result {
    let Row { name, place, placement, .. } = row;
    writeln!(f, "{} in {placement}, {}", paint.bold(&printable(name)), printable(place))?;
    writeln!(f, "  {}", printable(&row.written()))?;
    if let Some(error) = &row.error {
        writeln!(f, "  {}", paint.mark(Mark::Unenforceable, &printable(&format!("a call fails: {error}"))))?;
    }
    let mut lines = lines(row);
    lines.sort_by_key(|(mark, ..)| *mark);
    for (mark, resources, detail) in lines {
        let is_shared = is_shared(mark);
        let word = paint.mark(mark, &format!("{:<13}", mark.word()));
        let line = match is_shared {
            true => format!("  {word} {resources} {detail}"),
            false => format!("  {word} {resources:<17}{detail}"),
        };
        writeln!(f, "{}", line.trim_end())?;
    }
    if let Some(plan) = row.plan.as_ref().filter(|plan| !plan.errata.is_empty()) {
        let numbers: Vec<String> = plan.errata.iter().map(|erratum| erratum.number().to_string()).collect();
        writeln!(f, "  without the fixes of Landlock's errata {}", numbers.join(", "))?;
    }
    row.denials.iter().try_for_each(|denial| indented(f, denial, paint))
}

fn indented(f: &mut fmt::Formatter<'_>, denial: &Denial, paint: Paint) -> fmt::Result {
    let text = denial.to_string();
    let mut lines = text.lines().map(printable);
    let first = lines.next().unwrap_or_default();
    writeln!(f, "  {}", if denial.by.is_sandbox() { paint.denied(&first) } else { first })?;
    lines.try_for_each(|line| writeln!(f, "  {line}"))
}

/// Whether there is nothing to say of each that the others do not share.
const fn is_shared(mark: Mark) -> bool {
    matches!(mark, Mark::Refused | Mark::Open | Mark::ByArguments)
}

/// Mark, resources, and what there is to say. What is alike shares a line.
fn lines(row: &Row) -> Vec<(Mark, String, String)> {
    let mut lines: Vec<(Mark, String, String)> = Vec::new();
    if row.policy.is_none() {
        lines.push((Mark::ByArguments, "all is worked out when it is called".into(), String::new()));
    }
    // Of those by arguments only what was denied is worth a word.
    let cells = row.cells.iter().filter(|cell| cell.mark != Mark::ByArguments || cell.denied > 0);
    for cell in cells {
        let (mark, detail, denied) = (cell.mark, detail(cell), times(cell.denied));
        let is_shared = is_shared(mark);
        match lines.iter_mut().find(|line| is_shared && line.0 == mark && line.2 == detail) {
            Some(line) => line.1 += &format!(", {}{denied}", cell.resource),
            None if is_shared => lines.push((mark, format!("{}{denied}", cell.resource), detail)),
            None => lines.push((mark, cell.resource.to_string(), detail + &denied)),
        }
    }
    lines
}

fn times(denied: u64) -> String {
    match denied {
        0 => String::new(),
        1 => " (denied once)".into(),
        denied => format!(" (denied {denied} times)"),
    }
}

/// What is granted, in brackets who holds the rest, and what nobody holds.
fn detail(cell: &Cell) -> String {
    let granted = (!cell.granted.is_empty()).then(|| printable(&cell.granted.join(", ")));
    let lost: Vec<String> = cell.lost.iter().map(|lost| lost.to_string()).collect();
    let lost = (!lost.is_empty()).then(|| format!("not held: {}", lost.join("; ")));
    let by = (!cell.held.is_empty()).then(|| format!("[{}]", cell.by()));
    [granted, by, lost].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// Colours, where they are asked for.
#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn with(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    fn denied(self, text: &str) -> String {
        self.with("1;31", text)
    }

    fn mark(self, mark: Mark, text: &str) -> String {
        self.with(
            match mark {
                Mark::Unenforceable => "31",
                Mark::Lost | Mark::Open => "33",
                Mark::Granted => "36",
                Mark::Limited => "34",
                Mark::Refused => "32",
                Mark::ByArguments => "35",
            },
            text,
        )
    }
}
