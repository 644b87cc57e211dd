//! The annotated function: what it may look like.

use crate::args::{Args, Kind};
use crate::ctxt::Ctxt;
use crate::keys::Placement;
use crate::types;
use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{
    Attribute, Expr, FnArg, Ident, ItemFn, Label, Lifetime, Receiver, ReceiverKind, ReturnType, TraitItemFn,
    Type,
};

/// Parses the annotated item, or says where the attribute goes.
pub fn parse(item: &TokenStream) -> syn::Result<ItemFn> {
    let error = match syn::parse2::<ItemFn>(item.clone()) {
        Ok(function) => return Ok(function),
        Err(error) => error,
    };
    if let Ok(TraitItemFn { default: None, sig, .. }) = syn::parse2(item.clone()) {
        let message = "this function has no body to run; annotate its implementations";
        return Err(syn::Error::new(sig.ident.span(), message));
    }
    let Some((keyword, what)) = other_item(item) else { return Err(error) };
    let message = format!("the attribute goes on a function with a body, not on {what}");
    Err(syn::Error::new(keyword.span(), message))
}

/// The keyword of an item that is no function, and what it is called.
fn other_item(item: &TokenStream) -> Option<(Ident, &'static str)> {
    let mut in_attribute = false;
    for token in item.clone() {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == '#' => in_attribute = true,
            TokenTree::Group(_) if in_attribute => in_attribute = false,
            TokenTree::Ident(word) => {
                let what = match word.to_string().as_str() {
                    "struct" => "a struct",
                    "enum" => "an enum",
                    "union" => "a union",
                    "trait" => "a trait; annotate its functions",
                    "impl" => "an impl block; annotate the functions in it",
                    "mod" => "a module; annotate the functions in it",
                    "type" => "a type alias",
                    "static" => "a static",
                    "use" => "a use declaration",
                    "macro_rules" => "a macro; annotate the functions that it makes",
                    "let" => "a statement",
                    "fn" => return None,
                    _ => continue,
                };
                return Some((word, what));
            }
            _ => {}
        }
    }
    None
}

/// What is annotated: `fn main` is known by its name and by having no receiver.
pub fn kind(function: Option<&ItemFn>, test: bool) -> Kind {
    match function {
        _ if test => Kind::Test,
        Some(function) if function.sig.ident == "main" && function.sig.receiver().is_none() => Kind::Main,
        _ => Kind::Function,
    }
}

/// Checks what names and tokens can tell.
pub fn check(function: &ItemFn, kind: Kind, args: &Args, ctxt: &Ctxt) {
    let signature = &function.sig;
    if let Some(token) = signature.constness {
        ctxt.error(
            token.span,
            "a `const fn` cannot make the system calls that enforce a sandbox; leave `const` out",
        );
    }
    if let Some(variadic) = &signature.variadic {
        ctxt.error_at(
            variadic.dots,
            "a variadic function cannot be sandboxed; annotate a function that it calls",
        );
    }
    if let Err(error) = function.modifiers.require_empty() {
        ctxt.push(error);
    }
    for attr in &function.attrs {
        twice(attr, kind, ctxt);
    }
    check_kind(function, kind, args, ctxt);
    match args.placement {
        Placement::Process => check_process(function, kind, ctxt),
        Placement::Thread => check_thread(function, ctxt),
        Placement::InPlace => {}
    }
    if let Some((name, _)) = &args.fallible {
        check_fallible(function, kind, args, name, ctxt);
    }
}

fn twice(attr: &Attribute, kind: Kind, ctxt: &Ctxt) {
    let Some(last) = attr.path().segments.last() else { return };
    if last.ident == "sandboxed" {
        ctxt.error(last.ident.span(), "annotated twice; put all keys into one `#[sandboxed(...)]`");
    }
    if kind == Kind::Test && last.ident == "test" {
        ctxt.error(
            last.ident.span(),
            "`#[sandboxed::test]` makes the function a test; leave this `test` out",
        );
    }
}

fn check_kind(function: &ItemFn, kind: Kind, args: &Args, ctxt: &Ctxt) {
    let signature = &function.sig;
    if kind == Kind::Test
        && let Some(argument) = signature.inputs.first()
    {
        ctxt.error_at(argument, "a test takes no arguments");
    }
    if kind == Kind::Main
        && args.placement != Placement::InPlace
        && let Some(argument) = signature.inputs.first()
    {
        ctxt.error_at(argument, "`main` takes no arguments");
    }
    if kind == Kind::Main
        && args.placement == Placement::InPlace
        && let Some(token) = signature.asyncness
        && !function.attrs.iter().any(is_foreign)
    {
        let message =
            "`main` is async and no attribute starts a runtime for it; add one, such as `#[tokio::main]`";
        ctxt.error(token.span, message);
    }
}

/// An attribute that may start an async runtime: none of the compiler's own.
pub fn is_foreign(attr: &Attribute) -> bool {
    const BUILT_IN: &[&str] = &[
        "allow",
        "automatically_derived",
        "cfg",
        "cfg_attr",
        "cold",
        "deny",
        "deprecated",
        "doc",
        "expect",
        "export_name",
        "forbid",
        "ignore",
        "inline",
        "link_section",
        "must_use",
        "no_mangle",
        "should_panic",
        "target_feature",
        "track_caller",
        "unsafe",
        "warn",
    ];
    !attr.path().get_ident().is_some_and(|name| BUILT_IN.contains(&name.to_string().as_str()))
        && !attr.path().segments.first().is_some_and(|tool| tool.ident == "clippy" || tool.ident == "rustfmt")
}

