//! A mistake is the only error: callers, the added function and unused arguments give none.
#![deny(warnings)]

use sandboxed::sandboxed;

#[sandboxed(reed = "/usr", fallible = try_decode)]
pub(crate) fn decode<T: Into<u64>>(bytes: &[u8], mut extra: T) -> Result<u64, std::num::TryFromIntError> {
    extra = extra;
    let count: u64 = bytes.len().try_into()?;
    Ok(count + extra.into())
}

struct Data;

impl Data {
    #[sandboxed(reed = "/usr")]
    fn method(&self, other: &mut u8) -> Self {
        *other += 1;
        Data
    }
}

fn main() {
    let _ = decode(b"x", 1u8).unwrap() + try_decode(b"x", 2u8).unwrap().unwrap();
    let _ = Data.method(&mut 1);
}
