//! [`Worker::on_reply`](super::Worker::on_reply): reports on replies.

use std::{
    collections::HashMap,
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use crate::{
    queue::{
        entry::{NewReply, Role},
        lease::Claimed,
        report::{ReplyReport, ReplyState},
        settlement::Settlement,
    },
    telemetry::queue as telemetry,
};

use super::{
    hook::{self, Hook},
    replies::Replies,
};

/// Calls the hook with reports on replies.
#[derive(Clone)]
pub(super) struct Reports {
    hook: Hook<ReplyReport>,
    queued: Arc<Queued>,
}

/// The replies not yet reported as queued, by key. Each channel closes once all replies of the same
/// run have been reported, or could not be stored.
type Queued = Mutex<HashMap<String, watch::Receiver<()>>>;

impl Reports {
    pub(super) fn new(hook: Hook<ReplyReport>) -> Self {
        Self { hook, queued: Arc::default() }
    }

    /// Returns the report on an entry that is about to run, as far as it is known.
    pub(super) fn begin(claimed: &Claimed, replies: Option<&dyn Replies>) -> ReplyReport {
        let message_id = match claimed.role {
            Role::Reply => replies.and_then(|it| it.answered(&claimed.stored.raw_body)),
            Role::Event => None,
        };
        ReplyReport {
            state: ReplyState::Queued,
            key: claimed.key.clone().unwrap_or_default(),
            name: claimed.kind.clone(),
            event_id: claimed.event_id.clone(),
            inbox_id: claimed.inbox_id.clone(),
            thread_id: claimed.thread_id.clone(),
            message_id,
            error: None,
        }
    }

    /// Prepares the reports to send once the settlement of a run is stored. A later report on a
    /// reply waits until the reply has been reported as queued.
    pub(super) fn prepare(
        &self,
        role: Role,
        about: ReplyReport,
        settlement: &Settlement,
        replies: Option<&dyn Replies>,
    ) -> Prepared {
        let reported = watch::Sender::new(());
        let reports = match (role, settlement) {
            (Role::Reply, _) => vec![about],
            (Role::Event, Settlement::Done { replies: new }) => {
                let report = |reply: &NewReply| ReplyReport {
                    key: reply.key.clone(),
                    name: reply.kind.clone(),
                    message_id: replies.and_then(|it| it.answered(&reply.body)),
                    ..about.clone()
                };
                let reports: Vec<_> = new.iter().map(report).collect();
                let mut queued = lock(&self.queued);
                for report in &reports {
                    queued.insert(report.key.clone(), reported.subscribe());
                }
                reports
            }
            (Role::Event, _) => Vec::new(),
        };
        Prepared { all: self.clone(), role, reports, reported }
    }
}

/// Reports that are sent once a settlement is stored, or not at all if it cannot be stored.
pub(super) struct Prepared {
    all: Reports,
    role: Role,
    reports: Vec<ReplyReport>,
    reported: watch::Sender<()>,
}

impl Prepared {
    pub(super) async fn tell(mut self, written: &Settlement) {
        // If the store refused the settlement, `written` is the one that was stored instead.
        let state = match (self.role, written) {
            (Role::Event, Settlement::Done { .. }) => Some(ReplyState::Queued),
            (Role::Event, _) => None,
            (Role::Reply, Settlement::Done { .. }) => Some(ReplyState::Sent),
            (Role::Reply, Settlement::Hold { .. }) => Some(ReplyState::Held),
            (Role::Reply, Settlement::Bury { .. }) => Some(ReplyState::Failed),
            // The reply will be tried again.
            (Role::Reply, _) => None,
        };
        let Some(state) = state else { return };
        for mut report in mem::take(&mut self.reports) {
            if state != ReplyState::Queued {
                let queued = lock(&self.all.queued).get(&report.key).cloned();
                if let Some(mut queued) = queued {
                    // An error means that the channel has closed: nothing is left to wait for.
                    let _ = queued.changed().await;
                }
            }
            report.state = state;
            report.error = written.reason().map(str::to_owned);
            let key = report.key.clone();
            if let Err(error) = hook::call(&self.all.hook, report).await {
                telemetry::untold(&key, &error);
            }
        }
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if self.reported.receiver_count() > 0 {
            let reported = self.reported.subscribe();
            lock(&self.all.queued).retain(|_, queued| !queued.same_channel(&reported));
        }
    }
}

fn lock(queued: &Queued) -> MutexGuard<'_, HashMap<String, watch::Receiver<()>>> {
    queued.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Reports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reports").finish_non_exhaustive()
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("reports", &self.reports).finish_non_exhaustive()
    }
}
