//! The same for wasmtime. Its compiler makes a program large, and some of the others copy their program or start it
//! again in every call.

use peers::ways::wasmtime;
use peers::{Entry, Result, host};

fn main() -> Result<()> {
    host::main(&[Entry::of::<wasmtime::Persistent>(), Entry::of::<wasmtime::Pooled>()])
}
