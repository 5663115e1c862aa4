//! Small elements shared by several parts of the page.

use jiff::Timestamp;
use maud::{Markup, html};

use crate::{
    notices::Notice,
    state::{Data, Delivery, Direction, Mail, Progress},
    text,
};

/// The maximum number of bytes of a text that the page shows. It is small, since the page is
/// fetched again after each change.
const SHOWN: usize = 64 << 10;

/// Returns whether the page shows the whole text.
pub(super) fn is_short(text: &str) -> bool {
    text.len() <= SHOWN
}

/// A text, or the beginning of a long one.
pub(super) fn beginning(text: &str) -> Markup {
    html! {
        (text[..text.floor_char_boundary(SHOWN)])
        @if !is_short(text) {
            "…\n\n[Only the first 64 KiB of " (text.len().div_ceil(1024)) " KiB are shown.]"
        }
    }
}

/// The result of a form.
pub(super) fn notice(notice: &Notice) -> Markup {
    match notice.rejected {
        Some(_) => html! { p class="notice bad" role="alert" { (notice.text) } },
        None => html! { p class="notice" role="status" { (notice.text) } },
    }
}

/// A time. The script shows it in the reader's time zone.
pub(super) fn time(at: Timestamp, style: &str) -> Markup {
    html! {
        time datetime=(text::time(at)) data-style=(style) { (at.strftime("%b %-d, %H:%M:%S UTC")) }
    }
}

/// The state of a mail's newest delivery.
pub(super) fn mail_badge(data: &Data, mail: &Mail) -> Markup {
    if mail.direction == Direction::Outbound {
        return html! { span class="badge accent" { "Sent" } };
    }
    match data.deliveries_of(&mail.id).first() {
        Some(delivery) => badge(delivery),
        None => html! { span class="badge" { "No delivery" } },
    }
}

pub(super) fn badge(delivery: &Delivery) -> Markup {
    let (class, text) = match delivery.progress {
        Progress::Delivered => ("badge good", "Delivered"),
        Progress::Failed => ("badge bad", "Failed"),
        Progress::Cancelled => ("badge", "Cancelled"),
        Progress::Pending if delivery.attempts.is_empty() => ("badge wait", "Delivering"),
        Progress::Pending => ("badge wait", "Retrying"),
    };
    html! { span class=(class) { (text) } }
}

/// A button that posts a form and returns to this page.
pub(super) fn post_button(action: &str, back: &str, class: &str, text: &str) -> Markup {
    html! {
        form method="post" action=(action) {
            input type="hidden" name="back" value=(back);
            button class=(class) { (text) }
        }
    }
}

pub(super) fn copy_button(of: &str, text: &str) -> Markup {
    html! { button type="button" class="small" data-copy=(of) { (text) } }
}

/// Returns the name in `Name <address>`, or the address.
pub(super) fn name(from: &str) -> &str {
    let name = from.rsplit_once('<').map_or("", |(name, _)| name.trim());
    let name = name.trim_matches('"').trim();
    if name.is_empty() { text::bare_address(from) } else { name }
}

pub(super) fn initial(name: &str) -> String {
    name.chars().find(|c| c.is_alphanumeric()).map_or("?".into(), |c| c.to_uppercase().collect())
}

pub(super) fn select(
    id: &str,
    name: &str,
    label: &str,
    chosen: &str,
    options: &[(&str, &str)],
) -> Markup {
    html! {
        div {
            label for=(id) { (label) }
            select id=(id) name=(name) {
                @for (value, text) in options {
                    option value=(value) selected[*value == chosen] { (text) }
                }
            }
        }
    }
}

pub(super) fn input(id: &str, name: &str, label: &str, value: &str) -> Markup {
    html! {
        div {
            label for=(id) { (label) }
            input id=(id) name=(name) value=(value) autocomplete="off";
        }
    }
}
