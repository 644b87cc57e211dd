//! A granted path that is not there, where `main` returns the error.

#[sandboxed::sandboxed(read = "/no/such/path")]
fn main() -> Result<(), sandboxed::Error> {
    println!("the body ran");
    Ok(())
}
