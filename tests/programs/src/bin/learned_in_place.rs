//! `fn main` in place, under the policy that a test has learned of it.

use sandboxed::sandboxed;

#[sandboxed(policy = programs::policy_of_the_test())]
fn main() {
    programs::work();
}
