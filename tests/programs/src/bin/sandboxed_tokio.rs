//! An async main: the sandbox is written before the runtime.

use sandboxed::sandboxed;

#[sandboxed(read = "/usr/bin")]
#[tokio::main(worker_threads = 2)]
async fn main() {
    programs::show_threads().await;
}
