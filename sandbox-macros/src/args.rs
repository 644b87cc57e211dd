//! The attribute: from its items to checked arguments.

use crate::ctxt::Ctxt;
use crate::items::{Form, Item, items};
use crate::keys::{self, KEYS, Key, Placement, RIGHTS, Shape, Status};
use crate::policy_file::PolicyFile;
use crate::values::{Checker, Part, Value, peel};
use proc_macro2::TokenStream;
use sandboxed_config::nearest;
use syn::{Expr, ExprPath, Ident, Path};

/// What is annotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Function,
    Main,
    Test,
}

/// A checked attribute.
pub struct Args {
    pub krate: Path,
    pub placement: Placement,
    /// `policy = ..`
    pub base: Option<Base>,
    /// Calls of `Policy`'s builder methods, in the order written.
    pub calls: Vec<(Ident, Value)>,
    /// The function to add, and whether it was written `Self::name`.
    pub fallible: Option<(Ident, bool)>,
    /// The function that makes the workers' template ready.
    pub warm: Option<ExprPath>,
    /// A test that cannot be enforced is skipped.
    pub skip: bool,
    /// A test that fails where anything is denied.
    pub expect_no_denials: bool,
    /// A test that fails where a grant is not used.
    pub expect_all_used: bool,
    /// As written, on one line.
    pub source: String,
}

/// What `policy` names.
pub enum Base {
    /// `policy = EXPR`
    Expr(Expr),
    /// `policy = "path"`
    File(PolicyFile),
}

/// Parses and checks an attribute. Every mistake goes to `ctxt`.
pub fn parse(tokens: TokenStream, kind: Kind, ctxt: &Ctxt) -> Args {
    let source = tokens.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    let items = items(tokens, ctxt);
    let default = if kind == Kind::Main { Placement::InPlace } else { Placement::Process };
    let placement = placement(&items, kind, ctxt);
    let mut args = Args {
        krate: syn::parse_quote!(::sandboxed),
        placement: placement.unwrap_or(default),
        base: None,
        calls: Vec::new(),
        fallible: None,
        warm: None,
        skip: false,
        expect_no_denials: false,
        expect_all_used: false,
        source,
    };
    let mut seen: Vec<(&Key, &Ident)> = Vec::new();
    for item in &items {
        let Some(key) = known(&item.key, kind, ctxt) else { continue };
        if !matches!(key.shape, Shape::Placement(_)) {
            duplicates(&seen, key, item, ctxt);
        }
        seen.push((key, &item.key));
        if key.status == Status::Enforced && has_use(key, item, kind, ctxt) {
            check_placement(key, item, &args, placement.is_some(), ctxt);
        }
        check(&mut args, key, item, ctxt);
        if let Status::Later(missing) = key.status {
            let message = format!("this version of sandboxed cannot enforce `{}` yet: {missing}", key.name);
            ctxt.error(item.key.span(), message);
        }
    }
    check_lifetime(&args, ctxt);
    args
}

/// The placement that was written.
fn placement(items: &[Item], kind: Kind, ctxt: &Ctxt) -> Option<Placement> {
    let mut chosen: Option<(Placement, &Ident)> = None;
    for item in items {
        let Some(&Key { shape: Shape::Placement(placement), .. }) = keys::find(&item.key.to_string()) else {
            continue;
        };
        match chosen {
            None => chosen = Some((placement, &item.key)),
            Some((first, _)) if first == placement => {
                ctxt.error(item.key.span(), format!("`{}` is written twice", item.key));
            }
            Some((first, _)) => {
                let message =
                    format!("`{}` contradicts `{}`; a function runs in one place", item.key, first.word());
                ctxt.error(item.key.span(), message);
            }
        }
    }
    if let (Kind::Test, Some((Placement::InPlace, key))) = (kind, chosen) {
        let message =
            "`in_place` would restrict the test harness and every other test; use `process` or `thread`";
        ctxt.error(key.span(), message);
        return Some(Placement::Process);
    }
    chosen.map(|(placement, _)| placement)
}

