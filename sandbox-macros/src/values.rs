//! Checks the values of keys and gives them the form that the expansion writes down.

use crate::args::Base;
use crate::ctxt::Ctxt;
use crate::policy_file;
use crate::quantity;
use proc_macro2::{Ident, Span};
use sandboxed_config::nearest;
use std::ops::RangeInclusive;
use syn::spanned::Spanned;
use syn::{BinOp, Expr, ExprBinary, ExprLit, ExprPath, ExprRange, ExprUnary, Lit, LitStr, RangeLimits};

/// One argument of a builder method of `Policy`.
pub enum Value {
    Nothing,
    Expr(Expr),
    Optional(Box<Value>),
    Port(u16, Span),
    Ports(RangeInclusive<u16>, Span),
    Nanoseconds(u64, Span),
    Bytes(u64, Span),
    /// Of the type that the method takes.
    Count(u64, Span),
    /// A variant (the second) of a type of the runtime (the first).
    Variant(&'static str, &'static str, Span),
    /// A Landlock right before a path.
    Right(String, Box<Value>),
    /// A type of the runtime, made by its builder methods.
    Built(&'static str, Vec<Part>),
}

/// A builder method and its argument.
pub struct Part {
    pub word: Ident,
    pub value: Value,
}

/// Checks the values of one key.
pub struct Checker<'a> {
    pub ctxt: &'a Ctxt,
    pub key: &'a str,
}

