//! Downloads of attachments: from unsafe or expired URLs, too large, stalled, and saved as files.

use std::{
    convert::Infallible,
    fs,
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, header::AUTHORIZATION};
use http_body_util::{Full, channel::Channel};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use openmail_tests::{FakeApi, fake_api::Route};
use openmail_tower::{
    MessageId, ThreadId,
    api::{ApiErrorKind, ApiKey, MessageRef, OpenMail, Untrusted},
    event::Attachment,
};
use serde_json::json;

const PATH: &str = "/v1/attachments/msg_1/a.txt";

fn api() -> FakeApi {
    FakeApi::start(env!("CARGO_BIN_EXE_fake_api"))
}

fn attachment(url: &str) -> Attachment {
    serde_json::from_value(json!({"filename": "a.txt", "url": url})).unwrap()
}

/// The host of each request, whether it had a key, and whether it was marked as untrusted.
type Asked = Arc<Mutex<Vec<(String, bool, bool)>>>;

/// A client that reaches the fake API under any host name, so that the API is not a local address.
fn elsewhere(api: &FakeApi) -> (OpenMail, Asked) {
    type Answer = Pin<
        Box<
            dyn Future<
                    Output = Result<
                        Response<hyper::body::Incoming>,
                        hyper_util::client::legacy::Error,
                    >,
                > + Send,
        >,
    >;
    let asked = Asked::default();
    let client = Client::builder(TokioExecutor::new()).build_http();
    let to: http::Uri = api.url().parse().unwrap();
    let seen = Arc::clone(&asked);
    let service = tower::service_fn(move |mut request: Request<Full<Bytes>>| -> Answer {
        let host = request.uri().host().unwrap().to_owned();
        let has_key = request.headers().contains_key(AUTHORIZATION);
        let is_untrusted = request.extensions().get::<Untrusted>().is_some();
        seen.lock().unwrap().push((host, has_key, is_untrusted));
        let path = request.uri().path_and_query().unwrap().as_str();
        *request.uri_mut() = format!("http://{}{path}", to.authority().unwrap()).parse().unwrap();
        Box::pin(client.request(request))
    });
    let key = ApiKey::new("om_test").unwrap();
    (OpenMail::with_client(service, key, "https://api.openmail.example").unwrap(), asked)
}

#[tokio::test]
async fn fetches_a_file_from_another_host_without_the_key() {
    let api = api();
    let (openmail, asked) = elsewhere(&api);
    api.route(PATH, Route::redirect("https://files.example/signed?x=1")).await;
    api.route("/signed", Route::body(200, "hello")).await;
    let url = format!("https://api.openmail.example{PATH}");
    let bytes = openmail.download(&attachment(&url)).bytes().await.unwrap();
    assert_eq!(bytes, "hello");
    let expected = [
        ("api.openmail.example".to_owned(), true, false),
        ("files.example".to_owned(), false, true),
    ];
    assert_eq!(*asked.lock().unwrap(), expected);
    // A signed URL needs no key, and must not get one.
    asked.lock().unwrap().clear();
    openmail.download(&attachment("https://files.example/signed")).bytes().await.unwrap();
    assert_eq!(*asked.lock().unwrap(), expected[1..]);
    // Into a writer.
    let mut written = Vec::new();
    let count = openmail.download(&attachment(&url)).copy_to(&mut written).await.unwrap();
    assert_eq!((count, written.as_slice()), (5, &b"hello"[..]));
}

#[tokio::test]
async fn redirect_back_to_the_api_gets_no_key() {
    let api = api();
    let (openmail, asked) = elsewhere(&api);
    api.route("/moved", Route::redirect(format!("https://api.openmail.example{PATH}"))).await;
    api.route(PATH, Route::redirect("https://files.example/back")).await;
    api.route("/back", Route::redirect("https://api.openmail.example/private")).await;
    api.route("/private", Route::body(200, "hello")).await;
    let attached = attachment("https://api.openmail.example/moved");
    openmail.download(&attached).bytes().await.unwrap();
    let api_host = "api.openmail.example".to_owned();
    let expected = [
        (api_host.clone(), true, false),
        (api_host.clone(), true, false),
        ("files.example".to_owned(), false, true),
        (api_host, false, false),
    ];
    assert_eq!(*asked.lock().unwrap(), expected);
    // A 401 to a request without the key does not mean that the key is wrong, but that the link no
    // longer works.
    api.route("/private", Route::body(401, "{}")).await;
    let error = openmail.download(&attached).bytes().await.unwrap_err();
    assert_eq!(error.kind(), ApiErrorKind::Expired);
}