/// The key of this name, or a mistake.
fn known(name: &Ident, kind: Kind, ctxt: &Ctxt) -> Option<&'static Key> {
    let word = name.to_string();
    let Some(key) = keys::find(&word) else {
        let message = if let Some(home) = keys::home(&word) {
            let value = if matches!(home, "fs" | "workers") { " = ..." } else { "" };
            format!("`{word}` goes into `{home}(...)`: write `{home}({word}{value})`")
        } else if let Some(meant) = nearest(&word, KEYS.iter().map(|key| key.name)) {
            format!("unknown key `{word}`; did you mean `{meant}`?")
        } else {
            format!("unknown key `{word}`; the documentation of the attribute lists the keys")
        };
        ctxt.error(name.span(), message);
        return None;
    };
    if key.test && kind != Kind::Test {
        ctxt.error(name.span(), format!("`{word}` is for tests; use `#[sandboxed::test({word} = ...)]`"));
        return None;
    }
    Some(key)
}

fn duplicates(seen: &[(&Key, &Ident)], key: &Key, item: &Item, ctxt: &Ctxt) {
    if seen.iter().any(|(other, _)| other.name == key.name) {
        let instead = match key.shape {
            Shape::Paths | Shape::Ports | Shape::Names => {
                format!("; write a list, as in `{} = [..., ...]`", key.name)
            }
            Shape::Rights | Shape::Words(..) | Shape::Counts(..) => {
                format!("; write one `{}(..., ...)`", key.name)
            }
            _ => String::new(),
        };
        ctxt.error(item.key.span(), format!("duplicate key `{}`{instead}", key.name));
    }
    let opposite = match key.name {
        "strict" => "best_effort",
        "best_effort" => "strict",
        _ => return,
    };
    if seen.iter().any(|(other, _)| other.name == opposite) {
        let message = format!("`{}` contradicts `{opposite}`; keep one", key.name);
        ctxt.error(item.key.span(), message);
    }
}

/// Checks that what is annotated is called often enough for a key to be of use.
fn has_use(key: &Key, item: &Item, kind: Kind, ctxt: &Ctxt) -> bool {
    let once = match kind {
        Kind::Function => return true,
        Kind::Main => "`main`",
        Kind::Test => "a test",
    };
    if key.repeated {
        ctxt.error(
            item.key.span(),
            format!("{once} runs once; `{}` has no use here, leave it out", key.name),
        );
    }
    !key.repeated
}

/// Checks that a worker whose whole life a limit counts does not serve several calls.
fn check_lifetime(args: &Args, ctxt: &Ctxt) {
    let reuse = args.calls.iter().find_map(|(_, value)| match value {
        Value::Built(_, parts) => parts.iter().find(|part| part.word == "reuse"),
        _ => None,
    });
    if let Some(Part { word, .. }) = reuse
        && args.calls.iter().any(|(key, _)| key == "cpu")
    {
        let message = "`cpu` counts the whole life of a worker, which so serves one call; leave `reuse` out, or limit `timeout` \
             instead of `cpu`";
        ctxt.error(word.span(), message);
    }
}

/// Checks that the function's placement can give what a key says.
fn check_placement(key: &Key, item: &Item, args: &Args, chosen: bool, ctxt: &Ctxt) {
    if matches!(key.shape, Shape::Placement(_)) || key.placements.contains(&args.placement) {
        return;
    }
    let able: Vec<String> =
        key.placements.iter().map(|placement| format!("`{}`", placement.word())).collect();
    let message = format!(
        "`{}`{} cannot give `{}`; only {} can",
        args.placement.word(),
        if chosen { "" } else { ", the default here," },
        key.name,
        able.join(" and ")
    );
    ctxt.error(item.key.span(), message);
}

