//! Expands a handler.

use std::collections::HashSet;

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{Ident, ReturnType, Type, ext::IdentExt};

use crate::{
    args::Args,
    attributes::Attributes,
    fallback,
    item::{Argument, Function},
};

/// Expands the attribute's arguments and its function into items.
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
    let names = Names::new(&function);
    let call = call(&function, &attributes);
    let route = (!args.events.is_empty()).then(|| route(&args, &function, &attributes, &names));
    let handler = match &args.state {
        Some(state) => handler_of_state(&args, &function, &arguments, &names, state),
        None => handler_of_any_state(&args, &function, &arguments, &names),
    };
    let every = &attributes.every;
    items(
        &function,
        &value,
        &names,
        &quote! {
            #call
            #route
            #(#every)*
            #[automatically_derived]
            #handler
        },
    )
}

/// Returns the value and its implementations. Outside of its definition, the name is mentioned only
/// once: if the name is taken, for instance by a module, each mention would be a separate error.
pub(crate) fn items(
    function: &Function,
    value: &TokenStream,
    names: &Names,
    implementations: &TokenStream,
) -> TokenStream {
    let name = &function.sig.ident;
    let text = name.unraw().to_string();
    let this = &names.this;
    // Written out, since a derive would mention the name.
    quote! {
        #value
        const _: () = {
            #[allow(non_camel_case_types, deprecated)]
            type #this = #name;
            #[automatically_derived]
            impl ::core::clone::Clone for #this {
                fn clone(&self) -> Self {
                    *self
                }
            }
            #[automatically_derived]
            impl ::core::marker::Copy for #this {}
            #[automatically_derived]
            impl ::core::fmt::Debug for #this {
                fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    f.write_str(#text)
                }
            }
            #implementations
        };
    }
}

/// Names for the expansion, none of which the function's signature uses.
pub(crate) struct Names {
    /// The value's type.
    pub(crate) this: Ident,
    /// The router's state, as a type.
    pub(crate) state: Ident,
    event: Ident,
    router_state: Ident,
    arguments: Ident,
    argument: String,
}

impl Names {
    pub(crate) fn new(function: &Function) -> Self {
        let mut taken = HashSet::new();
        identifiers(function.sig.to_token_stream(), &mut taken);
        let free = |wanted: &str| {
            let mut name = wanted.to_owned();
            // Variables are numbered, so a name clashes as soon as another one starts with it.
            while taken.iter().any(|taken| taken.starts_with(&name)) {
                name.push('_');
            }
            name
        };
        let ident = |wanted| Ident::new(&free(wanted), Span::call_site());
        Self {
            this: ident("__This"),
            state: ident("RouterState"),
            event: ident("__openmail_event"),
            router_state: ident("__openmail_state"),
            arguments: ident("__openmail_arguments"),
            argument: free("__openmail_argument"),
        }
    }
}

fn identifiers(tokens: TokenStream, found: &mut HashSet<String>) {
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => drop(found.insert(ident.unraw().to_string())),
            TokenTree::Group(group) => identifiers(group.stream(), found),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

/// Returns the unit struct with the function's name.
pub(crate) fn value(function: &Function, attributes: &Attributes) -> TokenStream {
    let Attributes { every, value, .. } = attributes;
    let vis = &function.vis;
    let name = &function.sig.ident;
    quote! {
        #(#every)*
        #(#value)*
        #[allow(non_camel_case_types)]
        #vis struct #name;
    }
}

/// Returns the function as the value's `call`.
pub(crate) fn call(function: &Function, attributes: &Attributes) -> TokenStream {
    let Attributes { every, function: attrs, .. } = attributes;
    let Function { vis, sig, body, .. } = function;
    let name = &sig.ident;
    let this = Names::new(function).this;
    let mut sig = sig.clone();
    sig.ident = Ident::new("call", name.span());
    quote! {
        #(#every)*
        impl #this {
            /// The function itself, for tests.
            // A handler must be `async` even if it awaits nothing.
            #[allow(clippy::missing_errors_doc, clippy::missing_panics_doc, clippy::unused_async)]
            #(#attrs)*
            #vis #sig #body
        }
    }
}

/// Returns the route: the handler's name, events and inboxes.
pub(crate) fn route(
    args: &Args,
    function: &Function,
    attributes: &Attributes,
    names: &Names,
) -> TokenStream {
    let Args { tower, events, inboxes, .. } = args;
    let every = &attributes.every;
    let text = function.sig.ident.unraw().to_string();
    let Names { this, state, .. } = names;
    quote! {
        #(#every)*
        #[automatically_derived]
        impl<#state> #tower::handler::EventHandler<#state> for #this
        where
            Self: #tower::handler::Handler<#state>,
        {
            const ROUTE: #tower::handler::Route = #tower::handler::Route {
                name: #text,
                events: &[#(#events),*],
                inboxes: &[#(#inboxes),*],
                location: #tower::handler::Location {
                    file: ::core::file!(),
                    line: ::core::line!(),
                },
            };
        }
    }
}

