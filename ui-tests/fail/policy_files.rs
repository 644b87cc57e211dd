use sandboxed::sandboxed;

#[sandboxed(policy = "/no/such/file.toml", reed = "/usr")]
fn missing() -> u8 { 1 }

#[sandboxed(policy = "/etc/passwd")]
fn of_another_extension() {}

#[sandboxed(policy = "/dev")]
fn without_extension() {}

const PATH: &str = "policy.toml";

#[sandboxed(policy = PATH)]
fn no_literal() {}

fn main() {}
