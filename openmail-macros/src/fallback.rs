//! What an attribute or a function with mistakes expands to.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, ext::IdentExt};

use crate::{args::Args, attributes::Attributes, expand, item::Function};

/// The mistakes, and the item as it was written.
pub(crate) fn as_written(item: &TokenStream, errors: &[Error]) -> TokenStream {
    let errors = errors.iter().map(Error::to_compile_error);
    quote!(#(#errors)* #item)
}

/// The mistakes, and a handler that can be used wherever a good one can: nothing else is complained
/// about.
pub(crate) fn expand(
    args: &Args,
    function: &Function,
    attributes: &Attributes,
    errors: &[Error],
) -> TokenStream {
    let tower = &args.tower;
    let gates = &attributes.gates;
    let name = &function.sig.ident;
    let text = name.unraw().to_string();
    let value = expand::value(function, attributes);
    let errors = errors.iter().map(Error::to_compile_error);
    quote! {
        #(#errors)*

        #value

        #(#gates)*
        #[allow(deprecated)]
        impl #tower::EventHandler for #name {
            const ROUTE: #tower::__private::Route = #tower::__private::Route {
                name: #text,
                events: &[],
                inboxes: &[],
                location: #tower::__private::Location {
                    file: ::core::file!(),
                    line: ::core::line!(),
                },
            };
        }

        #(#gates)*
        #[allow(deprecated)]
        impl<__State> #tower::Handler<__State> for #name {
            fn call(
                &self,
                _: #tower::VerifiedEvent,
                _: #tower::__private::Arc<__State>,
            ) -> #tower::HandlerFuture {
                ::core::unreachable!()
            }
        }
    }
}
