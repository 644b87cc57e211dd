//! What rustc says to functions that are not the same one for all calls.

use sandboxed::sandboxed;
use serde::{Serialize, de::DeserializeOwned};

#[sandboxed(warm = with_type::<T>)]
fn generic<T: Serialize + DeserializeOwned>(_: T) {}

fn with_type<T>() {}

#[sandboxed(warm = path)]
fn of_the_call(path: &str) -> usize {
    path.len()
}

struct Table;

impl Table {
    #[sandboxed(warm = Self::prepare)]
    fn look_up() {}

    fn prepare() {}
}

fn main() {}
