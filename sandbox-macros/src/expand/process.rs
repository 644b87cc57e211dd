//! Functions that run in another process.

use super::argument::{Argument, Way, arguments};
use super::{Expansion, at};
use crate::body;
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote_spanned};
use syn::Type;
use syn::spanned::Spanned;

impl Expansion<'_> {
    /// Input:  `fn main() -> R { BODY }`
    /// Output: `fn main() -> R { program(&__FUNCTION, __policy(), |__call| { .. exit_code(BODY) }) }`
    pub(super) fn program(&self) -> TokenStream {
        let (krate, site) = (&self.krate, self.site);
        let (registered, policy) = self.registered(true);
        let body = self.closure();
        let returned = self.returned();
        let ends = if matches!(crate::types::peel(&returned), Type::Never(_)) {
            quote_spanned!(site=> (#body)())
        } else {
            quote_spanned!(site=>
                #[allow(clippy::redundant_closure_call, clippy::let_unit_value)]
                let __answer = (#body)();
                __call.exit_code(__answer)
            )
        };
        let program = quote_spanned!(site=>
            #registered
            let __entry: #krate::Entry = |__call| {
                __call.begin();
                #ends
            };
            #krate::program(&__FUNCTION, #policy, __entry)
        );
        self.function_with(self.outer_attributes(), &self.function.sig, &program)
    }

    /// Input:  `fn count(path: &Path, seen: &mut Vec<u8>) -> u32 { BODY }`
    /// Output: `{`
    ///         `let __entry: Entry = |__call| { hold 2; begin; BODY in a closure; reply };`
    ///         `let mut __back1 = None;`
    ///         `let __result = process(&__FUNCTION, policy, __entry, |__out| put 2, |__in| take answer and seen);`
    ///         `if Ok: *seen = __back1;`
    ///         `__result }`
    pub(super) fn in_process(&self) -> TokenStream {
        let (krate, site) = (&self.krate, self.site);
        let arguments = arguments(&self.function.sig);
        let returned = self.returned();
        let (registered, policy) = self.registered(true);
        let entry = self.entry(&arguments, &returned);
        let puts = arguments.iter().map(|argument| self.put(argument));
        let backs: Vec<Back> =
            arguments.iter().enumerate().filter_map(|(i, argument)| self.back(i, argument)).collect();
        let (slots, takes, stores) = (
            backs.iter().map(|back| &back.slot),
            backs.iter().map(|back| &back.take),
            backs.iter().map(|back| &back.store),
        );
        let (codec, probe, krate_there) =
            (self.codec(&returned), self.probe(&returned), self.krate_at(&returned));
        let take_answer =
            quote_spanned!(at(returned.span())=> #krate_there::take_answer(#codec, #probe, __in)?);
        let expect = quote_spanned!(at(returned.span())=> #krate_there::expect(#codec, #probe, __out));
        let process = quote_spanned!(at(self.function.sig.ident.span())=> #krate::process);
        let skipped = self.args.skip.then(|| {
            let skipped = self.skipped(&quote_spanned!(site=> __result));
            quote_spanned!(site=> let __result: ::core::result::Result<#returned, #krate::Error> = #skipped;)
        });
        quote_spanned!(site=> {
            #registered
            #entry
            let __policy = #policy;
            #(#slots)*
            let __result: ::core::result::Result<#returned, #krate::Error> = #process(
                &__FUNCTION,
                __policy,
                __entry,
                |__out| {
                    #expect;
                    #(#puts)*
                    ::core::result::Result::Ok(())
                },
                |__in| {
                    let __answer = #take_answer;
                    #(#takes)*
                    ::core::result::Result::Ok(__answer)
                },
            );
            #(#stores)*
            #skipped
            __result
        })
    }

    /// What the worker runs: decode, body, encode. Captures nothing, so that it is a function pointer even where
    /// `Self` and type parameters are named.
    fn entry(&self, arguments: &[Argument], returned: &Type) -> TokenStream {
        let (krate, site) = (&self.krate, self.site);
        let renamed = self.function.sig.receiver().map(|_| body::without_self(&self.function.block));
        let body = renamed.as_ref().unwrap_or(&self.body);
        let holds = arguments.iter().enumerate().map(|(i, argument)| self.hold(i, argument));
        let parameters = arguments.iter().map(|argument| &argument.parameter);
        let values = arguments.iter().enumerate().map(|(i, argument)| self.held_value(i, argument));
        let back = arguments.iter().enumerate().filter_map(|(i, argument)| self.put_back(i, argument));
        let uses = self.uses(arguments);
        let body = self.in_its_braces(quote_spanned!(site=> #uses #body));
        let (codec, krate_there) = (self.codec(returned), self.krate_at(returned));
        let put_answer =
            quote_spanned!(at(returned.span())=> #krate_there::put_answer(#codec, &__answer, __out)?);
        quote_spanned!(site=>
            let __entry: #krate::Entry = |__call| {
                #(#holds)*
                __call.begin();
                #[allow(clippy::redundant_closure_call, clippy::let_unit_value)]
                let __answer: #returned = (|#(#parameters),*| -> #returned #body)(#(#values),*);
                __call.reply(|__out| {
                    #put_answer;
                    #(#back)*
                    ::core::result::Result::Ok(())
                })
            };
        )
    }

    fn hold(&self, i: usize, argument: &Argument) -> TokenStream {
        let (held, cfg, ty) = (held(i), &argument.cfg, self.owned(argument));
        let krate = self.krate_at(&ty);
        let mutable = matches!(argument.way, Way::Changed | Way::ChangedSlice(_))
            .then(|| quote_spanned!(self.site=> mut));
        let (codec, probe) = (self.codec(&ty), self.probe(&ty));
        quote_spanned!(at(ty.span())=> #cfg let #mutable #held = #krate::hold(#codec, #probe, &mut __call.input)?;)
    }

    /// What the body's closure is given.
    fn held_value(&self, i: usize, argument: &Argument) -> TokenStream {
        let (held, cfg, sent) = (held(i), &argument.cfg, &argument.sent);
        // At the type, like all that needs its codec: there rustc reports a missing one once.
        let place = at(sent.span());
        let held = Ident::new(&held.to_string(), place);
        match argument.way {
            Way::Owned => quote_spanned!(place=> #cfg #held),
            Way::Shared => quote_spanned!(place=> #cfg ::core::borrow::Borrow::<#sent>::borrow(&#held)),
            Way::Changed | Way::ChangedSlice(_) => quote_spanned!(place=> #cfg &mut #held),
        }
    }

    /// The type that the worker holds: `Vec<T>` of `&mut [T]`.
    fn owned(&self, argument: &Argument) -> Type {
        match &argument.way {
            Way::ChangedSlice(item) => syn::parse_quote_spanned!(at(item.span())=> ::std::vec::Vec<#item>),
            _ => argument.sent.clone(),
        }
    }

    fn put(&self, argument: &Argument) -> TokenStream {
        let (krate, cfg, name) = (self.krate_at(&argument.sent), &argument.cfg, &argument.name);
        let codec = self.codec(&argument.sent);
        let value = match argument.way {
            Way::Owned => quote_spanned!(self.site=> &#name),
            _ => quote_spanned!(self.site=> &*#name),
        };
        let put = quote_spanned!(at(argument.sent.span())=> #krate::put(#codec, #value, __out)?);
        quote_spanned!(at(argument.sent.span())=> #cfg { #put; })
    }

    fn put_back(&self, i: usize, argument: &Argument) -> Option<TokenStream> {
        let (cfg, held) = (&argument.cfg, held(i));
        if matches!(argument.way, Way::Owned | Way::Shared) {
            return None;
        }
        let ty = self.owned(argument);
        let (krate, codec) = (self.krate_at(&ty), self.codec(&ty));
        let put = quote_spanned!(at(ty.span())=> #krate::put_back(#codec, &#held, __out)?);
        Some(quote_spanned!(at(ty.span())=> #cfg { #put; }))
    }

    /// How a changed argument gets back to the caller: decoded into a slot while the worker's answer is read, stored
    /// once everything was decoded.
    fn back(&self, i: usize, argument: &Argument) -> Option<Back> {
        let (site, cfg, name) = (self.site, &argument.cfg, &argument.name);
        let slot = format_ident!("__back{i}", span = site);
        let ty = self.owned(argument);
        let (krate, codec, probe) = (self.krate_at(&ty), self.codec(&ty), self.probe(&ty));
        let take = quote_spanned!(at(ty.span())=> #krate::take_back(#codec, #probe, __in)?);
        let (check, store) = match argument.way {
            Way::Owned | Way::Shared => return None,
            Way::Changed => (TokenStream::new(), quote_spanned!(site=> *#name = __value)),
            Way::ChangedSlice(_) => (
                self.check_length(&slot, &length(i)),
                quote_spanned!(site=> { let mut __value = __value; (*#name).swap_with_slice(&mut __value) }),
            ),
        };
        let length = matches!(argument.way, Way::ChangedSlice(_)).then(|| {
            let length = length(i);
            quote_spanned!(site=> #cfg let #length = (*#name).len();)
        });
        Some(Back {
            slot: quote_spanned!(site=>
                #length
                #cfg let mut #slot: ::core::option::Option<#ty> = ::core::option::Option::None;
            ),
            take: quote_spanned!(site=> #cfg { #slot = #take; #check }),
            store: quote_spanned!(site=>
                #cfg
                if let (::core::result::Result::Ok(_), ::core::option::Option::Some(__value)) = (&__result, #slot) {
                    #store;
                }
            ),
        })
    }

    /// A worker may send a slice of another length than it was given.
    fn check_length(&self, slot: &Ident, length: &Ident) -> TokenStream {
        let krate = &self.krate;
        quote_spanned!(self.site=>
            match &#slot {
                ::core::option::Option::Some(__value) if __value.len() != #length => {
                    return ::core::result::Result::Err(#krate::CodecError::BadLength {
                        expected: #length,
                        found: __value.len(),
                    });
                }
                _ => {}
            }
        )
    }

    /// The path of the runtime at a type: an error about a call is shown where the call begins.
    fn krate_at(&self, ty: &Type) -> TokenStream {
        self.krate_there(ty.span())
    }

    fn probe(&self, ty: &Type) -> TokenStream {
        let krate = self.krate_at(ty);
        quote_spanned!(at(ty.span())=> #krate::Probe::<#ty>::new())
    }

    /// The codec of a type, found by autoref. The type is named outside of the block into which the traits are
    /// imported, where their names cannot hide it.
    fn codec(&self, ty: &Type) -> TokenStream {
        let (krate, probe) = (self.krate_at(ty), self.probe(ty));
        quote_spanned!(at(ty.span())=> match #probe {
            __probe => {
                #[allow(unused_imports)]
                use #krate::pick::*;
                (&&&&&&__probe).codec()
            }
        })
    }
}

struct Back {
    slot: TokenStream,
    take: TokenStream,
    store: TokenStream,
}

fn length(i: usize) -> Ident {
    format_ident!("__length{i}", span = proc_macro2::Span::mixed_site())
}

fn held(i: usize) -> Ident {
    format_ident!("__held{i}", span = proc_macro2::Span::mixed_site())
}
