//! The main loop of a worker.

use std::{
    collections::VecDeque,
    future::Future,
    mem,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{Mutex, Notify},
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until, timeout_at},
};
use tower_service::Service;

use crate::{
    queue::{
        entry::EntryId,
        error::QueueError,
        lease::{Claimed, Claims, Lease},
        policy::Run,
        settlement::Settlement,
        store::QueueStore,
    },
    seam::{BoxError, Outcome, VerifiedEvent, within},
    telemetry::queue as telemetry,
};

use super::{
    gauges,
    leases::{Leases, end},
    look::{Look, pause},
    run::{Ended, Shared, run},
    settings::Worker,
    settle::settle,
    upkeep,
    wakeup::{Pending, Renewed, Step, Stop, Wakeup, answer, ready},
};

/// Drives a worker until it stops. Returns the number of cancelled runs. Each run and settlement
/// has a task of its own, which ends with this future. The future itself does everything else.
pub(super) async fn drive<St, E>(worker: Worker<St, E>, shutdown: impl Future<Output = ()>) -> usize
where
    St: QueueStore,
    E: Service<VerifiedEvent, Response = Outcome> + Clone + Send + 'static,
    E::Error: Into<BoxError>,
    E::Future: Send + 'static,
{
    let Worker { store, events, settings, dead_letters, replies, reports } = worker;
    let mut shutdown = pin!(shutdown);
    let registration = tokio::select! {
        registration = upkeep::register(&store, &settings) => registration,
        () = &mut shutdown => return 0,
    };
    let (changed, died) = (Notify::new(), Notify::new());
    let shared = Arc::new(Shared {
        #[cfg(feature = "guard")]
        counts: store.count_store(),
        store,
        settings,
        replies,
        reports,
        registration,
    });
    let (store, settings, worker) = (&shared.store, &shared.settings, shared.registration.worker());
    let reporting = Mutex::new(());
    let driving = async {
        let stop = Driver::new(&shared, events, &changed, &died).run(shutdown).await;
        // A report in progress must end before the worker does, or it would be made again.
        let _ = timeout_at(stop.end_at, reporting.lock()).await;
        stop.cut
    };
    let never = tokio::select! {
        cut = driving => return cut,
        never = upkeep::listen(store.changes(), &changed) => never,
        never = upkeep::recover(store, worker, settings, &changed) => never,
        never = upkeep::prune(store, settings) => never,
        never = gauges::refresh(store, settings.store_timeout) => never,
        never = upkeep::report(store, dead_letters.as_ref(), settings, &died, &reporting) => never,
    };
    match never {}
}

/// Claims entries, runs them, and settles them.
struct Driver<'w, St, E> {
    shared: &'w Arc<Shared<St>>,
    changed: &'w Notify,
    died: &'w Notify,
    template: E,
    /// The service that is polled until it is ready, and then called.
    events: E,
    is_ready: bool,
    /// The time before which the service is not polled again, since it has failed.
    ready_at: Instant,
    look: Look,
    leases: Leases,
    tasks: JoinSet<Step>,
    /// The entries that were claimed but have not begun.
    waiting: VecDeque<Claimed>,
    claiming: Option<Pending<Result<Claims, QueueError>>>,
    renewing: Option<Pending<Renewed>>,
    renew_at: Instant,
    /// Whether a suspect is due. If so, nothing else is claimed until it has run alone.
    suspects: bool,
    stop: Option<Stop>,
}

