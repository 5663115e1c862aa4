//! The whole agent: webhook, queue, worker, replies, and the local OpenMail if there is one.

use std::{
    future::IntoFuture,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, bail};
use axum::Router;
use openmail_tower::{
    Secret, VerifyLayer,
    api::{ApiKey, OpenMail},
    layers::guard::GuardLayer,
    queue::{Enqueue, PostgresStore, QueueStore, SqliteStore, StoreUrl},
    webhook,
};
use sandbox::{Options, Sandbox};
use tokio::{net::TcpListener, time::timeout};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tower::{Layer, service_fn, util::option_layer};

use crate::{
    answer::{Agent, handlers},
    report::report,
    settings::{Settings, variable},
};

/// The maximum time for webhook requests in progress to finish once the agent is stopping. An event
/// is answered within the endpoint's deadline of 12 s.
const GRACE: Duration = Duration::from_secs(15);

/// Runs until `stop`, then shuts down in order: it accepts no more webhooks, finishes the runs in
/// progress within a time limit, and stops the local OpenMail.
///
/// # Errors
/// If a port is in use, if the store cannot be opened, if OpenMail's settings are missing or
/// invalid, or if the webhook or the worker ends early.
pub async fn run(settings: Settings, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let listener = TcpListener::bind(settings.listen).await.with_context(|| {
        format!("cannot listen on {}; set OPENMAIL_LISTEN to another address", settings.listen)
    })?;
    let url = format!("http://{}/webhooks", listener.local_addr()?);
    let sandbox = match settings.sandbox {
        Some(listen) => {
            let mut options = Options::default();
            options.listen = listen;
            options.webhook = Some(url.clone());
            options.secret = variable("OPENMAIL_WEBHOOK_SECRET")?;
            Some(Sandbox::bind(options).await?)
        }
        None => None,
    };
    let (verify, openmail) = match &sandbox {
        Some(sandbox) => {
            let verify = VerifyLayer::new(Secret::new(sandbox.webhook_secret())?);
            (verify, OpenMail::at(ApiKey::new(sandbox.api_key())?, sandbox.url())?)
        }
        None => (VerifyLayer::from_env()?, OpenMail::from_env()?),
    };
    let parts = Parts {
        agent: Agent::new(openmail.clone(), settings.model),
        listener,
        verify,
        openmail,
        sandbox,
        guard: settings.guard.then(GuardLayer::default),
    };
    tracing::info!(url, "receiving webhooks");
    match settings.store {
        StoreUrl::Sqlite(path) => {
            let store = SqliteStore::open(&path).await;
            let store = store.with_context(|| format!("AGENT_STORE: {}", path.display()))?;
            let ended = serve(parts, Enqueue::new(store.clone()), stop).await;
            store.close().await;
            ended
        }
        StoreUrl::Postgres(url) => {
            let store = PostgresStore::connect(&url).await.context("AGENT_STORE")?;
            let ended = serve(parts, Enqueue::new(store.clone()), stop).await;
            store.close().await;
            ended
        }
        other => bail!("AGENT_STORE: this example does not support {other:?}"),
    }
}

struct Parts {
    agent: Agent,
    listener: TcpListener,
    verify: VerifyLayer,
    openmail: OpenMail,
    sandbox: Option<Sandbox>,
    guard: Option<GuardLayer>,
}

async fn serve<St: QueueStore>(
    parts: Parts,
    queue: Enqueue<St>,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let Parts { agent, listener, verify, openmail, sandbox, guard } = parts;
    if let Some(sandbox) = &sandbox {
        introduce(sandbox)?;
    }
    // The webhook stops first, then the worker, which may still send replies, and the sandbox last.
    let [stop_webhook, stop_worker, stop_sandbox] = [(); 3].map(|()| CancellationToken::new());
    // Refuses spam and puts off floods before the agent runs, and withholds replies that would
    // continue a loop. Nothing that a mail says to the model changes this.
    let events = option_layer(guard).layer(handlers(agent));
    // Each reply is stored with its event's completion, then sent, with retries.
    let worker = queue.worker(events).replies(openmail).on_reply(service_fn(report));
    let worker = worker.run(stop_worker.clone().cancelled_owned());
    let mut worker = AbortOnDropHandle::new(tokio::spawn(worker));
    let app = Router::new().route_service("/webhooks", webhook(verify, queue));
    let server = axum::serve(listener, app)
        .with_graceful_shutdown(stop_webhook.clone().cancelled_owned())
        .into_future();
    let mut server = AbortOnDropHandle::new(tokio::spawn(server));

    let in_order = async {
        // Stops the sandbox when this block ends, even on an error.
        let _stop_sandbox = stop_sandbox.clone().drop_guard();
        tokio::select! {
            () = stop => {}
            served = &mut server => bail!("the webhook has ended: {served:?}"),
            ended = &mut worker => bail!("the worker has ended: {ended:?}"),
        }
        stop_webhook.cancel();
        // A sender that never finishes its request must not keep the program from ending.
        if let Ok(served) = timeout(GRACE, server).await {
            served??;
        }
        stop_worker.cancel();
        let cut = worker.await?;
        if cut > 0 {
            tracing::warn!(cut, "runs were cancelled; their events will run again");
        }
        Ok(())
    };
    let local = async {
        match sandbox {
            Some(sandbox) => Ok(sandbox.serve(stop_sandbox.cancelled()).await?),
            None => Ok(()),
        }
    };
    let (ended, local) = tokio::join!(in_order, local);
    ended.and(local)
}

/// Sends one mail to the agent, and prints where to see the answer.
fn introduce(sandbox: &Sandbox) -> anyhow::Result<()> {
    let inboxes = sandbox.inboxes();
    let (_, address) = inboxes.first().context("the sandbox has no inbox")?;
    // A new sender at each start: if a sender writes three mails with nearly the same text within
    // an hour, the guard withholds the reply to the third one, and its counts survive a restart.
    let start = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    sandbox.receive(
        &format!("Ada Lovelace <ada+{start}@example.com>"),
        address,
        "Where is my order?",
        "Hello,\n\nI have not heard about my order 42 since last week. Where is it?\n\nAda",
    )?;
    eprintln!("\nOpen {}/ to write to the agent and to see its answers.\n", sandbox.url());
    Ok(())
}
