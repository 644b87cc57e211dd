//! Writes down what an annotated function becomes.

mod argument;
mod policy;
mod process;

use crate::args::{self, Args, Kind};
use crate::ctxt::Ctxt;
use crate::keys::Placement;
use crate::{body, fallback, function};
use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::ext::IdentExt;
use syn::{AttrStyle, Attribute, ItemFn, Path, ReturnType, Signature, Type};

pub use argument::plain_inputs;

/// `#[sandboxed]` or, with `test`, `#[sandboxed::test]`.
pub fn sandboxed(attribute: TokenStream, item: TokenStream, test: bool) -> TokenStream {
    let ctxt = Ctxt::new();
    let function = function::parse(&item).map_err(|error| ctxt.push(error)).ok();
    let kind = function::kind(function.as_ref(), test);
    let args = args::parse(attribute, kind, &ctxt);
    if let Some(function) = &function {
        function::check(function, kind, &args, &ctxt);
    }
    match (ctxt.check(), function) {
        (Ok(()), Some(function)) => Expansion::new(&function, &item, kind, &args).expand(),
        (Ok(()), None) => item,
        (Err(mistakes), Some(function)) => fallback::expand(&mistakes, &function, kind, &args),
        (Err(mistakes), None) => [mistakes.to_compile_error(), item].into_iter().collect(),
    }
}

/// Everything that a part of the expansion looks at.
struct Expansion<'a> {
    function: &'a ItemFn,
    /// The statements of the body.
    body: TokenStream,
    kind: Kind,
    args: &'a Args,
    /// `::sandboxed::__private`
    krate: TokenStream,
    /// Where our own tokens come from: our variables are invisible to the user's tokens and the reverse.
    site: Span,
}

/// A place in the user's code for errors, with our own hygiene, so that lints leave what we wrote there alone.
fn at(span: Span) -> Span {
    Span::mixed_site().located_at(span)
}

