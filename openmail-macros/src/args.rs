//! The attribute's arguments.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{
    Error, Expr, ExprLit, Ident, Lit, LitStr, Path, Result, Token, Type,
    ext::IdentExt,
    parse::{ParseStream, Parser},
};

use crate::renamed;

/// The known events, and the names of their kinds in `handler::kinds`.
const KNOWN: [(&str, &str); 6] = [
    ("message.received", "MessageReceivedEvent"),
    ("inbox.suspended", "InboxSuspendedEvent"),
    ("inbox.reactivated", "InboxReactivatedEvent"),
    ("pod.suspended", "PodSuspendedEvent"),
    ("pod.reactivated", "PodReactivatedEvent"),
    ("setup.test", "SetupTestEvent"),
];

/// The arguments of `#[openmail_handler(…)]`.
pub(crate) struct Args {
    pub(crate) events: Vec<LitStr>,
    pub(crate) inboxes: Vec<Expr>,
    pub(crate) state: Option<Type>,
    /// The path of `openmail_tower`.
    pub(crate) tower: Path,
    unlisted: bool,
    seen: Vec<Ident>,
}

impl Args {
    /// Parses the arguments. Mistakes go into `errors`, and the rest is still parsed.
    pub(crate) fn parse(tokens: TokenStream, errors: &mut Vec<Error>) -> Self {
        let mut args = Self {
            events: Vec::new(),
            inboxes: Vec::new(),
            state: None,
            tower: renamed::path(),
            unlisted: false,
            seen: Vec::new(),
        };
        let list = |input: ParseStream<'_>| {
            while !input.is_empty() {
                if let Err(error) = args.argument(input, errors).and_then(|()| comma(input)) {
                    errors.push(error);
                    skip(input)?;
                }
            }
            Ok(())
        };
        if let Err(error) = list.parse2(tokens) {
            errors.push(error);
        }
        args.check(errors);
        args
    }

    /// Returns empty arguments that keep only the path of `openmail_tower`, for the expansion of a
    /// function with mistakes.
    pub(crate) fn without_values(&self) -> Self {
        Self {
            events: Vec::new(),
            inboxes: Vec::new(),
            state: None,
            tower: self.tower.clone(),
            unlisted: false,
            seen: Vec::new(),
        }
    }

    /// Returns the type that stands for these events.
    pub(crate) fn kind(&self) -> TokenStream {
        let tower = &self.tower;
        let kinds = self.events.iter().rev().map(|event| {
            let kind =
                Ident::new(kind(&event.value()).unwrap_or("UnlistedEvent"), Span::call_site());
            quote::quote!(#tower::handler::kinds::#kind)
        });
        kinds
            .reduce(|rest, kind| quote::quote!(#tower::handler::kinds::Either<#kind, #rest>))
            .unwrap_or_else(|| quote::quote!(#tower::handler::kinds::AnyEvent))
    }

    fn argument(&mut self, input: ParseStream<'_>, errors: &mut Vec<Error>) -> Result<()> {
        if !input.peek(Ident::peek_any) {
            let text = "expected an argument, as in `event = \"message.received\"`";
            return Err(input.error(text));
        }
        let name = input.call(Ident::parse_any)?;
        let example = match name.to_string().as_str() {
            "event" => "event = \"message.received\"",
            "inbox" => "inbox = \"inb_support\"",
            "state" => "state = AppState",
            "crate" => "crate = \"other::openmail_tower\"",
            "unlisted" => "",
            other => return Err(Error::new(name.span(), unknown_argument(other))),
        };
        if self.seen.contains(&name) {
            let list =
                if name == "event" || name == "inbox" { ": use a list for several" } else { "" };
            return Err(Error::new(name.span(), format!("`{name}` is given twice{list}")));
        }
        self.seen.push(name.clone());
        if name == "unlisted" {
            self.unlisted = true;
            return match input.is_empty() || input.peek(Token![,]) {
                true => Ok(()),
                false => Err(Error::new(input.span(), "`unlisted` takes no value")),
            };
        }
        let equals = input.parse::<Option<Token![=]>>()?;
        if equals.is_none() || input.is_empty() || input.peek(Token![,]) {
            let text = format!("`{name}` needs a value, as in `{example}`");
            return Err(Error::new(name.span(), text));
        }
        match name.to_string().as_str() {
            "event" => self.events = events(input.parse()?, errors)?,
            "inbox" => self.inboxes = inboxes(input.parse()?, errors)?,
            "state" => self.state = Some(input.parse()?),
            _ => self.tower = path(input)?,
        }
        Ok(())
    }

    /// Makes the checks that need all arguments.
    fn check(&self, errors: &mut Vec<Error>) {
        let seen = |name: &str| self.seen.iter().find(|seen| *seen == name);
        if errors.is_empty() && seen("event").is_none() {
            for name in ["inbox", "unlisted"].into_iter().filter_map(seen) {
                let text =
                    format!("`{name}` needs `event`: name the events that the handler takes");
                errors.push(Error::new(name.span(), text));
            }
        }
        for event in &self.events {
            let name = event.value();
            if kind(&name).is_none() && !self.unlisted {
                errors.push(Error::new(event.span(), unknown_event(&name)));
            }
        }
    }
}

/// Parses a path, which may be written in a string, as in the attributes of serde and tokio.
fn path(input: ParseStream<'_>) -> Result<Path> {
    if !input.peek(LitStr) {
        return input.call(Path::parse_mod_style);
    }
    let text: LitStr = input.parse()?;
    text.parse_with(Path::parse_mod_style).map_err(|_| {
        Error::new(
            text.span(),
            "`crate` is the path of `openmail_tower`, as in `crate = \"other::openmail_tower\"`",
        )
    })
}

fn kind(event: &str) -> Option<&'static str> {
    KNOWN.iter().find_map(|(name, kind)| (*name == event).then_some(*kind))
}

fn comma(input: ParseStream<'_>) -> Result<()> {
    if !input.is_empty() {
        input.parse::<Token![,]>()?;
    }
    Ok(())
}

/// Continues after the next comma.
fn skip(input: ParseStream<'_>) -> Result<()> {
    while !input.is_empty() && !input.peek(Token![,]) {
        input.parse::<TokenTree>()?;
    }
    comma(input)
}

/// Returns the items of a list `[a, b]`, or the single value.
fn items(value: Expr, what: &str, errors: &mut Vec<Error>) -> Vec<Expr> {
    let items = match ungroup(value) {
        Expr::Array(list) if list.elems.is_empty() => {
            errors.push(Error::new_spanned(&list, format!("the list of {what} is empty")));
            Vec::new()
        }
        Expr::Array(list) => list.elems.into_iter().map(ungroup).collect(),
        item => vec![item],
    };
    let texts: Vec<_> = items.iter().map(|item| item.to_token_stream().to_string()).collect();
    for (at, (item, text)) in items.iter().zip(&texts).enumerate() {
        if texts[..at].contains(text) {
            errors.push(Error::new_spanned(item, format!("`{text}` is in the list twice")));
        }
    }
    items
}

/// Removes the invisible parentheses around a `macro_rules!` variable.
fn ungroup(expr: Expr) -> Expr {
    match expr {
        Expr::Group(group) => ungroup(*group.expr),
        other => other,
    }
}

fn events(value: Expr, errors: &mut Vec<Error>) -> Result<Vec<LitStr>> {
    let mut events = Vec::new();
    for item in items(value, "events", errors) {
        match item {
            Expr::Lit(ExprLit { lit: Lit::Str(name), .. }) if name.value().is_empty() => {
                errors.push(Error::new(name.span(), "an event name cannot be empty"));
            }
            Expr::Lit(ExprLit { lit: Lit::Str(name), .. }) => events.push(name),
            other => {
                let text = "`event` must be a string literal or a list of string literals";
                errors.push(Error::new_spanned(other, text));
            }
        }
    }
    Ok(events)
}

fn inboxes(value: Expr, errors: &mut Vec<Error>) -> Result<Vec<Expr>> {
    let inboxes = items(value, "inboxes", errors);
    let mut constants = Vec::new();
    for inbox in inboxes {
        let known = errors.len();
        match &inbox {
            Expr::Lit(ExprLit { lit: Lit::Str(id), .. }) if id.value().trim().is_empty() => {
                let text = "an inbox id cannot be empty; \
                    leave out `inbox` to handle every inbox without its own handler for the event";
                errors.push(Error::new(id.span(), text));
            }
            Expr::Lit(ExprLit { lit: Lit::Str(_), .. }) => {}
            Expr::Lit(ExprLit { lit: other, .. }) => {
                errors.push(Error::new(other.span(), "an inbox id must be a string"));
            }
            other if is_run_time(other) => {
                let text = "the attribute takes constant inbox ids; \
                    for an id that is known only at start-up, use `EventRouter::inbox(id, handler)`";
                errors.push(Error::new_spanned(other, text));
            }
            _ => {}
        }
        if errors.len() == known {
            constants.push(inbox);
        }
    }
    Ok(constants)
}

/// Guesses from its form whether an expression is evaluated at run time. A call that is not listed
/// here may be to a `const fn`.
fn is_run_time(expr: &Expr) -> bool {
    const FUNCTIONS: [&str; 6] = ["var", "var_os", "args", "from", "from_env", "leak"];
    const METHODS: [&str; 5] = ["to_string", "to_owned", "into", "clone", "leak"];
    match expr {
        Expr::Call(call) => match &*call.func {
            Expr::Path(function) => {
                let last = function.path.segments.last();
                last.is_some_and(|last| FUNCTIONS.iter().any(|name| last.ident == name))
            }
            _ => false,
        },
        Expr::MethodCall(call) => {
            METHODS.iter().any(|name| call.method == name) || is_run_time(&call.receiver)
        }
        Expr::Macro(call) => {
            call.mac.path.segments.last().is_some_and(|last| last.ident == "format")
        }
        Expr::Await(_) | Expr::Try(_) => true,
        Expr::Reference(reference) => is_run_time(&reference.expr),
        Expr::Unary(unary) => is_run_time(&unary.expr),
        Expr::Paren(paren) => is_run_time(&paren.expr),
        Expr::Group(group) => is_run_time(&group.expr),
        Expr::Index(index) => is_run_time(&index.expr),
        Expr::Field(field) => is_run_time(&field.base),
        _ => false,
    }
}

fn unknown_argument(name: &str) -> String {
    let names = ["event", "inbox", "unlisted", "state", "crate"];
    let nearest = nearest(name, names).map(|name| format!("; did you mean `{name}`?"));
    let all = "the arguments are `event`, `inbox`, `unlisted`, `state` and `crate`";
    format!("unknown argument `{name}`{}", nearest.unwrap_or_else(|| format!(": {all}")))
}

fn unknown_event(name: &str) -> String {
    let names = KNOWN.map(|(name, _)| name);
    let nearest = nearest(name, names).map(|name| format!("; did you mean `{name}`?"));
    format!(
        "unknown event `{name}`{}\nthe known events are `{}`\n\
         `unlisted` allows an event that this version of the crate does not know",
        nearest.unwrap_or_default(),
        names.join("`, `"),
    )
}

fn nearest<const N: usize>(word: &str, words: [&'static str; N]) -> Option<&'static str> {
    let distance = |known: &&str| strsim::damerau_levenshtein(word, known);
    words.into_iter().min_by_key(distance).filter(|known| distance(known) <= 1 + known.len() / 3)
}
