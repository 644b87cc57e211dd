//! The body as a closure: `self` becomes a parameter.

use proc_macro2::{Delimiter, Group, Ident, Literal, Spacing, TokenStream, TokenTree};
use quote::ToTokens;
use syn::visit_mut::{self, VisitMut};
use syn::{AttrStyle, Block, Expr, Item, ItemFn, LitStr, Macro};

/// What `self` is called in a closure.
pub const NAME: &str = "__self";

/// The statements of a body: as they were written, since printing what was parsed loses the invisible groups of
/// macro_rules, to which lints look; without inner attributes, which only a function may have.
pub fn statements(function: &ItemFn, item: &TokenStream) -> TokenStream {
    let as_written = || match item.clone().into_iter().last()? {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Some(group.stream()),
        _ => None,
    };
    let attributes = function.attrs.iter().any(|attr| matches!(attr.style, AttrStyle::Inner(_)));
    let parsed = || function.block.stmts.iter().map(ToTokens::to_token_stream).collect();
    as_written().filter(|_| !attributes).unwrap_or_else(parsed)
}

/// Input:  `{ self.load(self::DIR); println!("{self} {}", self.x) }`
/// Output: `__self.load(self::DIR); println!("{__self} {}", __self.x)`
pub fn without_self(block: &Block) -> TokenStream {
    let mut block = block.clone();
    Renamed.visit_block_mut(&mut block);
    block.stmts.iter().map(ToTokens::to_token_stream).collect()
}

/// `self` under its new name. The span stays, and with it the hygiene, which `self` has like any variable.
pub fn renamed(this: &Ident) -> Ident {
    Ident::new(NAME, this.span())
}

struct Renamed;

impl VisitMut for Renamed {
    fn visit_expr_mut(&mut self, expr: &mut Expr) {
        match expr {
            Expr::Path(path) if path.qself.is_none() && path.path.is_ident("self") => {
                for segment in &mut path.path.segments {
                    segment.ident = renamed(&segment.ident);
                }
            }
            Expr::Verbatim(tokens) => *tokens = rename(tokens.clone(), false),
            expr => visit_mut::visit_expr_mut(self, expr),
        }
    }

    fn visit_macro_mut(&mut self, call: &mut Macro) {
        let formats = call.path.segments.last().is_some_and(|name| formats(&name.ident));
        call.tokens = rename(std::mem::take(&mut call.tokens), formats);
    }

    // Inside an item, `self` is that item's own; only macro_rules sees the variables around it.
    fn visit_item_mut(&mut self, item: &mut Item) {
        if let Item::Macro(item) = item {
            self.visit_macro_mut(&mut item.mac);
        }
    }
}

/// Macros whose string literals capture variables. A literal of an unknown macro stays: rustc reports a `{self}`
/// that is left over, while one changed by mistake would go unnoticed.
fn formats(name: &Ident) -> bool {
    const FORMATS: &[&str] = &[
        "anyhow",
        "assert",
        "assert_eq",
        "assert_ne",
        "bail",
        "debug",
        "debug_assert",
        "debug_assert_eq",
        "debug_assert_ne",
        "ensure",
        "eprint",
        "eprintln",
        "error",
        "format",
        "format_args",
        "info",
        "log",
        "panic",
        "print",
        "println",
        "todo",
        "trace",
        "unimplemented",
        "unreachable",
        "warn",
        "write",
        "writeln",
    ];
    FORMATS.contains(&name.to_string().as_str())
}

/// Renames in tokens that only a macro understands.
fn rename(tokens: TokenStream, formats: bool) -> TokenStream {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut renamed = Vec::with_capacity(tokens.len());
    // In `fn name(&self) { .. }` inside a macro, `self` is that function's own, up to the end of its body.
    let mut in_function = false;
    for (i, token) in tokens.iter().enumerate() {
        let before = i.checked_sub(1).and_then(|i| tokens.get(i));
        in_function |= is_ident(token, "fn") && matches!(tokens.get(i + 1), Some(TokenTree::Ident(_)));
        let token = match token {
            token if in_function => {
                in_function = !matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
                    && !is_punct(token, ';');
                token.clone()
            }
            TokenTree::Ident(this) if this == "self" && !is_path(&tokens, i) => {
                TokenTree::Ident(self::renamed(this))
            }
            TokenTree::Group(group) => {
                let formats = match (before, i.checked_sub(2).and_then(|i| tokens.get(i))) {
                    (Some(bang), Some(TokenTree::Ident(name))) if is_punct(bang, '!') => self::formats(name),
                    _ => formats,
                };
                let mut inner = Group::new(group.delimiter(), rename(group.stream(), formats));
                inner.set_span(group.span());
                TokenTree::Group(inner)
            }
            TokenTree::Literal(literal) if formats => TokenTree::Literal(rename_captured(literal)),
            token => token.clone(),
        };
        renamed.push(token);
    }
    renamed.into_iter().collect()
}

