//! Expands an attribute or a function that has mistakes.

use proc_macro2::TokenStream;
use quote::quote;
use syn::Error;

use crate::{
    args::Args,
    attributes::Attributes,
    expand::{self, Names},
    item::Function,
};

/// Returns the compile errors, and the item as it was written.
pub(crate) fn as_written(item: &TokenStream, errors: &[Error]) -> TokenStream {
    let errors = errors.iter().map(Error::to_compile_error);
    quote!(#(#errors)* #item)
}

/// Returns the compile errors, and a handler that can be used wherever a valid one can, so that no
/// other errors are reported. The function is left out if rustc would reject its signature.
pub(crate) fn expand(
    args: &Args,
    function: &Function,
    attributes: &Attributes,
    compiles: bool,
    errors: &[Error],
) -> TokenStream {
    let tower = &args.tower;
    let every = &attributes.every;
    let names = Names::new(function);
    let Names { this, state, .. } = &names;
    let value = expand::value(function, attributes);
    let call = compiles.then(|| expand::call(function, attributes));
    let route = expand::route(&args.without_values(), function, attributes, &names);
    let errors = errors.iter().map(Error::to_compile_error);
    let items = expand::items(
        function,
        &value,
        &names,
        &quote! {
            #call
            #route
            #(#every)*
            impl<#state> #tower::handler::Handler<#state> for #this
            where
                #state: ::core::marker::Send + ::core::marker::Sync + 'static,
            {
                fn call(
                    &self,
                    _: #tower::VerifiedEvent,
                    _: ::std::sync::Arc<#state>,
                ) -> #tower::OutcomeFuture {
                    ::core::unreachable!()
                }
            }
        },
    );
    quote!(#(#errors)* #items)
}
