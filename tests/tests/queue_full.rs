//! A disk that is full.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use http::StatusCode;
use http_body_util::Full;
use openmail_tests::{States, error_code, layer, signed, states};
use openmail_tower::{queue::Enqueue, webhook};
use tower::ServiceExt;

/// A 4 MiB file system in memory.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Self {
        let options = ["-t", "tmpfs", "-o", "size=4m", "tmpfs"];
        assert!(Command::new("mount").args(options).arg(at).status().unwrap().success());
        Self(at.to_owned())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
#[ignore = "needs to be root, to mount a small file system"]
async fn full_disk_accepts_nothing_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(folder.path());
    let queue = Enqueue::sqlite(disk.0.join("inbox.db")).await.unwrap();
    let app = webhook(layer(), queue.clone());
    let post = async |number: usize| {
        let json = format!(
            r#"{{"event":"message.received","event_id":"evt_{number}","inbox_id":"inb_1",
                "message":{{"id":"msg_1","from":"a@example.com","body_text":"{}"}}}}"#,
            "x".repeat(40_000)
        )
        .into_bytes();
        app.clone()
            .oneshot(signed(&json, Full::new(bytes::Bytes::from(json.clone()))))
            .await
            .unwrap()
    };
    let mut accepted = 0;
    let rejection = loop {
        let answer = post(accepted).await;
        if answer.status() != StatusCode::OK {
            break answer;
        }
        accepted += 1;
        assert!(accepted < 200, "the disk never fills");
    };
    assert_eq!(rejection.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(rejection.headers().contains_key("retry-after"));
    assert_eq!(error_code(rejection).await, "unavailable");
    assert!(accepted > 10, "{accepted}");
    for number in 0..5 {
        assert_eq!(post(1000 + number).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
    let ready = u64::try_from(accepted).unwrap();
    assert_eq!(states(queue.store()).await, States { ready, ..States::default() });
    // Once there is room, events are accepted again.
    let options = ["-o", "remount,size=16m"];
    assert!(Command::new("mount").args(options).arg(&disk.0).status().unwrap().success());
    File::create(disk.0.join("room")).unwrap().write_all(b"room").unwrap();
    assert_eq!(post(2000).await.status(), StatusCode::OK);
    let ready = ready + 1;
    assert_eq!(states(queue.store()).await, States { ready, ..States::default() });
    queue.store().close().await;
}
