//! Selects the part of the state that the page shows.

use axum::extract::{Query, State};
use http::StatusCode;
use maud::{Markup, html};

use crate::{
    app::App,
    control::Outside,
    notices::{Fields, Notice},
    state::{Data, Inbox, Mail, Refusal, Thread},
    text,
};

use super::{compose, conversation, deliveries, layout, settings, sidebar};

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
    /// Why the mail, thread or inbox in the URL cannot be shown.
    pub(super) missing: Option<String>,
    pub(super) notice: Option<Notice>,
}

/// The mail, the thread and the inbox that are named in the query of the page's URL.
type Named<'a> = (Option<&'a Mail>, Option<&'a Thread>, Option<&'a Inbox>);

impl<'a> View<'a> {
    fn new(app: &'a App, data: &'a Data, place: &Fields) -> Self {
        let ((mail, thread, inbox), missing) = match named(data, place) {
            Ok(named) => (named, None),
            Err(refusal) => (Named::default(), Some(refusal.message)),
        };
        let inbox = inbox.or_else(|| data.inboxes().first().copied());
        let middle = match place.get("view") {
            _ if missing.is_some() => Middle::Conversation,
            Some("compose") => Middle::Compose,
            Some("settings") => Middle::Settings,
            _ => Middle::Conversation,
        };
        let chosen = thread.is_some() || missing.is_some() || middle != Middle::Conversation;
        let newest = || inbox.and_then(|inbox| data.threads(&inbox.id).first().copied());
        let thread = thread.or_else(newest);
        let thread = thread.filter(|_| middle == Middle::Conversation && missing.is_none());
        let mail = mail.or_else(|| newest_mail(data, thread?));
        let notice = place.get("notice").and_then(|number| app.notices.get(number.parse().ok()?));
        Self { app, data, middle, inbox, thread, mail, chosen, missing, notice }
    }

    /// Returns what the reader entered into a field, if its form was rejected, or else `current`.
    pub(super) fn entered<'b>(&'b self, form: &str, field: &str, current: &'b str) -> &'b str {
        match self.notice.as_ref().and_then(|notice| notice.rejected.as_ref()) {
            Some(rejected) if rejected.form == form => {
                rejected.fields.get(field).unwrap_or_default()
            }
            _ => current,
        }
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

fn named<'a>(data: &'a Data, place: &Fields) -> Result<Named<'a>, Refusal> {
    let mail = place.get("mail").map(|id| data.mail(id)).transpose()?;
    let thread = mail.map(|mail| &*mail.thread_id).or(place.get("thread"));
    let thread = thread.map(|id| data.thread(id)).transpose()?;
    let inbox = thread.map(|thread| &*thread.inbox_id).or(place.get("inbox"));
    let inbox = inbox.map(|id| data.inbox(id)).transpose()?;
    Ok((mail, thread, inbox))
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

pub(super) async fn show(
    State(app): State<App>,
    Query(place): Query<Fields>,
) -> (StatusCode, Markup) {
    app.state.read(|data| {
        let view = View::new(&app, data, &place);
        let found = if view.missing.is_none() { StatusCode::OK } else { StatusCode::NOT_FOUND };
        (found, view.render(None, None))
    })
}

/// Renders the page with the form for a new mail as it was submitted, and the error in it.
pub(super) fn with_error(app: &App, draft: &Outside, error: &str) -> Markup {
    let place = Fields(vec![("view".to_owned(), "compose".to_owned())]);
    app.state.read(|data| View::new(app, data, &place).render(Some(draft), Some(error)))
}
