//! Deliveries: where each event goes, and its progress.

use jiff::{SignedDuration, Timestamp};
use openmail_tower::testing::{self, TestEvent};
use serde_json::Value;

use super::{
    data::Data,
    model::{Attempt, Delivery, Inbox, Pod, Progress, new_id},
    refusal::Refusal,
};

/// The number of deliveries above which the oldest finished ones are removed.
const KEPT: usize = 2000;

/// A webhook's URL and secret.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) url: String,
    pub(crate) secret: String,
}

impl Data {
    pub(crate) fn delivery(&self, id: &str) -> Result<&Delivery, Refusal> {
        self.deliveries.get(id).ok_or_else(|| Refusal::not_found("delivery"))
    }

    /// Returns a mail's deliveries, newest first.
    pub(crate) fn deliveries_of(&self, mail: &str) -> Vec<&Delivery> {
        let of_mail = |it: &&Delivery| it.mail_id.as_deref() == Some(mail);
        self.deliveries.values().rev().filter(of_mail).collect()
    }

    /// Returns all deliveries, newest first.
    pub(crate) fn deliveries(&self) -> impl Iterator<Item = &Delivery> {
        self.deliveries.values().rev()
    }

    /// Returns the target of an inbox's events: its own webhook, or else the account's.
    pub(crate) fn target(&self, inbox: Option<&str>) -> Option<Target> {
        let own = inbox.and_then(|id| self.inboxes.get(id)).and_then(|inbox| {
            let (url, secret) = (inbox.webhook_url.clone()?, inbox.webhook_secret.clone()?);
            Some(Target { url, secret })
        });
        let account = self.account();
        own.or_else(|| {
            let (url, secret) = (account.webhook_url.clone()?, account.webhook_secret.clone());
            Some(Target { url, secret })
        })
    }

    /// Plans the delivery of an event. Returns `None` if there is no webhook for it.
    pub(crate) fn plan(
        &mut self,
        inbox: Option<&str>,
        mail: Option<&str>,
        event: &TestEvent,
    ) -> Option<String> {
        let target = self.target(inbox)?;
        let now = Timestamp::now();
        let kind = event.json().get("event").and_then(Value::as_str).unwrap_or_default();
        let delivery = Delivery {
            id: new_id("dlv"),
            inbox_id: inbox.map(str::to_owned),
            mail_id: mail.map(str::to_owned),
            kind: kind.to_owned(),
            event: event.json().clone(),
            url: target.url,
            progress: Progress::Pending,
            due: Some(now),
            attempts: Vec::new(),
            created_at: now,
        };
        self.put(delivery.clone());
        self.forget_deliveries();
        Some(delivery.id)
    }

    /// Plans the delivery of a mail's `message.received`: once, or twice if the fault
    /// `deliver_twice` is set.
    pub(crate) fn plan_mail(&mut self, mail: &str, api_url: &str) -> Vec<String> {
        let Ok(mail) = self.mail(mail).cloned() else { return Vec::new() };
        let event = self.received(&mail, api_url);
        let times = if self.faults.deliver_twice { 2 } else { 1 };
        let plan = |_| self.plan(Some(&mail.inbox_id), Some(&mail.id), &event);
        (0..times).filter_map(plan).collect()
    }

    /// Plans another delivery of the same event, starting with the first attempt.
    pub(crate) fn plan_again(&mut self, id: &str) -> Result<Option<String>, Refusal> {
        let delivery = self.delivery(id)?;
        let (inbox, mail) = (delivery.inbox_id.clone(), delivery.mail_id.clone());
        let json = serde_json::to_vec(&delivery.event).expect("a JSON object");
        let event = TestEvent::from_slice(&json).expect("a JSON object");
        Ok(self.plan(inbox.as_deref(), mail.as_deref(), &event))
    }

