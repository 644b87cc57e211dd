use sandboxed::sandboxed;

#[sandboxed(warm = || ())]
fn closure() {}

#[sandboxed(warm = prepare())]
fn called() {}

#[sandboxed(in_place, warm = prepare)]
fn in_place() {}

#[sandboxed(warm = prepare)]
fn main() {}

#[sandboxed::test(warm = prepare)]
fn test() {}

fn prepare() {}
