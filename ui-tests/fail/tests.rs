#[sandboxed::test(in_place)]
fn in_place() {}

#[sandboxed::test(unenforceable = "skipp")]
fn misspelt() {}

#[sandboxed::test]
fn arguments(_: u8) {}

#[sandboxed::test]
#[test]
fn twice() {}

#[sandboxed::test(fallible = try_it)]
fn fallible() {}

fn main() {}
