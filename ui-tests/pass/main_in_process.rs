#![deny(warnings)]

use std::process::ExitCode;

#[sandboxed::sandboxed(process, best_effort, memory = "1GiB")]
fn main() -> ExitCode {
    if std::env::args().count() > 1 {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