impl<'a> Expansion<'a> {
    fn new(function: &'a ItemFn, item: &TokenStream, kind: Kind, args: &'a Args) -> Self {
        let site = Span::mixed_site();
        let krate: &Path = &args.krate;
        let body = body::statements(function, item);
        Expansion { function, body, kind, args, krate: quote_spanned!(site=> #krate::__private), site }
    }

    /// The path of the runtime for a call of which errors are shown at `place`, in spite of where it was written.
    fn krate_there(&self, place: Span) -> TokenStream {
        let moved = self.krate.clone().into_iter().map(|mut token| {
            token.set_span(token.span().located_at(place));
            token
        });
        moved.collect()
    }

    fn expand(&self) -> TokenStream {
        match (&self.args.fallible, self.kind, self.args.placement) {
            (Some((name, in_self)), ..) => self.with_fallible(name, *in_self),
            (None, Kind::Main, Placement::Process) => self.program(),
            (None, _, Placement::InPlace) => self.in_place(),
            (None, ..) => self.whole(),
        }
    }

    /// Input:  `fn load(path: &Path) -> Config { BODY }`
    /// Output: `fn load(path: &Path) -> Config { static __FUNCTION ..; settle(process(..)) }`
    fn whole(&self) -> TokenStream {
        let mut result = self.result();
        if self.kind == Kind::Test {
            result = self.watched(result);
        }
        let settled = self.settled(&result);
        let test =
            (self.kind == Kind::Test).then(|| quote_spanned!(self.site=> #[::core::prelude::v1::test]));
        let function = self.function_with(self.outer_attributes(), &self.machine_signature(), &settled);
        quote_spanned!(self.site=> #test #function)
    }

    /// Input:  `#[sandboxed(fallible = try_decode)] fn decode(b: &[u8]) -> Image { BODY }`
    /// Output: `fn try_decode(b: &[u8]) -> Result<Image, Error> { process(..) }`
    ///         `fn decode(b: &[u8]) -> Image { settle(try_decode(b)) }`
    fn with_fallible(&self, name: &Ident, in_self: bool) -> TokenStream {
        let (krate, site, signature) = (&self.krate, self.site, &self.function.sig);
        let returned = self.returned();
        let mut sibling = self.machine_signature();
        sibling.ident = name.clone();
        sibling.output =
            syn::parse_quote_spanned!(site=> -> ::core::result::Result<#returned, #krate::Error>);
        let doc = format!("As `{}`, with a failure of its sandbox as an error.", signature.ident.unraw());
        let kept = self.function.attrs.iter().filter(|attr| is_outer(attr) && goes_to_sibling(attr));
        let mut attributes = quote_spanned!(site=> #[doc = #doc]);
        attributes.extend(kept.map(ToTokens::to_token_stream));
        let sibling = self.function_with(attributes, &sibling, &self.result());

        let call = self.call_sibling(name, in_self);
        let mut outer = signature.clone();
        outer.inputs = plain_inputs(signature);
        let kept = self.function.attrs.iter().filter(|attr| is_outer(attr)).map(unexpected);
        // Either may be the only one that is called.
        let attributes = quote_spanned!(site=> #(#kept)* #[allow(dead_code)]);
        let settled = self.settled(&call);
        let vis = &self.function.vis;
        quote_spanned!(site=> #sibling #attributes #vis #outer { #settled })
    }

    /// `Self::try_decode(self, b)`, or `try_decode::<T>(b)` where nothing says that there is a `Self`.
    fn call_sibling(&self, name: &Ident, in_self: bool) -> TokenStream {
        let signature = &self.function.sig;
        let values = argument::forwarded(signature);
        let prefix =
            (in_self || function::names_self(self.function)).then(|| quote_spanned!(self.site=> Self::));
        let parameters = signature.generics.params.iter().filter_map(|param| match param {
            syn::GenericParam::Type(param) => Some(&param.ident),
            syn::GenericParam::Const(param) => Some(&param.ident),
            syn::GenericParam::Lifetime(_) => None,
        });
        let parameters: Vec<_> = parameters.collect();
        let turbofish = (!parameters.is_empty()).then(|| quote_spanned!(self.site=> ::<#(#parameters),*>));
        let call = quote_spanned!(self.site=> #prefix #name #turbofish (#values));
        match signature.safety {
            // The caller promised what the sibling asks for: it is the same.
            syn::Safety::Unsafe(token) => quote_spanned!(token.span=> unsafe { #call }),
            _ => call,
        }
    }

    /// An expression of type `Result<R, Error>`: the body in its sandbox.
    fn result(&self) -> TokenStream {
        match self.args.placement {
            Placement::Process => self.in_process(),
            Placement::Thread => self.in_thread(),
            Placement::InPlace => self.in_place_result(),
        }
    }

    /// Input:  `fn spell(word: &str) -> bool { BODY }`
    /// Output: `thread(&__FUNCTION, __policy(), move || -> bool { BODY })`
    fn in_thread(&self) -> TokenStream {
        let place = self.function.sig.ident.span();
        let krate = self.krate_there(place);
        let (registered, policy) = self.registered(false);
        let body = self.closure();
        let mut result = quote_spanned!(at(place)=>
            #krate::thread(&__FUNCTION, __policy, #body)
        );
        if self.args.skip {
            result = self.skipped(&result);
        }
        quote_spanned!(self.site=> { #registered let __policy = #policy; #result })
    }

    fn in_place_result(&self) -> TokenStream {
        let krate = &self.krate;
        let (registered, policy) = self.registered(false);
        let body = self.closure();
        quote_spanned!(self.site=> {
            #registered
            match #krate::in_place(&__FUNCTION, #policy) {
                ::core::result::Result::Ok(()) => {
                    #[allow(clippy::redundant_closure_call)]
                    ::core::result::Result::Ok((#body)())
                }
                ::core::result::Result::Err(__error) => ::core::result::Result::Err(__error),
            }
        })
    }

    /// `move || -> R { BODY }`; a type that has no name is left to inference.
    fn closure(&self) -> TokenStream {
        let (body, place) = (self.in_its_braces(self.body.clone()), at(self.function.sig.ident.span()));
        if function::returns_impl(self.function) {
            return quote_spanned!(place=> move || #body);
        }
        let returned = self.returned();
        quote_spanned!(place=> move || -> #returned #body)
    }

    /// A block with the braces that were written: rustc counts the coverage of what lies in those of its function, and
    /// by an expansion's own of nothing.
    fn in_its_braces(&self, statements: TokenStream) -> Group {
        let mut block = Group::new(Delimiter::Brace, statements);
        block.set_span(self.function.block.brace_token.span.join());
        block
    }

    /// Input:  `fn main() -> R { BODY }`
    /// Output: `fn main() -> R { static __FUNCTION ..; in_place(..) or return; { BODY } }`
    ///
    /// Input:  `#[tokio::main] async fn main() -> R { BODY }`
    /// Output: `fn main() -> R { .. ; { #[tokio::main] async fn main() -> R { BODY } main() } }`
    fn in_place(&self) -> TokenStream {
        let (site, vis) = (self.site, &self.function.vis);
        let (registered, policy) = self.registered(false);
        let enforced = self.enforced(&policy);
        let mut signature = self.function.sig.clone();
        if self.kind == Kind::Main && signature.asyncness.is_some() {
            let (inner, outer): (Vec<_>, Vec<_>) = self
                .function
                .attrs
                .iter()
                .filter(|attr| is_outer(attr))
                .partition(|attr| function::is_foreign(attr));
            let inner_function =
                self.function_with(quote_spanned!(site=> #(#inner)*), &signature, &self.body);
            let name = &signature.ident;
            signature.asyncness = None;
            return quote_spanned!(site=> #(#outer)* #vis #signature {
                { #registered #enforced }
                #inner_function
                #name()
            });
        }
        let body = &self.body;
        self.function_with(
            self.outer_attributes(),
            &signature,
            &quote_spanned!(site=> { #registered #enforced } { #body }),
        )
    }

    /// The statement that restricts the process, or leaves the function.
    fn enforced(&self, policy: &TokenStream) -> TokenStream {
        let krate = &self.krate;
        let call =
            quote_spanned!(at(self.function.sig.ident.span())=> #krate::in_place(&__FUNCTION, #policy));
        let named = self.named();
        let failed = match named {
            _ if self.kind == Kind::Main && named.as_ref().is_none_or(is_silent) => {
                quote_spanned!(self.site=> #krate::refuse_to_start(__error))
            }
            Some(returned) => {
                let settled = self.settled(&quote_spanned!(self.site=>
                    ::core::result::Result::<#returned, #krate::Error>::Err(__error)
                ));
                quote_spanned!(self.site=> return #settled)
            }
            None => quote_spanned!(self.site=> #krate::settle(
                #krate::AsPanic,
                #krate::Strategy::<false>,
                ::core::result::Result::<(), #krate::Error>::Err(__error),
            )),
        };
        quote_spanned!(self.site=> if let ::core::result::Result::Err(__error) = #call { #failed })
    }

    /// Turns a `Result<R, Error>` into the `R` that the function returns.
    fn settled(&self, result: &TokenStream) -> TokenStream {
        let (krate, site) = (&self.krate, self.site);
        let strategy = match (self.args.placement, self.kind) {
            (Placement::Process, Kind::Function) => quote_spanned!(site=> { ::core::cfg!(panic = "abort") }),
            _ => quote_spanned!(site=> false),
        };
        let span = match &self.function.sig.output {
            ReturnType::Default => self.function.sig.ident.span(),
            ReturnType::Type(_, ty) => syn::spanned::Spanned::span(ty),
        };
        let there = self.krate_there(span);
        let settle =
            quote_spanned!(at(span)=> #there::settle::<_, _, #strategy>(__how, #there::Strategy, __result));
        // Named where it has a name: an error in what makes the result then does not spread to here.
        let ty = self.named().map(|returned| quote_spanned!(site=> ::<#returned>));
        quote_spanned!(site=> {
            let __result = #result;
            let __how = {
                #[allow(unused_imports)]
                use #krate::{VerdictErr as _, VerdictPanic as _};
                (&&#krate::Verdict #ty::of(&__result)).pick()
            };
            #settle
        })
    }

    /// A test that says what is denied to it is observed.
    fn watched(&self, result: TokenStream) -> TokenStream {
        let (krate, none, all) = (&self.krate, self.args.expect_no_denials, self.args.expect_all_used);
        match none || all || body::names(&self.body, "assert_denied") {
            true => quote_spanned!(self.site=> #krate::observed_test(#none, #all, || #result)),
            false => result,
        }
    }

    /// `unenforceable = "skip"`
    fn skipped(&self, result: &TokenStream) -> TokenStream {
        let krate = &self.krate;
        quote_spanned!(self.site=> match #result {
            ::core::result::Result::Ok(__answer) => ::core::result::Result::Ok(__answer),
            ::core::result::Result::Err(__error) => #krate::skip_unenforceable(&__FUNCTION, __error),
        })
    }

    /// The returned type.
    fn returned(&self) -> Type {
        match &self.function.sig.output {
            ReturnType::Default => syn::parse_quote_spanned!(self.site=> ()),
            ReturnType::Type(_, ty) => (**ty).clone(),
        }
    }

    /// The returned type where it can be written: neither `impl Trait` nor `!`, which stable Rust lets stand only
    /// behind an arrow.
    fn named(&self) -> Option<Type> {
        let returned = self.returned();
        let never = matches!(crate::types::peel(&returned), Type::Never(_));
        (!never && !function::returns_impl(self.function)).then_some(returned)
    }

    /// The signature of the function that holds the machinery.
    fn machine_signature(&self) -> Signature {
        let mut signature = self.function.sig.clone();
        if self.args.placement == Placement::Process {
            signature.inputs = plain_inputs(&signature);
        }
        signature
    }

    fn function_with(
        &self,
        attributes: TokenStream,
        signature: &Signature,
        body: &TokenStream,
    ) -> TokenStream {
        let (vis, inner) = (&self.function.vis, self.inner_attributes());
        quote_spanned!(self.site=> #attributes #vis #signature { #inner #body })
    }

    fn outer_attributes(&self) -> TokenStream {
        self.function.attrs.iter().filter(|attr| is_outer(attr)).map(ToTokens::to_token_stream).collect()
    }

    fn inner_attributes(&self) -> TokenStream {
        self.function.attrs.iter().filter(|attr| !is_outer(attr)).map(ToTokens::to_token_stream).collect()
    }
}

fn is_outer(attr: &Attribute) -> bool {
    matches!(attr.style, AttrStyle::Outer)
}

/// Attributes that the function with the machinery, and the body, needs as well. `must_use` is none: the sibling
/// returns a `Result`.
fn goes_to_sibling(attr: &Attribute) -> bool {
    const NEEDED: &[&str] = &[
        "allow",
        "cfg",
        "cfg_attr",
        "cold",
        "deny",
        "deprecated",
        "expect",
        "forbid",
        "inline",
        "target_feature",
        "track_caller",
        "warn",
    ];
    attr.path().get_ident().is_some_and(|name| NEEDED.contains(&name.to_string().as_str()))
}

/// The body is in the sibling: there an `expect` is met, here it would not be.
fn unexpected(attr: &Attribute) -> TokenStream {
    match &attr.meta {
        syn::Meta::List(list) if list.path.is_ident("expect") => {
            let lints = &list.tokens;
            quote_spanned!(Span::mixed_site()=> #[allow(#lints)])
        }
        _ => attr.to_token_stream(),
    }
}

/// Types of `main` that cannot carry an error.
fn is_silent(returned: &Type) -> bool {
    match crate::types::peel(returned) {
        Type::Tuple(tuple) => tuple.elems.is_empty(),
        Type::Path(path) => path.path.segments.last().is_some_and(|last| last.ident == "ExitCode"),
        _ => false,
    }
}
