//! An async main: the sandbox is written after the runtime.

use sandboxed::sandboxed;

#[tokio::main(worker_threads = 2)]
#[sandboxed(read = "/usr/bin")]
async fn main() {
    programs::show_threads().await;
}
