//! `golden/*.rs` contain functions with the attribute, `golden/*.expanded.rs` their expansions.
//!
//! `BLESS=1` rewrites the expansions.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Meta, parse::Parser};

use crate::{expand::expand, item::Function};

fn inputs() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| !path.to_string_lossy().ends_with(".expanded.rs")).collect()
}

/// Expands the function of a file as rustc would.
fn expanded(source: &str) -> String {
    let function = |input: syn::parse::ParseStream<'_>| input.parse::<Function>();
    let mut function = function.parse_str(source).unwrap();
    let at = function.attrs.iter().position(|attr| attr.path().is_ident("openmail_handler"));
    let args = match function.attrs.remove(at.unwrap()).meta {
        Meta::List(list) => list.tokens,
        _ => TokenStream::new(),
    };
    let Function { attrs, vis, sig, body } = function;
    let tokens = expand(args, &quote!(#(#attrs)* #vis #sig #body));
    prettyplease::unparse(&syn::parse2(tokens).unwrap())
}

#[test]
fn functions_expand_as_expected() {
    let bless = env::var_os("BLESS").is_some();
    let mut inputs = inputs();
    inputs.sort();
    assert!(!inputs.is_empty());
    for path in inputs {
        let actual = expanded(&fs::read_to_string(&path).unwrap());
        let golden = path.with_extension("expanded.rs");
        if bless {
            fs::write(&golden, &actual).unwrap();
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(actual, expected, "{} (`BLESS=1` accepts it)", path.display());
    }
}

#[test]
fn keeps_a_half_typed_body() {
    let function = quote! {
        async fn support(mail: &MessageReceived) { let sender = mail. }
    };
    let expanded = expand(quote!(event = "message.received"), &function).to_string();
    assert!(expanded.contains("{ let sender = mail . }"), "{expanded}");
    assert!(!expanded.contains("compile_error"), "{expanded}");
}
