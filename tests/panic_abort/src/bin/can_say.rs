//! A panic aborts the worker, and is an error here all the same.
#[sandboxed::sandboxed]
fn decode(bytes: &[u8]) -> Result<u8, sandboxed::Error> {
    Ok(bytes[7])
}

fn main() {
    let error = decode(b"short").expect_err("index 7 of 5");
    assert_eq!(error.panic_message(), Some("index out of bounds: the len is 5 but the index is 7"));
    assert!(error.panic_location().is_some_and(|location| location.contains("can_say.rs:")), "{error}");
    assert_eq!(decode(b"long enough"), Ok(b'o'));
}
