//! The middle column: the conversation.

use maud::{Markup, html};

use crate::{
    state::{Direction, Mail, Thread},
    text,
};

use super::{
    compose, parts,
    view::{View, mail_address, subject},
};

pub(super) fn render(view: &View<'_>) -> Markup {
    html! {
        section class="middle" id="middle" tabindex="-1" {
            div class="measure" {
                @if let Some(notice) = &view.notice { (parts::notice(notice)) }
                @match (&view.missing, view.thread) {
                    (Some(why), _) => (missing(why)),
                    (None, Some(thread)) => (one_thread(view, thread)),
                    (None, None) => (empty(view)),
                }
            }
        }
    }
}

fn one_thread(view: &View<'_>, thread: &Thread) -> Markup {
    let mails = view.data.thread_mails(&thread.id);
    let count = mails.len();
    html! {
        div id="conversation" data-live {
            div class="stack" {
                div {
                    a class="back" href={ "/?inbox=" (text::segment(&thread.inbox_id)) } {
                        "← All threads"
                    }
                    h1 { (subject(&thread.subject)) }
                    p class="muted" {
                        (count) @if count == 1 { " mail" } @else { " mails" }
                        " · "
                        @if thread.is_read { "read" } @else { "unread" }
                        @if let Some(inbox) = view.inbox { " · " (inbox.address) }
                    }
                }
                div class="conversation" role="log" aria-label="Conversation" {
                    @for mail in mails { (one_mail(view, mail)) }
                }
            }
        }
        @if let Some(mail) = view.mail { (compose::reply(view, mail)) }
    }
}

fn one_mail(view: &View<'_>, mail: &Mail) -> Markup {
    let sent = mail.direction == Direction::Outbound;
    let selected = view.mail.is_some_and(|selected| selected.id == mail.id);
    let name = parts::name(&mail.from);
    let class = match (sent, selected) {
        (true, false) => "mail sent",
        (true, true) => "mail sent selected",
        (false, true) => "mail selected",
        (false, false) => "mail",
    };
    let (body, quote) = split_quote(&mail.text);
    html! {
        article class=(class) aria-label={ "Mail from " (name) } {
            header {
                span class="avatar" aria-hidden="true" { (parts::initial(name)) }
                div class="person" {
                    strong { (name) @if sent { " " span class="badge accent" { "Agent" } } }
                    span class="muted" {
                        (text::bare_address(&mail.from)) " to " (mail.to.join(", "))
                        @if !mail.cc.is_empty() { ", cc " (mail.cc.join(", ")) }
                    }
                }
                (parts::time(mail.created_at, "long"))
            }
            p class="text" { (parts::beginning(body)) }
            @if let Some(quote) = quote {
                details class="quote" id={ "quote-" (mail.id) } {
                    summary { "Quoted mail" }
                    p class="text" { (parts::beginning(quote)) }
                }
            }
            (files(mail))
            footer { (status(view, mail, selected)) }
        }
    }
}

fn files(mail: &Mail) -> Markup {
    html! {
        @if !mail.attachments.is_empty() {
            ul class="files" aria-label="Attachments" {
                @for (place, file) in mail.attachments.iter().enumerate() {
                    li class="file" {
                        a href={ "/page/files/" (text::segment(&mail.id)) "/" (place) } {
                            (file.filename)
                        }
                        span class="muted" { (size(file.size)) }
                    }
                }
            }
        }
    }
}

fn status(view: &View<'_>, mail: &Mail, selected: bool) -> Markup {
    let again = format!("/page/mails/{}/again", text::segment(&mail.id));
    html! {
        (parts::mail_badge(view.data, mail))
        @if let Some(category) = &mail.category { span class="badge" { (category) } }
        @if let Some(verdict) = &mail.verdict {
            span class=(if verdict == "clean" { "badge" } else { "badge bad" }) { (verdict) }
        }
        div class="actions" {
            @if mail.direction == Direction::Inbound {
                (parts::post_button(&again, &view.address(), "small", "Send again (duplicate)"))
            }
            @if !selected {
                a class="button small" href=(mail_address(mail)) {
                    @match mail.direction {
                        Direction::Inbound => "Show deliveries",
                        Direction::Outbound => "Show headers",
                    }
                }
            }
        }
    }
}

/// Splits a mail's text into the new text and the quoted mail below it.
fn split_quote(text: &str) -> (&str, Option<&str>) {
    let quote = text.match_indices("\n\nOn ").find(|(at, _)| {
        let mut lines = text[at + 2..].lines();
        lines.next().is_some_and(|line| line.ends_with(" wrote:"))
            && lines.all(|line| line.starts_with('>') || line.is_empty())
    });
    match quote {
        Some((at, _)) => (&text[..at], Some(text[at..].trim_start())),
        None => (text, None),
    }
}

fn size(bytes: usize) -> String {
    match bytes {
        0..=999 => format!("{bytes} B"),
        1_000..=999_999 => format!("{} kB", bytes.div_ceil(1000)),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
}

fn missing(why: &str) -> Markup {
    html! {
        div id="conversation" data-live {
            a class="back" href="/" { "← All threads" }
            h1 { (why) }
            p class="muted" {
                "It was deleted, or the sandbox was started again without its state file."
            }
        }
    }
}

/// The first steps for a new user.
fn empty(view: &View<'_>) -> Markup {
    let account = view.data.account();
    let target = view.data.target(view.inbox.map(|inbox| &*inbox.id));
    let (webhook, secret) = match &target {
        Some(target) => (Some(&target.url), &target.secret),
        None => (None, &account.webhook_secret),
    };
    let settings = text::exports(&view.app.api_url, &account.api_key, secret);
    html! {
        div id="conversation" data-live {
            div class="stack" {
                div {
                    h1 { "No mail yet" }
                    p class="muted" {
                        "Write to your agent and watch what it does. No real mail is sent."
                    }
                }
                ol class="steps box" {
                    li {
                        h2 { "Start your receiver with these settings" }
                        div class="copyable" {
                            pre class="code" id="settings-text" { (settings) }
                            (parts::copy_button("settings-text", "Copy"))
                        }
                    }
                    li {
                        h2 { "Connect its webhook" }
                        @match webhook {
                            Some(url) => p { "Mail is delivered to " code { (url) } "." },
                            None => p {
                                "There is no webhook yet. "
                                a href="/?view=settings" { "Set its URL" }
                                ", for example " code { "http://127.0.0.1:3000/webhooks" } "."
                            },
                        }
                    }
                    li {
                        h2 { "Write a mail" }
                        p { "Write as someone outside would. The agent's reply appears below the mail." }
                        p { a class="button primary" href="/?view=compose" { "New mail" } }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separates_quoted_text_from_new_text() {
        let text = "Yes.\n\nOn 2026-11-25 10:00 UTC, Ada wrote:\n> Are\n> you?";
        let (own, quote) = split_quote(text);
        assert_eq!(own, "Yes.");
        assert!(
            quote.is_some_and(|quote| quote.starts_with("On 2026") && quote.ends_with("> you?"))
        );
        for text in ["Yes.", "Yes.\n\nOn Monday, I wrote:\nthis", "\n\nOn"] {
            assert_eq!(split_quote(text), (text, None));
        }
    }

    #[test]
    fn sizes_are_shown_in_rounded_units() {
        assert_eq!([size(999), size(1001), size(2_350_000)], ["999 B", "2 kB", "2.3 MB"]);
    }
}
