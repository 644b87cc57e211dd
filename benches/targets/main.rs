//! What calls are to cost at most, beside the floor of each: the bare mechanism, or the direct call.
//!
//! `cargo bench --bench targets` takes less than three minutes, with `-- --quick` a quarter of one; a word chooses the
//! rows that contain it. As a test (`cargo test --benches`) every row is done once, and the results are compared.
//!
//! Ours and the floor take turns within one run, at one pace. Each row has a process of its own, so that none finds
//! what another left behind. Times are the machine's own; what travels is the ratio. No time is asserted.

mod children;
mod floors;
#[path = "../jobs/mod.rs"]
mod jobs;
mod measure;
mod ours;
mod processes;
mod rows;
mod scenes;
mod table;

use measure::Effort;
use std::env;
use std::error::Error;
use std::io;
use std::process::{Command, ExitCode, Stdio};
use table::Figures;

/// Makes a start of this program what the rest of the argument says.
const ROLE: &str = "--as=";

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let Some(role) = arguments.iter().find_map(|argument| argument.strip_prefix(ROLE)) {
        play(role)?;
        return Ok(ExitCode::SUCCESS);
    }
    let has = |wanted: &str| arguments.iter().any(|argument| argument == wanted);
    // A test runner that asks what there is: one test, which runs where nothing is asked.
    if has("--list") {
        return Ok(ExitCode::SUCCESS);
    }
    // Only `cargo bench` says so.
    let effort = match has("--bench") && !has("--test") {
        true if has("--quick") => Effort::Quick,
        true => Effort::Full,
        false => Effort::Once,
    };
    let words: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    show(effort, &words)
}

/// A row that fails is a failure of all.
fn show(effort: Effort, words: &[&String]) -> Result<ExitCode, Box<dyn Error>> {
    let mut code = ExitCode::SUCCESS;
    if effort != Effort::Once {
        table::print_head();
    }
    let is_chosen = |what: &str| words.is_empty() || words.iter().any(|word| what.contains(*word));
    for (index, row) in rows::ROWS.iter().enumerate().filter(|(_, row)| is_chosen(row.what)) {
        let measured = measure_alone(&format!("row/{index}/{}", effort.name()))?;
        match (&measured, effort) {
            (Err(why), _) => {
                println!("{}", table::line_of_words(row.what, &format!("failed: {why}")));
                code = ExitCode::FAILURE;
            }
            (Ok(Figures::Measured { .. }), Effort::Once) => {
                println!("{}", table::line_of_words(row.what, "done once"))
            }
            (Ok(figures), _) => println!("{}", row.line(figures)),
        }
    }
    println!("\n{}", ours::about_reuse());
    Ok(code)
}

/// In a process of its own; what it has to complain about is on stderr.
fn measure_alone(role: &str) -> io::Result<Result<Figures, String>> {
    let mut child = Command::new(env::current_exe()?);
    let ended = child.arg(format!("{ROLE}{role}")).stderr(Stdio::inherit()).output()?;
    let said = String::from_utf8_lossy(&ended.stdout);
    let figures = said.lines().last().and_then(Figures::from_line);
    Ok(figures.filter(|_| ended.status.success()).ok_or_else(|| format!("{}; {said}", ended.status)))
}

fn play(role: &str) -> Result<(), Box<dyn Error>> {
    let words: Vec<&str> = role.split('/').collect();
    match words[..] {
        ["row", index, effort] => {
            let row = rows::ROWS.get(index.parse::<usize>()?).ok_or("no such row")?;
            println!("{}", row.figures(Effort::named(effort).ok_or("no such effort")?)?.to_line());
        }
        ["heap", bytes] => children::call_on_demand(bytes.parse()?)?,
        ["first-calls"] => children::print_first_calls(),
        [floor] => floors::serve(floor)?,
        _ => return Err(format!("no such role: {role}").into()),
    }
    Ok(())
}
