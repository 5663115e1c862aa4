//! The forms for writing a mail as someone outside.

use maud::{Markup, html};

use crate::{
    control::Outside,
    state::{Direction, Mail},
    text,
};

use super::{parts, view::View};

const CATEGORIES: [(&str, &str); 7] = [
    ("personal", "Personal"),
    ("automated", "Automated"),
    ("marketing", "Marketing"),
    ("bounce", "Bounce"),
    ("spam", "Spam"),
    ("malicious", "Malicious"),
    ("", "Not set"),
];
const VERDICTS: [(&str, &str); 4] =
    [("clean", "Clean"), ("spam", "Spam"), ("malicious", "Malicious"), ("", "Not set")];
const REPLYABLE: [(&str, &str); 3] = [("true", "Yes"), ("false", "No"), ("", "Not set")];

pub(super) fn page(view: &View<'_>, draft: Option<&Outside>, error: Option<&str>) -> Markup {
    let to = view.inbox.map_or("", |inbox| &inbox.address);
    let value = |of: fn(&Outside) -> &str, default| draft.map_or(default, of);
    html! {
        section class="middle" id="middle" tabindex="-1" {
            div class="measure" {
                div {
                    a class="back" href="/" { "← All threads" }
                    h1 { "New mail" }
                    p class="muted" { "Write as someone outside would, from any address." }
                }
                @if let Some(error) = error { p class="notice bad" role="alert" { (error) } }
                form class="box stack" method="post" action="/page/mail"
                    enctype="multipart/form-data" {
                    div class="fields pairs" {
                        (parts::input("from", "from", "From",
                            value(|it| &it.from, "Ada Lovelace <ada@example.com>")))
                        div {
                            label for="to" { "To" }
                            input id="to" name="to" list="addresses" autocomplete="off"
                                value=(value(|it| &it.to, to));
                            datalist id="addresses" {
                                @for inbox in view.data.inboxes() {
                                    option value=(inbox.address) {}
                                }
                            }
                        }
                        (parts::input("cc", "cc", "Cc", value(|it| &it.cc, "")))
                        (parts::input("subject", "subject", "Subject", value(|it| &it.subject, "")))
                        div class="wide" {
                            label for="text" { "Text" }
                            textarea id="text" name="text" rows="9" { (value(|it| &it.text, "")) }
                        }
                    }
                    @if let Some(id) = draft.and_then(|it| it.reply_to_message.as_deref()) {
                        input type="hidden" name="replyToMessage" value=(id);
                    }
                    (more("new", draft))
                    div class="actions" { button class="primary" { "Send" } }
                }
            }
        }
    }
}

/// The fields for OpenMail's classification of a mail, and for its files.
fn more(id: &str, draft: Option<&Outside>) -> Markup {
    let id = |name: &str| format!("{id}-{name}");
    let chosen = |of: fn(&Outside) -> &Option<String>, default| {
        draft.map_or(default, |it| of(it).as_deref().unwrap_or_default())
    };
    let replyable = match draft.map(|it| it.auto_replyable) {
        None | Some(Some(true)) => "true",
        Some(Some(false)) => "false",
        Some(None) => "",
    };
    html! {
        div class="fields pairs" {
            (parts::select(&id("category"), "category", "Category",
                chosen(|it| &it.category, "personal"), &CATEGORIES))
            (parts::select(&id("verdict"), "verdict", "Verdict",
                chosen(|it| &it.verdict, "clean"), &VERDICTS))
            (parts::select(&id("replyable"), "autoReplyable", "May be answered automatically",
                replyable, &REPLYABLE))
            div {
                label for=(id("files")) { "Files" }
                input type="file" id=(id("files")) name="files" multiple;
            }
        }
    }
}

/// The form below a conversation.
pub(super) fn reply(view: &View<'_>, selected: &Mail) -> Markup {
    let mails = view.data.thread_mails(&selected.thread_id);
    let outside = mails.iter().rev().find(|mail| mail.direction == Direction::Inbound);
    let (Some(last), Some(inbox)) = (mails.last(), view.inbox) else { return html! {} };
    // If only the agent has written so far, the reply comes from the person it wrote to.
    let from = outside.map(|mail| &*mail.from).or(last.to.first().map(|to| &**to));
    let from = from.unwrap_or("ada@example.com");
    html! {
        form class="box stack" method="post" action="/page/mail" enctype="multipart/form-data"
            aria-label="Reply" {
            h2 { "Reply as " (parts::name(from)) }
            input type="hidden" name="from" value=(from);
            input type="hidden" name="to" value=(inbox.address);
            input type="hidden" name="subject" value=(text::reply_subject(&last.subject));
            input type="hidden" name="replyToMessage" value=(last.id);
            div {
                label class="hidden" for="reply-text" { "Text" }
                textarea id="reply-text" name="text" rows="4" placeholder="Write a reply…" {}
            }
            details id="reply-more" {
                summary { "Cc, files, category and verdict" }
                div class="stack" {
                    (parts::input("reply-cc", "cc", "Cc", ""))
                    (more("reply", None))
                }
            }
            div class="actions" { button class="primary" { "Send reply" } }
        }
    }
}
