//! What crosses, and what a hostile message can do.

mod errors;
mod hostile;
mod kinds;
mod serde_forms;

use super::*;
use crate::fuzzing::values::{codec, decoded};
use crate::sys::plain::Buffer;

/// Encodes an argument.
macro_rules! encoded {
    ($t:ty, $value:expr) => {{
        let value: &$t = $value;
        let mut out = crate::codec::Outgoing::new();
        crate::codec::put(crate::codec::tests::codec!($t), value, &mut out).unwrap();
        crate::codec::tests::joined(&out)
    }};
}
use encoded;

/// What arrives.
macro_rules! crossed {
    ($t:ty, $value:expr) => {{
        let sent: $t = $value;
        crate::codec::tests::decoded!($t, &crate::codec::tests::encoded!($t, &sent)).unwrap()
    }};
}
use crossed;

fn joined(out: &Outgoing<'_>) -> Vec<u8> {
    let bytes: Vec<u8> = out.segments().flatten().copied().collect();
    assert_eq!(bytes.len(), out.len());
    bytes
}
