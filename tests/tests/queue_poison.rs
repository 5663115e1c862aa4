//! An event that crashes its process each time it runs.

use std::time::Duration;

use openmail_tests::{Receiver, event, states};
use openmail_tower::{
    Outcome,
    queue::{Enqueue, QueueStore},
};
use tokio::time::{sleep, timeout};
use tower::ServiceExt;

const PROGRAM: &str = env!("CARGO_BIN_EXE_receiver");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_event_that_aborts_its_process_becomes_a_dead_letter() {
    const INNOCENTS: usize = 50;
    let folder = tempfile::tempdir().unwrap();
    let (file, runs) = (folder.path().join("inbox.db"), folder.path().join("runs"));
    let queue = Enqueue::sqlite(&file).await.unwrap();
    let ids = (0..INNOCENTS).map(|number| format!("evt_{number}"));
    for (number, id) in ids.chain(["poison".to_owned()]).enumerate() {
        let mail = event(format!(
            r#"{{"event":"message.received","event_id":"{id}","inbox_id":"inb_{}",
                "message":{{"id":"m","from":"a@example.com"}}}}"#,
            number % 7
        ));
        assert_eq!(queue.clone().oneshot(mail).await.unwrap(), Outcome::Queued);
    }
    // Restarts the receiver, as a service manager would.
    let mut crashes = 0;
    let supervised = async {
        loop {
            let mut receiver =
                Receiver::start(PROGRAM, file.to_str().unwrap(), &runs, &["poisoned"]);
            loop {
                if receiver.has_ended() {
                    crashes += 1;
                    break;
                }
                let states = states(queue.store()).await;
                if states.ready + states.running + states.blocked == 0 {
                    return receiver.stop();
                }
                sleep(Duration::from_millis(20)).await;
            }
        }
    };
    timeout(Duration::from_secs(120), supervised).await.expect("the worker finishes");
    let letters = queue.store().dead_letters(None, 100).await.unwrap();
    let dead: Vec<_> = letters.iter().map(|letter| letter.event_id.as_deref()).collect();
    assert_eq!(dead, [Some("poison")]);
    assert_eq!(letters[0].attempts, 2);
    assert_eq!(letters[0].error, "its worker died while running only this entry");
    assert_eq!(crashes, 4, "twice with others, twice alone");
}
