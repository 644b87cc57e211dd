//! Unpacks archives from strangers, good and malicious ones, by an unpacker that believes everything: without a
//! sandbox, and in one.
//!
//! ```text
//! cargo run --release --example untrusted_archive
//! ```

mod compare;
mod samples;
mod table;
mod unpack;
mod victim;

use compare::compare;
use samples::{SAMPLES, Scale};
use std::env;
use std::io;
use std::path::Path;
use std::process::{Command, ExitCode};

const HELP: &str = "\
Unpacks archives that the program makes itself, each into a temporary directory, by the same code without
the sandbox and with it. Nothing outside of temporary directories is touched.

usage: untrusted_archive

Prints a table: name, size, what became of it without the attribute, and with it. Exit codes:
  0  with the attribute, no archive did harm
  1  one did
  2  wrong usage, or there was no sandbox to be had";

const SCALE: Scale = Scale { bomb: 200 << 20, crowd: 100_000 };
/// How this program is started to unpack without a sandbox.
const PLAIN: &str = "--plain";

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let result = match arguments.as_slice() {
        [] => compare_all(),
        [plain, archive, dest] if plain == PLAIN => {
            compare::unpack_plainly(archive.as_ref(), dest.as_ref()).map(|()| ExitCode::SUCCESS)
        }
        [help] if help == "--help" || help == "-h" => {
            println!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        _ => Err(io::Error::other("takes no arguments, but --help")),
    };
    result.unwrap_or_else(|error| {
        eprintln!("untrusted_archive: {error}");
        ExitCode::from(2)
    })
}

fn program(archive: &Path, dest: &Path) -> Command {
    // Through the kernel's link, as there is no other name for a program that was deleted meanwhile.
    let mut command = Command::new("/proc/self/exe");
    command.arg(PLAIN).arg(archive).arg(dest);
    command
}

fn compare_all() -> io::Result<ExitCode> {
    table::print_head();
    let mut harmful = [0, 0];
    for index in 0..SAMPLES.len() {
        let row = compare(index, SCALE, program)?;
        table::print(&row);
        for (count, fate) in harmful.iter_mut().zip([&row.without, &row.with]) {
            *count += usize::from(!fate.harm.is_empty());
        }
    }
    let [without, with] = harmful;
    println!("of {} archives, {without} did harm without the attribute, {with} with it", SAMPLES.len());
    Ok(if with == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
