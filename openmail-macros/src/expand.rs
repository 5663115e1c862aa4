//! What a handler expands to.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{ReturnType, Type, ext::IdentExt, spanned::Spanned};

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
        return fallback::expand(&args, &function, &attributes, &errors);
    }
    let value = value(&function, &attributes);
    let routing = routing(&args, &function, &attributes);
    let handler = match &args.state {
        Some(state) => handler_of_state(&args, &function, &arguments, state),
        None => handler_of_any_state(&args, &function, &arguments),
    };
    let gates = &attributes.gates;
    quote! {
        #value
        #routing
        #(#gates)*
        #[allow(deprecated)]
        const _: () = {
            #handler
        };
    }
}

/// The unit value, and the function as its `call`.
pub(crate) fn value(function: &Function, attributes: &Attributes) -> TokenStream {
    let Attributes { gates, value, function: others } = attributes;
    let Function { vis, sig, body, .. } = function;
    let name = &sig.ident;
    let mut sig = sig.clone();
    sig.ident = syn::Ident::new("call", name.span());
    quote! {
        #(#gates)*
        #(#value)*
        #[allow(non_camel_case_types)]
        #[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
        #vis struct #name;

        #(#gates)*
        #[allow(deprecated)]
        impl #name {
            /// The function itself, for tests.
            #(#others)*
            #vis #sig #body
        }
    }
}

/// What a handler says of itself; nothing, where it names no event.
fn routing(args: &Args, function: &Function, attributes: &Attributes) -> TokenStream {
    if args.events.is_empty() {
        return TokenStream::new();
    }
    let Args { events, inboxes, tower, .. } = args;
    let gates = &attributes.gates;
    let name = &function.sig.ident;
    let text = name.unraw().to_string();
    quote! {
        #(#gates)*
        #[allow(deprecated)]
        impl #tower::EventHandler for #name {
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
/// `where` clause is only about the state, so that no argument is complained about twice.
fn handler_of_any_state(args: &Args, function: &Function, arguments: &[Argument]) -> TokenStream {
    let tower = &args.tower;
    let name = &function.sig.ident;
    let kind = args.kind();
    let types: Vec<_> = arguments.iter().map(|argument| &argument.named).collect();
    let checked = quote!(#tower::__private::kinds::Checked);
    let run = run(args, function, arguments, &quote!(__State), &checked);
    quote! {
        fn __arguments<'e>() {
            #(#tower::__private::argument::<#kind, #types>();)*
        }

        #[automatically_derived]
        impl<__State> #tower::Handler<__State> for #name
        where
            __State: ::core::marker::Send + ::core::marker::Sync + 'static,
            #(for<'e> #types: #tower::FromEvent<'e, #checked, __State>,)*
        {
            #run
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
        #[automatically_derived]
        impl #tower::Handler<#state> for #name {
            #run
        }
    }
}

fn run(
    args: &Args,
    function: &Function,
    arguments: &[Argument],
    state: &TokenStream,
    kind: &TokenStream,
) -> TokenStream {
    let tower = &args.tower;
    let name = &function.sig.ident;
    let variables: Vec<_> = (0..arguments.len()).map(|at| format_ident!("__a{at}")).collect();
    let types = arguments.iter().map(|argument| &argument.written);
    let call = call(function, &variables);
    let takes = quote!(#tower::FromEvent<'_, #kind, #state>);
    // A future that is not `Send` is told at the handler's name.
    let boxed = quote_spanned!(name.span()=> #tower::__private::Box::pin);
    quote! {
        fn call(
            &self,
            __event: #tower::VerifiedEvent,
            __state: #tower::__private::Arc<#state>,
        ) -> #tower::HandlerFuture {
            #boxed(async move {
                #(let #variables = <#types as #takes>::from_event(&__event, &__state)?;)*
                #tower::IntoOutcome::into_outcome(#call)
            })
        }
    }
}

/// The call, placed at the return type: there is what to say of one that is no outcome.
fn call(function: &Function, variables: &[syn::Ident]) -> TokenStream {
    let name = &function.sig.ident;
    let (start, end) = match &function.sig.output {
        ReturnType::Default => (Span::call_site(), Span::call_site()),
        ReturnType::Type(_, ty) => ends(ty),
    };
    let mut name = name.clone();
    name.set_span(name.span().located_at(start));
    let end = quote_spanned!(end=> .await);
    quote!(#name::call(#(#variables),*) #end)
}

fn ends(ty: &Type) -> (Span, Span) {
    let tokens = quote!(#ty).into_iter();
    let start = tokens.clone().next().map_or_else(|| ty.span(), |token| token.span());
    (start, tokens.last().map_or(start, |token| token.span()))
}
