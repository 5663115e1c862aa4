//! A worker never gets more than it asked for.

use crate::queue::{
    request::{InboxLimits, InboxShare},
    store::QueueStore,
};

use super::probe::{LONG, Probe};

pub(super) async fn check<St: QueueStore>(probe: &Probe<St>) {
    a_flooded_inbox_leaves_room(probe).await;
    a_claim_that_is_not_thorough_reports_that_more_is_due(probe).await;
    no_more_is_claimed_than_fits(probe).await;
}

async fn a_flooded_inbox_leaves_room<St: QueueStore>(probe: &Probe<St>) {
    const FLOOD: usize = 600;
    let of = |inbox: &str| {
        let mut entry = probe.entry(None);
        entry.inbox_id = Some(inbox.to_owned());
        entry
    };
    probe.enqueue_all((0..FLOOD).map(|_| of("flooded"))).await;
    for inbox in ["quiet", "busy", "quiet"] {
        assert!(probe.enqueue(of(inbox)).await);
    }
    let mut request = probe.request(16, LONG);
    request.inbox_limits = Some(InboxLimits::by(|inbox| if inbox == "quiet" { 9 } else { 2 }));
    request.inboxes.insert("flooded".to_owned(), InboxShare { runs: 1, weight: 10 });
    request.inboxes.insert("busy".to_owned(), InboxShare { runs: 2, weight: 20 });
    let claims = probe.claims(request).await;
    let inboxes: Vec<_> = claims.entries.iter().filter_map(|it| it.inbox_id.as_deref()).collect();
    assert_eq!(inboxes, ["flooded", "quiet", "quiet"]);
    assert!(claims.limited, "others are due");
    probe.all_done(claims.entries).await;
    let rest = probe.claims(probe.request(FLOOD + 9, LONG)).await;
    assert_eq!(rest.entries.len(), FLOOD);
    probe.all_done(rest.entries).await;
}

async fn a_claim_that_is_not_thorough_reports_that_more_is_due<St: QueueStore>(probe: &Probe<St>) {
    let of = |inbox: &str| {
        let mut entry = probe.entry(None);
        entry.inbox_id = Some(inbox.to_owned());
        entry
    };
    probe.enqueue_all((0..40).map(|_| of("flooded"))).await;
    assert!(probe.enqueue(of("quiet")).await);
    let mut request = probe.request(16, LONG);
    request.inbox_limits = Some(InboxLimits::all(2));
    request.thorough = false;
    let claims = probe.claims(request.clone()).await;
    assert!(claims.entries.len() >= 2 && claims.limited, "{claims:?}");
    probe.all_done(claims.entries).await;
    request.inboxes.insert("flooded".to_owned(), InboxShare { runs: 2, weight: 20 });
    assert!(probe.claims(request).await.limited, "38 are due");
    probe.finish().await;
}

async fn no_more_is_claimed_than_fits<St: QueueStore>(probe: &Probe<St>) {
    for weight in [50, 30, 30, 100, 20] {
        let mut entry = probe.entry(None);
        entry.weight = weight;
        assert!(probe.enqueue(entry).await);
    }
    let claim = |weight, oversized| {
        let mut request = probe.request(16, LONG);
        (request.weight, request.oversized) = (weight, oversized);
        async move {
            let claims = probe.claims(request).await;
            let weights = claims.entries.iter().map(|claimed| claimed.weight).collect::<Vec<_>>();
            for claimed in &claims.entries {
                probe.done(claimed).await;
            }
            (weights, claims.limited)
        }
    };
    let (weights, limited) = claim(90, false).await;
    assert!(weights.iter().sum::<u64>() <= 90 && !weights.is_empty() && limited, "{weights:?}");
    let (weights, _) = claim(70, false).await;
    assert!(weights.iter().sum::<u64>() <= 70 && !weights.is_empty(), "{weights:?}");
    let (weights, limited) = claim(60, false).await;
    assert_eq!((weights, limited), (vec![], true), "it would not fit");
    let (weights, limited) = claim(60, true).await;
    assert_eq!((weights, limited), (vec![100], false), "it runs alone");
}