impl<'w, St, E> Driver<'w, St, E>
where
    St: QueueStore,
    E: Service<VerifiedEvent, Response = Outcome> + Clone + Send + 'static,
    E::Error: Into<BoxError>,
    E::Future: Send + 'static,
{
    fn new(shared: &'w Arc<Shared<St>>, events: E, changed: &'w Notify, died: &'w Notify) -> Self {
        let now = Instant::now();
        Self {
            shared,
            changed,
            died,
            template: events.clone(),
            events,
            is_ready: false,
            ready_at: now,
            look: Look::now(),
            leases: Leases::default(),
            tasks: JoinSet::new(),
            waiting: VecDeque::new(),
            claiming: None,
            renewing: None,
            renew_at: now,
            suspects: false,
            stop: None,
        }
    }

    async fn run(mut self, mut shutdown: Pin<&mut impl Future<Output = ()>>) -> Stop {
        loop {
            self.begin();
            if let Some(stop) = self.stop
                && (Instant::now() >= stop.end_at || self.is_idle())
            {
                return stop;
            }
            let wake = self.wake_at();
            let next = tokio::select! {
                () = &mut shutdown, if self.stop.is_none() => Wakeup::Stop,
                claims = answer(&mut self.claiming), if self.claiming.is_some() => {
                    Wakeup::Claimed(claims)
                }
                renewed = answer(&mut self.renewing), if self.renewing.is_some() => {
                    Wakeup::Renewed(renewed)
                }
                ready = ready(&mut self.events),
                    if !self.waiting.is_empty() && self.ready_at <= Instant::now() =>
                {
                    Wakeup::Ready(ready)
                }
                ended = self.tasks.join_next_with_id(), if !self.tasks.is_empty() => {
                    Wakeup::Ended(ended)
                }
                () = self.changed.notified() => Wakeup::Changed,
                () = sleep_until(wake) => Wakeup::Time,
            };
            self.handle(next);
        }
    }

    fn handle(&mut self, next: Wakeup) {
        match next {
            Wakeup::Stop => self.stop(),
            Wakeup::Claimed(claims) => self.claimed(claims),
            Wakeup::Renewed((leases, lost)) => self.renewed(&leases, lost),
            Wakeup::Ready(Ok(())) => self.is_ready = true,
            Wakeup::Ready(Err(error)) => {
                telemetry::unready(&error);
                // A service that has failed is not used again.
                self.events = self.template.clone();
                self.ready_at = Instant::now() + pause(3);
            }
            Wakeup::Ended(ended) => self.ended(ended),
            Wakeup::Changed => self.look.soon(),
            Wakeup::Time => {}
        }
    }

    /// Begins everything that can begin now.
    fn begin(&mut self) {
        // Entries whose lease was lost in the meantime belong to another worker.
        self.waiting.retain(|claimed| self.leases.holds(&claimed.lease));
        if self.is_ready {
            self.is_ready = false;
            match self.waiting.pop_front() {
                Some(claimed) => self.start(claimed),
                // The service has reserved capacity for an event that is gone.
                None => self.events = self.template.clone(),
            }
        }
        if self.renewing.is_none() && self.renew_at <= Instant::now() {
            self.renew();
        }
        if self.claiming.is_none() && self.stop.is_none() && self.look.is_due() {
            self.claim();
        }
        if let Some(stop) = &mut self.stop
            && Instant::now() >= stop.cut_at
        {
            // Later passes abort no other runs: they find only aborted ones that still block their
            // threads.
            stop.cut = stop.cut.max(self.leases.cut_off());
        }
    }

    /// Returns the time at which the loop must continue even if nothing has happened.
    fn wake_at(&self) -> Instant {
        let mut wake = Instant::now() + Duration::from_secs(3600);
        if self.renewing.is_none() {
            wake = wake.min(self.renew_at);
        }
        if !self.waiting.is_empty() && self.ready_at > Instant::now() {
            wake = wake.min(self.ready_at);
        }
        match &self.stop {
            Some(stop) if Instant::now() < stop.cut_at => wake.min(stop.cut_at),
            Some(stop) => wake.min(stop.end_at),
            None if self.claiming.is_none() && !self.look.is_due() => wake.min(self.look.at()),
            None => wake,
        }
    }

    fn is_idle(&self) -> bool {
        self.leases.is_empty() && self.claiming.is_none()
    }

    fn claim(&mut self) {
        let settings = &self.shared.settings;
        let mut request = self.leases.request(self.shared.registration.worker(), settings);
        request.replies = self.shared.replies.is_some();
        request.after_failure = self.look.has_failed();
        if self.suspects {
            // A suspect may crash the process and every other run with it, so it is claimed only
            // when nothing else runs.
            if !self.leases.is_empty() {
                return;
            }
            (request.suspects, request.limit) = (true, 1);
        }
        let is_full = request.limit == 0 || (request.weight == 0 && !request.oversized);
        let is_behind = self.leases.settling() > settings.concurrency;
        if is_full || is_behind || !self.waiting.is_empty() || self.leases.has_suspect() {
            return;
        }
        // A claim of many entries costs no more than a claim of a few.
        if !self.leases.leave_room(settings) && self.look.gathers() {
            return;
        }
        request.thorough = self.look.begin();
        let limit = request.limit;
        let (shared, timeout) = (Arc::clone(self.shared), settings.store_timeout);
        let answer = Box::pin(async move {
            within(timeout, shared.store.claim(request), QueueError::late).await
        });
        self.claiming = Some(Pending { asked: Instant::now(), limit, answer });
    }

    fn claimed(&mut self, claims: Result<Claims, QueueError>) {
        let Some(Pending { asked, limit, .. }) = self.claiming.take() else { return };
        let settings = &self.shared.settings;
        match claims {
            Ok(claims) => {
                self.look.found(limit, &claims, asked.elapsed(), settings.poll);
                let looked_for_suspects = mem::replace(&mut self.suspects, claims.suspects);
                if looked_for_suspects || self.suspects {
                    self.look.soon();
                }
                for claimed in claims.entries {
                    self.leases.claimed(&claimed, asked, settings.lease);
                    self.waiting.push_back(claimed);
                }
            }
            Err(error) => self.look.failed(&error),
        }
        if self.stop.is_some() {
            self.give_back();
        }
    }

    fn start(&mut self, claimed: Claimed) {
        let Some(until) = self.leases.until(&claimed.lease) else { return };
        let clone = self.events.clone();
        let events = mem::replace(&mut self.events, clone);
        let (shared, lease) = (Arc::clone(self.shared), claimed.lease.clone());
        let past = Run::from(&claimed);
        let task = self.tasks.spawn(async move {
            let lease = claimed.lease.clone();
            Step::Ran(lease, run(&shared, events, claimed, until).await)
        });
        self.leases.running(&lease, past, task);
    }

    fn ended(&mut self, ended: Option<Result<(tokio::task::Id, Step), JoinError>>) {
        match ended {
            Some(Ok((task, Step::Ran(lease, ended)))) => {
                self.leases.ended(task);
                self.settle(lease, ended);
            }
            Some(Ok((_, Step::Settled(lease, is_dead)))) => {
                self.leases.let_go(&lease);
                if is_dead {
                    self.died.notify_one();
                }
            }
            Some(Err(error)) => {
                // The run was cancelled, because the worker stops or the entry's lease was lost, or
                // the run panicked while it was dropped.
                if let Some((lease, past)) = self.leases.ended(error.id()) {
                    self.settle(
                        lease,
                        Ended::cut_short(&error, past, &self.shared.settings.policy),
                    );
                }
            }
            None => {}
        }
        self.look.has_room(self.leases.leave_room(&self.shared.settings));
        if self.suspects && self.leases.is_empty() {
            self.look.soon();
        }
    }

    /// Settles an entry, unless its lease was lost.
    fn settle(&mut self, lease: Lease, ended: Ended) {
        if !self.leases.begin_settling(&lease) {
            return;
        }
        let shared = Arc::clone(self.shared);
        self.tasks.spawn(async move {
            let Ended { outcome, settlement, observed, reports } = ended;
            let limit = shared.settings.store_timeout;
            let settling = async {
                let written = settle(&shared.store, &lease, (outcome, settlement), limit).await;
                if let (Some(reports), Some(written)) = (reports, &written) {
                    reports.tell(written).await;
                }
                matches!(written, Some(Settlement::Bury { .. }))
            };
            let is_dead = match &observed {
                Some(run) => run.scope(settling).await,
                None => settling.await,
            };
            Step::Settled(lease, is_dead)
        });
    }

    fn renew(&mut self) {
        let settings = &self.shared.settings;
        let period = (settings.lease / 3).max(Duration::from_millis(1));
        let (now, lease) = (Instant::now(), settings.lease);
        self.renew_at = now + period.min(Duration::from_secs(3600));
        let leases = self.leases.renewable(settings);
        if leases.is_empty() {
            return;
        }
        let (shared, limit) = (Arc::clone(self.shared), settings.store_timeout.min(period));
        let answer = Box::pin(async move {
            let renewed = shared.store.renew(&leases, lease);
            let lost = within(limit, renewed, QueueError::late).await;
            (leases, lost)
        });
        self.renewing = Some(Pending { asked: now, limit: 0, answer });
    }

    fn renewed(&mut self, leases: &[Lease], lost: Result<Vec<EntryId>, QueueError>) {
        let Some(Pending { asked, .. }) = self.renewing.take() else { return };
        match lost {
            Ok(lost) => {
                self.leases.renewed(leases, &lost, asked, self.shared.settings.lease);
            }
            Err(error) => telemetry::away(&error),
        }
    }

    fn stop(&mut self) {
        let settings = &self.shared.settings;
        let cut_at = end(Instant::now(), settings.grace);
        self.stop = Some(Stop { cut_at, end_at: end(cut_at, settings.store_timeout), cut: 0 });
        self.give_back();
    }

    /// Gives back entries that were claimed but not begun.
    fn give_back(&mut self) {
        for claimed in mem::take(&mut self.waiting) {
            self.settle(claimed.lease, Ended::given_back());
        }
    }
}
