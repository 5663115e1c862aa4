//! Settings: webhooks, secrets, inboxes and faults.

use maud::{Markup, html};

use crate::{
    state::{Inbox, Pod},
    text,
};

use super::{parts, view::View};

/// The names of the forms that belong to no inbox.
pub(super) const ACCOUNT: &str = "account";
pub(super) const NEW_INBOX: &str = "new-inbox";
pub(super) const FAULTS: &str = "faults";

const BACK: &str = "/?view=settings";
const REASONS: [(&str, &str); 6] = [
    ("manual_review", "manual_review"),
    ("high_bounce_rate", "high_bounce_rate"),
    ("high_complaint_rate", "high_complaint_rate"),
    ("abuse", "abuse"),
    ("pod_degraded", "pod_degraded"),
    ("other", "other"),
];
const ANSWERS: [(&str, &str); 5] = [
    ("", "Answer as usual"),
    ("429", "429 rate_limit_exceeded"),
    ("402", "402 spend_cap_paused"),
    ("500", "500 internal_error"),
    ("cut", "Carry out, then cut the connection"),
];
const SCOPES: [(&str, &str); 2] = [("all", "Every request"), ("send", "Sends only")];

pub(super) fn render(view: &View<'_>) -> Markup {
    let pods: Vec<_> = view.data.pods().collect();
    html! {
        section class="middle" id="middle" tabindex="-1" {
            div class="measure" {
                div {
                    a class="back" href="/" { "← All threads" }
                    h1 { "Settings" }
                }
                @if let Some(notice) = &view.notice { (parts::notice(notice)) }
                (connection(view))
                @for inbox in view.data.inboxes() { (one_inbox(view, inbox)) }
                (new_inbox(view))
                (faults(view))
                section class="box stack" aria-labelledby="pods-title" {
                    h2 id="pods-title" { "Pods" }
                    @for pod in pods { (one_pod(pod)) }
                }
            }
        }
    }
}

fn connection(view: &View<'_>) -> Markup {
    let account = view.data.account();
    let entered = |field, current| view.entered(ACCOUNT, field, current);
    html! {
        section class="box stack" aria-labelledby="account-title" {
            h2 id="account-title" { "Account" }
            dl class="facts" {
                dt { "OPENMAIL_API_URL" } dd class="mono" { (view.app.api_url) }
                dt { "OPENMAIL_API_KEY" } dd class="mono" { (account.api_key) }
            }
            form class="stack" method="post" action="/page/account/webhook" {
                input type="hidden" name="back" value=(BACK);
                div class="fields" {
                    (parts::input("account-url", "url", "Webhook URL",
                        entered("url", account.webhook_url.as_deref().unwrap_or_default())))
                    (parts::input("account-secret", "secret", "Secret (OPENMAIL_WEBHOOK_SECRET)",
                        entered("secret", &account.webhook_secret)))
                }
                div class="actions" {
                    button class="primary" { "Save" }
                    button formaction="/page/account/test" { "Test webhook" }
                    button formaction="/page/account/rotate" { "Rotate secret" }
                }
            }
        }
    }
}

fn one_inbox(view: &View<'_>, inbox: &Inbox) -> Markup {
    let action = |what: &str| format!("/page/inboxes/{}/{what}", text::segment(&inbox.id));
    let id = |what: &str| format!("{what}-{}", inbox.id);
    html! {
        section class="box stack" aria-label={ "Inbox " (inbox.address) } {
            div class="line" {
                h2 { (inbox.address) }
                span class="muted mono" { (inbox.id) }
            }
            form class="stack" method="post" action=(action("webhook")) {
                input type="hidden" name="back" value=(BACK);
                (parts::input(&id("url"), "url", "Its own webhook URL (empty: the account's)",
                    view.entered(&inbox.id, "url", inbox.webhook_url.as_deref().unwrap_or_default())))
                @if let (Some(_), Some(secret)) = (&inbox.webhook_url, &inbox.webhook_secret) {
                    dl class="facts" {
                        dt { "Secret" } dd class="mono" { (secret) }
                    }
                }
                div class="actions" {
                    button class="primary" { "Save" }
                    @if inbox.webhook_url.is_some() {
                        button formaction=(action("test")) { "Test webhook" }
                        button formaction=(action("rotate")) { "Rotate secret" }
                    }
                }
            }
            (suspension(&id("reason"), &action, inbox.suspended.as_deref()))
        }
    }
}

