#![deny(warnings)]

#[tokio::main(flavor = "current_thread")]
#[sandboxed::sandboxed(best_effort)]
async fn main() {
    tokio::task::yield_now().await;
}
