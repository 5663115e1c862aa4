//! Signed requests at a fixed time.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::Request;
use openmail_tower::{Secret, VerifyLayer, webhook::signature::sign};

/// The secret of the tests that need no particular one.
pub const SECRET: &str = "whsec_16xf3d4ngxcpjd2kql81b319h6rew2on";
/// The time of the tests that need no particular one, in Unix seconds.
pub const NOW: u64 = 1_711_015_500;

/// Returns [`SECRET`].
pub fn secret() -> Secret {
    Secret::new(SECRET).expect("a good secret")
}

/// Returns a clock that is stopped at `NOW + ahead` seconds.
pub fn clock(ahead: i64) -> impl Fn() -> SystemTime + Send + Sync + 'static {
    let now = NOW.checked_add_signed(ahead).expect("a time");
    move || UNIX_EPOCH + Duration::from_secs(now)
}

/// Returns a layer with [`SECRET`], at [`NOW`].
pub fn layer() -> VerifyLayer {
    VerifyLayer::new(secret()).clock(clock(0))
}

/// Returns a request as OpenMail would send it at [`NOW`]. The signature is that of `json`; the
/// body is `body`.
pub fn signed<B>(json: &[u8], body: B) -> Request<B> {
    signed_at(NOW, json, body)
}

/// Like [`signed`], at another time.
pub fn signed_at<B>(timestamp: u64, json: &[u8], body: B) -> Request<B> {
    Request::post("/webhooks")
        .header("content-type", "application/json")
        .header("x-event-id", "4e0e0d2b-6e1f-4f3c-8f53-4f0e2e3d7f10")
        .header("x-timestamp", timestamp)
        .header("x-signature", sign(&secret(), timestamp, json))
        .body(body)
        .expect("a good request")
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// Returns the body of a fixture, by its file name without extension.
pub fn fixture(name: &str) -> Vec<u8> {
    fs::read(folder().join(format!("{name}.json"))).expect("a fixture")
}

/// Returns all fixtures with their names.
pub fn fixtures() -> Vec<(String, Vec<u8>)> {
    let name = |path: &Path| path.file_stem().expect("a name").to_string_lossy().into_owned();
    let mut all: Vec<_> = fs::read_dir(folder())
        .expect("fixtures")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| (name(&path), fs::read(&path).expect("a fixture")))
        .collect();
    all.sort();
    all
}
