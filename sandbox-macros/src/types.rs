//! Which types can cross between processes, as far as their names tell. What they do not tell, rustc says: the
//! expansion asks for a codec at the user's own type.

use crate::ctxt::Ctxt;
use quote::ToTokens;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{
    FnArg, GenericParam, Lifetime, PathArguments, PathSegment, ReturnType, Signature, Type, TypeFnPtr,
    TypeImplTrait, TypeParamBound, TypePtr, TypeReference, TypeTraitObject, WherePredicate,
};

/// Types whose updates would be lost; all have parameters, so a type of the user's own that is called `Cell` is none.
const SHARED: &[&str] = &[
    "Mutex",
    "RwLock",
    "Cell",
    "RefCell",
    "UnsafeCell",
    "OnceCell",
    "OnceLock",
    "LazyCell",
    "LazyLock",
    "AtomicPtr",
];

const ATOMICS: &[&str] = &[
    "AtomicBool",
    "AtomicI8",
    "AtomicI16",
    "AtomicI32",
    "AtomicI64",
    "AtomicI128",
    "AtomicIsize",
    "AtomicU8",
    "AtomicU16",
    "AtomicU32",
    "AtomicU64",
    "AtomicU128",
    "AtomicUsize",
];

/// Checks the types in the signature of a function that runs in another process.
pub fn check(signature: &Signature, ctxt: &Ctxt) {
    let mut arguments = Crossing { ctxt, returned: false };
    for argument in &signature.inputs {
        if let FnArg::Typed(argument) = argument {
            arguments.visit_type(&argument.ty);
        }
    }
    if let ReturnType::Type(_, returned) = &signature.output {
        Crossing { ctxt, returned: true }.visit_type(returned);
        if matches!(peel(returned), Type::Never(_)) {
            let message =
                "a function that never returns has nothing to send back; use `thread`, or return `()`";
            ctxt.error_at(returned, message);
        }
    }
    closures(signature, ctxt);
}

/// Type parameters that are closures.
fn closures(signature: &Signature, ctxt: &Ctxt) {
    let inline = signature.generics.params.iter().filter_map(|param| match param {
        GenericParam::Type(param) => Some(&param.bounds),
        _ => None,
    });
    let clauses = signature.generics.where_clause.iter().flat_map(|clause| &clause.predicates);
    let clauses = clauses.filter_map(|predicate| match predicate {
        WherePredicate::Type(predicate) => Some(&predicate.bounds),
        _ => None,
    });
    for bound in inline.chain(clauses).flatten() {
        let TypeParamBound::Trait(bound) = bound else { continue };
        if let Some(last) = bound.path.segments.last()
            && (last.ident == "Fn" || last.ident == "FnMut" || last.ident == "FnOnce")
        {
            let message =
                "a closure cannot be sent to another process; pass what it works on, or use `thread`";
            ctxt.error(last.ident.span(), message);
        }
    }
}

struct Crossing<'a> {
    ctxt: &'a Ctxt,
    /// In the returned type, not in an argument.
    returned: bool,
}

impl<'ast> Visit<'ast> for Crossing<'_> {
    fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
        let is_str = matches!(peel(&reference.elem), Type::Path(path) if path.path.is_ident("str"));
        if self.returned {
            let owned = owned(&reference.elem);
            let message = format!(
                "a reference cannot be returned from another process; return `{owned}` instead of `{}`",
                shown(reference)
            );
            self.ctxt.error_at(reference, message);
            return;
        }
        if let Some(lifetime) = &reference.lifetime
            && lifetime.ident == "static"
        {
            let message = "what another process receives does not live for `'static`; leave the lifetime out";
            self.ctxt.error_at(lifetime, message);
        }
        if is_str && reference.mutability.is_some() {
            self.ctxt.error_at(
                reference,
                "`&mut str` cannot be sent back from another process; take `&mut String`",
            );
        }
        self.visit_type(&reference.elem);
    }

    fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
        if self.returned && lifetime.ident != "static" {
            let message = format!(
                "`{lifetime}` borrows from the caller, whose memory another process does not share; return an owned value"
            );
            self.ctxt.error_at(lifetime, message);
        }
    }

    fn visit_type_impl_trait(&mut self, ty: &'ast TypeImplTrait) {
        let message = if self.returned {
            "the type that another process returns needs a name; write it instead of `impl`, or use `thread`"
        } else {
            "an argument of another process needs a type with a name; write a type parameter, as in `fn f<T: Trait>(x: T)`"
        };
        self.ctxt.error(ty.impl_token.span, message);
    }

    fn visit_type_trait_object(&mut self, ty: &'ast TypeTraitObject) {
        if self.returned {
            return visit::visit_type_trait_object(self, ty);
        }
        let at = ty.dyn_token.map_or_else(|| ty.span(), |token| token.span);
        let message =
            "`dyn` cannot be sent to another process; take a type parameter or an enum, or use `thread`";
        self.ctxt.error(at, message);
    }

    fn visit_type_fn_ptr(&mut self, ty: &'ast TypeFnPtr) {
        let message = "a function pointer means nothing in another process; take an enum, or use `thread`";
        self.ctxt.error(ty.fn_token.span, message);
    }

    fn visit_type_ptr(&mut self, ty: &'ast TypePtr) {
        let message = "a raw pointer means nothing in another process; take a reference, or use `thread`";
        self.ctxt.error(ty.star_token.span, message);
    }

    fn visit_path_segment(&mut self, segment: &'ast PathSegment) {
        let name = segment.ident.to_string();
        let shared =
            matches!(segment.arguments, PathArguments::AngleBracketed(_)) && SHARED.contains(&name.as_str());
        if !self.returned && (shared || ATOMICS.contains(&name.as_str())) {
            let message = format!(
                "updates of a `{name}` in another process would be lost; take the value in it, or `&mut` of that, or use `thread`"
            );
            self.ctxt.error(segment.ident.span(), message);
        }
        visit::visit_path_segment(self, segment);
    }
}

/// What to return instead of a reference to `ty`.
fn owned(ty: &Type) -> String {
    match peel(ty) {
        Type::Slice(slice) => format!("Vec<{}>", shown(&slice.elem)),
        ty => match shown(ty).rsplit("::").next().unwrap_or_default() {
            "str" => "String".to_owned(),
            "Path" => "PathBuf".to_owned(),
            "OsStr" => "OsString".to_owned(),
            "CStr" => "CString".to_owned(),
            _ => shown(ty),
        },
    }
}

/// A type as one would write it.
pub fn shown(ty: impl ToTokens) -> String {
    let text = ty.to_token_stream().to_string();
    let mut shown = String::with_capacity(text.len());
    for (i, c) in text.char_indices() {
        let next = text[i + c.len_utf8()..].chars().next().unwrap_or(' ');
        let last = shown.chars().last().unwrap_or(' ');
        // A space stays before `[` and `(` of `&'a [u8]`.
        let opens = "[(&".contains(next) && last.is_alphanumeric();
        let tight = !opens && "<>:&[](),;".contains(next) || "<:&[(".contains(last);
        if c != ' ' || !tight || (last == ',' || last == ';') {
            shown.push(c);
        }
    }
    shown
}

/// Without parentheses, and without the invisible groups that macro_rules puts around what it captured.
pub fn peel(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => peel(&group.elem),
        Type::Paren(paren) => peel(&paren.elem),
        ty => ty,
    }
}