fn check_process(function: &ItemFn, kind: Kind, ctxt: &Ctxt) {
    let signature = &function.sig;
    if let Some(token) = signature.asyncness {
        let message = "an `async fn` cannot run in another process yet: the caller would have to wait for it without blocking; \
                       annotate a plain function and call it from a blocking task";
        ctxt.error(token.span, message);
    }
    if kind == Kind::Main {
        return;
    }
    if let Some(receiver) = signature.receiver() {
        check_receiver(receiver, ctxt);
    }
    types::check(signature, ctxt);
    let mut named =
        Lifetimes { own: signature.generics.lifetimes().map(|param| &param.lifetime).collect(), ctxt };
    named.visit_block(&function.block);
}

fn check_thread(function: &ItemFn, ctxt: &Ctxt) {
    if let Some(token) = function.sig.asyncness {
        let message = "an `async fn` cannot run in a thread yet: the caller would have to wait for it without blocking; \
                       annotate a plain function and call it from a blocking task";
        ctxt.error(token.span, message);
    }
}

fn check_receiver(receiver: &Receiver, ctxt: &Ctxt) {
    if let ReceiverKind::Typed(_, ty) = &receiver.kind
        && !is_self(ty)
    {
        let message = format!(
            "`self: {}` cannot be sent to another process; take `self`, `&self` or `&mut self`, or use `thread`",
            types::shown(ty)
        );
        ctxt.error_at(ty, message);
    }
}

/// `Self`, `&Self`, `&mut Self`.
fn is_self(ty: &Type) -> bool {
    match types::peel(ty) {
        Type::Path(path) => path.path.is_ident("Self"),
        Type::Reference(reference) => {
            matches!(types::peel(&reference.elem), Type::Path(path) if path.path.is_ident("Self"))
        }
        _ => false,
    }
}

fn check_fallible(function: &ItemFn, kind: Kind, args: &Args, name: &Ident, ctxt: &Ctxt) {
    let signature = &function.sig;
    if *name == signature.ident {
        ctxt.error(name.span(), "the function to add needs a name of its own");
    }
    match kind {
        Kind::Main => ctxt.error(name.span(), "nothing calls `main`; `fallible` has no use here"),
        Kind::Test => ctxt.error(name.span(), "nothing calls a test; `fallible` has no use here"),
        Kind::Function => {}
    }
    if args.placement == Placement::InPlace
        && let Some(token) = signature.asyncness
    {
        ctxt.error(token.span, "`fallible` cannot add an `async fn` yet; leave it out");
    }
    if matches!(&signature.output, ReturnType::Type(_, ty) if matches!(types::peel(ty), Type::Never(_))) {
        ctxt.error_at(&signature.output, "`fallible` has no use for a function that never returns");
    }
    if returns_impl(function) {
        ctxt.error_at(
            &signature.output,
            "`fallible` needs the type that is returned; write it instead of `impl`",
        );
    }
}

/// Whether a part of the returned type is left to the compiler.
pub fn returns_impl(function: &ItemFn) -> bool {
    struct Impl(bool);
    impl<'ast> Visit<'ast> for Impl {
        fn visit_type_impl_trait(&mut self, _: &'ast syn::TypeImplTrait) {
            self.0 = true;
        }
    }
    let mut found = Impl(false);
    if let ReturnType::Type(_, ty) = &function.sig.output {
        found.visit_type(ty);
    }
    found.0
}

/// Whether the signature says that the function stands in an impl block or trait.
pub fn names_self(function: &ItemFn) -> bool {
    struct Named(bool);
    impl<'ast> Visit<'ast> for Named {
        fn visit_ident(&mut self, ident: &'ast Ident) {
            self.0 |= ident == "Self";
        }
    }
    let mut found = Named(function.sig.receiver().is_some());
    found.visit_signature(&function.sig);
    found.0
}

/// The patterns and types of all arguments but the receiver.
pub fn typed(function: &ItemFn) -> impl Iterator<Item = &syn::PatType> {
    function.sig.inputs.iter().filter_map(|argument| match argument {
        FnArg::Typed(argument) => Some(argument),
        FnArg::Receiver(_) => None,
    })
}

/// Finds lifetimes of the signature in the body: it runs where they mean nothing.
struct Lifetimes<'a> {
    own: Vec<&'a Lifetime>,
    ctxt: &'a Ctxt,
}

impl<'ast> Visit<'ast> for Lifetimes<'_> {
    fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
        if self.own.iter().any(|own| own.ident == lifetime.ident) {
            let message =
                format!("`{lifetime}` means nothing in another process, where this runs; leave it out");
            self.ctxt.error_at(lifetime, message);
        }
    }

    // Labels look like lifetimes and are none.
    fn visit_label(&mut self, _: &'ast Label) {}

    fn visit_expr(&mut self, expr: &'ast Expr) {
        match expr {
            Expr::Break(syn::ExprBreak { expr, .. }) => expr.iter().for_each(|expr| self.visit_expr(expr)),
            Expr::Continue(_) => {}
            expr => visit::visit_expr(self, expr),
        }
    }

    // An item inside the body has lifetimes of its own.
    fn visit_item(&mut self, _: &'ast syn::Item) {}
}