/// Returns a handler for every state from which its arguments can be extracted.
///
/// Whether the event carries what an argument needs is checked at that argument. The `where`
/// clause, which is checked where the handler is registered, is about the state.
fn handler_of_any_state(
    args: &Args,
    function: &Function,
    arguments: &[Argument],
    names: &Names,
) -> TokenStream {
    let tower = &args.tower;
    let Names { this, state, .. } = names;
    let types = arguments.iter().map(|argument| &argument.named);
    let takes = arguments.iter().map(|argument| {
        let (start, end) = ends(&argument.written);
        between(start, end, &quote!(#tower::FromEvent<'e, #state>))
    });
    let call = call_of_handler(args, function, arguments, names, &quote!(#state));
    quote! {
        impl<#state> #tower::handler::Handler<#state> for #this
        where
            #state: ::core::marker::Send + ::core::marker::Sync + 'static,
            #(for<'e> #types: #takes,)*
        {
            #call
        }
    }
}

/// Returns a handler for one state: extracting the arguments is itself the check that they can be
/// extracted.
fn handler_of_state(
    args: &Args,
    function: &Function,
    arguments: &[Argument],
    names: &Names,
    state: &Type,
) -> TokenStream {
    let tower = &args.tower;
    let this = &names.this;
    let call = call_of_handler(args, function, arguments, names, &quote!(#state));
    quote! {
        impl #tower::handler::Handler<#state> for #this {
            #call
        }
    }
}

fn call_of_handler(
    args: &Args,
    function: &Function,
    arguments: &[Argument],
    names: &Names,
    state: &TokenStream,
) -> TokenStream {
    let tower = &args.tower;
    let Names { event, router_state, arguments: checks, .. } = names;
    let run = run(args, function, arguments, names, state);
    let kind = args.kind();
    let questions = arguments.iter().map(|argument| {
        let ty = &argument.named;
        let (start, end) = ends(&argument.written);
        // The error points at the kind, so the kind gets the span of the argument.
        let kind = between(start, end, &kind);
        quote!((&&#tower::handler::Argument::<#ty>::new()).of::<#kind>();)
    });
    let check = (!arguments.is_empty()).then(|| {
        quote! {
            fn #checks<'e>() {
                use #tower::handler::{AnyArgument as _, PartOfEvent as _};
                #(#questions)*
            }
        }
    });
    quote! {
        fn call(
            &self,
            #event: #tower::VerifiedEvent,
            #router_state: ::std::sync::Arc<#state>,
        ) -> #tower::OutcomeFuture {
            #check
            #run
        }
    }
}

/// Extracts the arguments and calls the function.
///
/// A future that is not `Send` is reported at the handler's name, and an invalid return type at
/// that type.
fn run(
    args: &Args,
    function: &Function,
    arguments: &[Argument],
    names: &Names,
    state: &TokenStream,
) -> TokenStream {
    let tower = &args.tower;
    let name = &function.sig.ident;
    let Names { event, router_state, argument, .. } = names;
    let types = arguments.iter().map(|argument| &argument.written);
    let variables: Vec<_> =
        (0..arguments.len()).map(|at| format_ident!("{argument}{at}")).collect();
    let takes = quote!(#tower::FromEvent<'_, #state>);
    let takes = quote! {
        #(let #variables = <#types as #takes>::from_event(&#event, &#router_state)?;)*
    };
    let (start, end) = match &function.sig.output {
        ReturnType::Default => (Span::call_site(), Span::call_site()),
        ReturnType::Type(_, ty) => ends(ty),
    };
    let awaited = quote_spanned!(end=> .await);
    let tower_there = at(start, tower);
    let outcome = quote_spanned! {start=>
        #tower_there::IntoOutcome::into_outcome(
            Self::call(#(#variables),*) #awaited
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

/// Returns the same tokens with another span.
fn at(span: Span, tokens: &impl ToTokens) -> TokenStream {
    let place = |mut token: TokenTree| {
        token.set_span(token.span().located_at(span));
        token
    };
    tokens.to_token_stream().into_iter().map(place).collect()
}

/// Returns the same tokens with a span from `start` to `end`.
fn between(start: Span, end: Span, tokens: &impl ToTokens) -> TokenStream {
    let mut tokens: Vec<_> = at(start, tokens).into_iter().collect();
    if let Some(last) = tokens.last_mut() {
        last.set_span(last.span().located_at(end));
    }
    tokens.into_iter().collect()
}

/// Returns the first and last span of tokens. (Joining two spans requires a nightly compiler.)
fn ends(tokens: &impl ToTokens) -> (Span, Span) {
    let mut spans = tokens.to_token_stream().into_iter().map(|token| token.span());
    let start = spans.next().unwrap_or_else(Span::call_site);
    (start, spans.last().unwrap_or(start))
}
