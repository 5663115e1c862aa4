//! The function.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{
    Attribute, Error, FnArg, Generics, Ident, Lifetime, ParenthesizedGenericArguments, PatIdent,
    Result, Safety, Signature, Token, TraitBound, Type, TypeFnPtr, TypeImplTrait, TypeReference,
    Visibility,
    parse::{Parse, ParseStream},
    spanned::Spanned,
    visit::{self, Visit},
    visit_mut::{self, VisitMut},
};

const METHOD: &str = "methods and associated functions cannot be handlers: \
    a handler is a free function that takes its state as a `State<T>`";

/// A function whose body is kept as it was written, even if it does not parse: an editor can then
/// offer completions in a body that is still being typed.
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
    pub(crate) body: Group,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        let starts = input.peek(Token![async])
            || input.peek(Token![fn])
            || input.peek(Token![unsafe])
            || input.peek(Token![extern])
            || input.peek(Token![const]);
        if !starts {
            return Err(input.error("`#[openmail_handler]` can only be used on an `async fn`"));
        }
        let sig = input.parse()?;
        if !input.peek(syn::token::Brace) {
            return Err(input.error("a handler must have a body"));
        }
        Ok(Self { attrs, vis, sig, body: body(input)? })
    }
}

/// Parses the body. The `$body:block` of a `macro_rules!` comes in invisible delimiters.
fn body(input: ParseStream<'_>) -> Result<Group> {
    let mut group = input.step(|cursor| match cursor.token_tree() {
        Some((TokenTree::Group(group), rest)) => Ok((group, rest)),
        _ => Err(cursor.error("a handler must have a body")),
    })?;
    while group.delimiter() == Delimiter::None {
        match group.stream().into_iter().next() {
            Some(TokenTree::Group(inner)) => group = inner,
            _ => return Err(Error::new(group.span(), "a handler must have a body")),
        }
    }
    Ok(group)
}

impl Function {
    /// Returns whether it is a method or an associated function, judging by its signature.
    pub(crate) fn is_method(&self) -> bool {
        self.sig.receiver().is_some() || self.mentions_self().is_some()
    }

    /// Returns `Self` if the signature mentions it.
    fn mentions_self(&self) -> Option<Ident> {
        fn find(tokens: TokenStream) -> Option<Ident> {
            tokens.into_iter().find_map(|token| match token {
                TokenTree::Ident(ident) if ident == "Self" => Some(ident),
                TokenTree::Group(group) => find(group.stream()),
                _ => None,
            })
        }
        find(self.sig.to_token_stream())
    }

    /// Returns the function's arguments. Everything that keeps the function from being a handler
    /// goes into `errors`.
    pub(crate) fn arguments(&self, errors: &mut Vec<Error>) -> Vec<Argument> {
        check_qualifiers(&self.sig, errors);
        if self.sig.receiver().is_none()
            && let Some(this) = self.mentions_self()
        {
            errors.push(Error::new(this.span(), METHOD));
        }
        let mut arguments = Vec::new();
        for input in &self.sig.inputs {
            match input {
                FnArg::Receiver(receiver) => {
                    errors.push(Error::new_spanned(receiver, METHOD));
                }
                FnArg::Typed(argument) => {
                    for attr in &argument.attrs {
                        if attr.path().is_ident("cfg") || attr.path().is_ident("cfg_attr") {
                            let text = "an argument of a handler cannot be conditional";
                            errors.push(Error::new_spanned(attr, text));
                        }
                    }
                    let known = errors.len();
                    Names { taken: &self.sig.ident, errors }.visit_pat(&argument.pat);
                    let named_well = errors.len() == known;
                    let mut argument = Argument::new(&argument.ty, &self.sig.generics, errors);
                    argument.compiles &= named_well;
                    arguments.push(argument);
                }
            }
        }
        arguments
    }
}

fn check_qualifiers(sig: &Signature, errors: &mut Vec<Error>) {
    if let Some(token) = sig.constness {
        errors
            .push(Error::new(token.span, "a handler cannot be `const`: it must be an `async fn`"));
    } else if sig.asyncness.is_none() {
        errors.push(Error::new(sig.fn_token.span, "a handler must be an `async fn`"));
    }
    if let Safety::Unsafe(token) = sig.safety {
        errors.push(Error::new(token.span, "a handler cannot be `unsafe`: the router calls it"));
    }
    if let Some(abi) = &sig.abi {
        errors.push(Error::new_spanned(abi, "a handler cannot be `extern`"));
    }
    if !sig.generics.params.is_empty() {
        let text = "a handler cannot be generic; references to the event need no lifetime";
        errors.push(Error::new_spanned(&sig.generics, text));
    }
    if let Some(clause) = &sig.generics.where_clause {
        errors.push(Error::new_spanned(clause, "a handler cannot have a `where` clause"));
    }
    if let Some(variadic) = &sig.variadic {
        errors.push(Error::new_spanned(variadic, "a handler cannot be variadic"));
    }
}

