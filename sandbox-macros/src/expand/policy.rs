//! The policy, and the entry in the list of sandboxed functions.

use super::{Expansion, argument, at};
use crate::args::{Base, Kind};
use crate::function;
use crate::policy_file::PolicyFile;
use crate::values::{Part, Value};
use proc_macro2::{Ident, Literal, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Expr, GenericParam, Pat, PatIdent};

impl Expansion<'_> {
    /// Input:  `read = "/usr"`
    /// Output: `fn __policy() -> Policy { .. } static __FUNCTION: Function = ..;` and `__policy()`
    ///
    /// Input:  `read = path`
    /// Output: `static __FUNCTION: Function = ..;` and `Policy::new().read(&(path))`
    ///
    /// With `plain`, the arguments have the names of the plain inputs.
    pub(super) fn registered(&self, plain: bool) -> (TokenStream, TokenStream) {
        let (krate, site) = (&self.krate, self.site);
        let policy = self.policy();
        let (item, listed, policy) = if self.depends_on_call() {
            let patterns = if plain { self.mentioned_patterns() } else { TokenStream::new() };
            let policy = quote_spanned!(site=> { #patterns #policy });
            (TokenStream::new(), quote_spanned!(site=> ::core::option::Option::None), policy)
        } else {
            (
                quote_spanned!(site=> fn __policy() -> #krate::Policy { #policy }),
                quote_spanned!(site=> ::core::option::Option::Some(__policy)),
                quote_spanned!(site=> __policy()),
            )
        };
        let name = self.function.sig.ident.unraw().to_string();
        let placement = Ident::new(self.args.placement.variant(), site);
        let attribute = &self.args.source;
        let warm = match &self.args.warm {
            // Its type is named, so that rustc compares another with that alone.
            Some(path) => quote_spanned!(at(path.span())=> {
                let __warm: fn() = #path;
                ::core::option::Option::Some(__warm)
            }),
            None => quote_spanned!(site=> ::core::option::Option::None),
        };
        let test = self.kind == Kind::Test;
        let registered = quote_spanned!(site=>
            #item
            #[#krate::linkme::distributed_slice(#krate::FUNCTIONS)]
            #[linkme(crate = #krate::linkme)]
            static __FUNCTION: #krate::Function = #krate::Function {
                name: ::core::concat!(::core::module_path!(), "::", #name),
                file: ::core::file!(),
                line: ::core::line!(),
                column: ::core::column!(),
                placement: #krate::Placement::#placement,
                attribute: #attribute,
                policy: #listed,
                warm: #warm,
                test: #test,
            };
        );
        (registered, policy)
    }

    /// `Policy::new().read(&("/usr")).tcp_bind(80u16)`
    fn policy(&self) -> TokenStream {
        let (krate, site) = (&self.krate, self.site);
        let empty = match self.kind {
            Kind::Main => quote_spanned!(site=> #krate::Policy::for_program()),
            _ => quote_spanned!(site=> #krate::Policy::new()),
        };
        let base = match &self.args.base {
            Some(Base::Expr(base)) => quote_spanned!(at(base.span())=> #krate::Policy::from_base(#base)),
            Some(Base::File(file)) => self.with_file(&empty, file),
            None => empty,
        };
        let calls = self.args.calls.iter().map(|(key, value)| {
            let method = Ident::new(&key.to_string(), at(key.span()));
            let limits = ["timeout", "memory", "cpu", "open_files", "file_size", "threads", "workers"];
            let by_value = limits.iter().any(|limit| key == limit);
            let value = self.value(value, by_value);
            quote_spanned!(at(key.span())=> .#method(#value))
        });
        quote_spanned!(site=> #base #(#calls)*)
    }

    /// Input:  `policy = "site.toml"`
    /// Output: `Policy::new().with_file(&[("/srv", 12u64)], &[(1u64, 80u16, 80u16)], 3u64)`, and a constant by which
    ///         the function is compiled anew when the file changes
    fn with_file(&self, empty: &TokenStream, file: &PolicyFile) -> TokenStream {
        let site = self.site;
        let path = &file.path;
        let paths = file.grants.paths.iter().map(|(path, bits)| {
            // It came out of text.
            let path = path.to_str().unwrap_or_default();
            quote_spanned!(site=> (#path, #bits))
        });
        let ports = file.grants.ports.iter().map(|(bit, ports)| {
            let (first, last) = (ports.start(), ports.end());
            quote_spanned!(site=> (#bit, #first, #last))
        });
        let scopes = file.grants.scopes;
        quote_spanned!(site=> {
            const _: &[u8] = ::core::include_bytes!(#path);
            #empty.with_file(&[#(#paths),*], &[#(#ports),*], #scopes)
        })
    }

    fn value(&self, value: &Value, by_value: bool) -> TokenStream {
        let krate = &self.krate;
        let port = |port: u16, span| spanned(Literal::u16_suffixed(port), span);
        match value {
            Value::Nothing => TokenStream::new(),
            Value::Expr(expr) if by_value => expr.to_token_stream(),
            Value::Expr(expr) => quote_spanned!(at(expr.span())=> &(#expr)),
            Value::Optional(inner) => {
                let inner = self.value(inner, false);
                quote_spanned!(self.site=> #krate::optional(#inner))
            }
            Value::Port(number, span) => port(*number, *span),
            Value::Ports(ports, span) => {
                let (first, last) = (port(*ports.start(), *span), port(*ports.end(), *span));
                quote_spanned!(at(*span)=> #first..=#last)
            }
            Value::Nanoseconds(number, span) => {
                let number = Literal::u64_suffixed(*number);
                quote_spanned!(at(*span)=> ::core::time::Duration::from_nanos(#number))
            }
            Value::Bytes(number, span) => spanned(Literal::u64_suffixed(*number), *span),
            Value::Count(number, span) => spanned(Literal::u64_unsuffixed(*number), *span),
            Value::Variant(of, variant, span) => {
                let (of, variant) = (Ident::new(of, at(*span)), Ident::new(variant, at(*span)));
                quote_spanned!(at(*span)=> #krate::#of::#variant)
            }
            Value::Right(right, paths) => {
                let (right, paths) = (Ident::new(right, self.site), self.value(paths, false));
                quote_spanned!(self.site=> #krate::Access::#right, #paths)
            }
            Value::Built(of, parts) => {
                let of = Ident::new(of, self.site);
                let calls = parts.iter().map(|Part { word, value }| {
                    let (word, value) =
                        (Ident::new(&word.to_string(), at(word.span())), self.value(value, by_value));
                    quote_spanned!(at(word.span())=> .#word(#value))
                });
                quote_spanned!(self.site=> #krate::#of::new() #(#calls)*)
            }
        }
    }

    /// Whether the policy can only be worked out during a call.
    fn depends_on_call(&self) -> bool {
        let signature = &self.function.sig;
        let mut local = Names(vec!["self".to_owned(), "Self".to_owned()]);
        local.0.extend(signature.generics.params.iter().map(|param| match param {
            GenericParam::Type(param) => param.ident.to_string(),
            GenericParam::Const(param) => param.ident.to_string(),
            GenericParam::Lifetime(param) => param.lifetime.ident.to_string(),
        }));
        function::typed(self.function).for_each(|argument| local.visit_pat(&argument.pat));
        let mut found =
            Dynamic { local: local.0, in_impl: function::names_self(self.function), found: false };
        self.expressions().for_each(|expr| found.expression(expr));
        found.found
    }

    fn expressions(&self) -> impl Iterator<Item = &Expr> {
        fn of(value: &Value) -> Vec<&Expr> {
            match value {
                Value::Expr(expr) => vec![expr],
                Value::Optional(inner) | Value::Right(_, inner) => of(inner),
                Value::Built(_, parts) => parts.iter().flat_map(|part| of(&part.value)).collect(),
                _ => Vec::new(),
            }
        }
        let base = match &self.args.base {
            Some(Base::Expr(base)) => Some(base),
            Some(Base::File(_)) | None => None,
        };
        base.into_iter().chain(self.args.calls.iter().flat_map(|(_, value)| of(value)))
    }

    /// The arguments that the attribute names are used, though the body may not name them.
    pub(super) fn uses(&self, arguments: &[argument::Argument]) -> TokenStream {
        let mut mentioned = Vec::new();
        self.expressions().for_each(|expr| identifiers(expr.to_token_stream(), &mut mentioned));
        let used = arguments.iter().filter(|argument| argument.pattern.is_none());
        let used = used.filter(|argument| mentioned.contains(&argument.name.to_string()));
        used.map(|argument::Argument { cfg, name, .. }| quote_spanned!(self.site=> #cfg let _ = &#name;))
            .collect()
    }

    /// Input:  `(dir, name): (PathBuf, String)` where a value names `dir`
    /// Output: `let (dir, name) = &__arg0;`
    fn mentioned_patterns(&self) -> TokenStream {
        let mut mentioned = Vec::new();
        self.expressions().for_each(|expr| identifiers(expr.to_token_stream(), &mut mentioned));
        let lets = argument::arguments(&self.function.sig).into_iter().filter_map(|argument| {
            let (cfg, name) = (argument.cfg, argument.name);
            let pattern: Pat = argument.pattern?;
            let mut names = Names(Vec::new());
            names.visit_pat(&pattern);
            let pattern = argument::borrowed(&pattern);
            names.0.iter().any(|name| mentioned.contains(name)).then(|| {
                quote_spanned!(self.site=> #cfg #[allow(unused_variables, clippy::pattern_type_mismatch)] let #pattern = &#name;)
            })
        });
        lets.collect()
    }
}

fn spanned(mut literal: Literal, span: Span) -> TokenStream {
    literal.set_span(at(span));
    TokenTree::Literal(literal).into()
}

/// The names that patterns bind.
struct Names(Vec<String>);

impl<'ast> Visit<'ast> for Names {
    fn visit_pat_ident(&mut self, pattern: &'ast PatIdent) {
        self.0.push(pattern.ident.to_string());
        visit::visit_pat_ident(self, pattern);
    }
}

fn identifiers(tokens: TokenStream, names: &mut Vec<String>) {
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => names.push(ident.to_string()),
            TokenTree::Group(group) => identifiers(group.stream(), names),
            _ => {}
        }
    }
}

/// Looks for what an item cannot contain: names of the function, and control flow that leaves it.
struct Dynamic {
    local: Vec<String>,
    in_impl: bool,
    found: bool,
}

impl Dynamic {
    fn expression(&mut self, expr: &Expr) {
        let mut names = Vec::new();
        identifiers(expr.to_token_stream(), &mut names);
        self.found |= names.iter().any(|name| self.local.contains(name));
        self.visit_expr(expr);
    }
}

impl<'ast> Visit<'ast> for Dynamic {
    fn visit_expr(&mut self, expr: &'ast Expr) {
        self.found |= matches!(
            expr,
            Expr::Try(_) | Expr::Await(_) | Expr::Return(_) | Expr::Macro(_) | Expr::Verbatim(_)
        );
        visit::visit_expr(self, expr);
    }

    // The parameters of an impl block cannot be seen from a function in it. By convention they look like this.
    fn visit_path(&mut self, path: &'ast syn::Path) {
        let first = path.segments.first().map(|segment| segment.ident.to_string()).unwrap_or_default();
        let upper = first.starts_with(char::is_uppercase);
        let camel = upper && first.chars().any(char::is_lowercase);
        self.found |= path.leading_colon.is_none() && upper && first.len() == 1;
        self.found |= self.in_impl && camel && path.segments.len() > 1;
        visit::visit_path(self, path);
    }
}
