//! The right column: the deliveries of the selected mail.

use maud::{Markup, html};
use serde_json::Value;

use crate::{
    state::{Attempt, Delivery, Direction, Mail},
    text,
};

use super::{meaning, parts, view::View};

/// The maximum number of deliveries without a mail that are listed.
const LISTED: usize = 10;

pub(super) fn render(view: &View<'_>) -> Markup {
    let events: Vec<_> =
        view.data.deliveries().filter(|it| it.mail_id.is_none()).take(LISTED).collect();
    html! {
        div class="stack" {
            @if let Some(mail) = view.mail {
                section aria-labelledby="deliveries-title" {
                    h2 id="deliveries-title" { "Deliveries" }
                    (of_mail(view, mail))
                }
                section aria-labelledby="headers-title" {
                    h2 id="headers-title" { "Mail headers" }
                    (headers(mail))
                }
            } @else {
                section {
                    h2 { "Deliveries" }
                    p class="muted" {
                        "Each attempt to deliver a mail appears here: how the receiver responded, \
                         what that means, and when the next attempt is due."
                    }
                }
            }
            @if !events.is_empty() {
                section aria-labelledby="events-title" {
                    h2 id="events-title" { "Other events" }
                    div class="stack" {
                        @for delivery in events { (one(view, delivery)) }
                    }
                }
            }
        }
    }
}

fn of_mail(view: &View<'_>, mail: &Mail) -> Markup {
    let deliveries = view.data.deliveries_of(&mail.id);
    if mail.direction == Direction::Outbound {
        return html! { p class="muted" { "Sent by the agent. Only received mail is delivered to the webhook." } };
    }
    if deliveries.is_empty() {
        return html! {
            p class="muted" {
                "There is no delivery of this mail. If the inbox had no webhook when the mail arrived, "
                a href="/?view=settings" { "set its URL" } ", then send the mail again. An old delivery "
                "may have been removed: only the latest 2,000 are kept."
            }
        };
    }
    html! { @for delivery in deliveries { (one(view, delivery)) } }
}

fn one(view: &View<'_>, delivery: &Delivery) -> Markup {
    let again = format!("/page/deliveries/{}/again", text::segment(&delivery.id));
    let curl = format!("curl-{}", delivery.id);
    // A shell does not accept an argument of 128 KiB.
    let attempt = delivery.attempts.last().filter(|attempt| parts::is_short(&attempt.body));
    html! {
        div class="delivery" {
            div class="line" {
                span class="mono" { (delivery.kind) }
                (parts::badge(delivery))
            }
            span class="url mono" { (delivery.url) }
            ol class="attempts" {
                @for attempt in &delivery.attempts { (one_attempt(delivery, attempt)) }
                @if let Some(due) = delivery.due {
                    li class="attempt" {
                        span class="number" { (delivery.attempts.len() + 1) }
                        span class="muted" { "Next attempt" }
                        span class="when due" data-due=(due.as_millisecond()) {
                            "at " (due.strftime("%H:%M:%S UTC"))
                        }
                    }
                }
            }
            @if let Some(attempt) = attempt {
                pre hidden id=(curl) { (as_curl(attempt)) }
            }
            div class="actions" {
                (parts::post_button(&again, &view.address(), "small", "Deliver again"))
                @if attempt.is_some() { (parts::copy_button(&curl, "Copy as curl")) }
            }
        }
    }
}

fn one_attempt(delivery: &Delivery, attempt: &Attempt) -> Markup {
    let class = if attempt.is_accepted() { "attempt good" } else { "attempt bad" };
    let result = match (attempt.status, &attempt.failure) {
        (Some(status), _) => status.to_string(),
        (None, _) => "No response".to_owned(),
    };
    html! {
        li class=(class) {
            span class="number" { span class="hidden" { "Attempt " } (attempt.number) }
            span {
                span class="result" { (result) }
                @if let Some(error) = &attempt.error { " " code { (error) } }
            }
            span class="when" { (attempt.elapsed_ms) " ms · " (parts::time(attempt.at, "exact")) }
            @if !attempt.is_accepted() {
                span class="meaning" {
                    (meaning::of(attempt))
                    @if let Some(failure) = &attempt.failure { " (" (failure) ")" }
                }
            }
            (request(delivery, attempt))
        }
    }
}

fn request(delivery: &Delivery, attempt: &Attempt) -> Markup {
    let pretty = parts::is_short(&attempt.body).then(|| pretty(&attempt.body)).flatten();
    html! {
        details class="request" id={ "request-" (delivery.id) "-" (attempt.number) } {
            summary {
                "Request and response" span class="hidden" { " of attempt " (attempt.number) }
            }
            div class="stack" {
                pre class="code" tabindex="0" {
                    "POST " (attempt.url) "\n"
                    @for (name, value) in &attempt.headers { (name) ": " (value) "\n" }
                }
                pre class="code" tabindex="0" {
                    (parts::beginning(pretty.as_deref().unwrap_or(&attempt.body)))
                }
                @if !attempt.answer.is_empty() {
                    div {
                        p class="label" { "Response" }
                        pre class="code" tabindex="0" { (attempt.answer) }
                    }
                }
            }
        }
    }
}

fn pretty(json: &str) -> Option<String> {
    let json = serde_json::from_str::<Value>(json).ok()?;
    serde_json::to_string_pretty(&json).ok()
}

/// Returns the request as a shell command. Its signature is valid for 5 minutes.
fn as_curl(attempt: &Attempt) -> String {
    let headers = attempt
        .headers
        .iter()
        .map(|(name, value)| format!(" \\\n  -H {}", text::quoted(&format!("{name}: {value}"))));
    let headers: String = headers.collect();
    let (url, body) = (text::quoted(&attempt.url), text::quoted(&attempt.body));
    format!("curl -sSi -X POST {url}{headers} \\\n  --data-raw {body}")
}

fn headers(mail: &Mail) -> Markup {
    html! {
        dl class="facts" {
            dt { "Message-ID" } dd class="mono" { (mail.rfc_message_id) }
            @if let Some(id) = &mail.in_reply_to {
                dt { "In-Reply-To" } dd class="mono" { (id) }
            }
            @if !mail.references.is_empty() {
                dt { "References" } dd class="mono" { (mail.references.join(" ")) }
            }
            dt { "Message" } dd class="mono" { (mail.id) }
            dt { "Thread" } dd class="mono" { (mail.thread_id) }
        }
    }
}