impl Checker<'_> {
    /// The elements of a list, or the value itself.
    fn elements<'e>(&self, value: &'e Expr) -> Vec<&'e Expr> {
        let list = match peel(value) {
            Expr::Reference(reference) => peel(&reference.expr),
            value => value,
        };
        let Expr::Array(list) = list else { return vec![value] };
        if list.elems.is_empty() {
            self.ctxt.error_at(list, format!("`{}` has an empty list; leave the key out", self.key));
        }
        list.elems.iter().collect()
    }

    pub fn paths(&self, value: &Expr) -> Vec<Value> {
        let mut seen = Vec::new();
        self.elements(value).into_iter().flat_map(|element| self.path(element, &mut seen)).collect()
    }

    fn path(&self, value: &Expr, seen: &mut Vec<String>) -> Vec<Value> {
        if let Expr::Call(call) = peel(value)
            && let Expr::Path(function) = peel(&call.func)
            && function.path.is_ident("optional")
        {
            let [Some(inner), None] = [call.args.first(), call.args.get(1)] else {
                self.ctxt.error_at(call, "`optional` takes one path, such as `optional(\"/lib64\")`");
                return Vec::new();
            };
            let inner = self.elements(inner).into_iter().flat_map(|element| self.path(element, seen));
            return inner.map(|value| Value::Optional(Box::new(value))).collect();
        }
        match literal(value) {
            Some(Literal::Str(text)) => self.path_literal(&text, seen),
            Some(other) => self.wrong(&other, "an absolute path"),
            None => {}
        }
        vec![Value::Expr(value.clone())]
    }

    fn path_literal(&self, literal: &LitStr, seen: &mut Vec<String>) {
        let text = literal.value();
        let key = self.key;
        let trimmed = if text.len() > 1 { text.trim_end_matches('/') } else { &text };
        if text.is_empty() {
            self.ctxt.error(literal.span(), format!("`{key}` takes an absolute path, found an empty one"));
        } else if text.contains('\0') {
            self.ctxt.error(literal.span(), "a path cannot contain a zero byte");
        } else if text.starts_with('~') {
            let message =
                format!("`~` is not expanded, found `{text}`; take the home directory from the environment");
            self.ctxt.error(literal.span(), message);
        } else if !text.starts_with('/') {
            let message =
                format!("`{key}` takes an absolute path, found `{text}`; write `/{text}` or an expression");
            self.ctxt.error(literal.span(), message);
        } else if seen.iter().any(|path| path == trimmed) {
            self.ctxt.error(literal.span(), format!("`{text}` is listed twice in `{key}`"));
        }
        seen.push(trimmed.to_owned());
    }

    pub fn ports(&self, value: &Expr) -> Vec<Value> {
        let mut seen: Vec<RangeInclusive<u16>> = Vec::new();
        let mut values = Vec::new();
        for element in self.elements(value) {
            let Some(value) = self.port(element) else { continue };
            let ports = match &value {
                Value::Port(port, _) => *port..=*port,
                Value::Ports(ports, _) => ports.clone(),
                _ => {
                    values.push(value);
                    continue;
                }
            };
            match seen.iter().find(|other| other.start() <= ports.end() && ports.start() <= other.end()) {
                Some(other) if *other == ports => self
                    .ctxt
                    .error_at(element, format!("{} is listed twice in `{}`", shown(&ports), self.key)),
                Some(other) => self.ctxt.error_at(
                    element,
                    format!("{} overlaps {} in `{}`", shown(&ports), shown(other), self.key),
                ),
                None => {}
            }
            seen.push(ports);
            values.push(value);
        }
        values
    }

    fn port(&self, value: &Expr) -> Option<Value> {
        if let Expr::Range(range) = peel(value) {
            return self.port_range(range, value);
        }
        match literal(value) {
            Some(number) => Some(Value::Port(self.port_literal(&number)?, number.span())),
            None => Some(Value::Expr(value.clone())),
        }
    }

    fn port_range(&self, range: &ExprRange, value: &Expr) -> Option<Value> {
        let (None, None) = (&range.start, &range.end) else { return self.bounded_range(range, value) };
        self.ctxt.error_at(range, "an open range; write `0..=65535` for every port");
        None
    }

    fn bounded_range(&self, range: &ExprRange, value: &Expr) -> Option<Value> {
        let (start, end) = (range.start.as_deref(), range.end.as_deref());
        let computed = |end: Option<&Expr>| end.is_some_and(|end| literal(end).is_none());
        let check = |end: Option<&Expr>, open| match end.and_then(literal) {
            Some(number) => self.port_literal(&number),
            None => Some(open),
        };
        let (first, last) = (check(start, 0), check(end, u16::MAX));
        if computed(start) || computed(end) {
            return Some(Value::Expr(value.clone()));
        }
        let (first, mut last) = (first?, i64::from(last?));
        if end.is_some() && matches!(range.limits, RangeLimits::HalfOpen(_)) {
            last -= 1;
        }
        if last < i64::from(first) {
            let order = if last + 1 == i64::from(first) { "is empty" } else { "is reversed" };
            self.ctxt.error_at(
                range,
                format!("the range {order}; write the lower port first, as in `{}`", "8000..=8010"),
            );
            return None;
        }
        Some(Value::Ports(first..=u16::try_from(last).ok()?, value.span()))
    }

    fn port_literal(&self, number: &Literal) -> Option<u16> {
        if let Literal::Other(Lit::Int(int), false) = number
            && matches!(int.suffix(), "" | "u16")
            && let Ok(port) = int.base10_parse()
        {
            return Some(port);
        }
        self.wrong(number, "a port from 0 to 65535");
        None
    }

    pub fn duration(&self, value: &Expr, never: bool) -> Option<Value> {
        match literal(value) {
            Some(Literal::Str(text)) if never && text.value() == "never" => {
                Some(Value::Variant("Timeout", "Never", text.span()))
            }
            Some(Literal::Str(text)) => {
                let nanoseconds = self.quantity(&text, quantity::nanoseconds, never.then_some("never"))?;
                Some(Value::Nanoseconds(nanoseconds, text.span()))
            }
            Some(other) => {
                self.wrong(&other, "a duration such as `\"2s\"`");
                None
            }
            None => Some(Value::Expr(value.clone())),
        }
    }

    pub fn size(&self, value: &Expr, unlimited: bool) -> Option<Value> {
        match literal(value) {
            Some(Literal::Str(text)) if unlimited && text.value() == "unlimited" => {
                Some(Value::Variant("Memory", "Unlimited", text.span()))
            }
            Some(Literal::Str(text)) => {
                let bytes = self.quantity(&text, quantity::bytes, unlimited.then_some("unlimited"))?;
                Some(Value::Bytes(bytes, text.span()))
            }
            Some(other) => self
                .whole(&other, 1..=u64::MAX, "a size such as `\"256MiB\"`")
                .map(|bytes| Value::Bytes(bytes, other.span())),
            None => match arithmetic(value) {
                Some(Some(bytes)) if bytes > 0 => Some(Value::Bytes(bytes, value.span())),
                Some(_) => {
                    self.ctxt.error_at(value, format!("`{}` takes from 1 to {} bytes", self.key, u64::MAX));
                    None
                }
                None => Some(Value::Expr(value.clone())),
            },
        }
    }

    fn quantity(
        &self,
        text: &LitStr,
        parse: fn(&str) -> Result<u64, String>,
        word: Option<&str>,
    ) -> Option<u64> {
        let value = text.value();
        if let Some(word) = word
            && !value.is_empty()
            && !value.starts_with(|c: char| c.is_ascii_digit())
            && nearest(&value, [word]).is_some()
        {
            self.ctxt.error(text.span(), format!("unknown word `{value}`; did you mean `{word}`?"));
            return None;
        }
        parse(&value).map_err(|mistake| self.ctxt.error(text.span(), mistake)).ok()
    }

    /// A count in this range.
    pub fn count(&self, value: &Expr, range: RangeInclusive<u64>) -> Option<Value> {
        let Some(literal) = literal(value) else { return Some(Value::Expr(value.clone())) };
        let what = match range.clone().into_inner() {
            (least, u64::MAX) => format!("a number from {least}"),
            (least, most) => format!("a number from {least} to {most}"),
        };
        let number = self.whole(&literal, range, &what)?;
        Some(Value::Count(number, literal.span()))
    }

    fn whole(&self, number: &Literal, range: RangeInclusive<u64>, what: &str) -> Option<u64> {
        if let Literal::Other(Lit::Int(int), false) = number
            && let Ok(value) = int.base10_parse::<u64>()
            && range.contains(&value)
        {
            return Some(value);
        }
        self.wrong(number, what);
        None
    }

    pub fn names(&self, value: &Expr) -> Vec<Value> {
        let mut seen: Vec<String> = Vec::new();
        let mut check = |element: &Expr| match literal(element) {
            Some(Literal::Str(text)) => {
                let name = text.value();
                if name.is_empty() || name.contains(['=', '\0']) {
                    let message = format!("`{}` takes the name of a variable, found `{name}`", self.key);
                    self.ctxt.error(text.span(), message);
                } else if seen.contains(&name) {
                    self.ctxt.error(text.span(), format!("`{name}` is listed twice in `{}`", self.key));
                }
                seen.push(name);
            }
            Some(other) => self.wrong(&other, "the name of a variable"),
            None => {}
        };
        let elements = self.elements(value);
        elements.into_iter().inspect(|element| check(element)).cloned().map(Value::Expr).collect()
    }

    /// The variant that a word stands for.
    pub fn choice(
        &self,
        value: &Expr,
        words: &[(&'static str, &'static str)],
    ) -> Option<(&'static str, Span)> {
        let all = || words.iter().map(|(word, _)| format!("`\"{word}\"`")).collect::<Vec<_>>().join(", ");
        let Some(Literal::Str(text)) = literal(value) else {
            self.ctxt.error_at(value, format!("`{}` takes one of {}", self.key, all()));
            return None;
        };
        let word = text.value();
        let found = words.iter().find(|(known, _)| *known == word);
        if found.is_none() {
            let meant = nearest(&word, words.iter().map(|(word, _)| *word));
            let meant =
                meant.map_or(format!("it is one of {}", all()), |word| format!("did you mean `\"{word}\"`?"));
            self.ctxt.error(text.span(), format!("unknown value `\"{word}\"` of `{}`; {meant}", self.key));
        }
        found.map(|(_, variant)| (*variant, text.span()))
    }

    /// A policy, or the path of a file with one.
    pub fn policy(&self, value: &Expr) -> Option<Base> {
        let Some(Literal::Str(path)) = literal(value) else {
            self.no_literal(value, "a `Policy`, or the path of a policy file in quotes");
            return Some(Base::Expr(value.clone()));
        };
        let file = policy_file::read(&path);
        file.map(Base::File).map_err(|mistake| self.ctxt.error(path.span(), mistake)).ok()
    }

    /// The path of a function.
    pub fn function(&self, value: &Expr) -> Option<ExprPath> {
        match peel(value) {
            Expr::Path(path) => Some(path.clone()),
            _ => {
                let message = format!("`{0}` takes the path of a function, as in `{0} = prepare`", self.key);
                self.ctxt.error_at(value, message);
                None
            }
        }
    }

    /// No literal can be what the key takes.
    pub fn no_literal(&self, value: &Expr, what: &str) {
        if let Some(literal) = literal(value) {
            self.wrong(&literal, what);
        }
    }

    fn wrong(&self, literal: &Literal, what: &str) {
        self.ctxt.error(literal.span(), format!("`{}` takes {what}, found `{}`", self.key, literal.text()));
    }
}

