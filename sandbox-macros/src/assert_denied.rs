//! `assert_denied!(expr)`, `assert_denied!(expr, EPERM)`, `assert_denied!(expr, read_file = "/etc/shadow")`.
//!
//! Input:
//! ```text
//! assert_denied!(File::open(path), EACCES, read_file = "/etc/shadow")
//! ```
//! Output:
//! ```text
//! match ::sandboxed::__private::Denied {
//!     expression: "File::open(path)",                                  // &'static str
//!     file: ::core::file!(), line: ::core::line!(),                    // &'static str, u32
//!     errno: Some(::sandboxed::__private::errno::EACCES),              // Option<i32>
//!     right: Some(("read_file", <PathBuf as From<&Path>>::from(AsRef::<Path>::as_ref(&("/etc/shadow"))))),
//!     called: "open",                                                  // &'static str, "" if it cannot be told
//!     paths: [ { use ::sandboxed::__private::pick_path::*; (&&PathProbe(&(path))).pick_path() } ]
//!         .into_iter().flatten().collect(),                            // Vec<PathBuf>
//! } {
//!     __denied => {
//!         let __watching = ::sandboxed::__private::Watching::begin();
//!         ::sandboxed::__private::assert_denied(File::open(path), __denied, __watching)
//!     }
//! }
//! ```
//! `__private::pick_path` holds `pub struct PathProbe<'a, T: ?Sized>(pub &'a T)` and two traits with a method
//! `fn pick_path(&self) -> Option<PathBuf>`: one for `&PathProbe<T>` where `T: AsRef<Path>`, preferred, and one for
//! every `PathProbe<T>`, which gives `None`. The probes run before the expression, which may move what they look at.

use crate::ctxt::Ctxt;
use crate::keys::RIGHTS;
use crate::values::peel;
use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};
use quote::quote_spanned;
use sandboxed_config::nearest;
use syn::buffer::Cursor;
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Expr, ExprLit, Ident, Lit, Token};

/// Expands the macro, or says what is wrong with its arguments.
pub fn expand(tokens: TokenStream) -> TokenStream {
    let ctxt = Ctxt::new();
    let parsed = (|input: ParseStream| Arguments::parse(input, &ctxt)).parse2(tokens);
    let arguments = parsed.map_err(|error| ctxt.push(error)).ok();
    match (ctxt.check(), arguments) {
        (Ok(()), Some(arguments)) => arguments.expand(),
        (Err(mistakes), _) => mistakes.to_compile_error(),
        (Ok(()), None) => TokenStream::new(),
    }
}

struct Arguments {
    expr: Expr,
    /// The expression as it was written.
    source: String,
    errno: Option<Ident>,
    right: Option<(Ident, Expr)>,
}

impl Arguments {
    fn parse(input: ParseStream, ctxt: &Ctxt) -> syn::Result<Arguments> {
        if input.is_empty() {
            let message = "expected an expression that the sandbox refuses, such as `File::open(path)`";
            return Err(syn::Error::new(Span::call_site(), message));
        }
        let start = input.cursor();
        let expr = input.parse()?;
        let source = written(start, input.cursor());
        let mut arguments = Arguments { expr, source, errno: None, right: None };
        while !input.is_empty() {
            input.parse::<Token![,]>()?;
            if input.is_empty() {
                break;
            }
            let expected = "expected an errno such as `EPERM`, or a right and a path such as `read_file = \"/etc/shadow\"`";
            let word: Ident =
                input.parse().map_err(|error: syn::Error| syn::Error::new(error.span(), expected))?;
            if input.parse::<Option<Token![=]>>()?.is_some() {
                check_right(&word, arguments.right.is_some(), ctxt);
                arguments.right = Some((word, Expr::parse(input)?));
            } else if is_errno(&word) {
                if arguments.errno.is_some() {
                    ctxt.error(word.span(), "a second errno; a denial has one");
                }
                arguments.errno = Some(word);
            } else {
                ctxt.error(word.span(), expected);
            }
        }
        Ok(arguments)
    }

