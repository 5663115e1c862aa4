//! Selects the part of the state that the page shows.

use axum::extract::{Query, State};
use maud::{Markup, html};
use serde::Deserialize;

use crate::{
    app::App,
    control::Outside,
    state::{Data, Inbox, Mail, Thread},
    text,
};

use super::{compose, conversation, deliveries, layout, settings, sidebar};

/// The query of the page's URL.
#[derive(Deserialize, Default, Clone)]
pub(super) struct Place {
    inbox: Option<String>,
    thread: Option<String>,
    mail: Option<String>,
    view: Option<String>,
    notice: Option<u64>,
}

/// What the middle column shows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Middle {
    Conversation,
    Compose,
    Settings,
}

/// The state, and the reader's selection.
pub(super) struct View<'a> {
    pub(super) app: &'a App,
    pub(super) data: &'a Data,
    pub(super) middle: Middle,
    pub(super) inbox: Option<&'a Inbox>,
    pub(super) thread: Option<&'a Thread>,
    /// The mail whose deliveries are shown.
    pub(super) mail: Option<&'a Mail>,
    /// Whether the reader selected a thread or a form, rather than just opening the page.
    pub(super) chosen: bool,
    pub(super) notice: Option<String>,
}

impl<'a> View<'a> {
    fn new(app: &'a App, data: &'a Data, place: &Place) -> Self {
        let mail = place.mail.as_deref().and_then(|id| data.mail(id).ok());
        let thread = mail.map(|mail| &*mail.thread_id).or(place.thread.as_deref());
        let thread = thread.and_then(|id| data.thread(id).ok());
        let inbox = thread.map(|thread| &*thread.inbox_id).or(place.inbox.as_deref());
        let inbox = inbox.and_then(|id| data.inbox(id).ok());
        let inbox = inbox.or_else(|| data.inboxes().first().copied());
        let middle = match place.view.as_deref() {
            Some("compose") => Middle::Compose,
            Some("settings") => Middle::Settings,
            _ => Middle::Conversation,
        };
        let chosen = thread.is_some() || middle != Middle::Conversation;
        let newest = || inbox.and_then(|inbox| data.threads(&inbox.id).first().copied());
        let thread = thread.or_else(newest).filter(|_| middle == Middle::Conversation);
        let mail = mail.or_else(|| newest_mail(data, thread?));
        let notice = place.notice.and_then(|id| app.notices.get(id));
        Self { app, data, middle, inbox, thread, mail, chosen, notice }
    }

    /// Returns the URL of this view, so that a form can return to it.
    pub(super) fn address(&self) -> String {
        match (self.middle, self.mail, self.inbox) {
            (Middle::Settings, _, _) => "/?view=settings".to_owned(),
            (Middle::Compose, _, _) => "/?view=compose".to_owned(),
            (_, Some(mail), _) => mail_address(mail),
            (_, None, Some(inbox)) => format!("/?inbox={}", text::segment(&inbox.id)),
            _ => "/".to_owned(),
        }
    }

    fn render(&self, draft: Option<&Outside>, error: Option<&str>) -> Markup {
        let title = match (self.middle, self.thread) {
            (Middle::Settings, _) => "Settings".to_owned(),
            (Middle::Compose, _) => "New mail".to_owned(),
            (_, Some(thread)) => subject(&thread.subject).to_owned(),
            _ => "Mail".to_owned(),
        };
        let middle = match self.middle {
            Middle::Conversation => conversation::render(self),
            Middle::Compose => compose::page(self, draft, error),
            Middle::Settings => settings::render(self),
        };
        let right = (self.middle == Middle::Conversation).then(|| deliveries::render(self));
        layout::page(
            self,
            &title,
            &html! {
                nav class="left" aria-label="Inboxes and threads" id="left" data-live {
                    (sidebar::render(self))
                }
                (middle)
                @if let Some(right) = right {
                    aside class="right" aria-label="Deliveries" id="right" data-live { (right) }
                }
            },
        )
    }
}

/// Returns the newest mail from outside, since only such mail is delivered. If there is none,
/// returns the newest mail.
fn newest_mail<'a>(data: &'a Data, thread: &Thread) -> Option<&'a Mail> {
    let mails = data.thread_mails(&thread.id);
    let inbound = |mail: &&&Mail| mail.direction == crate::state::Direction::Inbound;
    mails.iter().rev().find(inbound).or(mails.last()).copied()
}

pub(super) fn mail_address(mail: &Mail) -> String {
    format!("/?mail={}", text::segment(&mail.id))
}

pub(super) fn subject(subject: &str) -> &str {
    if subject.trim().is_empty() { "(no subject)" } else { subject }
}

pub(super) async fn show(State(app): State<App>, Query(place): Query<Place>) -> Markup {
    app.state.read(|data| View::new(&app, data, &place).render(None, None))
}

/// Renders the page with the form for a new mail as it was submitted, and the error in it.
pub(super) fn with_error(app: &App, draft: &Outside, error: &str) -> Markup {
    let place = Place { view: Some("compose".to_owned()), ..Place::default() };
    app.state.read(|data| View::new(app, data, &place).render(Some(draft), Some(error)))
}
