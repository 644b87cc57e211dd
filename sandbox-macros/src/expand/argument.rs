//! Arguments: how the wrapper names them, and how each crosses.

use crate::body;
use crate::types::peel;
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::punctuated::Punctuated;
use syn::visit_mut::{self, VisitMut};
use syn::{
    Attribute, FnArg, Lifetime, Pat, PatIdent, PatType, Receiver, ReceiverKind, Signature, Token, Type,
    TypeReference,
};

/// How an argument crosses.
pub enum Way {
    /// `T`
    Owned,
    /// `&T`
    Shared,
    /// `&mut T`: there and back.
    Changed,
    /// `&mut [T]`, with `T`: there and back, of the same length.
    ChangedSlice(Box<Type>),
}

/// An argument of a function that runs in another process.
pub struct Argument {
    /// `#[cfg]`: it may not be there.
    pub cfg: TokenStream,
    /// `x` in the wrapper.
    pub name: Ident,
    /// `mut x: &T` in the body's closure.
    pub parameter: TokenStream,
    /// The type that is sent: `T` of `&T`.
    pub sent: Type,
    pub way: Way,
    /// A pattern that binds more than one name, or none.
    pub pattern: Option<Pat>,
}

/// The arguments, the receiver among them.
pub fn arguments(signature: &Signature) -> Vec<Argument> {
    signature.inputs.iter().enumerate().map(|(i, input)| argument(i, input)).collect()
}

fn argument(i: usize, input: &FnArg) -> Argument {
    match input {
        FnArg::Receiver(receiver) => receiver_argument(receiver),
        FnArg::Typed(typed) => {
            let ty = elided(&typed.ty);
            let (attrs, pat) = (&typed.attrs, &typed.pat);
            let (way, sent) = way(&ty);
            Argument {
                cfg: conditions(&typed.attrs),
                name: name(i, typed),
                parameter: quote!(#(#attrs)* #pat: #ty),
                sent,
                way,
                pattern: simple(&typed.pat).is_none().then(|| (**pat).clone()),
            }
        }
    }
}

fn receiver_argument(receiver: &Receiver) -> Argument {
    let this = &receiver.self_token;
    let ident = Ident::new("self", this.span);
    let upper = Ident::new("Self", this.span);
    let ty: Type = match &receiver.kind {
        ReceiverKind::Reference(and, _, mutability) => syn::parse_quote!(#and #mutability #upper),
        ReceiverKind::Typed(_, ty) => elided(ty),
        _ => syn::parse_quote!(#upper),
    };
    let (way, sent) = way(&ty);
    let (renamed, mutability) = (body::renamed(&ident), &receiver.mutability);
    let attrs = &receiver.attrs;
    Argument {
        cfg: conditions(attrs),
        name: ident,
        parameter: quote!(#(#attrs)* #mutability #renamed: #ty),
        sent,
        way,
        pattern: None,
    }
}

fn way(ty: &Type) -> (Way, Type) {
    let Type::Reference(TypeReference { mutability, elem, .. }) = peel(ty) else {
        return (Way::Owned, ty.clone());
    };
    let sent = peel(elem).clone();
    match (mutability, &sent) {
        (None, _) => (Way::Shared, sent),
        (Some(_), Type::Slice(slice)) => (Way::ChangedSlice(slice.elem.clone()), sent),
        (Some(_), _) => (Way::Changed, sent),
    }
}

/// `x` of `x` and `mut x`. Not `_x`: the wrapper uses what it sends, and lints look for uses of such names.
fn simple(pat: &Pat) -> Option<&Ident> {
    match pat {
        Pat::Ident(PatIdent { ident, subpat: None, .. }) if !ident.to_string().starts_with('_') => {
            Some(ident)
        }
        Pat::Paren(paren) => simple(&paren.pat),
        _ => None,
    }
}

fn name(i: usize, typed: &PatType) -> Ident {
    simple(&typed.pat).cloned().unwrap_or_else(|| format_ident!("__arg{i}", span = Span::mixed_site()))
}

fn is_condition(attr: &&Attribute) -> bool {
    attr.path().is_ident("cfg") || attr.path().is_ident("cfg_attr")
}

fn conditions(attrs: &[Attribute]) -> TokenStream {
    attrs.iter().filter(is_condition).map(ToTokens::to_token_stream).collect()
}

/// Input:  `mut self, mut n: u32, (a, b): (u8, u8)`
/// Output: `self, n: u32, __arg2: (u8, u8)`
///
/// The patterns and what they bind mutably belong to the body, which is elsewhere.
pub fn plain_inputs(signature: &Signature) -> Punctuated<FnArg, Token![,]> {
    let mut inputs = signature.inputs.clone();
    for (i, input) in inputs.iter_mut().enumerate() {
        match input {
            FnArg::Receiver(receiver) => receiver.mutability = None,
            FnArg::Typed(typed) => {
                let name = name(i, typed);
                typed.attrs.retain(|attr| is_condition(&attr));
                *typed.pat = syn::parse_quote!(#name);
            }
        }
    }
    inputs
}

/// The names of the plain inputs, to be given to another function.
pub fn forwarded(signature: &Signature) -> TokenStream {
    let values = arguments(signature).into_iter().map(|Argument { cfg, name, .. }| quote!(#cfg #name));
    quote_spanned!(Span::mixed_site()=> #(#values),*)
}

/// Lifetimes of the caller mean nothing where the body runs: each becomes `'_`.
fn elided(ty: &Type) -> Type {
    struct Elided;
    impl VisitMut for Elided {
        fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
            if lifetime.ident != "static" {
                lifetime.ident = Ident::new("_", lifetime.ident.span());
            }
        }

        fn visit_type_reference_mut(&mut self, reference: &mut TypeReference) {
            reference.lifetime = None;
            visit_mut::visit_type_reference_mut(self, reference);
        }
    }
    let mut ty = ty.clone();
    Elided.visit_type_mut(&mut ty);
    ty
}

/// Without `mut` and `ref`, to be matched against a reference.
pub fn borrowed(pattern: &Pat) -> Pat {
    struct Borrowed;
    impl VisitMut for Borrowed {
        fn visit_pat_ident_mut(&mut self, pattern: &mut PatIdent) {
            pattern.mutability = None;
            pattern.by_ref = None;
            visit_mut::visit_pat_ident_mut(self, pattern);
        }
    }
    let mut pattern = pattern.clone();
    Borrowed.visit_pat_mut(&mut pattern);
    pattern
}
