//! What an annotated function becomes when the attribute or the function has mistakes: their messages, and a function
//! of the same signature that never runs its body, so that its callers give no second, spurious error.

use crate::args::{Args, Kind};
use crate::expand::plain_inputs;
use crate::function;
use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;
use syn::{AttrStyle, ItemFn, ReturnType};

/// Input:  `fn decode(b: &[u8]) -> Image { BODY }`
/// Output: `compile_error!(..); fn decode(b: &[u8]) -> Image { unreachable!(); { BODY } }`
pub fn expand(mistakes: &syn::Error, function: &ItemFn, kind: Kind, args: &Args) -> TokenStream {
    let site = Span::mixed_site();
    let errors = mistakes.to_compile_error();
    let (outer, inner): (Vec<_>, Vec<_>) =
        function.attrs.iter().partition(|attr| matches!(attr.style, AttrStyle::Outer));
    let mut signature = function.sig.clone();
    if kind == Kind::Main && !outer.iter().any(|attr| function::is_foreign(attr)) {
        signature.asyncness = None;
        signature.inputs.clear();
    }
    let test = (kind == Kind::Test).then(|| {
        signature.inputs.clear();
        quote_spanned!(site=> #[::core::prelude::v1::test])
    });
    let (vis, block) = (&function.vis, &function.block);
    let sibling = sibling(function, args);
    quote_spanned!(site=>
        #errors
        #test
        #(#outer)*
        #[allow(unreachable_code, unused_braces, unused_variables, unused_mut, dead_code)]
        #[allow(clippy::diverging_sub_expression)]
        #vis #signature {
            #(#inner)*
            ::core::unreachable!();
            #block
        }
        #sibling
    )
}

/// The function that `fallible` would have added.
fn sibling(function: &ItemFn, args: &Args) -> Option<TokenStream> {
    let (name, _) = args.fallible.as_ref()?;
    // Neither can be the first half of a `Result`.
    let returns_never =
        matches!(&function.sig.output, ReturnType::Type(_, ty) if matches!(**ty, syn::Type::Never(_)));
    if *name == function.sig.ident || function::returns_impl(function) || returns_never {
        return None;
    }
    let (site, krate, vis) = (Span::mixed_site(), &args.krate, &function.vis);
    let mut signature = function.sig.clone();
    let returned = match &signature.output {
        ReturnType::Default => quote_spanned!(site=> ()),
        ReturnType::Type(_, ty) => quote_spanned!(site=> #ty),
    };
    signature.ident = name.clone();
    signature.inputs = plain_inputs(&signature);
    signature.output =
        syn::parse_quote_spanned!(site=> -> ::core::result::Result<#returned, #krate::__private::Error>);
    Some(quote_spanned!(site=>
        #[allow(unused_variables, dead_code)]
        #vis #signature { ::core::unreachable!() }
    ))
}
