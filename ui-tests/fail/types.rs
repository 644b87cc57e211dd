//! What only the compiler knows: types that cannot cross.

use sandboxed::sandboxed;

struct NotSerde;

#[sandboxed]
fn argument(_: &NotSerde) {}

#[sandboxed]
fn changed(_: &mut NotSerde) {}

#[sandboxed]
fn owned(_: Vec<NotSerde>) {}

#[sandboxed]
fn result() -> NotSerde {
    NotSerde
}

#[sandboxed]
fn file() -> std::fs::File {
    panic!()
}

impl NotSerde {
    #[sandboxed]
    fn method(&self) {}
}

#[sandboxed]
fn parameter<T>(_: T) {}

#[sandboxed(thread)]
fn thread(x: std::rc::Rc<u8>) -> u8 {
    *x
}

fn main() {}
