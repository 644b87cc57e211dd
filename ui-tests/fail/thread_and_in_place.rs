use sandboxed::sandboxed;

#[sandboxed(thread)]
async fn future_in_thread() {}

#[sandboxed(thread)]
const fn constant_in_thread() {}

#[sandboxed(in_place)]
const fn constant_in_place() {}

fn main() {}
