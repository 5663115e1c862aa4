//! [`Guard`].

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tower_service::Service;

use crate::{
    event::{Address, MessageReceived},
    seam::{BoxError, HandlerError, Oneshot, Outcome, OutcomeFuture, VerifiedEvent},
    telemetry,
};

use super::{
    counting::Subject,
    extract::Guarded,
    layer::{GuardReport, Settings},
    rule::{Action, Fired, Rule, Scope},
    sketch::Sketch,
    waiting::LONGEST,
};

/// Decides for each mail whether its handler runs and whether its reply is sent. Created by
/// [`GuardLayer`](super::GuardLayer).
#[derive(Clone)]
pub struct Guard<E> {
    events: E,
    settings: Arc<Settings>,
}

impl<E> Guard<E> {
    pub(super) fn new(events: E, settings: Arc<Settings>) -> Self {
        Self { events, settings }
    }
}

impl<E> Service<VerifiedEvent> for Guard<E>
where
    E: Service<VerifiedEvent, Response = Outcome> + Clone + Send + 'static,
    E::Error: Into<BoxError>,
    E::Future: Send,
{
    type Response = Outcome;
    type Error = HandlerError;
    type Future = OutcomeFuture;

    /// Always ready, so that a refused mail does not use capacity of the inner service.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), HandlerError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, event: VerifiedEvent) -> OutcomeFuture {
        let (events, settings) = (self.events.clone(), Arc::clone(&self.settings));
        OutcomeFuture::new(async move { settings.guard(events, event).await })
    }
}

impl Settings {
    async fn guard<E>(&self, events: E, mut event: VerifiedEvent) -> Result<Outcome, HandlerError>
    where
        E: Service<VerifiedEvent, Response = Outcome>,
        E::Error: Into<BoxError>,
    {
        let Some(mail) = event.event().message_received() else {
            return run(events, event).await;
        };
        let sender = mail.message.sender_address();
        let sender = sender.as_ref();
        let mut fired = self.judge(mail, sender);
        if let Some(fired) = fired.filter(Fired::stops) {
            return self.act(fired, event, None).await;
        }
        let mut subject = Subject::new(&event, mail, sender);
        if self.actions.of(Rule::Loop) > Action::Pass && self.rates.has_repeats() {
            subject.sketch = Sketch::of_new_text(&mail.message);
        }
        let judged = self.count_run(&event, &subject, true).await;
        let mut judged = judged.map_err(HandlerError::unavailable)?;
        if let Some((scope, free_in)) = judged.full {
            fired = Fired::stronger(fired, self.fire_rate(Rule::RunRate, scope.as_str(), scope));
            if let Some(fired) = fired.filter(Fired::stops) {
                let limit = self.rates.run_limit(&subject, scope);
                let later = limit.map(|limit| self.waiting.delay(&limit, free_in));
                return self.act(fired, event, later).await;
            }
            // The mail runs nevertheless, so its text is noted, and can be part of a loop.
            let again = self.count_run(&event, &subject, false).await;
            judged = again.map_err(HandlerError::unavailable)?;
        }
        fired = Fired::stronger(fired, self.fire(judged.is_repeated, Rule::Loop, "repeated"));
        let over = judged.over;
        let over = over.and_then(|scope| self.fire_rate(Rule::ReplyRate, "replies", scope));
        fired = Fired::stronger(fired, over);
        if let Some(fired) = fired.filter(Fired::stops) {
            return self.act(fired, event, None).await;
        }
        let mut muted = fired;
        if muted.is_some() {
            event.extensions_mut().insert(Guarded::new(muted));
        }
        let outcome = run(events, event.clone()).await?;
        if !matches!(outcome, Outcome::Replies(_)) {
            return Ok(outcome);
        }
        if let (None, Some(mail)) = (muted, event.event().message_received()) {
            let full = self.full_before_reply(&event, &Subject::new(&event, mail, sender)).await;
            // Other replies may have used up the rate meanwhile. The handler has run, so whatever
            // the rule's action is, the guard can only withhold the reply.
            let fired = full.and_then(|scope| self.fire_rate(Rule::ReplyRate, "replies", scope));
            muted = fired.map(|fired| Fired { action: Action::Mute, ..fired });
        }
        match muted {
            None => Ok(outcome),
            Some(fired) => {
                self.tell(fired, &event);
                Ok(Outcome::Muted { rule: fired.rule.as_str() })
            }
        }
    }

