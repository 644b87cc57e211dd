//! The items of an attribute, as they are written.

use crate::ctxt::Ctxt;
use proc_macro2::{Span, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{Expr, Ident, Token};

/// `key`, `key = value`, `key(...)`; or one whose value could not be parsed, which was reported.
pub struct Item {
    pub key: Ident,
    pub form: Form,
}

pub enum Form {
    Alone,
    Value(Expr),
    List(TokenStream, Span),
    Broken,
}

/// Splits the attribute at its commas. What cannot be parsed is skipped up to the next one, so that the mistakes
/// behind it are found too.
pub fn items(tokens: TokenStream, ctxt: &Ctxt) -> Vec<Item> {
    let parser = |input: ParseStream| {
        let mut items = Vec::new();
        while !input.is_empty() {
            match item(input) {
                Ok(item) => items.push(item),
                Err((key, error)) => {
                    ctxt.push(error);
                    skip_to_comma(input)?;
                    items.extend(key.map(|key| Item { key, form: Form::Broken }));
                }
            }
            if !input.is_empty() && !input.peek(Token![,]) {
                ctxt.error(input.span(), "expected `,` before the next key");
                skip_to_comma(input)?;
            }
            input.parse::<Option<Token![,]>>()?;
        }
        Ok(items)
    };
    parser.parse2(tokens).unwrap_or_else(|error| {
        ctxt.push(error);
        Vec::new()
    })
}

fn item(input: ParseStream) -> Result<Item, (Option<Ident>, syn::Error)> {
    let key = match input.call(Ident::parse_any) {
        Ok(key) => key,
        Err(error) => {
            let message = "expected a key, such as `read = \"/usr\"`";
            return Err((None, syn::Error::new(error.span(), message)));
        }
    };
    let form = if input.peek(Token![=]) && !input.peek(Token![==]) {
        value(input, &key).map(Form::Value)
    } else if input.peek(syn::token::Paren) {
        list(input)
    } else {
        Ok(Form::Alone)
    };
    match form {
        Ok(form) => Ok(Item { key, form }),
        Err(error) => Err((Some(key), error)),
    }
}

fn value(input: ParseStream, key: &Ident) -> syn::Result<Expr> {
    let equals: Token![=] = input.parse()?;
    if input.is_empty() || input.peek(Token![,]) {
        return Err(syn::Error::new(equals.span, format!("`{key}` has no value behind `=`")));
    }
    input.parse()
}

fn list(input: ParseStream) -> syn::Result<Form> {
    let content;
    let paren = syn::parenthesized!(content in input);
    Ok(Form::List(content.parse()?, paren.span.join()))
}

fn skip_to_comma(input: ParseStream) -> syn::Result<()> {
    while !input.is_empty() && !input.peek(Token![,]) {
        input.parse::<TokenTree>()?;
    }
    Ok(())
}
