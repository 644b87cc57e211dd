use sandboxed::sandboxed;

#[sandboxed(fallible = "try_decode")]
fn text() {}

#[sandboxed(fallible = other::try_decode)]
fn path() {}

#[sandboxed(fallible = same)]
fn same() {}

#[sandboxed(thread, fallible = try_iterate)]
fn iterate() -> impl Iterator<Item = u8> {
    0..1
}

#[sandboxed(in_place, fallible = try_wait)]
async fn wait() {}

struct Data;

impl Data {
    #[sandboxed(fallible = try_associated)]
    fn associated() {}
}

#[sandboxed(thread, fallible = try_stay)]
fn stay() -> ! {
    loop {}
}

fn main() {}
