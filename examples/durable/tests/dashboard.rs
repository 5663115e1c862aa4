//! Compares the dashboard with the program: everything that a panel queries is exported, except the
//! metrics of replies and of a guard, which this program does not have. Everything exported is
//! documented and shown.

#![allow(clippy::unwrap_used, reason = "a test")]

#[allow(dead_code, reason = "each test uses a part of it")]
mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use example_durable::Agent;
use openmail_tower::{
    HandlerError,
    queue::{Enqueue, QueueStore, SqliteStore},
    telemetry::metric,
};
use serde_json::Value;

use support::{Server, mail, until};

/// Metrics of parts that this program does not have: it sends no replies and has no guard.
const ELSEWHERE: [&str; 3] = [metric::REPLIES, metric::REPLY_DURATION, metric::GUARD];

const DASHBOARD: &str = include_str!("../grafana.json");

/// Returns the names of the exported metrics, with their labels.
fn exported(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut all = BTreeMap::<_, BTreeSet<_>>::new();
    for line in text.lines().filter(|line| line.starts_with("openmail_")) {
        let (series, _value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let labels = labels.trim_end_matches('}').split(',');
        let labels = labels.filter_map(|label| Some(label.split_once('=')?.0.to_owned()));
        all.entry(name.to_owned()).or_default().extend(labels);
    }
    all
}

/// Returns the queries of all panels, with their titles.
fn queries(dashboard: &Value) -> Vec<(String, String)> {
    let panels = dashboard["panels"].as_array().unwrap();
    let of = |panel: &Value| {
        let title = panel["title"].as_str().unwrap().to_owned();
        let targets = panel["targets"].as_array().unwrap().clone();
        targets
            .into_iter()
            .map(move |target| (title.clone(), target["expr"].as_str().unwrap().to_owned()))
    };
    panels.iter().flat_map(of).collect()
}

/// Returns the words of a query: names, labels, functions.
fn words(query: &str) -> impl Iterator<Item = &str> {
    query
        .split(|char: char| !(char.is_ascii_alphanumeric() || char == '_'))
        .filter(|word| word.starts_with(|char: char| char.is_ascii_lowercase()))
}

/// Returns the labels that a query groups by or selects.
fn labels(query: &str) -> BTreeSet<&str> {
    let grouped = query.split("by (").skip(1).filter_map(|rest| rest.split_once(')'));
    let grouped = grouped.flat_map(|(labels, _)| labels.split(", "));
    let selected = query.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    let selected = selected.flat_map(|(labels, _)| words(labels).step_by(2));
    grouped.chain(selected).collect()
}

/// Returns the documented metric to which a series with this name belongs.
fn documented(name: &str) -> Option<&'static str> {
    let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
    let is = |all: &&&str| **all == name || Some(**all) == base;
    metric::ALL.iter().find(is).copied()
}

async fn traffic(server: &Server, store: &SqliteStore, agent: &Agent) {
    assert_eq!(server.post_signed(&mail("evt_0", "Forged"), "whsec_wrong").await, 401);
    agent.fail_next(HandlerError::failed("the model is away").after(Duration::ZERO)).await;
    agent.fail_next(HandlerError::unavailable("the model has no room")).await;
    assert_eq!(server.post(&mail("evt_1", "Hello")).await, 200);
    assert_eq!(server.post(&mail("evt_1", "Hello")).await, 200);
    until(async || agent.answer_to("evt_1").await.is_some()).await;
    assert_eq!(server.post(&mail("evt_2", "")).await, 200);
    until(async || store.counts().await.unwrap().dead == 1).await;
}

#[tokio::test]
async fn every_panel_shows_exported_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("inbox.db")).await.unwrap();
    let agent = Agent::default();
    let server = Server::start(Enqueue::new(store.clone()), agent.clone()).await;
    traffic(&server, &store, &agent).await;
    let all = exported(&server.get("/metrics").await.1);
    server.stop().await;

    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let mut shown = BTreeSet::new();
    for (panel, query) in queries(&dashboard) {
        let names: Vec<_> = words(&query).filter(|word| word.starts_with("openmail_")).collect();
        assert!(!names.is_empty(), "{panel}: {query}");
        for name in names {
            let known = documented(name).unwrap_or_else(|| panic!("{panel}: {name}"));
            shown.insert(known);
            if ELSEWHERE.contains(&known) {
                continue;
            }
            let has = all.get(name).unwrap_or_else(|| panic!("{panel}: {name} is not in {all:?}"));
            for label in labels(&query) {
                assert!(has.contains(label), "{panel}: {name} has no label {label}, but {has:?}");
            }
        }
    }
    for name in all.keys() {
        let documented = documented(name).unwrap_or_else(|| panic!("{name} is not documented"));
        assert!(shown.contains(documented), "no panel shows {documented}");
    }
    for name in metric::ALL {
        assert!(shown.contains(name), "no panel shows {name}");
    }
}

/// Compares the table in the docs of `telemetry::metric` with the metrics.
#[test]
fn table_lists_exactly_the_metrics() {
    let source = include_str!("../../../openmail-tower/src/telemetry/metric.rs");
    let table = source.lines().filter_map(|line| line.strip_prefix("//! | [`openmail_"));
    let names: BTreeSet<_> =
        table.map(|row| format!("openmail_{}", row.split_once('`').unwrap().0)).collect();
    let all: BTreeSet<_> = metric::ALL.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(names, all);
}
