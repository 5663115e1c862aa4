//! What others have changed, as the database tells.

use std::{convert::Infallible, sync::Arc, time::Duration};

use sqlx::{PgPool, postgres::PgListener};
use tokio::{
    sync::{Mutex, watch},
    task::JoinHandle,
    time::sleep,
};

/// Listens for everybody who looks, on a task of its own. It takes one connection, once somebody
/// does, whatever their number: with one each, many workers would leave none for anything else.
///
/// Clones share the task, which ends with the last of them.
#[derive(Debug, Clone)]
pub(super) struct Listener {
    wish: watch::Sender<Wish>,
    heard: watch::Sender<()>,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Wait,
    Listen,
    End,
}

impl Listener {
    pub(super) fn new(pool: PgPool) -> Self {
        let (wish, wishes) = watch::channel(Wish::Wait);
        let heard = watch::Sender::new(());
        let task = tokio::spawn(listen(pool, wishes, heard.clone()));
        Self { wish, heard, task: Arc::new(Mutex::new(Some(task))) }
    }

    /// Changes whenever something was heard, from now on.
    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        let heard = self.heard.subscribe();
        self.wish.send_if_modified(|wish| {
            let waits = *wish == Wish::Wait;
            if waits {
                *wish = Wish::Listen;
            }
            waits
        });
        heard
    }

    /// Listens no more, and gives its connection back.
    pub(super) async fn close(&self) {
        self.wish.send_replace(Wish::End);
        let mut task = self.task.lock().await;
        if let Some(running) = task.as_mut() {
            let _ = running.await;
            *task = None;
        }
    }
}

/// Until the end is wished for, or nobody is left to wish.
async fn listen(pool: PgPool, mut wishes: watch::Receiver<Wish>, heard: watch::Sender<()>) {
    if wishes.wait_for(|wish| *wish != Wish::Wait).await.is_err() {
        return;
    }
    tokio::select! {
        biased;
        _ = wishes.wait_for(|wish| *wish == Wish::End) => {}
        never = hear(&pool, &heard) => match never {},
    }
}

async fn hear(pool: &PgPool, heard: &watch::Sender<()>) -> Infallible {
    let mut listener = None;
    loop {
        match try_hear(pool, &mut listener).await {
            Ok(()) => heard.send_replace(()),
            Err(_) => {
                listener = None;
                // Meanwhile workers look by themselves.
                sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn try_hear(pool: &PgPool, listener: &mut Option<PgListener>) -> sqlx::Result<()> {
    if let Some(listener) = listener {
        // None says that it was disconnected, and may have missed some.
        return listener.try_recv().await.map(drop);
    }
    let mut new = PgListener::connect_with(pool).await?;
    new.listen("openmail_events").await?;
    *listener = Some(new);
    // What came before it listened is to be looked for.
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    /// Whose database is never there.
    fn listener() -> Listener {
        Listener::new(PgPool::connect_lazy("postgres://user@127.0.0.1:1/none").unwrap())
    }

    #[tokio::test]
    async fn its_task_ends_with_its_last_owner() {
        for looked in [false, true] {
            let listener = listener();
            let changes = looked.then(|| listener.clone().subscribe());
            tokio::task::yield_now().await;
            let task = listener.task.lock().await.take().unwrap();
            drop(listener);
            timeout(Duration::from_secs(60), task).await.expect("it ends").unwrap();
            assert!(changes.is_none_or(|changes| changes.has_changed().is_err()));
        }
    }

    #[tokio::test]
    async fn it_is_closed_while_it_is_looked_at() {
        let listener = listener();
        let _changes = listener.subscribe();
        timeout(Duration::from_secs(60), listener.close()).await.expect("it ends");
        listener.close().await;
        let mut later = listener.subscribe();
        assert!(timeout(Duration::from_millis(10), later.changed()).await.is_err());
    }
}
