//! What a handler expands to.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{Expr, Ident, LitStr, Path, ReturnType, Type, ext::IdentExt};

use crate::{
    args::Args,
    attributes::Attributes,
    fallback,
    item::{Argument, Function},
};

/// The attribute: its arguments and its function to items.
pub(crate) fn expand(args: TokenStream, item: &TokenStream) -> TokenStream {
    let mut errors = Vec::new();
    let args = Args::parse(args, &mut errors);
    let mut function = match syn::parse2::<Function>(item.clone()) {
        Ok(function) => function,
        Err(error) => {
            errors.push(error);
            return fallback::as_written(item, &errors);
        }
    };
    let arguments = function.arguments(&mut errors);
    let attrs = std::mem::take(&mut function.attrs);
    let attributes = Attributes::sort(attrs, &function.sig.ident, &mut errors);
    if !errors.is_empty() {
        if function.is_method() {
            return fallback::as_written(item, &errors);
        }
        let compiles = function.sig.variadic.is_none() && arguments.iter().all(|a| a.compiles);
        return fallback::expand(&args, &function, &attributes, compiles, &errors);
    }
    let value = value(&function, &attributes);
    let call = call(&function, &attributes);
    let name = &function.sig.ident;
    let route = (!args.events.is_empty())
        .then(|| route(&args.tower, name, &attributes, &args.events, &args.inboxes));
    let handler = match &args.state {
        Some(state) => handler_of_state(&args, &function, &arguments, state),
        None => handler_of_any_state(&args, &function, &arguments),
    };
    let every = &attributes.every;
    quote! {
        #value
        #call
        #route
        #(#every)*
        #[automatically_derived]
        #handler
    }
}

/// The value that has the function's name.
pub(crate) fn value(function: &Function, attributes: &Attributes) -> TokenStream {
    let Attributes { every, value, .. } = attributes;
    let vis = &function.vis;
    let name = &function.sig.ident;
    quote! {
        #(#every)*
        #(#value)*
        #[allow(non_camel_case_types)]
        #[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
        #vis struct #name;
    }
}

/// The function, as the value's `call`.
pub(crate) fn call(function: &Function, attributes: &Attributes) -> TokenStream {
    let Attributes { every, function: attrs, .. } = attributes;
    let Function { vis, sig, body, .. } = function;
    let name = &sig.ident;
    let mut sig = sig.clone();
    sig.ident = Ident::new("call", name.span());
    quote! {
        #(#every)*
        impl #name {
            /// The function itself, for tests.
            #[allow(clippy::missing_errors_doc, clippy::missing_panics_doc)]
            #(#attrs)*
            #vis #sig #body
        }
    }
}

/// What a handler says of itself.
pub(crate) fn route(
    tower: &Path,
    name: &Ident,
    attributes: &Attributes,
    events: &[LitStr],
    inboxes: &[Expr],
) -> TokenStream {
    let every = &attributes.every;
    let text = name.unraw().to_string();
    quote! {
        #(#every)*
        impl #tower::handler::EventHandler for #name {
            const ROUTE: #tower::__private::Route = #tower::__private::Route {
                name: #text,
                events: &[#(#events),*],
                inboxes: &[#(#inboxes),*],
                location: #tower::__private::Location {
                    file: ::core::file!(),
                    line: ::core::line!(),
                },
            };
        }
    }
}

/// A handler for every state that its arguments can be taken from.
///
/// Whether they suit the event is asked of each by itself, at its own place; what stands in the
/// `where` clause is only about the state, so that what suits another
/// event is complained about once.
fn handler_of_any_state(args: &Args, function: &Function, arguments: &[Argument]) -> TokenStream {
    let tower = &args.tower;
    let name = &function.sig.ident;
    let kind = args.kind();
    let checked = quote!(#tower::__private::kinds::CheckedEvent);
    let types: Vec<_> = arguments.iter().map(|argument| &argument.named).collect();
    let run = run(args, function, arguments, &quote!(__State), &checked);
    quote! {
        impl<__State> #tower::handler::Handler<__State> for #name
        where
            __State: ::core::marker::Send + ::core::marker::Sync + 'static,
            #(for<'e> #types: #tower::FromEvent<'e, #checked, __State>,)*
        {
            fn call(
                &self,
                __event: #tower::VerifiedEvent,
                __state: #tower::__private::Arc<__State>,
            ) -> #tower::OutcomeFuture {
                fn __arguments<'e>() {
                    #(#tower::__private::argument::<#kind, #types>();)*
                }
                #run
            }
        }
    }
}

/// A handler for one state: taking the arguments is itself the question whether they can be taken.
fn handler_of_state(
    args: &Args,
    function: &Function,
    arguments: &[Argument],
    state: &Type,
) -> TokenStream {
    let tower = &args.tower;
    let name = &function.sig.ident;
    let run = run(args, function, arguments, &quote!(#state), &args.kind());
    quote! {
        impl #tower::handler::Handler<#state> for #name {
            fn call(
                &self,
                __event: #tower::VerifiedEvent,
                __state: #tower::__private::Arc<#state>,
            ) -> #tower::OutcomeFuture {
                #run
            }
        }
    }
}

/// Takes the arguments and calls the function.
///
/// A future that is not `Send` is told at the handler's name, a return type that is no outcome at
/// that type.
fn run(
    args: &Args,
    function: &Function,
    arguments: &[Argument],
    state: &TokenStream,
    kind: &TokenStream,
) -> TokenStream {
    let tower = &args.tower;
    let name = &function.sig.ident;
    let types = arguments.iter().map(|argument| &argument.written);
    let variables: Vec<_> = (0..arguments.len()).map(|at| format_ident!("__a{at}")).collect();
    let takes = quote!(#tower::FromEvent<'_, #kind, #state>);
    let takes = quote! {
        #(let #variables = <#types as #takes>::from_event(&__event, &__state)?;)*
    };
    let (start, end) = match &function.sig.output {
        ReturnType::Default => (Span::call_site(), Span::call_site()),
        ReturnType::Type(_, ty) => ends(ty),
    };
    let awaited = quote_spanned!(end=> .await);
    let (tower_there, name_there) = (at(start, tower), at(start, name));
    let outcome = quote_spanned! {start=>
        #tower_there::IntoOutcome::into_outcome(
            #name_there::call(#(#variables),*) #awaited
        )
    };
    let tower_there = at(name.span(), tower);
    quote_spanned! {name.span()=>
        #tower_there::OutcomeFuture::new(async move {
            #takes
            #outcome
        })
    }
}

/// The same tokens, placed elsewhere.
fn at(span: Span, tokens: &impl ToTokens) -> TokenStream {
    let place = |mut token: TokenTree| {
        token.set_span(token.span().located_at(span));
        token
    };
    tokens.to_token_stream().into_iter().map(place).collect()
}

/// Where tokens begin and end. (To join two spans takes a nightly compiler.)
fn ends(tokens: &impl ToTokens) -> (Span, Span) {
    let mut spans = tokens.to_token_stream().into_iter().map(|token| token.span());
    let start = spans.next().unwrap_or_else(Span::call_site);
    (start, spans.last().unwrap_or(start))
}
