//! The built-in sources and destinations of Trunkline, and the registry that names them.
//!
//! Sources: [`Shopify`] and [`Stripe`] turn what their platform says into canonical messages, [`Hmac`] takes the
//! webhooks of any platform that signs with HMAC. Destinations: [`Http`] calls a URL, [`File`] appends to a file.
//!
//! An adapter is one file, or a file with a folder of the same name once it grows; it knows its platform and nothing of
//! brokers, retries or dead letters. Adding one is its file and its line in [`registry`]. What several adapters need is
//! here too: `verify` checks signatures, `fields` reads JSON objects without losing what it does not know, `money`
//! keeps amounts exact.
#![warn(missing_docs)]

mod fields;
mod file;
mod hmac;
mod http;
mod money;
#[cfg(test)]
mod recorded;
mod secret_list;
mod shopify;
mod stripe;
#[cfg(test)]
mod testing;
mod verify;

pub use file::{File, FileSettings};
pub use hmac::{Hmac, HmacSettings};
pub use http::{Http, HttpSettings};
pub use shopify::{Shopify, ShopifySettings};
pub use stripe::{Stripe, StripeSettings};

use trunkline_sdk::Adapters;

/// Every built-in adapter.
pub fn registry() -> Adapters {
    Adapters::new()
        .webhook_source::<Shopify>()
        .webhook_source::<Stripe>()
        .webhook_source::<Hmac>()
        .destination::<Http>()
        .destination::<File>()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use serde::de::DeserializeOwned;
    use trunkline_sdk::core::config::{Diagnostics, parse};

    use super::*;

    #[test]
    fn every_adapter_is_registered_with_its_schema() {
        let registry = registry();
        let names: Vec<&str> = registry.names().into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, ["hmac", "shopify", "stripe", "file", "http"]);
        for (kind, name) in registry.names() {
            let schema = serde_json::to_string(&registry.schema(kind, name).unwrap()).unwrap();
            assert!(schema.contains("\"additionalProperties\":false"), "{name}: {schema}");
        }
    }

    /// Checks that the settings read, or that the message about them says `complaint`.
    #[track_caller]
    fn check<T: DeserializeOwned>(yaml: &str, complaint: Option<&str>) {
        let mut diagnostics = Diagnostics::new();
        let read: Option<T> = parse("test.yaml", yaml).unwrap().read(&mut diagnostics);
        let said = format!("{:?}", diagnostics.into_sorted());
        match complaint {
            None => assert!(read.is_some(), "{yaml}: {said}"),
            Some(complaint) => assert!(read.is_none() && said.contains(complaint), "{yaml}: {said}"),
        }
    }

    #[test]
    fn settings_read_from_a_configuration() {
        check::<ShopifySettings>("{ secret: '${env:A}', currency: EUR }", None);
        check::<ShopifySettings>("secret: ['${env:A}', '${file:/run/b}']", None);
        check::<ShopifySettings>("secret: plain", Some("must be a reference"));
        check::<ShopifySettings>("secret: []", Some("at least one secret"));
        check::<ShopifySettings>("secret: 7", Some("a secret's reference"));
        check::<ShopifySettings>("currency: EUR", Some("secret"));
        check::<StripeSettings>("{ secret: '${env:A}', tolerance: 1m }", None);
        check::<StripeSettings>("{ secret: '${env:A}', tolerance: soon }", Some("not a duration"));
        check::<HmacSettings>("{ secret: '${env:A}', scheme: github }", None);
        check::<HmacSettings>(
            "{ secret: '${env:A}', signature: { header: X, separator: ',', prefix: v1= } }",
            None,
        );
        check::<HmacSettings>("{ secret: '${env:A}', scheme: gitlab }", Some("github"));
        check::<FileSettings>("path: ./events.jsonl", None);
        check::<HttpSettings>("{ url: https://a.example, sign: { standard_webhooks: '${env:A}' } }", None);
        check::<HttpSettings>(
            "{ url: https://a.example, headers: { x-a: b }, format: cloudevents-structured }",
            None,
        );
        check::<HttpSettings>("{ url: https://a.example, bearrer: '${env:A}' }", Some("bearrer"));
    }
}
