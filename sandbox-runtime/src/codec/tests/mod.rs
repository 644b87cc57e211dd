//! What crosses, and what a hostile message can do.

mod errors;
mod hostile;
mod kinds;
mod serde_forms;

use super::*;

/// The codec that generated code picks for a type.
macro_rules! codec {
    ($t:ty) => {{
        #[allow(unused_imports)]
        use crate::codec::pick::*;
        (&&&&&&crate::codec::Probe::<$t>::new()).codec()
    }};
}
use codec;

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

/// Decodes an answer, to the last byte.
macro_rules! decoded {
    ($t:ty, $bytes:expr) => {{
        let bytes: &[u8] = $bytes;
        let mut input = crate::codec::Incoming::new(bytes, []);
        let value = crate::codec::take_answer(
            crate::codec::tests::codec!($t),
            crate::codec::Probe::<$t>::new(),
            &mut input,
        );
        value.and_then(|value| input.finish().map(|()| value))
    }};
}
use decoded;

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