#[tokio::test]
async fn unsafe_redirect_is_not_followed_and_leaves_no_file() {
    let api = api();
    let (openmail, asked) = elsewhere(&api);
    let folder = tempfile::tempdir().unwrap();
    for (to, kind) in [
        ("http://files.example/", ApiErrorKind::InsecureRedirect),
        ("ftp://files.example/", ApiErrorKind::InsecureRedirect),
        ("https://user:password@files.example/", ApiErrorKind::InsecureRedirect),
        ("https://127.0.0.1/", ApiErrorKind::ForbiddenAddress),
        ("http://127.0.0.1/", ApiErrorKind::ForbiddenAddress),
        ("https://10.0.0.1/", ApiErrorKind::ForbiddenAddress),
        ("https://[::ffff:169.254.169.254]/", ApiErrorKind::ForbiddenAddress),
        ("https://localhost/", ApiErrorKind::ForbiddenAddress),
        (PATH, ApiErrorKind::TooManyRedirects),
    ] {
        api.route(PATH, Route::redirect(to)).await;
        asked.lock().unwrap().clear();
        let download =
            openmail.download(&attachment(&format!("https://api.openmail.example{PATH}")));
        let error = download.save_in(&folder).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{to}");
        assert_eq!(asked.lock().unwrap().len(), 1, "{to}");
    }
    for hop in 0..9 {
        let next = format!("https://h{hop}.example/hop{}", hop + 1);
        api.route(&format!("/hop{hop}"), Route::redirect(next)).await;
    }
    let error = openmail.download(&attachment("https://h.example/hop0")).bytes().await.unwrap_err();
    assert_eq!(error.kind(), ApiErrorKind::TooManyRedirects);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

#[tokio::test]
async fn default_client_refuses_untrusted_requests_to_this_network() {
    use tower::ServiceExt;
    let api = api();
    let client = openmail_tower::api::Client::new();
    // Without certificates, this cannot be tested.
    let Ok(client) = client else { return };
    let port = api.url().rsplit_once(':').unwrap().1.to_owned();
    let request = || {
        Request::get(format!("http://localhost:{port}/v1/x"))
            .body(Full::<Bytes>::default())
            .unwrap()
    };
    assert!(client.clone().oneshot(request()).await.is_ok());
    let mut marked = request();
    let untrusted = marker().await;
    marked.extensions_mut().insert(untrusted);
    assert!(client.oneshot(marked).await.is_err());
}

/// Returns the `Untrusted` marker of a request to a host that the API named.
async fn marker() -> Untrusted {
    let found = Arc::new(Mutex::new(None));
    let seen = Arc::clone(&found);
    let service = tower::service_fn(move |request: Request<Full<Bytes>>| {
        *seen.lock().unwrap() = request.extensions().get::<Untrusted>().copied();
        async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
    });
    let key = ApiKey::new("k").unwrap();
    let openmail = OpenMail::with_client(service, key, "https://api.openmail.example").unwrap();
    openmail.download(&attachment("https://files.example/")).bytes().await.unwrap();
    let found = *found.lock().unwrap();
    found.unwrap()
}

#[tokio::test]
async fn oversized_file_is_refused_and_leaves_nothing() {
    let api = api();
    let openmail = api.openmail();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("{}{PATH}", api.url());
    api.route(PATH, Route::body(200, "0123456789")).await;
    let said = |size: u64| -> Attachment {
        serde_json::from_value(json!({"filename": "a.txt", "url": url, "sizeBytes": size})).unwrap()
    };
    let error = openmail.download(&said(9)).save_in(&folder).await.unwrap_err();
    assert_eq!(error.kind(), ApiErrorKind::FileTooLarge);
    let error = openmail.download(&said(10)).max_size(9).bytes().await.unwrap_err();
    assert_eq!(error.kind(), ApiErrorKind::FileTooLarge);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    // Without a `Content-Length`, the size is known only during the download.
    api.route(PATH, Route { stall: true, ..Route::body(200, "0123456789") }).await;
    let error = openmail.download(&said(9)).save_in(&folder).await.unwrap_err();
    assert_eq!(error.kind(), ApiErrorKind::FileTooLarge);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    assert_eq!(
        openmail
            .download(&said(9))
            .max_size(10)
            .stall_timeout(Duration::from_millis(100))
            .bytes()
            .await
            .unwrap_err()
            .kind(),
        ApiErrorKind::Stalled
    );
}

#[tokio::test]
async fn default_limit_never_exceeds_25_mib() {
    const LIMIT: usize = 25 << 20;
    let download = async |size: usize, said: Option<usize>| {
        let service = tower::service_fn(move |_: Request<Full<Bytes>>| async move {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(vec![0; size])))
        });
        let key = ApiKey::new("k").unwrap();
        let openmail = OpenMail::with_client(service, key, "https://api.openmail.example").unwrap();
        let url = "https://files.example/a";
        let said: Attachment = serde_json::from_value(json!({"url": url, "size": said})).unwrap();
        openmail.download(&said).bytes().await.map(|bytes| bytes.len()).map_err(|it| it.kind())
    };
    for said in [None, Some(LIMIT), Some(2 * LIMIT)] {
        assert_eq!(download(LIMIT, said).await, Ok(LIMIT), "{said:?}");
        assert_eq!(download(LIMIT + 1, said).await, Err(ApiErrorKind::FileTooLarge), "{said:?}");
    }
}

