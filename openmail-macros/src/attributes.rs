//! Moves the function's other attributes to the items they belong to.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Attribute, Error, Ident, Meta, ext::IdentExt, parse_quote};

/// The attributes around `#[openmail_handler]`. `#[cfg]` and `#[cfg_attr]` are not among them: the
/// compiler evaluates them before it expands an attribute.
#[derive(Default)]
pub(crate) struct Attributes {
    /// On the value, the function's `impl`, and the `impl`s of `Handler` and `EventHandler`.
    pub(crate) every: Vec<Attribute>,
    /// On the value: docs, `#[deprecated]`, and lint levels other than `#[expect]`.
    pub(crate) value: Vec<Attribute>,
    /// On the function.
    pub(crate) function: Vec<Attribute>,
}

impl Attributes {
    pub(crate) fn sort(attrs: Vec<Attribute>, name: &Ident, errors: &mut Vec<Error>) -> Self {
        let mut sorted = Self::default();
        for attr in attrs {
            sorted.add(attr, name, errors);
        }
        sorted
    }

    fn add(&mut self, mut attr: Attribute, name: &Ident, errors: &mut Vec<Error>) {
        let path = attr.path();
        let last = path.segments.last().map(|last| last.ident.to_string()).unwrap_or_default();
        match last.as_str() {
            "doc" => self.value.push(attr),
            "deprecated" => {
                self.value.push(attr);
                // Generated code names the value, which must not cause the deprecation warning.
                self.every.push(parse_quote!(#[allow(deprecated)]));
            }
            "allow" | "warn" | "deny" | "forbid" => {
                self.value.push(attr.clone());
                self.function.push(attr);
            }
            "openmail_handler" => {
                let text =
                    "a function can be a handler only once: name all its events in one attribute";
                errors.push(Error::new_spanned(attr, text));
            }
            "instrument" => {
                keep_span_name(&mut attr, name);
                self.function.push(attr);
            }
            _ => self.function.push(attr),
        }
    }
}

/// Sets the name of the span of `#[tracing::instrument]` to the handler's name, since the function
/// is now called `call`.
fn keep_span_name(attr: &mut Attribute, name: &Ident) {
    let path = attr.path().to_token_stream().to_string().replace(' ', "");
    if !["instrument", "tracing::instrument", "::tracing::instrument"].contains(&path.as_str()) {
        return;
    }
    let (path, name) = (attr.path(), name.unraw().to_string());
    match &attr.meta {
        Meta::Path(_) => attr.meta = parse_quote!(#path(name = #name)),
        Meta::List(list) if !is_named(&list.tokens) => {
            let tokens = &list.tokens;
            attr.meta = parse_quote!(#path(name = #name, #tokens));
        }
        _ => {}
    }
}

/// Returns whether the arguments of `instrument` set the name, as `name = …` or as a literal.
fn is_named(arguments: &TokenStream) -> bool {
    let mut starts = true;
    arguments.clone().into_iter().any(|token| {
        let comma = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == ',');
        let started = std::mem::replace(&mut starts, comma);
        match token {
            TokenTree::Literal(_) => started,
            TokenTree::Ident(ident) => started && ident == "name",
            _ => false,
        }
    })
}
