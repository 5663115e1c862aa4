//! Fuzzes `#[openmail_handler]`: it never panics, whatever its arguments and function, and for a
//! valid function it always returns items.
//!
//! The first line of the input holds the arguments, the rest the function. Without a rest, a valid
//! function is used.

#![no_main]

use libfuzzer_sys::fuzz_target;
use proc_macro2::TokenStream;

#[path = "../../../openmail-macros/src/args.rs"]
mod args;
#[path = "../../../openmail-macros/src/attributes.rs"]
mod attributes;
#[path = "../../../openmail-macros/src/expand.rs"]
mod expand;
#[path = "../../../openmail-macros/src/fallback.rs"]
mod fallback;
#[path = "../../../openmail-macros/src/item.rs"]
mod item;
#[path = "../../../openmail-macros/src/renamed.rs"]
mod renamed;

const GOOD: &str = "async fn handler(mail: &MessageReceived) {}";

fuzz_target!(|text: &str| {
    let (args, function) = text.split_once('\n').unwrap_or((text, GOOD));
    let Ok(args) = args.parse::<TokenStream>() else { return };
    let Ok(item) = function.parse::<TokenStream>() else { return };
    let expanded = expand::expand(args, &item);
    // The attribute copies the body of the function unchanged, so its result may not parse if the
    // body does not.
    if function == GOOD {
        let file: syn::File = syn::parse2(expanded).expect("items");
        assert!(file.items.len() > 1);
    }
});