/// Finds bindings with the handler's own name: in a pattern, that name would mean the unit struct.
struct Names<'a> {
    taken: &'a Ident,
    errors: &'a mut Vec<Error>,
}

impl Visit<'_> for Names<'_> {
    fn visit_pat_ident(&mut self, binding: &PatIdent) {
        if binding.ident == *self.taken {
            let text =
                "an argument cannot have the same name as the handler, which is a unit struct";
            self.errors.push(Error::new_spanned(&binding.ident, text));
        }
        visit::visit_pat_ident(self, binding);
    }
}

/// The type of an argument, as written and with its lifetimes named.
pub(crate) struct Argument {
    pub(crate) written: Type,
    /// The type with the lifetime `'e`, if it borrows from the event.
    pub(crate) named: Type,
    /// Whether rustc would accept the argument: its pattern and its type.
    pub(crate) compiles: bool,
}

impl Argument {
    fn new(written: &Type, generics: &Generics, errors: &mut Vec<Error>) -> Self {
        let mut named = written.clone();
        let compiles = if let Some(text) = unfit(written) {
            errors.push(Error::new_spanned(written, text));
            matches!(written, Type::Reference(_))
        } else {
            let mut lifetimes = Lifetimes { generics, errors, declared: true };
            lifetimes.visit_type_mut(&mut named);
            lifetimes.declared
        };
        Self { written: written.clone(), named, compiles }
    }
}

/// Returns why this type can never be extracted.
fn unfit(ty: &Type) -> Option<&'static str> {
    match ty {
        Type::Group(group) => unfit(&group.elem),
        Type::Paren(paren) => unfit(&paren.elem),
        Type::Reference(TypeReference { mutability: Some(_), .. }) => {
            Some("a handler cannot change the event: take `&T` or `T`")
        }
        Type::Reference(TypeReference { lifetime: Some(lifetime), .. })
            if lifetime.ident == "static" =>
        {
            Some("the event does not live for `'static`: take `&T` or `T`")
        }
        Type::TraitObject(_) | Type::Slice(_) => {
            Some("an argument must be `Sized`: take `&T` or `T`")
        }
        _ => None,
    }
}

/// Names the elided lifetimes in an argument's type.
struct Lifetimes<'a> {
    generics: &'a Generics,
    errors: &'a mut Vec<Error>,
    declared: bool,
}

impl VisitMut for Lifetimes<'_> {
    fn visit_type_reference_mut(&mut self, reference: &mut TypeReference) {
        let span = reference.and_token.span();
        reference.lifetime.get_or_insert_with(|| Lifetime::new("'_", span));
        visit_mut::visit_type_reference_mut(self, reference);
    }

    fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
        if lifetime.ident == "_" {
            *lifetime = Lifetime::new("'e", lifetime.span());
        } else if lifetime.ident != "static"
            && !self.generics.lifetimes().any(|param| param.lifetime == *lifetime)
        {
            self.declared = false;
            self.errors.push(Error::new(
                lifetime.span(),
                "a handler cannot name lifetimes: take `&T`, or `T<'_>`",
            ));
        }
    }

    fn visit_type_impl_trait_mut(&mut self, ty: &mut TypeImplTrait) {
        let text = "an argument of a handler must have a concrete type, not `impl Trait`";
        self.errors.push(Error::new_spanned(ty, text));
    }

    // Elided lifetimes in these are the function pointer's or closure's own, not the event's.
    fn visit_type_fn_ptr_mut(&mut self, _: &mut TypeFnPtr) {}
    fn visit_parenthesized_generic_arguments_mut(&mut self, _: &mut ParenthesizedGenericArguments) {
    }
    fn visit_trait_bound_mut(&mut self, bound: &mut TraitBound) {
        if bound.lifetimes.is_none() {
            visit_mut::visit_trait_bound_mut(self, bound);
        }
    }
}
