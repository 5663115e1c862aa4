//! [`ClaimRequest`]: the entries for which a worker has room.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use super::{
    entry::{EntryId, Role},
    lease::WorkerId,
};

/// Maximum number of entries of each inbox that a worker runs at a time.
#[derive(Clone)]
pub struct InboxLimits(Arc<dyn Fn(&str) -> usize + Send + Sync>);

impl InboxLimits {
    /// Creates the same limit for every inbox.
    pub fn all(runs: usize) -> Self {
        Self::by(move |_| runs)
    }

    /// Creates limits with a function of the inbox's id. A limit of 0 counts as 1.
    pub fn by(limit: impl Fn(&str) -> usize + Send + Sync + 'static) -> Self {
        Self(Arc::new(limit))
    }

    /// Returns the limit of an inbox.
    pub fn of(&self, inbox_id: &str) -> usize {
        (self.0)(inbox_id).max(1)
    }
}

impl fmt::Debug for InboxLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboxLimits").finish_non_exhaustive()
    }
}

/// The entries of one inbox that a worker holds, other than those that it is settling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InboxShare {
    /// The number of entries.
    pub runs: usize,
    /// Their weight, in bytes.
    pub weight: u64,
}

/// The entries that a worker asks for: which, how many, and for how long.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClaimRequest {
    /// The worker, as registered in the store.
    pub worker: WorkerId,
    /// Maximum number of entries to claim.
    pub limit: usize,
    /// The duration after which the leases expire unless they are renewed.
    pub lease: Duration,
    /// The entries that are already leased to the worker (not those on hold). They are not claimed
    /// again, even if their leases have expired.
    pub held: Vec<EntryId>,
    /// Whether replies are claimed as well as events.
    pub replies: bool,
    /// Whether the worker's last claim failed. That claim may have leased entries without the
    /// worker learning of it, so entries that are leased to the worker but are not in `held` are
    /// given back first.
    pub after_failure: bool,
    /// Whether to claim only suspects. Otherwise, suspects are not claimed.
    pub suspects: bool,
    /// Whether to search all due entries for those that fit. Otherwise the store may examine only
    /// the first ones, at most `limit`, which is cheap even if an inbox at its limit has a hundred
    /// thousand due entries.
    pub thorough: bool,
    /// Maximum total weight of the claimed entries, in bytes.
    pub weight: u64,
    /// Whether a single entry may exceed [`weight`](Self::weight), because the worker runs nothing
    /// else.
    pub oversized: bool,
    /// Maximum total weight of the entries of one inbox, in bytes. A single entry may exceed it.
    pub inbox_weight: u64,
    /// Maximum number of entries of each inbox that the worker runs at a time.
    pub inbox_limits: Option<InboxLimits>,
    /// The entries of each inbox that already count towards the two limits above.
    pub inboxes: HashMap<String, InboxShare>,
}

impl ClaimRequest {
    /// Creates a request for up to `limit` entries of any role, inbox and weight.
    pub fn new(worker: WorkerId, limit: usize, lease: Duration) -> Self {
        Self {
            worker,
            limit,
            lease,
            held: Vec::new(),
            replies: true,
            after_failure: false,
            suspects: false,
            thorough: true,
            weight: u64::MAX,
            oversized: true,
            inbox_weight: u64::MAX,
            inbox_limits: None,
            inboxes: HashMap::new(),
        }
    }

    /// Returns whether entries of this role are claimed.
    pub fn takes(&self, role: Role) -> bool {
        role == Role::Event || self.replies
    }

    /// Begins to choose among candidates, within the limits of the request.
    pub fn choice(&self) -> Choice<'_> {
        Choice {
            request: self,
            inboxes: self.inboxes.clone(),
            closed: HashSet::new(),
            ids: Vec::new(),
            weight: 0,
            limited: false,
        }
    }
}

/// Chooses among due entries within the limits of a [`ClaimRequest`]. For stores, which offer the
/// entries in the order in which they should run.
#[derive(Debug)]
pub struct Choice<'r> {
    request: &'r ClaimRequest,
    inboxes: HashMap<String, InboxShare>,
    /// Inboxes whose next entry would exceed their share of the bytes. Their later entries wait as
    /// well, so that a large entry is not overtaken forever, and thousands of entries need not be
    /// examined to find one that is small enough.
    closed: HashSet<String>,
    ids: Vec<EntryId>,
    weight: u64,
    limited: bool,
}

