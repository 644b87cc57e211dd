//! The table, in Markdown.

use crate::driver::{Figure, JOBS, PAYLOAD_KINDS, Report, Row};
use crate::{Job, Kind, machine};

/// All that was measured, in words and figures.
pub fn markdown(report: &Report) -> String {
    let mut text =
        "# What a call costs, side by side\n\nWritten by `cargo bench`; [how to read it](../README.md).\n\n"
            .to_string();
    text += &head(&["", ""]);
    for (name, fact) in machine::facts() {
        text += &line(&[name.into(), fact]);
    }
    text += "\n## Four jobs\n\nThe median time of a call, in µs.\n\n";
    text += &jobs(report);
    for (kind, rows) in PAYLOAD_KINDS.iter().zip(&report.payloads) {
        text += &format!("\n## {}\n\nIn µs, by the number of bytes.\n\n", payload_title(*kind));
        text += &by_size(report, rows);
    }
    text += "\n## `add`, against the host's touched heap\n\nIn µs, by the size of the heap.\n\n";
    text += &by_size(report, &report.heaps);
    text += &failures(report);
    text
}

/// What a payload is used for.
pub fn payload_title(kind: Kind) -> &'static str {
    if kind == Kind::Echo { "Bytes in, the same bytes out" } else { "Bytes in, a check sum out" }
}

fn jobs(report: &Report) -> String {
    let titles = ["way", "isolates", "state", "add", "crc32, 64 KiB", "reverse, 16 MiB", "PNG, 1 to 3 MB"];
    let mut text = head(&titles);
    for (at, peer) in report.peers.iter().enumerate() {
        let isolation = isolation(&peer.by_design, &report.held[at]);
        let figures = report.jobs.iter().map(|figures| figure(&figures[at]));
        let name = format!("`{}`", peer.name);
        text += &line(&[name].into_iter().chain(isolation).chain(figures).collect::<Vec<_>>());
    }
    text
}

/// What it keeps a body from, and whether a call sees what an earlier one left.
fn isolation(by_design: &[String; 2], held: &crate::Result<String>) -> [String; 2] {
    match held {
        Err(_) => ["failed"; 2].map(String::from),
        Ok(held) if held == "cannot" => by_design.clone(),
        Ok(held) => {
            let (fresh, held): (Vec<&str>, Vec<&str>) =
                held.split(", ").partition(|word| *word == "earlier calls");
            let isolates = if held.is_empty() || held == [""] { "nothing".into() } else { held.join(", ") };
            [isolates, if fresh.is_empty() { "stays" } else { "fresh" }.into()]
        }
    }
}

fn by_size(report: &Report, rows: &[Row]) -> String {
    let titles: Vec<String> =
        ["way".into()].into_iter().chain(rows.iter().map(|(size, _)| bytes(*size))).collect();
    let mut text = head(&titles.iter().map(String::as_str).collect::<Vec<_>>());
    for (at, peer) in report.peers.iter().enumerate() {
        let figures = rows.iter().map(|(_, figures)| figure(&figures[at]));
        text += &line(&[format!("`{}`", peer.name)].into_iter().chain(figures).collect::<Vec<_>>());
    }
    text
}

/// What failed and what was left out, each with its reason.
fn failures(report: &Report) -> String {
    let mut lines = report.left_out.clone();
    let mut look = |what: &str, figures: &[Figure]| {
        for (peer, figure) in report.peers.iter().zip(figures) {
            if let Figure::Failed(error) = figure {
                lines.push(format!("`{}`, {what}: {error}", peer.name));
            }
        }
    };
    for (job, figures) in JOBS.iter().zip(&report.jobs) {
        look(&job.to_string(), figures);
    }
    for (kind, rows) in PAYLOAD_KINDS.iter().zip(&report.payloads) {
        rows.iter().for_each(|(size, figures)| look(&Job { kind: *kind, size: *size }.to_string(), figures));
    }
    report
        .heaps
        .iter()
        .for_each(|(size, figures)| look(&format!("with a heap of {}", bytes(*size)), figures));
    for (peer, held) in report.peers.iter().zip(&report.held) {
        if let Err(error) = held {
            lines.push(format!("`{}`, what it isolates: {error}", peer.name));
        }
    }
    if lines.is_empty() {
        return "\nNothing failed, and nothing was left out.\n".into();
    }
    lines.iter().fold("\n## What failed or was left out\n\n".into(), |text, line| format!("{text}- {line}\n"))
}

/// With as many digits as tell something.
fn figure(figure: &Figure) -> String {
    match figure {
        Figure::Time(time) => microseconds(*time),
        Figure::Cannot => "–".into(),
        Figure::Failed(_) => "failed".into(),
    }
}

fn microseconds(time: f64) -> String {
    match time {
        ..0.1 => format!("{time:.4}"),
        ..10.0 => format!("{time:.2}"),
        _ => thousands(time.round() as u64),
    }
}

fn thousands(number: u64) -> String {
    if number < 1000 {
        number.to_string()
    } else {
        format!("{},{:03}", thousands(number / 1000), number % 1000)
    }
}

/// `64 KiB`.
pub fn bytes(count: usize) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = units.into_iter().find(|(unit, _)| count >= *unit);
    unit.map_or(format!("{count} B"), |(unit, name)| format!("{} {name}", count / unit))
}

/// The first column is text, the others are figures.
fn head(titles: &[&str]) -> String {
    let titles: Vec<String> = titles.iter().map(|title| (*title).into()).collect();
    format!("{}{}", line(&titles), line(&vec!["---".into(); titles.len()]))
}

fn line(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_the_digits_that_tell_something() {
        let figures = [0.00123, 1.234, 12.5, 1_234_567.0].map(microseconds);
        assert_eq!(figures, ["0.0012", "1.23", "13", "1,234,567"]);
    }

    #[test]
    fn sizes_are_in_the_largest_unit_that_fits() {
        assert_eq!([0, 256, 65536, 4 << 30].map(bytes), ["0 B", "256 B", "64 KiB", "4 GiB"]);
    }

    #[test]
    fn isolation_is_what_was_tried() {
        let words = |held: &str| isolation(&["by design".into(), "as named".into()], &Ok(held.into()));
        assert_eq!(words(""), ["nothing", "stays"]);
        assert_eq!(words("process, files, earlier calls"), ["process, files", "fresh"]);
        assert_eq!(words("cannot"), ["by design", "as named"]);
    }
}
