#[sandboxed::sandboxed(fallible = try_main)]
fn main() {}
