//! The report as a page.
//!
//! Roles are written out: on a narrow screen the style makes a card of each row, and browsers then no longer take a
//! `<table>` for one by itself.

use super::{Cell, Mark, Report, Resource, Row, kernel_in_words, printable};
use crate::plan::Layer;
use std::fmt;

const STYLE: &str = include_str!("page.css");

/// The layers by the letters of the README's support table.
const LETTERS: [(char, &str); 6] = [
    ('L', "Landlock"),
    ('F', "system call filter"),
    ('R', "resource limit"),
    ('K', "the forkserver kills it"),
    ('N', "namespaces"),
    ('G', "it was given nothing else"),
];

/// Text, or the value of an attribute in double quotes: what it says is seen and does nothing.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        printable(self.0).chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            c => write!(f, "{c}"),
        })
    }
}

pub(super) struct Page<'a>(pub(super) &'a Report);

impl fmt::Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        write!(
            f,
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>Sandboxed functions</title>\n\
             <style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n"
        )?;
        head(f, report)?;
        table(f, report)?;
        legend(f)?;
        for (number, row) in report.rows.iter().enumerate() {
            section(f, number, row)?;
        }
        if !report.others.is_empty() {
            f.write_str("<section id=\"others\">\n<h2>Denied to functions that are not here</h2>\n")?;
            report.others.iter().try_for_each(|denial| denied(f, &denial.to_string()))?;
            f.write_str("</section>\n")?;
        }
        f.write_str("</main>\n</body>\n</html>\n")
    }
}

fn head(f: &mut fmt::Formatter<'_>, report: &Report) -> fmt::Result {
    let kernel = kernel_in_words(report.kernel);
    writeln!(
        f,
        "<header>\n<h1>Sandboxed functions</h1>\n<p>As they would be held on {kernel}.</p>\n<ul class=\"counts\">"
    )?;
    let denials = report.rows.iter().flat_map(|row| &row.cells).filter(|cell| cell.denied > 0).count();
    for (class, count, what) in [
        ("", report.rows.len(), ["function", "functions"]),
        ("unenforceable", report.count(Mark::Unenforceable), ["cannot be enforced here"; 2]),
        ("lost", report.count(Mark::Lost), ["loses a promise", "lose a promise"]),
        ("denied", denials, ["cell with denials", "cells with denials"]),
    ] {
        if count > 0 || class.is_empty() {
            let [one, many] = what;
            let what = if count == 1 { one } else { many };
            writeln!(f, "<li class=\"{class}\"><b>{count}</b> {what}</li>")?;
        }
    }
    f.write_str("</ul>\n</header>\n")
}

fn table(f: &mut fmt::Formatter<'_>, report: &Report) -> fmt::Result {
    f.write_str(
        "<div class=\"scroll\" role=\"region\" aria-label=\"Functions against resources\" tabindex=\"0\">\n\
         <table class=\"matrix\" role=\"table\" aria-label=\"Functions against resources\">\n\
         <thead role=\"rowgroup\">\n<tr role=\"row\"><th role=\"columnheader\" scope=\"col\" rowspan=\"2\">function</th>",
    )?;
    for (group, columns) in groups() {
        write!(
            f,
            "<th role=\"columnheader\" scope=\"colgroup\" colspan=\"{columns}\" aria-colspan=\"{columns}\" class=\"group\">{group}</th>"
        )?;
    }
    f.write_str("</tr>\n<tr role=\"row\">")?;
    for resource in Resource::ALL {
        write!(f, "<th role=\"columnheader\" scope=\"col\"{}><span>{resource}</span></th>", first(resource))?;
    }
    f.write_str("</tr>\n</thead>\n<tbody role=\"rowgroup\">\n")?;
    for (number, row) in report.rows.iter().enumerate() {
        write!(
            f,
            "<tr role=\"row\"><th role=\"rowheader\" scope=\"row\"><a href=\"#f{number}\">{}</a><small>{}</small>\
             <small class=\"place\">{}</small>",
            Text(&row.name),
            row.placement,
            Text(&row.place)
        )?;
        if row.policy.is_none() {
            write!(
                f,
                "<small class=\"arguments\">by arguments: <code>{}</code></small>",
                Text(&row.attribute)
            )?;
        }
        f.write_str("</th>\n")?;
        row.cells.iter().try_for_each(|cell| table_cell(f, row, cell))?;
        f.write_str("</tr>\n")?;
    }
    f.write_str("</tbody>\n</table>\n</div>\n")
}

