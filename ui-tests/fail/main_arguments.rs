#[sandboxed::sandboxed(process)]
fn main(arguments: Vec<String>) {}
