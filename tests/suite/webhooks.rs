//! Webhooks of real platforms, as recorded: accepted, understood, told from forgeries and from re-sends.

mod facts;
mod kept;
mod resent;
mod tampered;

use trunkline_sdk::testing::Receiver;
use trunkline_tests::{Instance, Setup};

const SHOPIFY: &str = "shpss_of-the-suite";
const STRIPE: &str = "whsec_of-the-suite";

/// An instance that takes both platforms' webhooks and sends every event, whole, to a receiver.
async fn bus() -> (Instance, Receiver) {
    let receiver = Receiver::start().await.unwrap();
    let sections = format!(
        "sources:
  shop: {{ adapter: shopify, settings: {{ secret: '${{env:SHOP_SECRET}}', currency: USD }} }}
  pay: {{ adapter: stripe, settings: {{ secret: '${{env:PAY_SECRET}}' }} }}
destinations:
  all:
    adapter: http
    settings: {{ url: '{}', allow_private: true, format: cloudevents-structured }}
subscriptions:
  everything: {{ match: {{ source: [shop, pay] }}, to: all }}
",
        receiver.url("/all")
    );
    let setup = Setup::new(sections).environment("SHOP_SECRET", SHOPIFY).environment("PAY_SECRET", STRIPE);
    (Instance::start(setup).await, receiver)
}

/// The configured source and its secret.
fn source(platform: &str) -> (&'static str, &'static str) {
    if platform == "shopify" { ("shop", SHOPIFY) } else { ("pay", STRIPE) }
}