    /// Records an attempt. `next` is when the next attempt is due.
    pub(crate) fn record(&mut self, id: &str, attempt: Attempt, next: Option<Timestamp>) {
        self.edit(id, |delivery: &mut Delivery| {
            if delivery.progress == Progress::Pending {
                delivery.progress = match (attempt.is_accepted(), next) {
                    (true, _) => Progress::Delivered,
                    (false, Some(_)) => Progress::Pending,
                    (false, None) => Progress::Failed,
                };
                delivery.due = next;
            }
            delivery.url.clone_from(&attempt.url);
            delivery.attempts.push(attempt);
        });
    }

    /// Cancels a delivery, since its inbox was deleted, or there is no webhook URL for it.
    pub(crate) fn cancel(&mut self, id: &str) {
        self.edit(id, |delivery: &mut Delivery| {
            delivery.progress = Progress::Cancelled;
            delivery.due = None;
        });
    }

    /// Returns the deliveries that an earlier run of the program left unfinished.
    pub(crate) fn unfinished(&self) -> Vec<String> {
        let pending = |it: &&Delivery| it.progress == Progress::Pending;
        self.deliveries.values().filter(pending).map(|it| it.id.clone()).collect()
    }

    /// Suspends or reactivates an inbox, and plans the delivery of `inbox.suspended` or
    /// `inbox.reactivated`.
    pub(crate) fn suspend_inbox(
        &mut self,
        id: &str,
        reason: Option<String>,
    ) -> Result<Option<String>, Refusal> {
        let inbox = self
            .edit(id, |inbox: &mut Inbox| inbox.suspended.clone_from(&reason))
            .ok_or_else(|| Refusal::not_found("inbox"))?;
        let event = lifecycle("inbox", reason)
            .field("inbox_id", &*inbox.id)
            .field("inbox_address", &*inbox.address)
            .field("pod_id", &*inbox.pod_id);
        Ok(self.plan(Some(id), None, &event))
    }

    /// Suspends or reactivates a pod, and plans the delivery of `pod.suspended` or
    /// `pod.reactivated` to the account's webhook, or else to the webhook of each inbox in the pod.
    pub(crate) fn suspend_pod(
        &mut self,
        id: &str,
        reason: Option<String>,
    ) -> Result<Vec<String>, Refusal> {
        let id = self.pod(id)?.id.clone();
        self.edit(&id, |pod: &mut Pod| pod.suspended.clone_from(&reason));
        let event = lifecycle("pod", reason).field("pod_id", &*id);
        if self.account().webhook_url.is_some() {
            return Ok(self.plan(None, None, &event).into_iter().collect());
        }
        let inboxes: Vec<_> = self.inboxes.values().filter(|it| it.pod_id == id).cloned().collect();
        let plan = |inbox: &Inbox| self.plan(Some(&inbox.id), None, &event);
        Ok(inboxes.iter().filter_map(plan).collect())
    }

    fn forget_deliveries(&mut self) {
        while self.deliveries.len() > KEPT {
            let finished = |it: &&Delivery| it.progress != Progress::Pending;
            let oldest = self.deliveries.values().find(finished).map(|it| it.id.clone());
            let Some(oldest) = oldest else { break };
            self.remove::<Delivery>(&oldest);
        }
    }
}

fn lifecycle(of: &str, reason: Option<String>) -> TestEvent {
    let what = if reason.is_some() { "suspended" } else { "reactivated" };
    TestEvent::new(format!("{of}.{what}").as_str()).field("reason", reason)
}

/// Returns the delays before the remaining attempts of a delivery, not yet divided by `speed`.
pub(crate) fn waits_left(
    delivery: &Delivery,
    now: Timestamp,
    speed: f64,
) -> Vec<std::time::Duration> {
    let done = delivery.attempts.len();
    let mut waits: Vec<_> = testing::SCHEDULE.iter().skip(done).copied().collect();
    // The first delay has already begun.
    if let (Some(first), Some(due)) = (waits.first_mut(), delivery.due) {
        let left = due.duration_since(now).max(SignedDuration::ZERO);
        *first = left.unsigned_abs().mul_f64(speed);
    }
    waits
}
