//! Does not compile: hostile input would end this program.
#[sandboxed::sandboxed]
fn decode(bytes: &[u8]) -> usize {
    bytes.len()
}

fn main() {
    println!("{}", decode(b"x"));
}
