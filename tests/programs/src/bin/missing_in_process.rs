//! A granted path that is not there, in a worker.

#[sandboxed::sandboxed(process, read = "/no/such/path")]
fn main() -> std::io::Result<()> {
    println!("the body ran");
    Ok(())
}