/// The groups of columns, and how many each has.
fn groups() -> Vec<(&'static str, usize)> {
    let mut groups: Vec<(&str, usize)> = Vec::new();
    for resource in Resource::ALL {
        match groups.last_mut().filter(|(group, _)| *group == resource.group()) {
            Some((_, columns)) => *columns += 1,
            None => groups.push((resource.group(), 1)),
        }
    }
    groups
}

/// Where a group begins there is a line.
fn first(resource: Resource) -> &'static str {
    let before = Resource::ALL.iter().take_while(|other| **other != resource).last();
    if before.is_none_or(|before| before.group() != resource.group()) { " class=\"first\"" } else { "" }
}

/// Output: `<td class="granted" ..><b>read</b> <i>+</i> /etc <small>L</small></td>`
fn table_cell(f: &mut fmt::Formatter<'_>, row: &Row, cell: &Cell) -> fmt::Result {
    /// Of long lists; the section below has them all.
    const SHOWN: usize = 3;
    let Cell { resource, mark, granted, denied, .. } = cell;
    let class = class(*mark);
    let hit = if *denied > 0 { " denied" } else { "" };
    let edge = if first(*resource).is_empty() { "" } else { " first" };
    write!(
        f,
        "<td role=\"cell\" class=\"{class}{hit}{edge}\" title=\"{}\"><b class=\"label\">{resource}</b>\
         <i aria-hidden=\"true\">{}</i><span class=\"said\">{mark}</span>",
        Text(&told(row, cell)),
        sign(*mark)
    )?;
    for text in granted.iter().take(SHOWN) {
        write!(f, "<code>{}</code>", Text(text))?;
    }
    if granted.len() > SHOWN {
        write!(f, "<span class=\"more\">{} more</span>", granted.len() - SHOWN)?;
    }
    let letters = letters(cell);
    if !letters.is_empty() {
        write!(f, "<small>{letters}</small>")?;
    }
    if *denied > 0 {
        write!(f, "<strong><span>denied </span>{denied}×</strong>")?;
    }
    f.write_str("</td>\n")
}

/// What a cell says to who points at it: `TCP: refused, by filter`.
fn told(row: &Row, cell: &Cell) -> String {
    let mut told = format!("{}: {}", cell.resource, cell.mark);
    if !cell.granted.is_empty() {
        told += &format!(" {}", cell.granted.join(", "));
    }
    if !cell.held.is_empty() {
        told += &format!(", by {}", cell.by());
    }
    cell.lost.iter().for_each(|lost| told += &format!("; not held: {lost}"));
    if cell.denied > 0 {
        let here = row.denials.iter().filter(|denial| Resource::of_denial(denial).contains(&cell.resource));
        here.filter(|denial| denial.by.is_sandbox()).for_each(|denial| {
            let text = denial.to_string();
            told += &format!("; {}", text.lines().next().unwrap_or_default());
        });
    }
    told
}

fn class(mark: Mark) -> &'static str {
    match mark {
        Mark::ByArguments => "arguments",
        mark => mark.word(),
    }
}

const fn sign(mark: Mark) -> &'static str {
    match mark {
        Mark::Unenforceable => "!",
        Mark::Lost => "△",
        Mark::Open => "○",
        Mark::Granted => "+",
        Mark::Limited => "≤",
        Mark::Refused => "×",
        Mark::ByArguments => "?",
    }
}

/// In the order of the legend.
fn letters(cell: &Cell) -> String {
    let has = |letter: char| {
        cell.held.iter().flat_map(|(_, layers)| layers).any(|layer| self::letter(*layer) == letter)
    };
    LETTERS.iter().map(|(letter, _)| *letter).filter(|letter| has(*letter)).collect()
}

const fn letter(layer: Layer) -> char {
    match layer {
        Layer::Landlock(_) | Layer::LandlockWithout(_) => 'L',
        Layer::Filter => 'F',
        Layer::Rlimit => 'R',
        Layer::Forkserver => 'K',
        Layer::Namespaces | Layer::NamespaceRlimit => 'N',
        Layer::Nothing => 'G',
    }
}