fn suspension(id: &str, action: &impl Fn(&str) -> String, reason: Option<&str>) -> Markup {
    html! {
        form class="actions suspension" method="post"
            action=(action(if reason.is_some() { "reactivate" } else { "suspend" })) {
            input type="hidden" name="back" value=(BACK);
            @match reason {
                Some(reason) => {
                    span class="badge bad" { "Suspended: " (reason) }
                    button class="small" { "Reactivate" }
                }
                None => {
                    div { (parts::select(id, "reason", "Reason", "manual_review", &REASONS)) }
                    button class="small danger" { "Suspend" }
                }
            }
        }
    }
}

fn one_pod(pod: &Pod) -> Markup {
    let action = |what: &str| format!("/page/pods/{}/{what}", text::segment(&pod.id));
    html! {
        div class="stack" {
            div class="line" {
                h3 { (pod.name.as_deref().or(pod.client_id.as_deref()).unwrap_or("Pod")) }
                span class="muted mono" { (pod.id) }
            }
            (suspension(&format!("reason-{}", pod.id), &action, pod.suspended.as_deref()))
        }
    }
}

fn new_inbox(view: &View<'_>) -> Markup {
    let entered = |field| view.entered(NEW_INBOX, field, "");
    html! {
        section class="box stack" aria-labelledby="new-inbox-title" {
            h2 id="new-inbox-title" { "New inbox" }
            form class="stack" method="post" action="/page/inboxes" {
                input type="hidden" name="back" value=(BACK);
                div class="fields" {
                    (parts::input("new-address", "address", "Address", entered("address")))
                    (parts::input("new-url", "url", "Webhook URL (empty: the account's)",
                        entered("url")))
                }
                div class="actions" { button { "Create" } }
            }
        }
    }
}

fn faults(view: &View<'_>) -> Markup {
    let faults = &view.data.faults;
    let (answer, count, scope) = match &faults.requests {
        Some(fault) => (fault.answer.code(), fault.count, fault.scope.name()),
        None => ("", 1, "all"),
    };
    let (count, clock) = (count.to_string(), faults.clock_offset_seconds.to_string());
    let entered = |field, current| view.entered(FAULTS, field, current);
    let check = |name: &str, set: bool, text: &str| {
        let set = !view.entered(FAULTS, name, if set { "true" } else { "" }).is_empty();
        html! {
            label class="check" {
                input type="checkbox" name=(name) value="true" checked[set];
                (text)
            }
        }
    };
    html! {
        section class="box stack" id=(FAULTS) aria-labelledby="faults-title" {
            div {
                h2 id="faults-title" { "Faults" }
                p class="muted" { "Problems that your agent must cope with." }
            }
            form class="stack" method="post" action="/page/faults" {
                input type="hidden" name="back" value=(BACK);
                div class="fields" {
                    (parts::select("answer", "answer", "Answer to the next requests",
                        entered("answer", answer), &ANSWERS))
                    div {
                        label for="count" { "How many" }
                        input id="count" name="count" type="number" min="1" max="1000"
                            value=(entered("count", &count));
                    }
                    (parts::select("scope", "scope", "Which", entered("scope", scope), &SCOPES))
                    div {
                        label for="clock" { "Clock off by (seconds)" }
                        input id="clock" name="clock" type="number"
                            value=(entered("clock", &clock));
                    }
                }
                (check("twice", faults.deliver_twice, "Deliver each mail twice"))
                (check("order", faults.out_of_order, "Let every second mail overtake the one before it"))
                (check("limits", faults.send_limits, "Limit sends to 10 a minute and 200 a day"))
                div class="actions" {
                    button class="primary" { "Set" }
                    button formaction="/page/attachments/expire" { "Expire attachment URLs" }
                }
            }
        }
    }
}
