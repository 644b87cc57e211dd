use sandboxed::sandboxed;

/// Documented.
#[sandboxed]
pub struct Data;

#[sandboxed(read = "/usr")]
mod module {}

#[sandboxed]
impl Data {
    fn method() {}
}

trait Shape {
    #[sandboxed]
    fn area(&self) -> u8;
}

#[sandboxed]
static DATA: u8 = 1;

#[sandboxed]
enum Choice {}

#[sandboxed]
use std::fs;

#[sandboxed]
trait Annotated {}

macro_rules! functions {
    () => {};
}

#[sandboxed]
functions! {}

fn main() {
    let _ = Data;
}