    fn expand(&self) -> TokenStream {
        let site = Span::mixed_site();
        let krate = quote_spanned!(site=> ::sandboxed::__private);
        let (expr, expression) = (&self.expr, &self.source);
        let errno = option(self.errno.as_ref().map(|errno| quote_spanned!(site=> #krate::errno::#errno)));
        let right = option(self.right.as_ref().map(|(right, path)| {
            let right = right.to_string();
            quote_spanned!(site=> (
                #right,
                <::std::path::PathBuf as ::core::convert::From<&::std::path::Path>>::from(
                    ::core::convert::AsRef::<::std::path::Path>::as_ref(&(#path)),
                ),
            ))
        }));
        let called = called(expr).map(|name| name.to_string()).unwrap_or_default();
        let mut candidates = Vec::new();
        arguments_of(expr, &mut candidates);
        let paths = paths(&krate, &candidates);
        quote_spanned!(site=>
            match (#krate::Denied {
                expression: #expression,
                file: ::core::file!(),
                line: ::core::line!(),
                errno: #errno,
                right: #right,
                called: #called,
                paths: #paths,
            }) {
                __denied => {
                    let __watching = #krate::Watching::begin();
                    #krate::assert_denied(#expr, __denied, __watching)
                }
            }
        )
    }
}

/// What stands between two places, on one line. Only the inside of a group still knows its spacing.
fn written<'a>(mut at: Cursor<'a>, end: Cursor<'a>) -> String {
    let (mut text, mut tight) = (String::new(), true);
    while at != end
        && let Some((token, rest)) = at.token_tree()
    {
        let (before, after) = match &token {
            TokenTree::Group(group) => (group.delimiter() != Delimiter::Brace, false),
            TokenTree::Punct(punct) => {
                (":.?,;!>".contains(punct.as_char()), ":.&!<".contains(punct.as_char()))
            }
            _ => (false, false),
        };
        let in_path = text.ends_with(':') && matches!(token, TokenTree::Punct(_));
        if !(tight || before || in_path) {
            text.push(' ');
        }
        text.push_str(&token.to_string());
        (at, tight) = (rest, after);
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn check_right(word: &Ident, second: bool, ctxt: &Ctxt) {
    let right = word.to_string();
    if !RIGHTS.contains(&right.as_str()) {
        let meant = nearest(&right, RIGHTS.iter().copied());
        let meant = meant.map_or(format!("it is one of {}", RIGHTS.join(", ")), |meant| {
            format!("did you mean `{meant}`?")
        });
        ctxt.error(word.span(), format!("unknown right `{right}`; {meant}"));
    } else if second {
        ctxt.error(word.span(), "a second right; a denial has one");
    }
}

fn is_errno(word: &Ident) -> bool {
    let word = word.to_string();
    word.len() > 1
        && word.starts_with('E')
        && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
}

fn option(value: Option<TokenStream>) -> TokenStream {
    match value {
        Some(value) => quote_spanned!(Span::mixed_site()=> ::core::option::Option::Some(#value)),
        None => quote_spanned!(Span::mixed_site()=> ::core::option::Option::None),
    }
}

fn paths(krate: &TokenStream, candidates: &[&Expr]) -> TokenStream {
    let site = Span::mixed_site();
    if candidates.is_empty() {
        return quote_spanned!(site=> ::std::vec::Vec::new());
    }
    let probes = candidates.iter().map(|candidate| {
        // Named outside of the block into which the traits are imported, where their names cannot hide it.
        quote_spanned!(site=> match #krate::pick_path::PathProbe(&(#candidate)) {
            __probe => {
                #[allow(unused_imports)]
                use #krate::pick_path::*;
                (&&__probe).pick_path()
            }
        })
    });
    quote_spanned!(site=>
        ::core::iter::Iterator::collect(::core::iter::Iterator::flatten(
            ::core::iter::IntoIterator::into_iter([#(#probes),*])
        ))
    )
}

/// Methods that come behind the call that can be denied.
fn adapts(method: &Ident) -> bool {
    const ADAPTERS: &[&str] = &[
        "and",
        "and_then",
        "as_mut",
        "as_ref",
        "context",
        "err",
        "expect",
        "inspect",
        "inspect_err",
        "map",
        "map_err",
        "ok",
        "or",
        "or_else",
        "unwrap",
        "with_context",
    ];
    ADAPTERS.contains(&method.to_string().as_str())
}

/// `open` of `File::open(path)?.map(drop)`.
fn called(expr: &Expr) -> Option<&Ident> {
    match peel(expr) {
        Expr::Call(call) => match peel(&call.func) {
            Expr::Path(path) => path.path.segments.last().map(|segment| &segment.ident),
            _ => None,
        },
        Expr::MethodCall(call) if adapts(&call.method) => called(&call.receiver),
        Expr::MethodCall(call) => Some(&call.method),
        Expr::Try(inner) => called(&inner.expr),
        Expr::Await(inner) => called(&inner.base),
        Expr::Reference(inner) => called(&inner.expr),
        _ => None,
    }
}

/// The arguments of all calls that may be paths and can be looked at without an effect.
fn arguments_of<'e>(expr: &'e Expr, found: &mut Vec<&'e Expr>) {
    match peel(expr) {
        Expr::Call(call) => call.args.iter().for_each(|argument| candidate(argument, found)),
        Expr::MethodCall(call) => {
            arguments_of(&call.receiver, found);
            if !adapts(&call.method) {
                call.args.iter().for_each(|argument| candidate(argument, found));
            }
        }
        Expr::Try(inner) => arguments_of(&inner.expr, found),
        Expr::Await(inner) => arguments_of(&inner.base, found),
        Expr::Reference(inner) => arguments_of(&inner.expr, found),
        _ => {}
    }
}

fn candidate<'e>(expr: &'e Expr, found: &mut Vec<&'e Expr>) {
    if is_pure(expr) { found.push(expr) } else { arguments_of(expr, found) }
}

fn is_pure(expr: &Expr) -> bool {
    const SAME: &[&str] = &[
        "as_path",
        "as_str",
        "clone",
        "join",
        "path",
        "to_owned",
        "to_path_buf",
        "to_string",
        "with_file_name",
    ];
    match peel(expr) {
        Expr::Lit(ExprLit { lit: Lit::Str(_), .. }) => true,
        // A variable or constant. Types, variants and functions may have parameters that nothing infers.
        Expr::Path(path) => path.path.segments.last().is_some_and(|last| {
            let name = last.ident.to_string();
            let constant = name.len() > 1 && !name.contains(char::is_lowercase);
            last.arguments.is_none()
                && (constant || (path.path.segments.len() == 1 && name.starts_with(char::is_lowercase)))
        }),
        Expr::Reference(inner) => inner.mutability.is_none() && is_pure(&inner.expr),
        Expr::Field(field) => is_pure(&field.base),
        Expr::MethodCall(call) => {
            SAME.contains(&call.method.to_string().as_str())
                && is_pure(&call.receiver)
                && call.args.iter().all(is_pure)
        }
        Expr::Macro(call) => call.mac.path.is_ident("format") || call.mac.path.is_ident("concat"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::{ToTokens, quote};

    fn facts(expr: TokenStream) -> (String, Vec<String>) {
        let expr: Expr = syn::parse2(expr).unwrap();
        let mut found = Vec::new();
        arguments_of(&expr, &mut found);
        let name = called(&expr).map(ToString::to_string).unwrap_or_default();
        (name, found.iter().map(|expr| expr.to_token_stream().to_string().replace(' ', "")).collect())
    }

    #[test]
    fn the_call_and_its_paths_are_found() {
        for (expr, called, paths) in [
            (quote!(File::open(path)), "open", vec!["path"]),
            (quote!(fs::read("/etc/shadow").map(drop)), "read", vec!["\"/etc/shadow\""]),
            (quote!(OpenOptions::new().write(true).open(&dir.join("x"))), "open", vec!["&dir.join(\"x\")"]),
            (quote!(fs::rename(paths::OLD, self.new)), "rename", vec!["paths::OLD", "self.new"]),
            (quote!(TcpStream::connect(("127.0.0.1", 80))), "connect", vec![]),
            (quote!(Command::new("/bin/true").status()), "status", vec!["\"/bin/true\""]),
            (quote!(read(Path::new("/x"), None)), "read", vec!["\"/x\""]),
            (quote!((|| fs::read(inner))()), "", vec![]),
            (
                quote!({
                    let a = 1;
                    f(a)
                }),
                "",
                vec![],
            ),
        ] {
            assert_eq!(facts(expr), (called.to_owned(), paths.iter().map(|path| path.to_string()).collect()));
        }
    }

    #[test]
    fn the_expression_is_shown_as_it_was_written() {
        let ctxt = Ctxt::new();
        let parse = |input: ParseStream| Arguments::parse(input, &ctxt);
        for text in
            ["std::fs::read(\"/etc\").map(drop)?", "f::<u8>(a)", "a::B?.c()", "&self.x", "a + vec![1]"]
        {
            let arguments = parse.parse_str(text).unwrap();
            assert_eq!(arguments.source, text);
        }
        ctxt.check().unwrap();
    }

    fn messages(tokens: TokenStream) -> String {
        expand(tokens).to_string()
    }

    #[test]
    fn mistakes_are_reported() {
        assert!(
            messages(quote!(f(), reed_file = "/x", EPERM, EACCES, what))
                .contains("did you mean `read_file`?")
        );
        let all = messages(quote!(f(), EPERM, EACCES, what, read_file = "/", read_dir = "/"));
        for message in ["a second errno", "expected an errno such as", "a second right"] {
            assert!(all.contains(message), "{all}");
        }
        assert!(messages(quote!(f() EPERM)).contains("expected `,`"));
        assert!(messages(quote!()).contains("compile_error"));
    }
}
