//! `fn main` in a worker, with a result.

use sandboxed::sandboxed;
use std::error::Error;

#[sandboxed(process)]
fn main() -> Result<(), Box<dyn Error>> {
    let argument = std::env::args().nth(1).ok_or("no argument")?;
    let number: u32 = argument.parse()?;
    println!("{number}");
    Ok(())
}
