//! Collects every mistake of one attribute, so that all are reported at once.

use std::cell::RefCell;

/// The mistakes so far. Panics when dropped before [`Ctxt::check`]: a mistake that nobody reads would let a
/// wrong attribute through.
pub struct Ctxt {
    errors: RefCell<Option<Vec<syn::Error>>>,
}

impl Ctxt {
    pub fn new() -> Ctxt {
        Ctxt { errors: RefCell::new(Some(Vec::new())) }
    }

    /// Adds a mistake.
    pub fn push(&self, error: syn::Error) {
        if let Some(errors) = self.errors.borrow_mut().as_mut() {
            errors.push(error);
        }
    }

    /// Adds a mistake at a token.
    pub fn error(&self, at: proc_macro2::Span, message: impl std::fmt::Display) {
        self.push(syn::Error::new(at, message));
    }

    /// Adds a mistake that underlines all of `tokens`.
    pub fn error_at(&self, tokens: impl quote::ToTokens, message: impl std::fmt::Display) {
        self.push(syn::Error::new_spanned(tokens, message));
    }

    /// All mistakes as one error, if there are any.
    pub fn check(self) -> syn::Result<()> {
        let errors = self.errors.borrow_mut().take().unwrap_or_default();
        let mut errors = errors.into_iter();
        let Some(mut all) = errors.next() else { return Ok(()) };
        errors.for_each(|error| all.combine(error));
        Err(all)
    }
}

impl Drop for Ctxt {
    fn drop(&mut self) {
        if !std::thread::panicking() && self.errors.borrow().is_some() {
            panic!("mistakes were collected and not looked at");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proc_macro2::Span;

    #[test]
    fn all_mistakes_come_out() {
        let ctxt = Ctxt::new();
        ctxt.error(Span::call_site(), "one");
        ctxt.error(Span::call_site(), "two");
        let messages: Vec<String> =
            ctxt.check().unwrap_err().into_iter().map(|error| error.to_string()).collect();
        assert_eq!(messages, ["one", "two"]);
    }

    #[test]
    #[should_panic(expected = "not looked at")]
    fn dropping_unread_mistakes_panics() {
        drop(Ctxt::new());
    }
}
