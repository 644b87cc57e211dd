//! The attribute of the crate `sandboxed`, which re-exports and documents it. The road of one annotated function:
//!
//! | read for | file |
//! |---|---|
//! | the keys | `keys`, a table |
//! | the attribute, parsed and checked | `items`, `args`, `values`, `quantity`, `policy_file` |
//! | the function, parsed and checked | `function`, `types` |
//! | mistakes, all of them at once | `ctxt`, and `fallback` for what then stands in the function's place |
//! | what the function becomes | `expand`, `body` |
//! | `assert_denied!` | `assert_denied` |

mod args;
mod assert_denied;
mod body;
mod ctxt;
mod expand;
mod fallback;
mod function;
mod items;
mod keys;
mod policy_file;
mod quantity;
#[cfg(test)]
mod tests;
mod types;
mod values;

use proc_macro::TokenStream;

/// Runs a function, or with `main` the whole program, in a sandbox.
///
/// What the attribute names is granted. Everything else that the placement can refuse is refused.
///
/// # What a function becomes
///
/// ```text
/// #[sandboxed(read = path)]
/// fn load(path: &Path) -> io::Result<Config> { BODY }
/// ```
///
/// is about the same as this, with names that cannot meet the program's own:
///
/// ```text
/// fn load(path: &Path) -> io::Result<Config> {
///     // the list that `sandboxed::functions()` gives
///     static FUNCTION: Function = Function { name: "config::load", .. };
///     // what the worker runs; it captures nothing
///     let entry: Entry = |call| {
///         let path = call.decode::<Path>()?;
///         let answer = (|path: &Path| -> io::Result<Config> { BODY })(&path);
///         call.encode(&answer)
///     };
///     let policy = Policy::new().read(path);
///     // a failure of the sandbox becomes an `Err` if the type has `From<sandboxed::Error>`, else a panic
///     process(&FUNCTION, policy, entry, path).unwrap_or_else(|failure| Err(failure.into()))
/// }
/// ```
///
/// With `thread`, `BODY` is a closure that a new thread runs after it restricted itself. With `in_place`, `BODY`
/// follows the statement that restricts the process.
#[proc_macro_attribute]
pub fn sandboxed(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expand::sandboxed(attribute.into(), item.into(), false).into()
}

/// Makes a function a test of which the body runs in a sandbox: the keys of `#[sandboxed]`, and
/// `unenforceable = "skip"`, which reports a test as skipped where the kernel cannot hold its policy. The default,
/// `"fail"`, lets it fail there. `expect_no_denials` lets it fail where anything is denied, and says what;
/// `expect_all_used` where a grant was not used, and names it.
#[proc_macro_attribute]
pub fn test(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expand::sandboxed(attribute.into(), item.into(), true).into()
}

/// Asserts that an expression is refused, and that the sandbox, not file permissions, refuses it.
///
/// `assert_denied!(File::open(path))`; with the errno, `assert_denied!(.., EPERM)`; with the Landlock right and the
/// path that are missing, `assert_denied!(.., read_file = "/etc/shadow")`.
#[proc_macro]
pub fn assert_denied(arguments: TokenStream) -> TokenStream {
    assert_denied::expand(arguments.into()).into()
}