/// Checks that an item has its key's shape, and notes what it says.
fn check(args: &mut Args, key: &'static Key, item: &Item, ctxt: &Ctxt) {
    let checker = Checker { ctxt, key: key.name };
    match (key.shape, &item.form) {
        (_, Form::Broken) | (Shape::Placement(_), Form::Alone) => {}
        (Shape::Flag, Form::Alone) if key.name == "expect_no_denials" => args.expect_no_denials = true,
        (Shape::Flag, Form::Alone) if key.name == "expect_all_used" => args.expect_all_used = true,
        (Shape::Flag, Form::Alone) => args.calls.push((item.key.clone(), Value::Nothing)),
        (Shape::Placement(_) | Shape::Flag, Form::Value(value)) => {
            ctxt.error_at(value, format!("`{}` takes no value; write it alone", key.name));
        }
        (Shape::Placement(_) | Shape::Flag, Form::List(_, span)) => {
            ctxt.error(*span, format!("`{}` takes no value; write it alone", key.name));
        }
        (Shape::Rights | Shape::Words(..) | Shape::Counts(..), Form::List(tokens, span)) => {
            if tokens.is_empty() {
                ctxt.error(*span, format!("`{}()` is empty; leave it out", key.name));
            }
            check_list(args, key, item, tokens.clone(), ctxt);
        }
        (Shape::Rights | Shape::Words(..) | Shape::Counts(..), Form::Value(value)) => {
            ctxt.error_at(value, format!("`{}` takes parentheses, as in `{}`", key.name, key.sample));
        }
        (_, Form::Alone) => {
            ctxt.error(item.key.span(), format!("`{}` needs a value, as in `{}`", key.name, key.sample));
        }
        (_, Form::List(_, span)) => {
            ctxt.error(*span, format!("`{}` takes its value behind `=`, as in `{}`", key.name, key.sample));
        }
        (_, Form::Value(value)) => check_value(args, key, item, value, &checker),
    }
}

fn check_value(args: &mut Args, key: &'static Key, item: &Item, value: &Expr, checker: &Checker) {
    let mut call = |value: Value| args.calls.push((item.key.clone(), value));
    match key.shape {
        Shape::Paths => checker.paths(value).into_iter().for_each(call),
        Shape::Ports => checker.ports(value).into_iter().for_each(call),
        Shape::Names => checker.names(value).into_iter().for_each(call),
        Shape::Duration { never } => checker.duration(value, never).into_iter().for_each(call),
        Shape::Size { unlimited } => checker.size(value, unlimited).into_iter().for_each(call),
        Shape::Count { least } => checker.count(value, least..=u64::MAX).into_iter().for_each(call),
        Shape::Choice("", words) => {
            args.skip = checker.choice(value, words).is_some_and(|(variant, _)| variant == "Skip")
        }
        Shape::Choice(of, words) => {
            if let Some((variant, span)) = checker.choice(value, words) {
                call(Value::Variant(of, variant, span));
            }
        }
        Shape::Policy => {
            args.base = checker.policy(value);
        }
        Shape::Function => args.warm = checker.function(value),
        Shape::FunctionName => args.fallible = function_name(value, checker),
        Shape::Crate => match peel(value) {
            Expr::Path(path) if path.qself.is_none() => args.krate = path.path.clone(),
            _ => checker
                .ctxt
                .error_at(value, "`crate` takes the path of this crate, as in `crate = my::sandboxed`"),
        },
        Shape::Placement(_) | Shape::Flag | Shape::Rights | Shape::Words(..) | Shape::Counts(..) => {}
    }
}

