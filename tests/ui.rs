//! Every message of the attribute at its place, and every accepted form.
//!
//! `TRYBUILD=overwrite cargo test --test ui` writes the messages down anew.

#[test]
fn messages_and_accepted_forms() {
    let cases = trybuild::TestCases::new();
    cases.pass("ui-tests/pass/*.rs");
    cases.compile_fail("ui-tests/fail/*.rs");
}
