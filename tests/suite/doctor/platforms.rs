//! Destinations over HTTP: names, ports, credentials.

use chrono::{DateTime, Utc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::Told;

/// A platform that answers every request with one status, and with a time of its own.
pub(super) struct Platform {
    port: u16,
    serving: JoinHandle<()>,
}

impl Platform {
    pub(super) async fn start(status: u16, date: Option<DateTime<Utc>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let date = date.unwrap_or_else(Utc::now).format("%a, %d %b %Y %H:%M:%S GMT");
        let answer = format!(
            "HTTP/1.1 {status} Said\r\ndate: {date}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
        let serving = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = [0; 4096];
                if stream.read(&mut head).await.is_ok_and(|count| count > 0) {
                    stream.write_all(answer.as_bytes()).await.ok();
                }
            }
        });
        Self { port, serving }
    }

    /// One destination that calls it, with further settings, one a line; it begins in line 4.
    pub(super) fn configuration(&self, scheme: &str, settings: &str) -> String {
        configuration(&format!("{scheme}://127.0.0.1:{}/hook", self.port), settings)
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// One destination with this URL, in line 7; further settings of it come after.
pub(super) fn configuration(url: &str, settings: &str) -> String {
    let mut text = format!(
        "version: 1\nbroker: embedded:./data\ndestinations:\n  crm:\n    adapter: http\n    settings:\n      url: {url}\n      \
         allow_private: true\n"
    );
    settings.lines().for_each(|line| text.push_str(&format!("      {line}\n")));
    text
}

#[tokio::test]
async fn a_platform_that_refuses_the_credentials() {
    let platform = Platform::start(401, None).await;
    let folder = tempfile::tempdir().unwrap();
    let text = platform.configuration("http", "bearer: \"${env:CRM_TOKEN}\"");
    std::fs::write(folder.path().join("trunkline.yaml"), text).unwrap();
    let told = Told::of(folder.path(), &[], &[("CRM_TOKEN", "canary")], 1).await;
    let place = "9 destinations.crm.settings.bearer";
    told.has("TL-D003", place, "refuses the credentials (401)", "renew the secret");
    told.counts(1);
    assert!(!format!("{told:?}").contains("canary"), "{told:?}");

    let platform = Platform::start(405, None).await;
    let text = platform.configuration("http", "bearer: \"${env:CRM_TOKEN}\"");
    std::fs::write(folder.path().join("trunkline.yaml"), text).unwrap();
    let told = Told::of(folder.path(), &[], &[("CRM_TOKEN", "canary")], 0).await;
    assert!(told.said("unseen", "destination crm").contains("whether it takes the credentials"), "{told:?}");
}

#[tokio::test]
async fn a_platform_that_nobody_finds_or_that_does_not_listen() {
    let told = Told::of_text(&configuration("http://crm.invalid/hook", ""), 1).await;
    told.has(
        "TL-D001",
        "7 destinations.crm.settings.url",
        "crm.invalid: no connection",
        "check the host's name",
    );
    told.counts(1);
    let port = trunkline_tests::ports::free();
    let told = Told::of_text(&configuration(&format!("http://127.0.0.1:{port}/hook"), ""), 1).await;
    told.has("TL-D001", "7 destinations.crm.settings.url", "no connection", "check host and port");
    told.counts(1);
}