#[tokio::test]
async fn download_that_breaks_off_leaves_nothing() {
    let service = tower::service_fn(|_: Request<Full<Bytes>>| async {
        let (mut sender, channel) = Channel::<Bytes, io::Error>::new(1);
        tokio::spawn(async move {
            sender.send_data("half".into()).await.unwrap();
            sender.abort(io::Error::from(io::ErrorKind::ConnectionReset));
        });
        Ok::<_, Infallible>(Response::new(channel))
    });
    let key = ApiKey::new("k").unwrap();
    let openmail = OpenMail::with_client(service, key, "https://api.openmail.example").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let download = openmail.download(&attachment("https://files.example/a")).save_in(&folder);
    assert_eq!(download.await.unwrap_err().kind(), ApiErrorKind::Unavailable);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

#[tokio::test]
async fn stalled_or_dropped_download_leaves_nothing() {
    let api = api();
    let openmail = api.openmail();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("{}{PATH}", api.url());
    api.route(PATH, Route { stall: true, ..Route::body(200, "half") }).await;
    let download = openmail.download(&attachment(&url)).stall_timeout(Duration::from_millis(100));
    let error = download.save_in(&folder).await.unwrap_err();
    assert_eq!(error.kind(), ApiErrorKind::Stalled);
    let download = openmail.download(&attachment(&url)).timeout(Duration::from_millis(100));
    let error = download.save_in(&folder).await.unwrap_err();
    assert_eq!(error.kind(), ApiErrorKind::TimedOut);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    let download =
        tokio::spawn(openmail.download(&attachment(&url)).save_in(folder.path().to_owned()));
    // Waits until it has created its temporary file.
    while fs::read_dir(&folder).unwrap().next().is_none() {
        tokio::task::yield_now().await;
    }
    download.abort();
    assert!(download.await.unwrap_err().is_cancelled());
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

#[tokio::test]
async fn saves_whole_files_under_safe_names_and_replaces_none() {
    let api = api();
    let openmail = api.openmail();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("{}{PATH}", api.url());
    api.route(PATH, Route::body(200, "hello")).await;
    let named = |name: &str| -> Attachment {
        serde_json::from_value(json!({"filename": name, "url": url})).unwrap()
    };
    for (name, saved) in [
        ("a.txt", "a.txt"),
        ("a.txt", "a-2.txt"),
        ("../a.txt", "_a.txt"),
        ("a\u{202e}txt.exe", "atxt.exe"),
        ("/", "attachment"),
    ] {
        let path = openmail.download(&named(name)).save_in(&folder).await.unwrap();
        assert_eq!(path, folder.path().join(saved));
        assert_eq!(fs::read_to_string(path).unwrap(), "hello");
    }
    let error =
        openmail.download(&named("a")).save_in(folder.path().join("none")).await.unwrap_err();
    assert_eq!(error.kind(), ApiErrorKind::Disk);
}

#[tokio::test]
async fn expired_url_is_renewed_by_reading_the_message_again() {
    let api = api();
    let openmail = api.openmail();
    let url = |path: &str| format!("{}{path}", api.url());
    for status in [400, 401, 403, 404, 410] {
        api.route("/old", Route::body(status, "<Error>expired</Error>")).await;
        api.route("/new", Route::body(200, "hello")).await;
        let fresh = json!({"filename": "a.txt", "url": url("/new")});
        let thread = format!("thr_{status}");
        api.message(&thread, json!({"id": "msg_1", "attachments": [fresh]})).await;
        let message: openmail_tower::api::Message =
            serde_json::from_value(json!({"id": "msg_1", "threadId": thread})).unwrap();
        let old = attachment(&url("/old"));
        let bytes = openmail.download(&old).of(&message).bytes().await.unwrap();
        assert_eq!(bytes, "hello", "{status}");
        let without_url: Attachment = serde_json::from_value(json!({"filename": "a.txt"})).unwrap();
        assert_eq!(openmail.download(&without_url).of(&message).bytes().await.unwrap(), "hello");
        assert!(openmail.download(&old).bytes().await.is_err());
        // A message that is not in the thread has no fresh URL.
        let other: openmail_tower::api::Message =
            serde_json::from_value(json!({"id": "msg_2", "threadId": thread})).unwrap();
        let error = openmail.download(&old).of(&other).bytes().await.unwrap_err();
        assert_eq!(error.kind(), ApiErrorKind::Expired);
        // If the fresh URL has expired as well, it is not renewed again.
        api.route("/new", Route::body(status, "<Error>expired</Error>")).await;
        let before = api.requests().await.len();
        let error = openmail.download(&old).of(&message).bytes().await.unwrap_err();
        assert_eq!(error.status().unwrap(), status);
        let requests = api.requests().await;
        let paths: Vec<_> = requests[before..].iter().map(|seen| seen.path.as_str()).collect();
        assert_eq!(paths, ["/old", &format!("/v1/threads/{thread}/messages"), "/new"]);
    }
    let reference = MessageRef::from(
        &serde_json::from_value::<openmail_tower::api::Message>(json!({"id": "m"})).unwrap(),
    );
    assert_eq!((reference.thread, reference.message), (None::<ThreadId>, MessageId::from("m")));
}
