//! Chromium, driven by chromedriver.

use std::{
    env,
    io::{BufRead, BufReader},
    panic::{AssertUnwindSafe, resume_unwind},
    process::{Child, Command, Stdio},
    time::Duration,
};

use fantoccini::{Client, ClientBuilder, Locator};
use futures_util::FutureExt;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::json;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use super::PATIENCE;

/// A chromedriver on its own port, killed on drop.
struct Driver {
    child: Child,
    url: String,
    profile: TempDir,
}

impl Driver {
    fn start() -> Self {
        let program = env::var("OPENMAIL_TEST_CHROMEDRIVER").unwrap_or("chromedriver".into());
        let mut command = Command::new(program);
        let command = command.arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("chromedriver");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let port = lines.map(|line| line.expect("text")).find_map(|line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            Some(port.trim_end_matches('.').to_owned())
        });
        let url = format!("http://127.0.0.1:{}", port.expect("chromedriver names its port"));
        Self { child, url, profile: tempfile::tempdir().expect("a folder") }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a test in a browser, and closes the browser in any case.
pub(crate) async fn in_browser(width: u32, test: impl AsyncFnOnce(&Client)) {
    let driver = Driver::start();
    let profile = format!("--user-data-dir={}", driver.profile.path().display());
    let args = json!([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        profile,
    ]);
    let mut capabilities = serde_json::Map::new();
    capabilities.insert("goog:chromeOptions".into(), json!({"args": args}));
    let mut builder = ClientBuilder::new(HttpConnector::new());
    let client = builder.capabilities(capabilities).connect(&driver.url).await.expect("a browser");
    let metrics = json!({
        "cmd": "Emulation.setDeviceMetricsOverride",
        "params": {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false},
    });
    let result = AssertUnwindSafe(async {
        client.issue_cmd(Cdp(metrics)).await.expect("a width");
        test(&client).await;
    });
    let result = result.catch_unwind().await;
    let _ = client.close().await;
    if let Err(panic) = result {
        resume_unwind(panic);
    }
}

/// Chromium's own command, since a window cannot be as narrow as a telephone.
#[derive(Debug)]
struct Cdp(serde_json::Value);

impl fantoccini::wd::WebDriverCompatibleCommand for Cdp {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.0.to_string()))
    }
}

/// Waits until an element's text contains `part`, and returns the whole text.
pub(crate) async fn text_with(client: &Client, selector: &str, part: &str) -> String {
    let script = "return document.querySelector(arguments[0])?.innerText ?? ''";
    let wait = async {
        loop {
            let text = client.execute(script, vec![json!(selector)]).await.expect("a script runs");
            let text = text.as_str().unwrap_or_default().to_owned();
            if text.contains(part) {
                return text;
            }
            // WebDriver cannot wait for a text. The timeout below limits the wait.
            sleep(Duration::from_millis(50)).await;
        }
    };
    let text = timeout(PATIENCE, wait).await;
    text.unwrap_or_else(|_| panic!("{selector} never showed {part:?}"))
}

pub(crate) async fn fill(client: &Client, selector: &str, text: &str) {
    let field = client.wait().for_element(Locator::Css(selector)).await.expect("a field");
    field.clear().await.expect("it can be cleared");
    field.send_keys(text).await.expect("it takes text");
}

pub(crate) async fn click(client: &Client, selector: &str) {
    let element = client.wait().for_element(Locator::Css(selector)).await.expect("an element");
    element.click().await.expect("it can be clicked");
}

pub(crate) async fn script(client: &Client, script: &str) -> serde_json::Value {
    client.execute(script, Vec::new()).await.expect("a script runs")
}