/// `64 * 1024 * 1024`, which would be an `i32` if nothing said otherwise. Of literals alone; none if it overflows.
fn arithmetic(value: &Expr) -> Option<Option<u64>> {
    match peel(value) {
        Expr::Lit(ExprLit { lit: Lit::Int(int), .. }) if int.suffix().is_empty() => {
            Some(int.base10_parse().ok())
        }
        Expr::Binary(ExprBinary { left, op, right, .. }) => {
            let (left, right) = (arithmetic(left)?, arithmetic(right)?);
            let result = |compute: fn(u64, u64) -> Option<u64>| compute(left?, right?);
            match op {
                BinOp::Add(_) => Some(result(u64::checked_add)),
                BinOp::Sub(_) => Some(result(u64::checked_sub)),
                BinOp::Mul(_) => Some(result(u64::checked_mul)),
                BinOp::Shl(_) => {
                    Some(result(|left, right| left.checked_mul(1u64.checked_shl(right.try_into().ok()?)?)))
                }
                _ => None,
            }
        }
        _ => None,
    }
}

fn shown(ports: &RangeInclusive<u16>) -> String {
    if ports.start() == ports.end() {
        format!("`{}`", ports.start())
    } else {
        format!("`{}..={}`", ports.start(), ports.end())
    }
}

