//! The function's other attributes, each to where it belongs.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{
    Attribute, Error, Ident, Meta, Token, ext::IdentExt, parse::ParseStream, parse_quote,
    punctuated::Punctuated,
};

/// What stands around `#[openmail_handler]`.
#[derive(Default)]
pub(crate) struct Attributes {
    /// On every item: `#[cfg]`.
    pub(crate) every: Vec<Attribute>,
    /// On the value: docs and whatever is about naming it.
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
            "cfg" => self.every.push(attr),
            "cfg_attr" => match Conditional::of(&attr) {
                Ok(conditional) => self.extend(&conditional, name, errors),
                Err(error) => errors.push(error),
            },
            "doc" => self.value.push(attr),
            "deprecated" => {
                self.value.push(attr);
                // What is generated names the value; that is no use of it.
                self.every.push(parse_quote!(#[allow(deprecated)]));
            }
            "allow" | "warn" | "deny" | "forbid" => {
                self.value.push(attr.clone());
                self.function.push(attr);
            }
            "openmail_handler" => {
                let text = "a function is one handler: name all its events in one attribute";
                errors.push(Error::new_spanned(attr, text));
            }
            "instrument" => {
                keep_span_name(&mut attr, name);
                self.function.push(attr);
            }
            _ => self.function.push(attr),
        }
    }

    /// Takes `#[cfg_attr(…)]` apart.
    fn extend(&mut self, conditional: &Conditional, name: &Ident, errors: &mut Vec<Error>) {
        let mut inner = Self::default();
        for meta in &conditional.metas {
            inner.add(parse_quote!(#[#meta]), name, errors);
        }
        let wrap = |attr: Attribute| {
            let (condition, meta) = (&conditional.condition, attr.meta);
            parse_quote!(#[cfg_attr(#condition, #meta)])
        };
        self.every.extend(inner.every.into_iter().map(wrap));
        self.value.extend(inner.value.into_iter().map(wrap));
        self.function.extend(inner.function.into_iter().map(wrap));
    }
}

/// `cfg_attr(condition, meta, …)`
struct Conditional {
    condition: Meta,
    metas: Punctuated<Meta, Token![,]>,
}

impl Conditional {
    fn of(attr: &Attribute) -> syn::Result<Self> {
        attr.parse_args_with(|input: ParseStream<'_>| {
            let condition = input.parse()?;
            input.parse::<Option<Token![,]>>()?;
            Ok(Self { condition, metas: Punctuated::parse_terminated(input)? })
        })
    }
}

/// Gives `#[tracing::instrument]` the name that its span would have had: the function is now called
/// `call`.
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

/// Whether `instrument`'s arguments say the span's name: as `name = …` or as a literal in front.
fn is_named(arguments: &TokenStream) -> bool {
    let first = arguments.clone().into_iter().next();
    let mut before_is_comma = true;
    matches!(first, Some(TokenTree::Literal(_)))
        || arguments.clone().into_iter().any(|token| {
            let starts = std::mem::replace(&mut before_is_comma, false);
            match token {
                TokenTree::Punct(punct) => {
                    before_is_comma = punct.as_char() == ',';
                    false
                }
                TokenTree::Ident(ident) => starts && ident == "name",
                _ => false,
            }
        })
}
