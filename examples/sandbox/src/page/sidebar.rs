//! The left column: inboxes and their threads.

use maud::{Markup, html};

use crate::{
    state::{Direction, Inbox, Mail, Thread},
    text,
};

use super::{
    parts,
    view::{View, subject},
};

/// The maximum number of threads listed for each inbox.
const LISTED: usize = 100;

pub(super) fn render(view: &View<'_>) -> Markup {
    html! {
        h2 class="eyebrow" { "Inboxes" }
        ul {
            @for inbox in view.data.inboxes() {
                li { (one_inbox(view, inbox)) }
            }
        }
    }
}

fn one_inbox(view: &View<'_>, inbox: &Inbox) -> Markup {
    let threads = view.data.threads(&inbox.id);
    let unread = threads.iter().filter(|thread| !thread.is_read).count();
    let is_open = view.inbox.is_some_and(|open| open.id == inbox.id);
    html! {
        a class="inbox" href={ "/?inbox=" (text::segment(&inbox.id)) }
            aria-current=[is_open.then_some("true")] {
            span class="address" { (inbox.address) }
            @if inbox.suspended.is_some() { span class="badge bad" { "Suspended" } }
            @if unread > 0 {
                span class="badge accent" { (unread) span class="hidden" { " unread" } }
            }
        }
        @if is_open {
            ul class="threads" aria-label={ "Threads of " (inbox.address) } {
                @for thread in threads.into_iter().take(LISTED) {
                    li { (one_thread(view, thread)) }
                }
            }
        }
    }
}

fn one_thread(view: &View<'_>, thread: &Thread) -> Markup {
    let mails = view.data.thread_mails(&thread.id);
    let inbound = |mail: &&&Mail| mail.direction == Direction::Inbound;
    let (Some(last), received) = (mails.last(), mails.iter().rev().find(inbound)) else {
        return html! {};
    };
    let who = received.map_or(last.to.first(), |mail| Some(&mail.from));
    let is_open = view.thread.is_some_and(|open| open.id == thread.id);
    let class = if thread.is_read { "thread" } else { "thread unread" };
    html! {
        a class=(class) href={ "/?thread=" (text::segment(&thread.id)) }
            aria-current=[is_open.then_some("true")] {
            span class="who" {
                (who.map_or("", |who| parts::name(who)))
                @if !thread.is_read { span class="hidden" { " (unread)" } }
            }
            (parts::time(thread.last_message_at, "short"))
            span class="subject" { (subject(&thread.subject)) }
            span class="snippet" { (snippet(&last.text)) }
            @if let Some(mail) = received { (parts::mail_badge(view.data, mail)) }
        }
    }
}

fn snippet(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().take(14).collect();
    words.join(" ").chars().take(90).collect()
}
