#![deny(warnings)]

/// Enforced before the runtime starts.
#[sandboxed::sandboxed(best_effort)]
#[allow(clippy::needless_return)]
#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    tokio::task::yield_now().await;
    return Ok(());
}
