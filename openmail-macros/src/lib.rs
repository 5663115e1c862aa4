//! The attribute `#[openmail_handler]` of [`openmail-tower`](https://docs.rs/openmail-tower).
//! Depend on that crate, not on this one.

mod args;
mod attributes;
mod expand;
mod fallback;
#[cfg(test)]
mod golden;
mod item;
mod renamed;

use proc_macro::TokenStream;

/// `openmail-tower` re-exports and documents this attribute.
#[proc_macro_attribute]
pub fn openmail_handler(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(args.into(), &item.into()).into()
}