/// A literal in an expression.
enum Literal {
    Str(LitStr),
    /// With a minus sign or not.
    Other(Lit, bool),
}

impl Literal {
    fn span(&self) -> Span {
        match self {
            Literal::Str(text) => text.span(),
            Literal::Other(other, _) => other.span(),
        }
    }

    fn text(&self) -> String {
        match self {
            Literal::Str(text) => text.token().to_string(),
            Literal::Other(other, minus) => {
                format!("{}{}", if *minus { "-" } else { "" }, quote::ToTokens::to_token_stream(other))
            }
        }
    }
}

fn literal(value: &Expr) -> Option<Literal> {
    match peel(value) {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(Literal::Str(text.clone())),
        Expr::Lit(ExprLit { lit, .. }) => Some(Literal::Other(lit.clone(), false)),
        Expr::Unary(ExprUnary { op: syn::UnOp::Neg(_), expr, .. }) => match peel(expr) {
            Expr::Lit(ExprLit { lit, .. }) => Some(Literal::Other(lit.clone(), true)),
            _ => None,
        },
        _ => None,
    }
}

/// Without parentheses, and without the invisible groups that macro_rules puts around what it captured.
pub fn peel(value: &Expr) -> &Expr {
    match value {
        Expr::Group(group) => peel(&group.expr),
        Expr::Paren(paren) => peel(&paren.expr),
        value => value,
    }
}