fn legend(f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("<footer class=\"legend\">\n<ul>\n")?;
    for mark in Mark::ALL {
        let (class, sign, meaning) = (class(mark), sign(mark), mark.meaning());
        writeln!(
            f,
            "<li><span class=\"{class}\"><i aria-hidden=\"true\">{sign}</i>{mark}</span> {meaning}</li>"
        )?;
    }
    f.write_str("</ul>\n<ul class=\"letters\">\n<li>Held by:</li>\n")?;
    for (letter, meaning) in LETTERS {
        writeln!(f, "<li><small>{letter}</small> {meaning}</li>")?;
    }
    f.write_str("</ul>\n</footer>\n")
}

fn section(f: &mut fmt::Formatter<'_>, number: usize, row: &Row) -> fmt::Result {
    let test = if row.test { ", a test" } else { "" };
    writeln!(
        f,
        "<section id=\"f{number}\">\n<h2>{}</h2>\n<p class=\"place\">{}, in <code>{}</code>{test}</p>\n<pre>{}</pre>",
        Text(&row.name),
        Text(&row.place),
        row.placement,
        Text(&row.written())
    )?;
    if row.policy.is_none() {
        f.write_str(
            "<p>The policy depends on the arguments of a call, and is worked out when it is made.</p>\n",
        )?;
    }
    if let Some(error) = &row.error {
        writeln!(
            f,
            "<p class=\"error\">A call fails before the body runs: {}.</p>",
            Text(&error.to_string())
        )?;
    }
    row.denials.iter().try_for_each(|denial| denied(f, &denial.to_string()))?;
    grants(f, row)?;
    losses(f, row)?;
    promises(f, row)?;
    f.write_str("</section>\n")
}

/// Without colours or markup, line by line.
fn denied(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let lines: Vec<String> = text.lines().map(|line| Text(line).to_string()).collect();
    writeln!(f, "<pre class=\"denial\">{}</pre>", lines.join("\n"))
}

fn grants(f: &mut fmt::Formatter<'_>, row: &Row) -> fmt::Result {
    let granted: Vec<&Cell> = row.cells.iter().filter(|cell| !cell.granted.is_empty()).collect();
    if granted.is_empty() {
        return Ok(());
    }
    f.write_str("<dl>\n")?;
    for cell in granted {
        let items: Vec<String> =
            cell.granted.iter().map(|text| format!("<code>{}</code>", Text(text))).collect();
        writeln!(f, "<div><dt>{}</dt><dd>{}</dd></div>", cell.resource, items.join(" "))?;
    }
    f.write_str("</dl>\n")
}

fn losses(f: &mut fmt::Formatter<'_>, row: &Row) -> fmt::Result {
    let Some(plan) = &row.plan else { return Ok(()) };
    if plan.lost.is_empty() && plan.errata.is_empty() {
        return Ok(());
    }
    f.write_str("<ul class=\"losses\">\n")?;
    for lost in &plan.lost {
        writeln!(f, "<li>Not held: {}</li>", Text(&lost.to_string()))?;
    }
    for erratum in &plan.errata {
        writeln!(f, "<li>This kernel lacks the fix of Landlock's erratum {}.</li>", erratum.number())?;
    }
    f.write_str("</ul>\n")
}

fn promises(f: &mut fmt::Formatter<'_>, row: &Row) -> fmt::Result {
    let Some(plan) = &row.plan else { return Ok(()) };
    f.write_str(
        "<details>\n<summary>What holds each promise</summary>\n<table class=\"promises\">\n\
         <thead><tr><th scope=\"col\">promise</th><th scope=\"col\">held by</th></tr></thead>\n<tbody>\n",
    )?;
    for (promise, layers) in &plan.held {
        let layers: Vec<&str> = layers.iter().map(|layer| layer.word()).collect();
        writeln!(
            f,
            "<tr><th scope=\"row\">{}</th><td>{}</td></tr>",
            Text(&promise.to_string()),
            layers.join(", ")
        )?;
    }
    f.write_str("</tbody>\n</table>\n</details>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped() {
        for (text, expected) in [
            ("a::b", "a::b"),
            ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
            ("\" onload='x' &amp;", "&quot; onload=&#39;x&#39; &amp;amp;"),
            ("\u{202e}gpj.exe", "\\u{202e}gpj.exe"),
            ("\x1b[2J\0\n", "\\u{1b}[2J\\0\\n"),
            ("für/größe", "für/größe"),
        ] {
            assert_eq!(Text(text).to_string(), expected);
        }
    }
}
