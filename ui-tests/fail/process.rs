//! What cannot run in another process, or cannot be sent there.

use sandboxed::sandboxed;
use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt::Debug;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, RwLock};

#[sandboxed]
async fn future() {}

#[sandboxed]
const fn constant() {}

#[sandboxed]
fn argument_without_name(_: impl Debug) {}

#[sandboxed]
fn result_without_name() -> impl Debug {
    1
}

#[sandboxed]
fn returns_str(x: &str) -> &str {
    x
}

#[sandboxed]
fn returns_static() -> &'static [u8] {
    b""
}

#[sandboxed]
fn returns_path<'a>(x: &'a Path) -> Option<&'a Path> {
    Some(x)
}

#[sandboxed]
fn returns_borrowed<'a>(x: &'a str) -> Cow<'a, str> {
    x.into()
}

#[sandboxed]
fn returns_elided(x: &str) -> Cow<'_, str> {
    x.into()
}

#[sandboxed]
fn objects(_: &dyn Debug, _: Box<dyn Debug>) {}

#[sandboxed]
fn pointers(_: fn(u8), _: *const u8, _: *mut u8) {}

#[sandboxed]
fn closure<F: Fn(u8), G>(_: F, _: G)
where
    G: FnOnce(),
{
}

#[sandboxed]
fn shared(_: &Mutex<u8>, _: Arc<RwLock<u8>>, _: &RefCell<u8>, _: &AtomicUsize) {}

#[sandboxed]
fn text_in_place(_: &mut str) {}

#[sandboxed]
fn lives_for_ever(_: &'static str) {}

#[sandboxed]
fn lifetime_in_body<'a>(x: &'a str) -> usize {
    let y: &'a str = x;
    y.len()
}

#[sandboxed]
fn never() -> ! {
    panic!()
}

struct Data;

impl Data {
    #[sandboxed]
    fn boxed(self: Box<Self>) {}

    #[sandboxed]
    fn pinned(self: Pin<&mut Self>) {}
}

#[sandboxed]
#[sandboxed]
fn twice() {}

fn main() {}
