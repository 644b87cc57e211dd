//! All mistakes of one attribute and its function, each at its own token.

#[sandboxed::sandboxed(
    reed = "/usr",
    write = [5, "tmp", "/a", "/a"],
    tcp_bind = [99999, 80, 80],
    allow(upd),
    timeout = "2",
    memory,
    cpu = "1s",
    strict = 1,
)]
async fn work<'a>(x: &'a Mutex<u8>, y: *const u8) -> &'a str {
    ""
}

fn main() {}
