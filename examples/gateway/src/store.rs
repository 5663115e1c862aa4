//! Opens the queue's store, of either kind.

/// Opens the store that a [`Queue`](crate::config::Queue) names, runs `$run`, and closes the store.
macro_rules! with_store {
    ($queue:expr, $store:ident => $run:expr) => {
        match $queue {
            $crate::config::Queue::Sqlite(path) => {
                use anyhow::Context as _;
                let $store = openmail_tower::queue::SqliteStore::open(path)
                    .await
                    .with_context(|| format!("cannot open the queue {}", path.display()))?;
                let done = $run;
                $store.close().await;
                done
            }
            $crate::config::Queue::Postgres(url) => {
                use anyhow::Context as _;
                let $store = openmail_tower::queue::PostgresStore::connect(url)
                    .await
                    .context("cannot open the database that `queue` names")?;
                let done = $run;
                $store.close().await;
                done
            }
        }
    };
}

pub(crate) use with_store;
