//! Whether a platform could be delivered to, asked by a request that delivers nothing.
//!
//! The request is an `OPTIONS`, which HTTP defines as safe (RFC 9110, section 9.2.1), with the destination's credentials and
//! without a body. Its answer is not believed in more than it says: 401 means that the credentials are refused; any other
//! status, that somebody answers.

use std::time::Duration;

use ::http::{HeaderMap, Method, StatusCode, header};
use chrono::{DateTime, TimeDelta, Utc};
use trunkline_sdk::bytes::Bytes;
use trunkline_sdk::certificate::ends_der;
use trunkline_sdk::core::{Clock, Examination, Fault};
use trunkline_sdk::http::{Answer, ClientSettings, GuardedClient, Request, SendError};

use super::{Http, Used};

/// How long the platform may take; the caller's patience may be shorter.
const PATIENCE: Duration = Duration::from_secs(10);
/// A certificate that ends sooner is told.
const SOON: TimeDelta = TimeDelta::days(14);

pub(super) async fn examine(http: &Http, found: &mut Examination<String>) {
    let Some((url, whole)) = http.url.fixed() else {
        return found.unseen("the platform: each event decides which host is called");
    };
    let settings = ClientSettings {
        allow_private: http.allow_private,
        show_certificate: true,
        connect_timeout: PATIENCE,
        timeout: Some(PATIENCE),
        ..ClientSettings::default()
    };
    let client = match GuardedClient::new(settings) {
        Ok(client) => client,
        Err(error) => return found.unseen(format!("the platform: {error}")),
    };
    let mut headers = HeaderMap::new();
    let mut presented = false;
    if !whole {
        found.unseen("whether it takes the credentials: the URL's path is each event's own");
    } else if let Err(error) = http.headers.authorize(&mut headers, &http.secrets, &mut Used::default()) {
        found.unseen(format!("whether it takes the credentials: {error}"));
        headers.clear();
    } else {
        presented = !headers.is_empty();
    }
    let asked = Utc::now();
    let host = url.host_str().unwrap_or_default().to_owned();
    match client.send(Request { method: Method::OPTIONS, url, headers, body: Bytes::new() }).await {
        Ok(answer) => judge(http, &host, &answer, asked, presented, found),
        Err(error) => not_answered(&host, &error, found),
    }
}

fn judge(
    http: &Http,
    host: &str,
    answer: &Answer,
    asked: DateTime<Utc>,
    presented: bool,
    found: &mut Examination<String>,
) {
    found.seen(format!("{host} answers ({})", answer.status.as_u16()));
    found.clocks.extend(clock(host, &answer.headers, asked));
    if answer.status == StatusCode::UNAUTHORIZED {
        match http.headers.credentials_field() {
            Some(field) => {
                let remedy = "renew the secret at the platform and in its file or variable, and check which kind of \
                              credentials it wants";
                let problem = format!("{host} refuses the credentials (401)");
                found.error(field.to_owned(), Fault::Permission, problem, remedy);
            }
            None => {
                let problem = format!("{host} wants credentials (401), and none are configured");
                found.error(url(), Fault::Permission, problem, "set `bearer`, `basic` or `api_key`");
            }
        }
    } else if presented {
        found.unseen(
            "whether it takes the credentials: it did not refuse them, which need not mean that it looked",
        );
    }
    match answer.certificate.as_deref().map(ends_der) {
        Some(Ok(end)) if end - asked < SOON => {
            let problem = format!("the certificate of {host} ends {}", end.format("%Y-%m-%d %H:%M UTC"));
            found.warning(url(), Fault::Certificate, problem, RENEW);
        }
        Some(Err(error)) => found.unseen(format!("when the certificate of {host} ends: {error}")),
        Some(Ok(_)) | None => {}
    }
}

const RENEW: &str = "have the platform renew its certificate; without a valid one every delivery waits";

fn not_answered(host: &str, error: &SendError, found: &mut Examination<String>) {
    let problem = format!("{host}: {error}");
    let (fault, remedy) = match error {
        SendError::Target(_) | SendError::Address(_) => {
            (Fault::Permission, "name a public host, or set `allow_private: true` if it is meant")
        }
        SendError::Connect(why) if why.contains("certificate") => (Fault::Certificate, RENEW),
        SendError::Connect(why) if why.contains("dns") || why.contains("lookup") => {
            (Fault::Unreachable, "check the host's name, and that this machine's name server knows it")
        }
        SendError::Connect(_) | SendError::Timeout => {
            (Fault::Unreachable, "check host and port, and whether a firewall is between")
        }
        SendError::Interrupted(_) => {
            (Fault::Unreachable, "check that it speaks HTTP there, with TLS if the URL says https")
        }
    };
    found.error(url(), fault, problem, remedy);
}

/// The platform's time by its `Date` header, which has whole seconds.
fn clock(host: &str, headers: &HeaderMap, asked: DateTime<Utc>) -> Option<Clock> {
    let date = headers.get(header::DATE)?.to_str().ok()?;
    let theirs = DateTime::parse_from_rfc2822(date).ok()?.timestamp_millis();
    let (before, after) = (asked.timestamp_millis(), Utc::now().timestamp_millis());
    Some(Clock {
        whose: host.to_owned(),
        ours_ahead_ms: before.midpoint(after) - theirs,
        within_ms: (after - before) / 2 + 1000,
    })
}

fn url() -> String {
    "url".to_owned()
}
