//! The built gateway with its queue in PostgreSQL, over TLS.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::{env, process};

use nix::sys::signal::Signal;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use support::{Agent, Answer, Gateway, mail, one};

/// Runs a statement on the server of the tests.
async fn execute(statement: &str) {
    let server = env::var("OPENMAIL_TEST_POSTGRES").unwrap();
    let mut connection = PgConnection::connect(&server).await.unwrap();
    sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
#[ignore = "needs OPENMAIL_TEST_POSTGRES and OPENMAIL_TEST_POSTGRES_CA"]
async fn kills_of_the_gateway_and_the_agent_lose_no_event() {
    let schema = format!("gateway_{}", process::id());
    execute(&format!("CREATE SCHEMA {schema}")).await;
    let server = env::var("OPENMAIL_TEST_POSTGRES").unwrap();
    let authority = env::var("OPENMAIL_TEST_POSTGRES_CA").unwrap();
    let stranger = format!("{server}?sslmode=verify-full&options=-csearch_path%3D{schema}");
    let url = format!("{stranger}&sslrootcert={authority}");

    let mut agent = Agent::start().await;
    agent.tell([Answer::Status(422, "")]);
    let refused = Gateway::with_queue(&stranger, &one(&agent, "")).refused().await;
    assert!(refused.contains("certificate"), "{refused}");
    let mut gateway = Gateway::with_queue(&url, &one(&agent, ""));
    gateway.run().await;
    gateway.deliver(&mail("A", "evt_1")).await;
    let letters = gateway.dead_letters_are(1).await;
    assert_eq!((&*letters[0][4], &*letters[0][5]), ("A", "evt_1"));
    agent.next().await;
    assert!(gateway.dead(&["retry", &letters[0][0]]).await.status.success());
    assert_eq!(agent.next().await.header("x-event-id"), Some("evt_1"));

    agent.crash().await;
    gateway.deliver(&mail("A", "evt_2")).await;
    gateway.signal(Signal::SIGKILL);
    gateway.ended().await;
    gateway.run().await;
    agent.come_back().await;
    assert_eq!(agent.next().await.header("x-event-id"), Some("evt_2"));
    gateway.stop().await;
    assert!(agent.is_idle());
    execute(&format!("DROP SCHEMA {schema} CASCADE")).await;
}