/// `try_decode`, or `Self::try_decode` for a function in an impl block whose signature does not say that it is one.
fn function_name(value: &Expr, checker: &Checker) -> Option<(Ident, bool)> {
    if let Expr::Path(path) = peel(value)
        && path.qself.is_none()
        && path.path.leading_colon.is_none()
        && path.path.segments.iter().all(|segment| segment.arguments.is_none())
    {
        let mut segments = path.path.segments.iter().map(|segment| &segment.ident);
        match (segments.next(), segments.next(), segments.next()) {
            (Some(name), None, _) if name != "Self" => return Some((name.clone(), false)),
            (Some(this), Some(name), None) if this == "Self" => return Some((name.clone(), true)),
            _ => {}
        }
    }
    checker
        .ctxt
        .error_at(value, "`fallible` takes the name of the function to add, as in `fallible = try_decode`");
    None
}

/// `fs(...)`, `allow(...)`, `preset(...)`, `workers(...)`, and those of later versions.
fn check_list(args: &mut Args, key: &'static Key, outer: &Item, tokens: TokenStream, ctxt: &Ctxt) {
    let mut seen: Vec<String> = Vec::new();
    let words: Vec<&'static str> = match key.shape {
        Shape::Words(_, words) => words.iter().map(|(word, _)| *word).collect(),
        Shape::Counts(_, words) => words.iter().map(|(word, _)| *word).collect(),
        _ => RIGHTS.to_vec(),
    };
    let mut parts = Vec::new();
    for item in items(tokens, ctxt) {
        let word = item.key.to_string();
        if !words.contains(&word.as_str()) {
            let meant = nearest(&word, words.iter().copied());
            let meant = meant
                .map_or(format!("it takes {}", words.join(", ")), |meant| format!("did you mean `{meant}`?"));
            ctxt.error(item.key.span(), format!("unknown word `{word}` in `{}`; {meant}", key.name));
            continue;
        }
        if seen.contains(&word) {
            ctxt.error(item.key.span(), format!("`{word}` is listed twice in `{}`", key.name));
        }
        seen.push(word.clone());
        if let (Shape::Counts(_, words), Form::Value(value)) = (key.shape, &item.form) {
            let least = words.iter().find(|(known, _)| *known == word).map_or(0, |(_, least)| *least);
            let count = Checker { ctxt, key: &word }.count(value, least.into()..=u32::MAX.into());
            parts.extend(count.map(|value| Part { word: item.key.clone(), value }));
        } else {
            check_word(args, key, outer, &item, &word, ctxt);
        }
    }
    if let Shape::Counts(of, _) = key.shape {
        check_spare(&parts, ctxt);
        args.calls.push((outer.key.clone(), Value::Built(of, parts)));
    }
}

/// Checks that no more workers wait than there may be.
fn check_spare(parts: &[Part], ctxt: &Ctxt) {
    let count = |name: &str| parts.iter().find(|part| part.word == name).map(|part| &part.value);
    if let (Some(Value::Count(spare, span)), Some(Value::Count(max, _))) = (count("spare"), count("max"))
        && spare > max
    {
        ctxt.error(*span, format!("`spare` takes a number from 0 to `max`, which is {max}, found `{spare}`"));
    }
}

fn check_word(args: &mut Args, key: &'static Key, outer: &Item, item: &Item, word: &str, ctxt: &Ctxt) {
    let checker = Checker { ctxt, key: word };
    match (key.shape, &item.form) {
        (_, Form::Broken) => {}
        (Shape::Words(of, words), Form::Alone) => {
            let variant = words.iter().find(|(known, _)| *known == word).map_or("", |(_, variant)| variant);
            args.calls.push((outer.key.clone(), Value::Variant(of, variant, item.key.span())));
        }
        (Shape::Words(..), _) => {
            ctxt.error(item.key.span(), format!("`{word}` takes no value; write it alone"))
        }
        (Shape::Rights, Form::Value(value)) => {
            let right = |value| Value::Right(word.to_uppercase(), Box::new(value));
            args.calls
                .extend(checker.paths(value).into_iter().map(|value| (outer.key.clone(), right(value))));
        }
        _ => ctxt.error(item.key.span(), format!("`{word}` needs a value, as in `{}`", key.sample)),
    }
}