impl Choice<'_> {
    /// Takes an entry if it fits. Returns whether it does.
    pub fn offer(&mut self, id: EntryId, inbox_id: Option<&str>, weight: u64) -> bool {
        let fits = self.fits(inbox_id, weight);
        if fits {
            self.ids.push(id);
            self.weight = self.weight.saturating_add(weight);
            if let Some(inbox) = inbox_id {
                let share = self.inboxes.entry(inbox.to_owned()).or_default();
                share.runs += 1;
                share.weight = share.weight.saturating_add(weight);
            }
        } else {
            self.limited = true;
            if let Some(inbox) = inbox_id.filter(|inbox| self.closes(inbox, weight)) {
                self.closed.insert(inbox.to_owned());
            }
        }
        fits
    }

    fn fits(&self, inbox_id: Option<&str>, weight: u64) -> bool {
        let request = self.request;
        let total = self.weight.saturating_add(weight);
        let oversized = request.oversized && self.ids.is_empty();
        if self.is_full() || (total > request.weight && !oversized) {
            return false;
        }
        let Some(inbox) = inbox_id else { return true };
        let share = self.inboxes.get(inbox).copied().unwrap_or_default();
        let has_room = request.inbox_limits.as_ref().is_none_or(|it| share.runs < it.of(inbox));
        has_room && !self.closed.contains(inbox) && !self.closes(inbox, weight)
    }

    /// Returns whether an entry would exceed its inbox's share of the bytes.
    fn closes(&self, inbox: &str, weight: u64) -> bool {
        let share = self.inboxes.get(inbox).copied().unwrap_or_default();
        share.runs > 0 && share.weight.saturating_add(weight) > self.request.inbox_weight
    }

    /// Returns whether no further entry can fit.
    pub fn is_full(&self) -> bool {
        self.ids.len() >= self.request.limit
            || (self.weight >= self.request.weight && !self.ids.is_empty())
    }

    /// Returns the inboxes that are full, so that the store need not offer more of their entries.
    pub fn full_inboxes(&self) -> impl Iterator<Item = &str> {
        let limits = self.request.inbox_limits.as_ref();
        self.inboxes.iter().filter_map(move |(inbox, share)| {
            let full = limits.is_some_and(|limits| share.runs >= limits.of(inbox))
                || (share.runs > 0 && share.weight >= self.request.inbox_weight)
                || self.closed.contains(inbox);
            full.then_some(&**inbox)
        })
    }

    /// Returns the total weight of the entries that were taken, in bytes.
    #[cfg(feature = "queue-postgres")]
    pub(super) fn weight(&self) -> u64 {
        self.weight
    }

    /// Returns whether any of the offered entries did not fit.
    pub fn is_limited(&self) -> bool {
        self.limited
    }

    /// Returns the entries that were taken, in the order in which they were offered.
    pub fn into_ids(self) -> Vec<EntryId> {
        self.ids
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> ClaimRequest {
        ClaimRequest::new(WorkerId(1), 10, Duration::from_secs(1))
    }

    fn taken(request: &ClaimRequest, offers: &[(Option<&str>, u64)]) -> Vec<i64> {
        let mut choice = request.choice();
        for (id, (inbox, weight)) in (1..).zip(offers) {
            choice.offer(EntryId(id), *inbox, *weight);
        }
        choice.into_ids().into_iter().map(|id| id.0).collect()
    }

    #[test]
    fn inbox_at_its_limit_is_skipped() {
        let mut request = request();
        request.inbox_limits = Some(InboxLimits::all(2));
        request.inboxes.insert("a".to_owned(), InboxShare { runs: 1, weight: 1 });
        let offers = [(Some("a"), 1), (Some("a"), 1), (Some("b"), 1), (None, 1), (Some("a"), 1)];
        assert_eq!(taken(&request, &offers), [1, 3, 4]);
        let mut choice = request.choice();
        assert_eq!(choice.full_inboxes().count(), 0);
        choice.offer(EntryId(1), Some("a"), 1);
        assert_eq!(choice.full_inboxes().collect::<Vec<_>>(), ["a"]);
        assert!(!choice.is_limited());
        choice.offer(EntryId(2), Some("a"), 1);
        assert!(choice.is_limited());
    }

    #[test]
    fn takes_no_more_than_fits() {
        let mut request = request();
        (request.weight, request.oversized) = (10, false);
        assert_eq!(taken(&request, &[(None, 6), (None, 6), (None, 4), (None, 1)]), [1, 3]);
        assert!(taken(&request, &[(None, 11)]).is_empty());
        request.limit = 1;
        assert_eq!(taken(&request, &[(None, 1), (None, 1)]), [1]);
    }

    #[test]
    fn oversized_entry_runs_alone() {
        let mut request = request();
        request.weight = 10;
        assert_eq!(taken(&request, &[(None, 11), (None, 1)]), [1]);
        assert_eq!(taken(&request, &[(None, 1), (None, 11)]), [1]);
    }

    #[test]
    fn inbox_takes_only_its_share_of_the_bytes() {
        let mut request = request();
        (request.weight, request.inbox_weight) = (10, 5);
        assert_eq!(taken(&request, &[(Some("a"), 3), (Some("a"), 3), (Some("b"), 3)]), [1, 3]);
        assert_eq!(taken(&request, &[(Some("a"), 8), (Some("b"), 2)]), [1, 2]);
    }

    #[test]
    fn inbox_is_left_out_once_its_next_entry_does_not_fit() {
        let mut request = request();
        (request.weight, request.inbox_weight) = (10, 5);
        let offers = [(Some("a"), 3), (Some("a"), 3), (Some("a"), 1), (Some("b"), 1)];
        assert_eq!(taken(&request, &offers), [1, 4]);
        let mut choice = request.choice();
        choice.offer(EntryId(1), Some("a"), 3);
        assert_eq!(choice.full_inboxes().count(), 0);
        choice.offer(EntryId(2), Some("a"), 3);
        assert_eq!(choice.full_inboxes().collect::<Vec<_>>(), ["a"]);
        assert!(choice.is_limited());
    }
}
