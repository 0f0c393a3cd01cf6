#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use trunkline_core::Delivery;
use trunkline_core::config::{Secret, parse};

use super::*;
use crate::config::schema;
use crate::destination::{Delivered, DeliveryError, Destination, SetupError};
use crate::registry::AdapterKind;
use crate::source::{Emitter, Source};

/// Refuses odd URLs, and reads its secret when it is made.
struct Post;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PostSettings {
    url: String,
    bearer: Option<Secret>,
}

impl Destination for Post {
    const NAME: &'static str = "post";
    type Settings = PostSettings;

    async fn connect(settings: PostSettings, context: &Context) -> Result<Self, SetupError> {
        if let Some(bearer) = &settings.bearer {
            let read = context.secrets.read(bearer);
            read.map_err(|error| SetupError::new("bearer", error.to_string()))?;
        }
        if !settings.url.starts_with("https://") {
            return Err(SetupError::new("url", "must begin with https://").hint("use TLS"));
        }
        Ok(Self)
    }

    async fn deliver(&self, _delivery: &Delivery) -> Result<Delivered, DeliveryError> {
        Ok(Delivered::default())
    }
}

/// A source that has nothing to fetch.
struct Idle;

impl Source for Idle {
    const NAME: &'static str = "idle";
    type Settings = std::collections::BTreeMap<String, u32>;

    async fn connect(_settings: Self::Settings, _context: &Context) -> Result<Self, SetupError> {
        Ok(Self)
    }

    async fn run(
        self,
        _emitter: Emitter,
        shutdown: tokio_util::sync::CancellationToken,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        shutdown.cancelled().await;
        Ok(())
    }
}

fn adapters() -> Adapters {
    Adapters::new().destination::<Post>().source::<Idle>()
}

/// Expects exactly these: line, column, severity, code and a part of what is said.
async fn check(entries: &str, expected: &[(usize, usize, Severity, &str, &str)]) {
    let text = format!("version: 1\n{entries}");
    let mut diagnostics = Diagnostics::new();
    let shared = Shared::read(parse("t.yaml", &text).unwrap(), Path::new("."), &mut diagnostics).unwrap();
    adapters().check(&shared, "here", Severity::Warning, &mut diagnostics).await;
    let found = diagnostics.into_sorted();
    let places: Vec<_> = found
        .iter()
        .map(|found| (found.place.line, found.place.column, found.severity, found.code))
        .collect();
    let wanted: Vec<_> =
        expected.iter().map(|(line, column, sev, code, _)| (*line, *column, *sev, *code)).collect();
    assert_eq!(places, wanted, "{found:#?}");
    for (found, (.., part)) in found.iter().zip(expected) {
        assert!(found.to_string().contains(part), "{found} does not say {part:?}");
    }
}

#[tokio::test]
async fn what_an_adapter_says_stands_at_the_setting() {
    use Severity::{Error, Warning};
    check(
        "destinations: { a: { adapter: post, settings: { url: \"https://x\" } } }\nsources: { s: { adapter: idle } }",
        &[],
    )
    .await;
    check("destinations: { a: { adapter: psot } }", &[(2, 31, Error, "TL-A001", "did you mean `post`?")])
        .await;
    check("sources: { a: { adapter: post } }", &[(2, 26, Error, "TL-A001", "there are idle")]).await;
    check("destinations: { a: { adapter: post } }", &[(2, 20, Error, "TL-C004", "url")]).await;
    check(
        "destinations: { a: { adapter: post, settings: { url: \"ftp://x\" } } }",
        &[(2, 54, Error, "TL-A002", "hint: use TLS")],
    )
    .await;
    // A secret that is not set hides no other mistake, and what follows from it is not told again.
    let unset = "${env:TRUNKLINE_NO_SUCH_VARIABLE}";
    check(
        &format!(
            "destinations:\n  a: {{ adapter: post, settings: {{ url: \"https://x\", bearer: \"{unset}\" }} }}"
        ),
        &[(3, 61, Warning, "TL-C010", "`TRUNKLINE_NO_SUCH_VARIABLE` is not set")],
    )
    .await;
    check(
        &format!("destinations:\n  a: {{ external: true, settings: {{ bearer: \"{unset}\", any: thing }} }}"),
        &[],
    )
    .await;
}

#[test]
fn a_setting_is_found_by_its_path() {
    let node = parse("t.yaml", "headers: { x.y: { a: 1 }, x: [ 5, 6 ] }").unwrap();
    for (path, there) in [
        ("", true),
        ("headers.x.y.a", true),
        ("headers.x.1", true),
        ("headers.x.2", false),
        ("headers.z", false),
    ] {
        assert_eq!(find(&node, path).is_some(), there, "{path}");
    }
}

#[test]
fn the_schema_knows_every_adapter() {
    let document = schema(&adapters(), std::collections::BTreeMap::new());
    let entry = &document["properties"]["destinations"]["additionalProperties"];
    assert_eq!(entry["properties"]["adapter"]["enum"], serde_json::json!(["post"]));
    let then = &entry["allOf"][0]["then"]["properties"]["settings"];
    assert_eq!(then["required"], serde_json::json!(["url"]));
    assert_eq!(document["properties"]["version"]["const"], 1);
    let names = adapters().names();
    assert_eq!(names, [(AdapterKind::Source, "idle"), (AdapterKind::Destination, "post")]);
}
