//! The attribute of the crate `sandboxed`, which re-exports and documents it. Its road: [`args`] parses the attribute
//! by the table in [`keys`], [`function`] checks the function, [`expand`] writes the wrapper, [`fallback`] what
//! stands there when [`ctxt`] holds mistakes.

mod args;
mod assert_denied;
mod body;
mod ctxt;
mod expand;
mod fallback;
mod function;
mod keys;
mod quantity;
mod spelling;
#[cfg(test)]
mod tests;
mod types;
mod values;

use proc_macro::TokenStream;

/// Runs the function in a sandbox. Documented where the crate `sandboxed` re-exports it.
#[proc_macro_attribute]
pub fn sandboxed(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expand::sandboxed(attribute.into(), item.into(), false).into()
}

/// Makes a test of which the body runs in a sandbox. Documented where the crate `sandboxed` re-exports it.
#[proc_macro_attribute]
pub fn test(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expand::sandboxed(attribute.into(), item.into(), true).into()
}

/// Asserts that the sandbox refuses an operation. Documented where the crate `sandboxed` re-exports it.
#[proc_macro]
pub fn assert_denied(arguments: TokenStream) -> TokenStream {
    assert_denied::expand(arguments.into()).into()
}
