//! Measures all ways side by side, in eight minutes, and writes `results`; `-- --quick` takes half a minute, and leaves
//! `results` as they are.

use peers::driver::{Effort, run};
use std::env;
use std::path::Path;

/// In the order of the table.
const PROGRAMS: [&str; 2] = [env!("CARGO_BIN_EXE_host"), env!("CARGO_BIN_EXE_host-wasmtime")];

fn main() -> peers::Result<()> {
    if env::args().any(|argument| argument == "--quick") {
        return run(&PROGRAMS, &Effort::quick(), &Path::new(env!("CARGO_TARGET_TMPDIR")).join("quick"));
    }
    run(&PROGRAMS, &Effort::full(), &Path::new(env!("CARGO_MANIFEST_DIR")).join("results"))
}
