//! The frame around every view.

use maud::{DOCTYPE, Markup, html};

use super::view::{Middle, View};

pub(super) fn page(view: &View<'_>, title: &str, columns: &Markup) -> Markup {
    let shape = if view.middle == Middle::Conversation { "columns" } else { "columns two" };
    // In a narrow window, `focused` hides the left column, and `listing` the others.
    let shape = match (view.chosen, view.thread) {
        (true, _) => format!("{shape} focused"),
        (false, Some(_)) => format!("{shape} listing"),
        (false, None) => shape.to_owned(),
    };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · OpenMail Sandbox" }
                link rel="icon" href="/assets/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/assets/style.css";
                script src="/assets/page.js" defer {}
            }
            body {
                (bar(view))
                main class=(shape) id="main" { (columns) }
            }
        }
    }
}

fn bar(view: &View<'_>) -> Markup {
    let current = |middle| (view.middle == middle).then_some("page");
    html! {
        header class="bar" {
            a class="skip" href="#middle" { "Skip to the mail" }
            a class="brand" href="/" {
                svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2"
                    stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" {
                    rect x="2.5" y="4.5" width="19" height="15" rx="3" {}
                    path d="m3.5 7.5 8.5 6 8.5-6" {}
                }
                span { "OpenMail " span { "Sandbox" } }
            }
            span class="live" data-state="off" { span class="word" { "Not live" } }
            span class="space" {}
            span id="faults-set" data-live {
                @if view.data.faults.any() {
                    a class="badge wait" href="/?view=settings#faults" { "Faults are set" }
                }
            }
            a class="button" href="/?view=settings" aria-current=[current(Middle::Settings)] {
                "Settings"
            }
            a class="button primary" href="/?view=compose" aria-current=[current(Middle::Compose)] {
                "New mail"
            }
        }
    }
}
