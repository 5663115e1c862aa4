//! The macro of `openmail-tower`.
use proc_macro::TokenStream;

/// x
#[proc_macro_attribute]
pub fn openmail_handler(_: TokenStream, item: TokenStream) -> TokenStream {
    item
}
