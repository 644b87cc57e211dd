//! A granted path that is not there, where `main` cannot say so.

#[sandboxed::sandboxed(read = "/no/such/path")]
fn main() {
    println!("the body ran");
}
