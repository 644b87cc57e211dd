#[sandboxed::sandboxed(process)]
async fn main() {}
