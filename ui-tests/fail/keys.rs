use sandboxed::sandboxed;

#[sandboxed(reed = "/usr")]
fn misspelt() {}

#[sandboxed(tcp_bnd = 80, zebra)]
fn unknown() {}

#[sandboxed(udp, dns, make_dir = "/x")]
fn words_that_go_into_parentheses() {}

#[sandboxed(allow(upd), preset(local), fs(make_dirs = "/x"))]
fn misspelt_words() {}

#[sandboxed(read = "/a", read = "/b", allow(udp), allow(signal), timeout = "1s", timeout = "1s", strict, strict)]
fn duplicates() {}

#[sandboxed(allow(udp, udp), fs(refer = "/a", refer = "/b"))]
fn duplicate_words() {}

#[sandboxed(strict, best_effort)]
fn contradiction() {}

#[sandboxed(strict = true, allow(udp = 1), best_effort(1))]
fn values_where_none_belong() {}

#[sandboxed(read, write =, allow, fs(refer))]
fn missing_values() {}

#[sandboxed(read("/usr"), allow = udp)]
fn wrong_brackets() {}

#[sandboxed(read = [], allow(), fs(), tcp_bind = [])]
fn empty() {}

#[sandboxed(read = "/a" write = "/b", "/usr", = , tcp_bind = 80)]
fn syntax() {}

#[sandboxed(policy = 5, crate = 6, unenforceable = "skip")]
fn others() {}

fn main() {}
