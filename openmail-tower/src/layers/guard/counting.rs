//! Counts mails: in a store, or in memory.

use std::{sync::Arc, time::Duration};

use crate::{
    event::{Address, MessageReceived},
    seam::{BoxError, CountRequest, CountStore, Counted, OfferedCounts, VerifiedEvent, within},
    telemetry,
};

use super::{
    layer::Settings,
    rates::BeforeRun,
    rule::{Action, Rule, Scope},
    sketch::Sketch,
};

/// The maximum time for the count store to answer.
const COUNT_TIMEOUT: Duration = Duration::from_secs(5);

/// A mail to be counted.
pub(super) struct Subject<'m> {
    pub(super) mail: &'m MessageReceived,
    pub(super) sender: Option<&'m Address>,
    pub(super) attempt: u32,
    /// The sketch of its text, if repeated texts are looked for.
    pub(super) sketch: Option<Sketch>,
}

/// What the counts say about a mail before its run.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// The scope whose rate of runs is used up, and the time until that rate has room. `Some` means
    /// that nothing was counted.
    pub(super) full: Option<(Scope, Duration)>,
    /// The scope whose rate of replies is used up.
    pub(super) over: Option<Scope>,
    /// Whether the sender has written nearly the same text repeatedly.
    pub(super) is_repeated: bool,
}

impl<'m> Subject<'m> {
    pub(super) fn new(
        event: &VerifiedEvent,
        mail: &'m MessageReceived,
        sender: Option<&'m Address>,
    ) -> Self {
        Self { mail, sender, attempt: event.attempt().unwrap_or(1), sketch: None }
    }
}

impl Settings {
    /// Checks the rates before the run of a mail. Counts the run if `takes`, unless the rule
    /// `RunRate` passes every mail, and remembers the mail's text. If the run should count, but its
    /// rate is used up, it does neither.
    pub(super) async fn count_run(
        &self,
        event: &VerifiedEvent,
        mail: &Subject<'_>,
        takes: bool,
    ) -> Result<Judged, BoxError> {
        let takes = takes && self.actions.of(Rule::RunRate) > Action::Pass;
        let Some(store) = self.store(event) else {
            return Ok(self.memory.before_run(mail, &self.rates, takes));
        };
        // Boxed, since it is larger than everything else that a guard keeps during a run.
        Box::pin(async {
            let BeforeRun { mut request, runs, replies } = self.rates.before_run(mail);
            if !takes {
                request.take.clear();
            }
            let counted = count(&**store, &request).await?;
            let repeated = request.note.as_ref().zip(mail.sketch);
            Ok(Judged {
                full: counted.full.map(|(at, free_in)| (runs[at], free_in)),
                over: counted.over.map(|at| replies[at]),
                is_repeated: repeated.is_some_and(|(note, sketch)| {
                    self.rates.is_repeated(note, &sketch, &counted.notes)
                }),
            })
        })
        .await
    }

    /// Counts a reply. If there is no room for it, returns the scope whose rate is used up.
    ///
    /// The handler has already run, and another run would pay for the answer again. So if the store
    /// fails now, the reply is counted in memory instead.
    pub(super) async fn full_before_reply(
        &self,
        event: &VerifiedEvent,
        mail: &Subject<'_>,
    ) -> Option<Scope> {
        if let Some(store) = self.store(event) {
            let (request, scopes) = self.rates.before_reply(mail);
            match Box::pin(count(&**store, &request)).await {
                Ok(counted) => return counted.full.map(|(at, _)| scopes[at]),
                Err(error) => telemetry::uncounted(&*error),
            }
        }
        self.memory.full_before_reply(mail, &self.rates)
    }

    /// Returns the store given to the layer, else the store of the surrounding worker.
    fn store<'a>(&'a self, event: &'a VerifiedEvent) -> Option<&'a Arc<dyn CountStore>> {
        let offered = || event.extensions().get::<OfferedCounts>();
        self.counts.as_ref().or_else(|| offered().map(|OfferedCounts(counts)| counts))
    }
}

async fn count(store: &dyn CountStore, request: &CountRequest) -> Result<Counted, BoxError> {
    let late = || BoxError::from("the guard's count store did not answer within 5 s");
    within(COUNT_TIMEOUT, store.count(request), late).await
}
