//! A store's one long-lived session: it listens for changes made by others, and holds the locks of
//! the store's workers.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex as StdMutex, PoisonError},
    time::Duration,
};

use sqlx::{
    PgPool, Row,
    postgres::{PgListener, PgNotification, PgPoolOptions},
};
use tokio::{
    sync::{Mutex, mpsc, oneshot, watch},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

/// Maximum time of a single wait for the server.
const PATIENCE: Duration = Duration::from_secs(2);
/// The interval at which the connection is tested: it may be cut silently.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// The delay between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(250);
/// The delay between two attempts to take a lock.
const AGAIN: Duration = Duration::from_millis(50);

/// Makes the server end the session, and so release its locks, once the client has been silent for
/// 20 s, which is less than the default lease: a machine or a network may fail without closing a
/// connection. Old servers lack the last of these settings.
const KEEPALIVE: &str = "SELECT set_config(name, value, false)
    FROM (VALUES ('tcp_keepalives_idle', '5'), ('tcp_keepalives_interval', '5'),
                 ('tcp_keepalives_count', '3'), ('tcp_user_timeout', '20s')) AS new (name, value)
    WHERE name IN (SELECT name FROM pg_settings)";

/// The time that workers are given to reconnect after a restart or a failover of the server.
const MOMENT: Duration = Duration::from_secs(5);
/// Selects whether the server has just started, or was just promoted after its primary had failed.
/// A worker that holds leases commits every 10 s by default, so the time of the last commit that
/// the server replayed shows about when the primary failed. A failover takes up to a minute.
const IS_NEW: &str = "SELECT pg_postmaster_start_time() > clock_timestamp() - interval '10 s'
    OR coalesce(pg_last_xact_replay_timestamp() > clock_timestamp() - interval '1 min', false)";

/// The channel on which changes are announced.
pub(super) const CHANNEL: &str = "openmail_events";

/// A dedicated connection on its own task, shared by all workers of a store. It is opened once
/// there is a listener or a registered worker. If it breaks, a new one is opened, which takes the
/// locks again.
///
/// Clones share the task. It ends once all clones and all locks of workers are dropped.
#[derive(Debug, Clone)]
pub(super) struct Session {
    commands: mpsc::UnboundedSender<Command>,
    heard: watch::Sender<()>,
    settled_at: Arc<StdMutex<Option<Instant>>>,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

#[derive(Debug)]
enum Command {
    Listen,
    Lock(Lock, oneshot::Sender<()>),
    Unlock(Lock),
    Close,
}

/// The two numbers of an advisory lock.
pub(super) type Lock = (i32, i32);

/// A worker's lock, released on drop.
#[derive(Debug)]
pub(super) struct Held {
    lock: Lock,
    commands: mpsc::UnboundedSender<Command>,
}

impl Drop for Held {
    fn drop(&mut self) {
        // If the session is gone, so is the lock.
        let _ = self.commands.send(Command::Unlock(self.lock));
    }
}

impl Session {
    /// Creates the session. `name` is the payload of this store's own notifications.
    pub(super) fn new(pool: &PgPool, name: String) -> Self {
        let (commands, received) = mpsc::unbounded_channel();
        let heard = watch::Sender::new(());
        let settled_at = Arc::default();
        let task = Task {
            pool: pool.clone(),
            name,
            heard: heard.clone(),
            settled_at: Arc::clone(&settled_at),
            listens: false,
            locks: BTreeMap::new(),
        };
        let task = tokio::spawn(task.run(received));
        Self { commands, heard, settled_at, task: Arc::new(Mutex::new(Some(task))) }
    }

    /// Returns a receiver that sees every change from now on.
    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        let _ = self.commands.send(Command::Listen);
        self.heard.subscribe()
    }

    /// Wakes this store's own listeners directly, without a round trip through the database.
    pub(super) fn tell(&self) {
        self.heard.send_replace(());
    }

    /// Takes a worker's lock. Returns `None` if the session has ended.
    pub(super) async fn lock(&self, lock: Lock) -> Option<Held> {
        let (done, taken) = oneshot::channel();
        // Created first, so that the lock is released even if nobody waits for it any more.
        let held = Held { lock, commands: self.commands.clone() };
        self.commands.send(Command::Lock(lock, done)).ok()?;
        taken.await.ok()?;
        Some(held)
    }

    /// Returns whether a free lock means that its worker is dead. For a moment after a restart or a
    /// failover of the server, it does not, since the other workers have to reconnect as well.
    pub(super) fn is_settled(&self) -> bool {
        let settled_at = *self.settled_at.lock().unwrap_or_else(PoisonError::into_inner);
        settled_at.is_some_and(|at| at <= Instant::now())
    }

    /// Ends the session, and so releases its locks.
    pub(super) async fn close(&self) {
        let _ = self.commands.send(Command::Close);
        let mut task = self.task.lock().await;
        if let Some(running) = task.as_mut() {
            let _ = running.await;
            *task = None;
        }
    }
}

struct Task {
    pool: PgPool,
    name: String,
    heard: watch::Sender<()>,
    /// The time from which a free lock means that its worker is dead. `None` until the session
    /// first connects, and while a broken one is replaced.
    settled_at: Arc<StdMutex<Option<Instant>>>,
    listens: bool,
    locks: BTreeMap<Lock, Option<oneshot::Sender<()>>>,
}

/// A connected session. Its pool has only this connection.
struct Connected {
    listener: PgListener,
    pool: PgPool,
    server_is_new: bool,
}

impl Drop for Connected {
    fn drop(&mut self) {
        // Closing the pool closes its connection, which frees the locks.
        drop(self.pool.close());
    }
}

impl Task {
    /// Runs until the session is closed, or all its handles are dropped.
    async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        let mut connected: Option<Connected> = None;
        let mut is_first = true;
        loop {
            if !self.listens && self.locks.is_empty() {
                connected = None;
            } else if connected.is_none() {
                tokio::select! {
                    biased;
                    command = commands.recv() => match command {
                        Some(command) if self.take(&command) => self.keep(command),
                        _ => return,
                    },
                    new = self.connect() => match new {
                        Ok(new) => {
                            self.is_connected(!is_first || new.server_is_new);
                            connected = Some(new);
                            is_first = false;
                        }
                        Err(_) => sleep(PAUSE).await,
                    },
                }
                continue;
            }
            let Some(session) = &mut connected else {
                match commands.recv().await {
                    Some(command) if self.take(&command) => self.keep(command),
                    _ => return,
                }
                continue;
            };
            let alive = tokio::select! {
                command = commands.recv() => match command {
                    Some(command) if self.take(&command) => self.obey(session, command).await,
                    _ => return,
                },
                heard = session.listener.try_recv() => match heard {
                    Ok(Some(notification)) => {
                        self.hear(&notification);
                        true
                    }
                    // The connection was lost.
                    Ok(None) | Err(_) => false,
                },
                () = sleep(HEARTBEAT) => run(&mut session.listener, sqlx::query("SELECT 1")).await,
            };
            if !alive {
                connected = None;
                self.settles(None);
            }
        }
    }

    /// Returns whether to continue.
    fn take(&self, command: &Command) -> bool {
        !matches!(command, Command::Close)
    }

    fn keep(&mut self, command: Command) {
        match command {
            Command::Listen => self.listens = true,
            Command::Lock(lock, done) => drop(self.locks.insert(lock, Some(done))),
            Command::Unlock(lock) => drop(self.locks.remove(&lock)),
            Command::Close => {}
        }
    }

    /// Returns whether the session is still alive.
    async fn obey(&mut self, session: &mut Connected, command: Command) -> bool {
        let alive = match &command {
            Command::Lock(lock, _) => acquire(&mut session.listener, *lock).await,
            Command::Unlock((class, id)) => {
                let unlock = sqlx::query("SELECT pg_advisory_unlock($1, $2)").bind(class).bind(id);
                run(&mut session.listener, unlock).await
            }
            Command::Listen | Command::Close => true,
        };
        self.keep(command);
        if alive {
            self.answer();
        }
        alive
    }

    fn hear(&self, notification: &PgNotification) {
        // The workers of this store were woken directly when it made the change.
        if notification.payload() != self.name {
            self.heard.send_replace(());
        }
    }

    async fn connect(&self) -> sqlx::Result<Connected> {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .acquire_timeout(PATIENCE)
            .connect_lazy_with((*self.pool.connect_options()).clone());
        let connect = async {
            let listener = PgListener::connect_with(&pool).await?;
            let mut connected = Connected { listener, pool, server_is_new: false };
            connected.listener.eager_reconnect(false);
            connected.listener.ignore_pool_close_event(true);
            sqlx::query(KEEPALIVE).execute(&mut connected.listener).await?;
            connected.listener.listen(CHANNEL).await?;
            for lock in self.locks.keys() {
                if !acquire(&mut connected.listener, *lock).await {
                    return Err(sqlx::Error::WorkerCrashed);
                }
            }
            // Some services that speak PostgreSQL's protocol do not support this query.
            let is_new = sqlx::query(IS_NEW).fetch_one(&mut connected.listener).await;
            connected.server_is_new = is_new.and_then(|row| row.try_get(0)).unwrap_or(false);
            Ok(connected)
        };
        timeout(PATIENCE, connect).await.map_err(|_| sqlx::Error::PoolTimedOut)?
    }

    /// `others_reconnect` says whether other workers may have lost their sessions as well.
    fn is_connected(&mut self, others_reconnect: bool) {
        let wait = if others_reconnect { MOMENT } else { Duration::ZERO };
        self.settles(Some(Instant::now() + wait));
        self.answer();
        // Changes made before the session listened may have been missed, so workers must look.
        self.heard.send_replace(());
    }

    /// Notifies the callers that wait for a lock. All locks are held by now.
    fn answer(&mut self) {
        for done in self.locks.values_mut().filter_map(Option::take) {
            let _ = done.send(());
        }
    }

    fn settles(&self, at: Option<Instant>) {
        *self.settled_at.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

async fn run(listener: &mut PgListener, query: Query<'_>) -> bool {
    timeout(PATIENCE, query.execute(listener)).await.is_ok_and(|done| done.is_ok())
}

/// Takes a lock. If a connection broke, its session holds the lock until the server notices. So
/// this polls for the lock: a statement that waits for the lock would continue to wait on the
/// server, in the abandoned session, after the client has given up.
async fn acquire(listener: &mut PgListener, (class, id): Lock) -> bool {
    let taken = async {
        loop {
            let attempt = sqlx::query("SELECT pg_try_advisory_lock($1, $2)").bind(class).bind(id);
            if attempt.fetch_one(&mut *listener).await?.try_get(0)? {
                return Ok::<_, sqlx::Error>(());
            }
            sleep(AGAIN).await;
        }
    };
    timeout(PATIENCE, taken).await.is_ok_and(|taken| taken.is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Creates a session that cannot connect.
    fn session() -> Session {
        let pool = PgPool::connect_lazy("postgres://user@127.0.0.1:1/none").unwrap();
        Session::new(&pool, "test".into())
    }

    #[tokio::test]
    async fn task_ends_with_its_last_owner() {
        for looked in [false, true] {
            let session = session();
            let changes = looked.then(|| session.clone().subscribe());
            tokio::task::yield_now().await;
            let task = session.task.lock().await.take().unwrap();
            drop(session);
            timeout(Duration::from_secs(60), task).await.expect("it ends").unwrap();
            assert!(changes.is_none_or(|changes| changes.has_changed().is_err()));
        }
    }

    #[tokio::test]
    async fn closes_while_a_worker_waits_for_it() {
        let session = session();
        let _changes = session.subscribe();
        let waits = tokio::spawn({
            let session = session.clone();
            async move { session.lock((1, 1)).await.is_some() }
        });
        tokio::task::yield_now().await;
        timeout(Duration::from_secs(60), session.close()).await.expect("it ends");
        assert!(!timeout(Duration::from_secs(60), waits).await.expect("it ends").unwrap());
        session.close().await;
    }
}