    /// Returns the strongest rule that fires before anything is counted: because of the mail
    /// itself, or because of a pause.
    fn judge(&self, mail: &MessageReceived, sender: Option<&Address>) -> Option<Fired> {
        let message = &mail.message;
        let is_paused = self.pause.is_paused(Some(&mail.inbox_id));
        let unanswerable = message.no_reply_reason_for(sender);
        [
            self.fire(!message.is_trustworthy(), Rule::Verdict, "verdict"),
            self.fire(self.is_own(mail, sender), Rule::OwnAddress, "own_address"),
            self.unlisted(sender).and_then(|reason| self.fire(true, Rule::Sender, reason)),
            self.fire(is_paused, Rule::Pause, "paused"),
            unanswerable.and_then(|reason| self.fire(true, Rule::AutoReply, reason.as_str())),
        ]
        .into_iter()
        .fold(None, Fired::stronger)
    }

    /// Returns why the lists exclude a sender; `None` if they do not.
    fn unlisted(&self, sender: Option<&Address>) -> Option<&'static str> {
        let is = |list: &[_]| sender.is_some_and(|sender| matches(list, sender));
        match &self.allowed {
            _ if is(&self.blocked) => Some("blocked"),
            Some(allowed) if !is(allowed) => Some("not_allowed"),
            _ => None,
        }
    }

    /// Returns whether the sender is one of the user's own addresses: one given to the guard, or
    /// the only address in `to`, which is taken to be the inbox's.
    fn is_own(&self, mail: &MessageReceived, sender: Option<&Address>) -> bool {
        let Some(sender) = sender else { return false };
        mail.message.is_sent_to(sender) || self.own.contains(sender)
    }

    fn fire(&self, fires: bool, rule: Rule, reason: &'static str) -> Option<Fired> {
        let action = self.actions.of(rule);
        let scope = if rule == Rule::Pause { Scope::Inbox } else { Scope::Sender };
        (fires && action > Action::Pass).then_some(Fired { rule, action, reason, scope })
    }

    /// Returns what a rule does if the rate for a scope is used up.
    fn fire_rate(&self, rule: Rule, reason: &'static str, scope: Scope) -> Option<Fired> {
        self.fire(true, rule, reason).map(|fired| Fired { scope, ..fired })
    }

    /// Refuses a mail or puts it off. A mail that is put off is checked again after `later`, or,
    /// if `later` is `None`, after the maximum delay; during a pause, `Waiting::paused` decides.
    async fn act(
        &self,
        mut fired: Fired,
        event: VerifiedEvent,
        later: Option<Duration>,
    ) -> Result<Outcome, HandlerError> {
        // Without a queue, a mail that is put off is answered with 503, and OpenMail gives up after
        // 7.5 minutes. A rate that is used up usually has no room before that, so the mail would be
        // lost anyway. A pause may end sooner.
        let is_delivery = event.arrival().is_some();
        if is_delivery && fired.action == Action::PutOff && fired.rule != Rule::Pause {
            fired.action = Action::Refuse;
        }
        self.tell(fired, &event);
        if fired.action == Action::PutOff {
            let later = match (fired.rule, later) {
                (Rule::Pause, _) => self.waiting.paused(),
                (_, later) => later.unwrap_or(LONGEST).min(LONGEST),
            };
            let error = HandlerError::put_off(PutOff(fired), later);
            return Err(if fired.steps_aside() { error.stepping_aside() } else { error });
        }
        if let Some(divert) = &self.divert {
            divert(event).await?;
        }
        Ok(Outcome::Refused { rule: fired.rule.as_str() })
    }

    fn tell(&self, Fired { rule, action, reason, scope }: Fired, event: &VerifiedEvent) {
        telemetry::guarded(action.as_str(), rule.as_str(), reason, scope.as_str());
        if let Some(hook) = &self.hook {
            hook(&GuardReport { action, rule, reason, event });
        }
    }
}

fn matches(list: &[crate::event::AddressPattern], sender: &Address) -> bool {
    list.iter().any(|pattern| pattern.matches(sender))
}

async fn run<E>(events: E, event: VerifiedEvent) -> Result<Outcome, HandlerError>
where
    E: Service<VerifiedEvent, Response = Outcome>,
    E::Error: Into<BoxError>,
{
    Oneshot::new(events, event).await.map_err(|error| HandlerError::from_boxed(error.into()))
}

/// The error with which a mail is put off.
#[derive(Debug, thiserror::Error)]
#[error("put off by the guard's rule {} ({})", .0.rule.as_str(), .0.reason)]
struct PutOff(Fired);

impl<E> fmt::Debug for Guard<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("settings", &self.settings).finish_non_exhaustive()
    }
}