/// `self` as the beginning of a path: `self::item`.
fn is_path(tokens: &[TokenTree], at: usize) -> bool {
    matches!(tokens.get(at + 1), Some(TokenTree::Punct(colon)) if colon.as_char() == ':' && colon.spacing() == Spacing::Joint)
}

fn is_punct(token: &TokenTree, wanted: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == wanted)
}

fn is_ident(token: &TokenTree, wanted: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == wanted)
}

/// `"{self:?}"` captures `self` as `{}` with an argument would.
fn rename_captured(literal: &Literal) -> Literal {
    let Ok(text) = syn::parse2::<LitStr>(TokenTree::Literal(literal.clone()).into()) else {
        return literal.clone();
    };
    let text = text.value();
    let mut renamed = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(open) = rest.find('{') {
        let (before, after) = rest.split_at(open + 1);
        renamed.push_str(before);
        rest = after;
        if let Some(escaped) = rest.strip_prefix('{') {
            renamed.push('{');
            rest = escaped;
        } else if let Some(after) = rest.strip_prefix("self")
            && after.starts_with(['}', ':'])
        {
            renamed.push_str(NAME);
            rest = after;
        }
    }
    renamed.push_str(rest);
    if renamed == text {
        return literal.clone();
    }
    let mut renamed = Literal::string(&renamed);
    renamed.set_span(literal.span());
    renamed
}

/// Whether a word stands anywhere in the tokens.
pub fn names(tokens: &TokenStream, word: &str) -> bool {
    tokens.clone().into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == word,
        TokenTree::Group(group) => names(&group.stream(), word),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;
    use syn::parse_quote;

    fn check(before: Block, after: Block) {
        let renamed = without_self(&before);
        assert_eq!(quote!({ #renamed }).to_string(), quote!(#after).to_string());
    }

    #[test]
    fn self_is_renamed_where_it_is_the_receiver() {
        check(
            parse_quote!({ self.a + self::B + self.m(|x| x + self.c) + (*self).d }),
            parse_quote!({ __self.a + self::B + __self.m(|x| x + __self.c) + (*__self).d }),
        );
        check(
            parse_quote!({
                use self::a::{self, b};
                let Self { x, .. } = self;
                async move { self.y };
            }),
            parse_quote!({
                use self::a::{self, b};
                let Self { x, .. } = __self;
                async move { __self.y };
            }),
        );
    }

    #[test]
    fn macros_are_renamed_by_their_tokens() {
        check(
            parse_quote!({
                println!("{self} {{self}} {self:?} {selfish}", self.x, vec!["{self}", self::C]);
            }),
            parse_quote!({
                println!("{__self} {{self}} {__self:?} {selfish}", __self.x, vec!["{self}", self::C]);
            }),
        );
        check(
            parse_quote!({
                items! { impl X { fn f(&self) -> u8 { self.0 } } static Y: u8 = self.y; }
            }),
            parse_quote!({
                items! { impl X { fn f(&self) -> u8 { self.0 } } static Y: u8 = __self.y; }
            }),
        );
        check(
            parse_quote!({
                macro_rules! get {
                    ($x:ident) => {
                        self.$x
                    };
                }
                get!(a)
            }),
            parse_quote!({
                macro_rules! get {
                    ($x:ident) => {
                        __self.$x
                    };
                }
                get!(a)
            }),
        );
    }

    #[test]
    fn items_keep_their_own_self() {
        check(
            parse_quote!({
                struct A;
                impl A {
                    fn f(&self) -> &Self {
                        self
                    }
                }
                self.x()
            }),
            parse_quote!({
                struct A;
                impl A {
                    fn f(&self) -> &Self {
                        self
                    }
                }
                __self.x()
            }),
        );
    }
}
