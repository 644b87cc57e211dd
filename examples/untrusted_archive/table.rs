//! The table: an archive a line, what became of it without the attribute and with it.

use crate::compare::{Comparison, End, Fate};
use indicatif::HumanBytes;
use std::env;
use std::io::{self, IsTerminal};

const RED: u8 = 31;
const GREEN: u8 = 32;
const YELLOW: u8 = 33;
const NAME_WIDTH: usize = 24;
const SIZE_WIDTH: usize = 10;
const CELL_WIDTH: usize = 48;

pub fn print_head() {
    println!("{:NAME_WIDTH$} {:>SIZE_WIDTH$}  {:CELL_WIDTH$}  with", "archive", "size", "without");
}

pub fn print(row: &Comparison) {
    let size = HumanBytes(row.size).to_string();
    let [without, with] = [&row.without, &row.with].map(cell);
    println!("{:NAME_WIDTH$} {size:>SIZE_WIDTH$}  {without}  {with}", row.name);
}

fn cell(fate: &Fate) -> String {
    let (text, colour) = text(fate);
    let text = format!("{:CELL_WIDTH$}", printable(&text));
    let is_colourful = io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none();
    if is_colourful { format!("\x1b[{colour}m{text}\x1b[0m") } else { text }
}

fn text(fate: &Fate) -> (String, u8) {
    match &fate.end {
        _ if !fate.harm.is_empty() => (fate.harm.join(", "), RED),
        End::Unpacked(items) => match items.as_slice() {
            [item] => (format!("unpacked {}", item.name), GREEN),
            items => (format!("unpacked {} files", items.len()), GREEN),
        },
        End::Failed(error) => (error.clone(), YELLOW),
        End::Stopped(by) => (format!("stopped: {by}"), YELLOW),
    }
}

/// Names come from strangers: what could steer the terminal is spelled out.
fn printable(text: &str) -> String {
    text.escape_debug().to_string()
}
