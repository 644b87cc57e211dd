//! Functions that macros make: names, types, literals, expressions, blocks and items of theirs.
#![deny(warnings)]
#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};

macro_rules! make {
    ($name:ident, $arg:ident: $type:ty, $path:literal, $port:expr, $time:literal, $body:block) => {
        #[sandboxed::sandboxed(read = $path, tcp_bind = [$port, 81], timeout = $time)]
        fn $name($arg: $type, other: u8) -> u32 {
            let _ = other;
            $body
        }
    };
    (item $item:item) => {
        #[sandboxed::sandboxed(read = "/usr")]
        $item
    };
    (method $type:ident { $($body:tt)* }) => {
        impl $type {
            #[sandboxed::sandboxed]
            fn method(&self, x: &u32) -> u32 {
                let y = self.n;
                let z = { $($body)* };
                y + z + *x
            }
        }
    };
    (argument $name:ident $arg:ident) => {
        #[sandboxed::sandboxed(read = $arg)]
        fn $name($arg: &str, arg: &str) -> usize {
            $arg.len() + arg.len()
        }
    };
}

#[derive(Serialize, Deserialize)]
struct Counter {
    n: u32,
}

make!(made, x: &u32, "/usr", 80, "2s", { *x + 1 });
make!(item fn made_whole(x: u8) -> u8 { x });
make!(method Counter { 5 });
make!(argument both arg);

/// Never runs.
fn calls() -> u32 {
    let _ = (made_whole(1), both("", ""));
    Counter { n: 1 }.method(&1) + made(&1, 2)
}

pub fn main() {
    let _ = calls;
}
