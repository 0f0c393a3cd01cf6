//! Speaks to a running gateway or console.

use anyhow::Context as _;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;

const CONNECT_WITHIN: std::time::Duration = std::time::Duration::from_secs(10);

/// One service's HTTP.
pub(crate) struct Api {
    client: Client,
    base: String,
    key: Option<String>,
    /// What to say when it does not answer.
    service: &'static str,
    variable: &'static str,
}

/// The service does not answer: exit code 4.
#[derive(Debug, thiserror::Error)]
#[error(
    "the {service} at {base} does not answer; is it running? (its address is taken from {variable}, else from `{service}.listen` of the configuration)"
)]
pub(crate) struct NoAnswer {
    service: &'static str,
    base: String,
    variable: &'static str,
    #[source]
    cause: reqwest::Error,
}

/// The service says no: exit code 1, or 4 where it is a matter of time.
#[derive(Debug, thiserror::Error)]
#[error("{title} ({status}): {detail}")]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    title: String,
    detail: String,
}

impl Api {
    /// The gateway.
    pub(crate) fn gateway(base: String) -> Self {
        Self::new(base, "gateway", "TRUNKLINE_GATEWAY")
    }

    /// The console.
    pub(crate) fn console(base: String) -> Self {
        Self::new(base, "console", "TRUNKLINE_CONSOLE")
    }

    fn new(base: String, service: &'static str, variable: &'static str) -> Self {
        let key = std::env::var("TRUNKLINE_KEY").ok().filter(|key| !key.is_empty());
        let base = base.trim_end_matches('/').to_owned();
        let base = if base.contains("://") { base } else { format!("http://{base}") };
        Self { client: client(&base), base, key, service, variable }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    /// Sends a request; an answer that says no is an error with its own words.
    pub(crate) async fn send(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        let response = request.send().await.map_err(|cause| NoAnswer {
            service: self.service,
            base: self.base.clone(),
            variable: self.variable,
            cause: cause.without_url(),
        })?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = response.bytes().await.unwrap_or_default();
        let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
        let text = |name: &str| problem[name].as_str().map(str::to_owned);
        let title = text("title").unwrap_or_else(|| format!("the {} says no", self.service));
        let detail = text("detail").unwrap_or_else(|| "it does not say why".to_owned());
        Err(Refused { status, title, detail }.into())
    }

    /// Asks.
    pub(crate) async fn get(&self, path: &str, query: &[(String, String)]) -> anyhow::Result<Value> {
        let path = with_query(path, query);
        read(self.send(self.request(Method::GET, &path)).await?).await
    }

    /// Asks for a stream of lines.
    pub(crate) async fn stream(&self, path: &str, query: &[(String, String)]) -> anyhow::Result<Response> {
        let path = with_query(path, query);
        self.send(self.request(Method::GET, &path)).await
    }

    /// Acts.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let request = self.request(Method::POST, path).header("content-type", "application/json");
        read(self.send(request.body(body.to_string())).await?).await
    }

    /// Sends bytes of a content type.
    pub(crate) async fn upload(
        &self,
        path: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> anyhow::Result<Value> {
        let request = self.request(Method::POST, path).header("content-type", content_type);
        read(self.send(request.body(body)).await?).await
    }
}

fn client(base: &str) -> Client {
    let mut builder = Client::builder().connect_timeout(CONNECT_WITHIN);
    let host = url::Url::parse(base).ok().and_then(|url| url.host_str().map(str::to_owned));
    let is_local = |host: &str| {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || bare.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
    };
    if host.as_deref().is_some_and(is_local) {
        // The environment's proxy is not for this machine's own addresses.
        builder = builder.no_proxy();
    }
    builder.build().unwrap_or_default()
}

fn with_query(path: &str, query: &[(String, String)]) -> String {
    if query.is_empty() {
        return path.to_owned();
    }
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    format!("{path}?{query}")
}

async fn read(response: Response) -> anyhow::Result<Value> {
    let body = response.bytes().await.context("the answer broke off")?;
    serde_json::from_slice(&body).context("the answer is no JSON")
}
