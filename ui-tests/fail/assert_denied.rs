use sandboxed::assert_denied;

fn main() {
    assert_denied!();
    assert_denied!(std::fs::read("/x") EPERM);
    assert_denied!(std::fs::read("/x"), EPERM, EACCES, denied, 5);
    assert_denied!(std::fs::read("/x"), reed_file = "/x");
    assert_denied!(std::fs::read("/x"), read_file = "/x", read_dir = "/x");
}
