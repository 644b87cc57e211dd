#[sandboxed::sandboxed(read = "/usr")]
async fn main() {}
