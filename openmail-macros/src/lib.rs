//! The attribute of [`openmail-tower`](https://docs.rs/openmail-tower), which re-exports it and has
//! its documentation. Depend on that crate, not on this one.

mod args;
mod attributes;
mod expand;
mod fallback;
mod item;

use proc_macro::TokenStream;

/// Makes a handler of an async function. See `openmail_tower::openmail_handler`.
#[proc_macro_attribute]
pub fn openmail_handler(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(args.into(), &item.into()).into()
}
