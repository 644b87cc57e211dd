//! Parses cards that exploit a parser in C, without the attribute and with it.
//!
//! ```text
//! cargo run --manifest-path examples/c_parser/Cargo.toml
//! ```

use c_parser::{Target, crash, exploit, good, parse, parse_sandboxed};
use std::env;
use std::error::Error;
use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, ExitCode};
use tempfile::TempDir;

/// How this program is started to parse without a sandbox, as a card may bring it down.
const PLAIN: &str = "--plain";

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    match arguments.as_slice() {
        [] => compare_all(),
        [plain, file] if plain == PLAIN => {
            println!("{}", text(&parse(&fs::read(file)?)));
            Ok(ExitCode::SUCCESS)
        }
        _ => Err("takes no arguments".into()),
    }
}

fn text<T: std::fmt::Debug>(result: &io::Result<T>) -> String {
    match result {
        Ok(card) => format!("{card:?}"),
        Err(error) => error.to_string(),
    }
}

/// Fails if a card did with the attribute what it meant to do.
fn compare_all() -> Result<ExitCode, Box<dyn Error>> {
    let place = TempDir::new()?;
    let [written, made] = ["written", "made"].map(|name| place.path().join(name));
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let port = listener.local_addr()?.port();
    let cards = [
        ("a good card", good("happy birthday")),
        ("writes a file", exploit(Target::Save, &path(&written))),
        ("connects", exploit(Target::Share, &port.to_string())),
        ("runs a program", exploit(Target::Open, &format!("touch {}", path(&made)))),
        ("crashes", crash()),
    ];
    // What the exploits are after, undone where it happened.
    let harm = || {
        let removed = [&written, &made].map(|file| fs::remove_file(file).is_ok());
        removed.contains(&true) || listener.accept().is_ok()
    };
    let mut escaped = false;
    for (name, card) in cards {
        let with = text(&parse_sandboxed(&card));
        escaped |= harm();
        let without = parse_plainly(&place.path().join("card"), &card)?;
        let harm = if harm() { "DONE " } else { "" };
        println!("{name}\n  without  {harm}{without}\n  with     {with}");
    }
    println!("{}", if escaped { "the attribute did not help" } else { "the attribute held all of them" });
    Ok(if escaped { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn parse_plainly(file: &Path, card: &[u8]) -> io::Result<String> {
    fs::write(file, card)?;
    let output = Command::new("/proc/self/exe").arg(PLAIN).arg(file).output()?;
    fs::remove_file(file)?;
    let said = String::from_utf8_lossy(&output.stdout);
    Ok(if output.status.success() {
        said.trim_end().to_owned()
    } else {
        format!("the program: {}", output.status)
    })
}
