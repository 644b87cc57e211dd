//! Names that do not resolve give the compiler's own error, once.

#[sandboxed::sandboxed(read = nowhere, tcp_bind = NOWHERE)]
fn values() {}

#[sandboxed::sandboxed]
fn body(x: u8) -> u8 {
    x.nowhere()
}

fn main() {
    values();
    body(1);
}
