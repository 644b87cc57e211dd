//! What the project does to itself: `cargo run -p xtask -- kernels` runs the tests in every kernel.

mod kernels;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo run -p xtask -- kernels [KERNEL]... [--test NAME]... [--nobody] [--verbose] [-- TEST-ARGUMENT...]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.split_first() {
        Some((command, rest)) if command == "kernels" => kernels::main(rest),
        // Not for people: what the kernel of a guest starts.
        Some((command, rest)) if command == "guest" => kernels::guest::main(rest),
        _ => Err(anyhow::anyhow!(USAGE)),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
